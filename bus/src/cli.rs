//! The command line, as people read it in `bus --help`.

mod backfill;
mod configure;
mod cursor;
mod dead;
mod look;
mod maintenance;
mod names;
mod pause;
mod tasks;

use std::path::PathBuf;
use std::time::Duration;

use bus_core::vocabulary::{RouteName, SubscriptionName};
use clap::{Args, Parser, Subcommand};

use names::{duration, route, subscription};

pub use backfill::{Backfill, BackfillCommand, BackfillOne};
pub use configure::{Check, Init, Preview, Test, WhatIf};
pub use cursor::{Cursor, CursorRewind, CursorShow};
pub use dead::{Dead, DeadChoice, DeadEdit, DeadExport, DeadGroups, DeadImport, DeadList, DeadOne, DeadReplay};
pub use look::{AcceptSource, Incidents, Status, Where};
pub use maintenance::{Maintenance, MaintenanceStart};
pub use pause::{Kind, Pause, Resume};
pub use tasks::{Load, Resend, Tasks, TasksCommand};

/// Entity Bus: carries entity streams from their sources to every receiver, in order, at each one's pace, and loses nothing.
#[derive(Debug, Parser)]
#[command(name = "bus", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the bus until it is stopped (Ctrl-C or SIGTERM drains within 12 seconds)
    Run(Run),
    /// Read routes.toml and every file it includes, and name all mistakes (exit code 78 if there are any)
    Check(Check),
    /// Run the tests of routes that stand in the configuration; sends nothing, reads no secret
    Test(Test),
    /// What an edited configuration would make of the messages that really came last; sends and changes nothing
    WhatIf(WhatIf),
    /// Look at what a base of 1C publishes, and write a configuration that reads some of it
    Init(Init),
    /// Show what a stream would read now: a few records as they would be published; changes nothing anywhere
    Preview(Preview),
    /// Print the JSON schema of routes.toml, for editors
    Schema,
    /// Show the bus at work, with nothing else installed: a base of 1C, a shop and a warehouse that sometimes fail
    Demo(Demo),
    /// Take messages of an HTTP subscription and print them, one JSON object a line
    Pull(Pull),
    /// What runs, what waits, what is wrong
    Status(Status),
    /// Tell an object's story: who read it when, what changed, where it went, what was answered, what it waits for
    Where(Where),
    /// Look at dead letters by cause, mend them, send them again, or drop them
    #[command(subcommand)]
    Dead(Dead),
    /// What needs a person: what, where, since when, and what to do
    Incidents(Incidents),
    /// Say that the base a feed reads now is the right one, after it was stopped as another or an older one
    AcceptSource(AcceptSource),
    /// Tell nobody of incidents while you work at a system
    #[command(subcommand)]
    Maintenance(Maintenance),
    /// Pause a route, a feed or a system, until `bus resume`; kept across restarts
    Pause(Pause),
    /// End a pause: one that `bus pause` began, or that a route began itself because nothing was accepted
    Resume(Resume),
    /// Where feeds stand in their sources, and reading again from an earlier position
    #[command(subcommand)]
    Cursor(Cursor),
    /// Fill a receiver with everything a stream's source holds, beside the live flow
    Load(Load),
    /// Send a receiver again what it had: it was restored
    Resend(Resend),
    /// Loads and resends: how far they are, and ending one
    Tasks(Tasks),
    /// Read a stream's history by date, step by step, and send it beside the live flow; the queue of these
    Backfill(Backfill),
    /// Take over the files on disk in the running bus: only what changed starts anew (exit code 78 if they are refused)
    Reload(Reload),
    /// The demo's receiver, in a process of its own
    #[command(hide = true)]
    DemoReceiver(DemoReceiver),
    /// The demo's base of 1C, in its own process
    #[command(name = "demo-1c", hide = true)]
    DemoBase,
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub config: Config,
    /// If another process runs on the same state, wait for its end instead of refusing
    #[arg(long)]
    pub standby: bool,
    /// Take over the files by itself whenever they are edited, as `bus reload` does
    #[arg(long)]
    pub watch: bool,
    /// Give up what a route holds that is not in the file any more (may be repeated)
    #[arg(long, value_name = "NAME", value_parser = route)]
    pub drop_route: Vec<RouteName>,
}

#[derive(Debug, Args)]
pub struct Reload {
    #[command(flatten)]
    pub config: Config,
    /// Give up what a route holds that is not in the file any more: queue, waiting, dead letters (may be repeated)
    #[arg(long, value_name = "NAME", value_parser = route)]
    pub drop_route: Vec<RouteName>,
    /// Give up what the subscriber of a removed subscription has not taken (may be repeated)
    #[arg(long, value_name = "NAME", value_parser = subscription)]
    pub drop_subscription: Vec<SubscriptionName>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// End by itself after this time ("30s", "2m")
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// No live view; one line of JSON at the end
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DemoReceiver {
    /// Where every request is written before it is answered
    #[arg(long)]
    pub ledger: PathBuf,
}

#[derive(Debug, Args)]
pub struct Pull {
    #[command(flatten)]
    pub config: Config,
    /// The subscription
    pub name: String,
    /// Acknowledge everything up to this position, and continue after it
    #[arg(long, default_value_t = 0)]
    pub after: u64,
    /// At most so many messages
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
