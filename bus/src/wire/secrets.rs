//! What the configuration only names: secrets, addresses that may hold one, and certificate files.

use std::path::Path;

use anyhow::Context;
use bus_core::vocabulary::Secret;
use bus_options::{SecretOr, SecretRef};
use url::Url;

pub fn load(secret: &SecretRef, what: &str) -> anyhow::Result<Secret> {
    secret.load().with_context(|| what.to_owned())
}

/// An address that may hold a password, so it is handled as a secret from here on.
pub fn secret_url(url: &SecretOr<Url>, what: &str) -> anyhow::Result<Secret> {
    match url {
        SecretOr::Literal(url) => Ok(Secret::new(url.as_str())),
        SecretOr::Secret(secret) => load(secret, &format!("the address of {what}")),
    }
}

/// The certificate authority of a system, if it has one of its own.
pub fn pem(ca: Option<&Path>, what: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("the certificate authority of {what}: {}", path.display()))
    };
    ca.map(read).transpose()
}

/// Whether secrets are read, or stars stand for them because nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    Read,
    Starred,
}

impl Secrets {
    pub fn load(self, secret: &SecretRef, what: &str) -> anyhow::Result<Secret> {
        match self {
            Self::Read => load(secret, what),
            Self::Starred => Ok(Secret::new("***")),
        }
    }

    pub fn url(self, url: &SecretOr<Url>, what: &str) -> anyhow::Result<Secret> {
        match (self, url) {
            (Self::Starred, SecretOr::Secret(_)) => Ok(Secret::new("http://system.invalid")),
            _ => secret_url(url, what),
        }
    }

    /// Whom nothing is sent to nobody has to trust.
    pub fn pem(self, ca: Option<&Path>, what: &str) -> anyhow::Result<Option<Vec<u8>>> {
        pem(ca.filter(|_| self == Self::Read), what)
    }
}
