//! `bus maintenance`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::Config;
use super::look::Status;
use super::names::duration;

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
