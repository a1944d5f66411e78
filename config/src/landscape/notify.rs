//! Who is told of incidents, how, and when nobody is.

use std::path::PathBuf;
use std::time::Duration;

use bus_core::policy::{Calendar, Hours};
use bus_core::vocabulary::{Severity, SystemName};
use bus_options::{SecretOr, SecretRef};
use url::Url;

/// Who is told of incidents, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub way: Way,
    /// Incidents that open within this time of each other are one message.
    pub wait: Duration,
    /// What stays open is told again after this time.
    pub repeat: Duration,
    /// What is told at all.
    pub level: Severity,
    /// Warnings wait in these hours.
    pub quiet: Option<Hours>,
    /// Whether the end of an incident is told.
    pub resolved: bool,
}

/// How a channel is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// A request.
    Webhook {
        /// Where to.
        url: SecretOr<Url>,
        /// Sent with it.
        headers: Vec<(String, SecretOr<String>)>,
    },
    /// A message of a bot.
    Telegram {
        /// Of the Bot API.
        url: Url,
        /// The bot's token.
        token: SecretRef,
        /// The chat.
        chat: String,
    },
    /// A mail.
    Email {
        /// The mail server.
        server: Url,
        /// Its certificate authority (PEM).
        ca: Option<PathBuf>,
        /// Who sends.
        from: String,
        /// Who reads.
        to: Vec<String>,
        /// User and password.
        login: Option<(String, SecretRef)>,
    },
}

/// Hours of planned work.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedMaintenance {
    /// Its name.
    pub name: String,
    /// Only these systems; `None` is everything.
    pub systems: Option<Vec<SystemName>>,
    /// When.
    pub calendar: Calendar,
}
