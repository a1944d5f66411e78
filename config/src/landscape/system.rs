//! The systems that the bus talks to, and how much they can take.

use std::path::PathBuf;
use std::time::Duration;

use bus_core::policy::Profile;
use bus_core::vocabulary::SystemName;
use bus_options::{SecretOr, SecretRef};
use chrono_tz::Tz;
use url::Url;

/// A system the bus talks to.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// Its name.
    pub name: SystemName,
    /// Certificate authority (PEM), where it is not a public one.
    pub ca: Option<PathBuf>,
    /// What differs by kind.
    pub kind: SystemKind,
}

/// What differs by kind of system.
#[derive(Debug, Clone, PartialEq)]
pub enum SystemKind {
    /// A database that is read.
    Sql {
        /// `postgres://…` or `sqlite:…`.
        url: SecretOr<Url>,
        /// How much it may be read.
        reads: Limits,
    },
    /// A server that takes requests.
    Http(HttpSystem),
    /// A base of 1C.
    Odata(OdataSystem),
}

/// A base of 1C.
#[derive(Debug, Clone, PartialEq)]
pub struct OdataSystem {
    /// The root of its interface.
    pub url: SecretOr<Url>,
    /// User and password.
    pub login: Option<(String, SecretRef)>,
    /// Its dates are read in it.
    pub zone: Tz,
    /// How much it may be read.
    pub reads: Limits,
    /// How much it can take.
    pub takes: Takes,
    /// Requests at the same time, whatever for.
    pub sessions: usize,
    /// The longest silence of an answer.
    pub timeout: Duration,
    /// A constant with another value in every base.
    pub constant: Option<String>,
    /// Documents of which the newest must still be there.
    pub witness: Option<String>,
}

/// A server that takes requests.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSystem {
    /// Base address.
    pub url: SecretOr<Url>,
    /// Sent with every request.
    pub headers: Vec<(String, SecretOr<String>)>,
    /// User and password of HTTP basic authentication.
    pub basic: Option<(String, SecretRef)>,
    /// How much it can take.
    pub takes: Takes,
    /// How long a request may take.
    pub timeout: Duration,
}

/// How much a receiving system can take.
#[derive(Debug, Clone, PartialEq)]
pub struct Takes {
    /// Requests.
    pub capacity: Limits,
    /// Operations with a pace of their own beside it: their requests count for both.
    pub operations: Vec<(String, Profile)>,
    /// Kept free below the capacity's pace: 0.01 is 1 %.
    pub margin: f64,
    /// Whether the pace follows how the system fares.
    pub adaptive: bool,
}

/// How much at a time, and at the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Requests per time; `None` is as fast as it is answered.
    pub pace: Option<Profile>,
    /// At the same time.
    pub concurrency: usize,
}
