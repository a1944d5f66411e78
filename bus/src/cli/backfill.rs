//! `bus backfill`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::Config;
use super::names::duration;
use super::tasks::Share;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Backfill {
    #[command(subcommand)]
    pub command: Option<BackfillCommand>,
    #[command(flatten)]
    pub config: Config,
    /// The stream; it names its `date`, or is pushed and has an `archive`
    #[arg(required = true)]
    pub stream: Option<String>,
    /// The first day ("2026-01-01"), or moment ("2026-01-01 06:00")
    #[arg(long, value_name = "DATE", required = true)]
    pub from: Option<String>,
    /// The last day, all of it; or the moment before which it ends
    #[arg(long, value_name = "DATE", required = true)]
    pub to: Option<String>,
    /// How much is read at a time; the next step begins when all of it was sent
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1d")]
    pub step: Duration,
    /// Greater goes first; within a priority the earlier date of all backfills
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    /// Only this route (may be repeated); without it, all routes of the stream
    #[arg(long, value_name = "ROUTE")]
    pub route: Vec<String>,
    /// Also what the routes have delivered: their receivers lost it
    #[arg(long)]
    pub again: bool,
    #[command(flatten)]
    pub share: Share,
}

#[derive(Debug, Subcommand)]
pub enum BackfillCommand {
    /// The queue: what is done, what is under way, what waits
    List(BackfillList),
    /// Leave one aside; the others go on
    Pause(BackfillOne),
    /// Go on with one that was paused or has failed, at the step where it stood
    Resume(BackfillOne),
    /// End one; the few rows that stand in a route's line are still sent
    Cancel(BackfillOne),
}

#[derive(Debug, Args)]
pub struct BackfillList {
    #[command(flatten)]
    pub config: Config,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BackfillOne {
    #[command(flatten)]
    pub config: Config,
    /// Its number
    pub id: i64,
}
