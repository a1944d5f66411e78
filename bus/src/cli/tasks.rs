//! `bus load`, `bus resend` and `bus tasks`.

use clap::{Args, Subcommand};

use super::Config;

#[derive(Debug, Args)]
pub struct Load {
    #[command(flatten)]
    pub config: Config,
    /// The stream; its source is read as a whole, once
    pub stream: String,
    /// The route that gets it; what it has delivered already is not sent again
    #[arg(long, value_name = "ROUTE")]
    pub to: String,
    #[command(flatten)]
    pub share: Share,
}

#[derive(Debug, Args)]
pub struct Resend {
    #[command(flatten)]
    pub config: Config,
    /// The route whose receiver was restored
    pub route: String,
    /// Only records of this key or label; may be given several times
    #[arg(long = "key", visible_alias = "label", value_name = "KEY")]
    pub only: Vec<String>,
    /// Only records that the route delivered since then ("2h" ago, "2026-11-22", "2026-11-22 20:00"), by the journal
    #[arg(long, value_name = "TIME", conflicts_with_all = ["only", "all"])]
    pub since: Option<String>,
    /// Only records that it delivered before then
    #[arg(long, value_name = "TIME", conflicts_with_all = ["only", "all"])]
    pub until: Option<String>,
    /// Everything that the source holds; of a pushed stream, what its archive holds
    #[arg(long, conflicts_with = "only")]
    pub all: bool,
    #[command(flatten)]
    pub share: Share,
}

#[derive(Debug, Args)]
pub struct Share {
    /// Of what the route may send, the share in percent that is taken while other messages wait
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub share: u8,
}

#[derive(Debug, Args)]
pub struct Tasks {
    #[command(flatten)]
    pub config: Config,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Option<TasksCommand>,
}

#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// End a task; the few rows that stand in the route's line are still sent
    Cancel {
        /// Its number
        id: i64,
    },
}
