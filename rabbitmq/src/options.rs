//! What an operator says about the broker.

use std::path::PathBuf;
use std::time::Duration;

use bus_core::vocabulary::Secret;

/// How to reach RabbitMQ and how patient to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// `amqp://user:password@host:5672/vhost`, or `amqps://…` for TLS. A missing or empty vhost means `/`.
    pub url: Secret,
    /// PEM file with the certificate authority that signed the broker's certificate; then no other authority is
    /// trusted. `None`: the operating system's authorities.
    pub ca_file: Option<PathBuf>,
    /// The bus's name: shown in RabbitMQ's list of connections and part of every message's `source`.
    pub name: String,
    /// How long one confirm, acknowledgement or question may take. While the broker blocks publishers (memory or disk
    /// alarm) this clock stands still.
    pub confirm_timeout: Duration,
    /// A silent broker counts as dead after twice this long. Whole seconds, at least one.
    pub heartbeat: Duration,
}

impl Options {
    /// Options with a confirm timeout and a heartbeat of 10 s and the operating system's authorities.
    pub fn new(url: Secret, name: impl Into<String>) -> Self {
        Self {
            url,
            ca_file: None,
            name: name.into(),
            confirm_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
        }
    }
}

/// The options cannot work, whatever the broker does. No variant holds the URL, which holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The URL cannot be read.
    #[error("the broker's address {0}; it has the form amqps://user:password@host:5671/vhost")]
    Url(String),
    /// The file of the certificate authority cannot be used.
    #[error("the broker's CA file {path}: {reason}")]
    CaFile {
        /// The file as configured.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The operating system's certificate authorities cannot be loaded.
    #[error("the system's certificate authorities cannot be loaded ({0}); install ca-certificates or name a CA file")]
    SystemAuthorities(String),
}
