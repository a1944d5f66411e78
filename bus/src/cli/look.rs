//! For those who watch the bus: `bus status`, `incidents`, `accept-source`, `where`.

use clap::Args;

use super::Config;

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
