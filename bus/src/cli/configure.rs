//! For those who write a configuration: `bus check`, `test`, `what-if`, `init`, `preview`.

use std::path::PathBuf;

use bus_core::vocabulary::{StreamName, SystemName};
use clap::Args;
use clap::builder::TypedValueParser as _;

use super::Config;
use super::names::{stream, system};

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
