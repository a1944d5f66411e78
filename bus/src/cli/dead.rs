//! `bus dead …`.

use std::path::PathBuf;

use bus_core::policy::Rate;
use clap::{Args, Subcommand};

use super::Config;

#[derive(Debug, Subcommand)]
pub enum Dead {
    /// What is wrong, largest first: letters of a route with the same fault and the same words
    Groups(DeadGroups),
    /// List dead letters, newest last
    List(DeadList),
    /// Show one: the record, what was made of it, the request, the answer, and what it was before an edit
    Show(DeadOne),
    /// Change what one will send; the original is kept
    Edit(DeadEdit),
    /// Put dead letters back into the line of their route: one, a group, a range, or all of a route
    Replay(DeadReplay),
    /// Write letters as lines of JSON, to look at elsewhere or to mend many at once
    Export(DeadExport),
    /// Take exported letters back: changed content is an edit; one that was dropped is open again
    Import(DeadImport),
    /// Remove a dead letter for good
    Drop(DeadOne),
}

/// Which letters; all conditions must hold.
#[derive(Debug, Clone, Default, Args)]
pub struct DeadChoice {
    /// Only of this route
    #[arg(long)]
    pub route: Option<String>,
    /// Only of this group, as `bus dead groups` names it
    #[arg(long)]
    pub group: Option<String>,
    /// Only of this key or label
    #[arg(long)]
    pub key: Option<String>,
    /// Only numbers from this one
    #[arg(long, value_name = "ID")]
    pub from: Option<i64>,
    /// Only numbers up to this one
    #[arg(long, value_name = "ID")]
    pub to: Option<i64>,
    /// Only those that died since then ("2h" ago, "2026-11-22 20:00", in the time zone of the bus)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only those that died before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

impl DeadChoice {
    /// Nothing was chosen: every letter is meant.
    pub fn is_everything(&self) -> bool {
        let Self { route, group, key, from, to, since, until } = self;
        let texts = [route, group, key, since, until];
        texts.iter().all(|text| text.is_none()) && from.is_none() && to.is_none()
    }
}

#[derive(Debug, Args)]
pub struct DeadGroups {
    #[command(flatten)]
    pub config: Config,
    /// Only of this route
    #[arg(long)]
    pub route: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DeadList {
    #[command(flatten)]
    pub config: Config,
    #[command(flatten)]
    pub choice: DeadChoice,
    /// At most so many, the newest
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DeadOne {
    #[command(flatten)]
    pub config: Config,
    /// Its number
    pub id: i64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DeadEdit {
    #[command(flatten)]
    pub config: Config,
    /// Its number
    pub id: i64,
    /// Edit the record, which is filtered and transformed again, and not the body that is sent
    #[arg(long)]
    pub record: bool,
    /// Take the new text from a file ("-" is standard input) instead of opening $EDITOR
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// Replay it at once
    #[arg(long)]
    pub replay: bool,
}

#[derive(Debug, Args)]
pub struct DeadReplay {
    #[command(flatten)]
    pub config: Config,
    /// Its number
    pub id: Option<i64>,
    #[command(flatten)]
    pub choice: DeadChoice,
    /// Not faster than this ("10/min"); the system's own capacity holds anyway
    #[arg(long, value_name = "RATE")]
    pub rate: Option<Rate>,
    /// Even if a newer version of its key was delivered: the receiver then goes back to this one
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct DeadExport {
    #[command(flatten)]
    pub config: Config,
    #[command(flatten)]
    pub choice: DeadChoice,
    /// Stars for the fields that the stream masks (`mask`), to pass the letters on; such letters cannot be imported
    #[arg(long)]
    pub masked: bool,
}

#[derive(Debug, Args)]
pub struct DeadImport {
    #[command(flatten)]
    pub config: Config,
    /// What `bus dead export` wrote ("-" is standard input)
    pub from: PathBuf,
}
