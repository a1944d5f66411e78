//! The command line, as people read it in `bus --help`.

mod backfill;
mod cursor;
mod dead;
mod pause;
mod tasks;

use std::path::PathBuf;
use std::time::Duration;

use bus_core::vocabulary::{RouteName, StreamName, SubscriptionName, SystemName};
use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand};

pub use backfill::{Backfill, BackfillCommand, BackfillOne};
pub use cursor::{Cursor, CursorRewind, CursorShow};
pub use dead::{Dead, DeadChoice, DeadEdit, DeadExport, DeadGroups, DeadImport, DeadList, DeadOne, DeadReplay};
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

#[derive(Debug, Args)]
pub struct DemoReceiver {
    /// Where every request is written before it is answered
    #[arg(long)]
    pub ledger: PathBuf,
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
pub struct Check {
    /// The configuration
    #[arg(value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
    /// Also reach every system: latency, rights, version
    #[arg(long)]
    pub connect: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Test {
    /// The configuration
    #[arg(value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
    /// Only tests whose name or route holds this text
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Print JSON: one object for each test
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct WhatIf {
    /// The edited configuration
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// The present one
    #[command(flatten)]
    pub config: Config,
    /// Only this route
    #[arg(long)]
    pub route: Option<String>,
    /// So many messages of each stream, the newest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000).map(usize::from))]
    pub last: usize,
    /// Show at most so many differences of each route
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub show: usize,
    /// Print JSON, with all differences
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Init {
    /// The root of the base's interface: http://HOST/BASE/odata/standard.odata
    #[arg(long = "from-1c", value_name = "URL")]
    pub from_1c: url::Url,
    /// A user of the base
    #[arg(long)]
    pub user: Option<String>,
    /// The variable that holds the user's password
    #[arg(long, value_name = "NAME", default_value = "ERP_PASSWORD")]
    pub password_env: String,
    /// The name that the configuration gives to the base
    #[arg(long, value_name = "NAME", default_value = "erp", value_parser = system)]
    pub system: SystemName,
    /// Write streams of objects whose name fits, as 'Справочник.*' or 'Document_Заказ*' (may be repeated); without it, list everything
    #[arg(long, value_name = "PATTERN")]
    pub only: Vec<String>,
    /// Into a new file, instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Also count the records of each object: one request each
    #[arg(long)]
    pub count: bool,
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Preview {
    #[command(flatten)]
    pub config: Config,
    /// The stream
    #[arg(value_parser = stream)]
    pub stream: StreamName,
    /// So many records
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100).map(usize::from))]
    pub records: usize,
    /// From the beginning, and not from where the feed stands
    #[arg(long)]
    pub begin: bool,
    /// Also the requests and their answers, as they went over the wire, without credentials
    #[arg(long)]
    pub raw: bool,
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

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub config: Config,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Incidents {
    #[command(flatten)]
    pub config: Config,
    /// Also so many that are over, the latest first
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub past: usize,
    /// Say that one is over which nothing else closes, as in gap:orders-to-shop
    #[arg(long, value_name = "KIND:SUBJECT", conflicts_with = "past")]
    pub close: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct AcceptSource {
    #[command(flatten)]
    pub config: Config,
    /// The feed (it bears the name of its stream)
    pub feed: String,
}

#[derive(Debug, Subcommand)]
pub enum Maintenance {
    /// Begin now: incidents are kept and shown, but nobody is told
    Start(MaintenanceStart),
    /// End before its time: what is still open is told
    End(MaintenanceEnd),
    /// What is under way, by command and by the configuration
    List(Status),
}

#[derive(Debug, Args)]
pub struct MaintenanceStart {
    #[command(flatten)]
    pub config: Config,
    /// Only this system; without it, everything
    #[arg(long)]
    pub system: Option<String>,
    /// How long ("30m", "2h")
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub duration: Duration,
    /// Why, for those who wonder at the silence
    #[arg(long)]
    pub why: String,
    /// Who; without it, the user of this machine
    #[arg(long)]
    pub who: Option<String>,
}

#[derive(Debug, Args)]
pub struct MaintenanceEnd {
    #[command(flatten)]
    pub config: Config,
    /// Its number
    pub id: i64,
}

#[derive(Debug, Args)]
pub struct Where {
    #[command(flatten)]
    pub config: Config,
    /// Its label ("УТ-000123") or its key, whole; without it, the newest objects by time and state
    pub word: Option<String>,
    /// Only of this stream
    #[arg(long)]
    pub stream: Option<String>,
    /// Only versions read since then: "2h" (ago), "2026-11-22", "2026-11-22 14:30" in the time zone of the bus
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only versions read before then, written as for --since
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only objects with a message in this state on some route
    #[arg(long, value_parser = ["delivered", "skipped", "dead", "waiting", "on-its-way"])]
    pub state: Option<String>,
    /// At most so many objects, the newest
    #[arg(long, default_value_t = 10)]
    pub limit: usize,
    /// At most so many versions of each, the newest
    #[arg(long, default_value_t = 20)]
    pub versions: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn route(text: &str) -> Result<RouteName, String> {
    RouteName::new(text).map_err(|error| error.to_string())
}

fn stream(text: &str) -> Result<StreamName, String> {
    StreamName::new(text).map_err(|error| error.to_string())
}

fn system(text: &str) -> Result<SystemName, String> {
    SystemName::new(text).map_err(|error| error.to_string())
}

fn subscription(text: &str) -> Result<SubscriptionName, String> {
    SubscriptionName::new(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    bus_core::policy::parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
