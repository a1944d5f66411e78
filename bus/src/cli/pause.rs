//! `bus pause` and `bus resume`.

use clap::{Args, ValueEnum};

use super::Config;

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// It sends nothing; its messages stay in its queue, or wait
    Route,
    /// It reads nothing; pushed records are refused with 503
    Feed,
    /// Nothing is sent to it, and nothing is read from it
    System,
}

#[derive(Debug, Args)]
pub struct Pause {
    #[command(flatten)]
    pub config: Config,
    /// What to pause
    pub kind: Kind,
    /// Its name
    pub name: String,
    /// Why, for whoever looks at `bus status` later
    #[arg(long)]
    pub why: String,
}

/// `bus resume ROUTE` is `bus resume route ROUTE`.
#[derive(Debug, Args)]
#[command(override_usage = "bus resume [route|feed|system] NAME")]
pub struct Resume {
    #[command(flatten)]
    pub config: Config,
    /// `route` (which may be left out), `feed` or `system`, then the name
    #[arg(value_name = "NAME", num_args = 1..=2, required = true)]
    pub words: Vec<String>,
}

impl Resume {
    /// What is meant. A route named `feed` is reached as `bus resume feed`, with one word.
    pub fn subject(&self) -> Result<(Kind, &str), String> {
        match self.words.as_slice() {
            [name] => Ok((Kind::Route, name)),
            [kind, name] => Ok((Kind::from_str(kind, false)?, name)),
            _ => Err("one or two words are expected".to_owned()),
        }
    }
}

impl Kind {
    /// As the bus calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Route => "route",
            Kind::Feed => "feed",
            Kind::System => "system",
        }
    }
}
