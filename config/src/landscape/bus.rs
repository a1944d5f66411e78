//! The bus itself: where it keeps messages and state, where it listens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bus_options::{SecretOr, SecretRef};
use chrono_tz::Tz;
use url::Url;

use super::LogFormat;

/// The bus itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Bus {
    /// Told to systems and people.
    pub name: String,
    /// Schedules and windows are read in it.
    pub timezone: Tz,
    /// Where messages are kept.
    pub broker: Broker,
    /// The state database; relative to the working directory.
    pub state: PathBuf,
    /// Pages, API, metrics, pushed records.
    pub listen: SocketAddr,
    /// What the API asks for. Always there where others than this machine can reach `listen`.
    pub key: Option<SecretRef>,
    /// How long a message may stay unsettled in memory, before it is moved to `waiting` in the state store: below the
    /// time after which the broker closes the channel.
    pub hold: Duration,
    /// What the log looks like.
    pub log: LogFormat,
    /// How much is remembered of what happened to each message.
    pub journal: JournalKeep,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalKeep {
    /// For how long.
    pub age: Duration,
    /// How many bytes.
    pub bytes: u64,
}

/// Where messages are kept between capture and delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Broker {
    /// Inside the bus.
    Embedded,
    /// RabbitMQ.
    Amqp {
        /// Its address; with a password only as a secret.
        url: SecretOr<Url>,
        /// Its certificate authority (PEM), where it is not a public one.
        ca: Option<PathBuf>,
    },
}
