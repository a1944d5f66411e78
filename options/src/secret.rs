//! Secrets are named in the file, never written there.

use std::borrow::Cow;
use std::path::PathBuf;
use std::{env, fs, io};

use bus_core::vocabulary::Secret;
use serde_json::{Value, json};

use crate::{Declaration, Node, OptionValue, Reader, Report, codes};

/// Where a secret is kept: `{ env = "SHOP_KEY" }` or `{ file = "/run/secrets/shop" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file; a line end at its end is not part of the secret.
    File(PathBuf),
}

/// Why a secret cannot be had. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, empty or not UTF-8.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds nothing.
    #[error("the secret file {0} is empty")]
    Empty(PathBuf),
}

impl SecretRef {
    /// Reads the secret now. Blocking; called at start-up and on reload.
    pub fn load(&self) -> Result<Secret, SecretError> {
        match self {
            SecretRef::Env(name) => match env::var(name) {
                Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
                _ => Err(SecretError::NotSet(name.clone())),
            },
            SecretRef::File(path) => {
                let read = fs::read_to_string(path);
                let text = read.map_err(|source| SecretError::Unreadable { path: path.clone(), source })?;
                match text.trim_end_matches(['\r', '\n']) {
                    "" => Err(SecretError::Empty(path.clone())),
                    secret => Ok(Secret::new(secret)),
                }
            }
        }
    }
}

const KIND: &str = "secret: `{ env = \"NAME\" }` or `{ file = \"PATH\" }`";

impl OptionValue for SecretRef {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if !node.value().is_table() {
            report.hide(&node.span());
            let hint = "name where it is kept: { env = \"NAME\" } or { file = \"/run/secrets/name\" }";
            report.add_with_hint(codes::LITERAL_SECRET, &node.span(), "a secret must not stand in the file", hint);
            return None;
        }
        let span = node.span();
        let mut reader = Reader::open(node, KIND, report)?;
        let env = reader.optional::<String>("env");
        let file = reader.optional::<PathBuf>("file");
        if !reader.finish(&[], &[]) {
            return None;
        }
        match (env?, file?) {
            (Some(name), None) if !name.is_empty() && !name.contains(['=', '\0']) => Some(SecretRef::Env(name)),
            (None, Some(path)) => Some(SecretRef::File(path)),
            _ => {
                let hint = "{ env = \"NAME\" } or { file = \"PATH\" }, one of the two";
                report.add_with_hint(codes::BAD_VALUE, &span, "this does not say where the secret is kept", hint);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        KIND.into()
    }
    fn schema() -> Value {
        let one = |key: &str| {
            json!({"type": "object", "properties": {key: {"type": "string", "minLength": 1}},
                   "required": [key], "additionalProperties": false})
        };
        json!({"oneOf": [one("env"), one("file")]})
    }
}

/// A value that may stand in the file when it holds no secret, or be kept elsewhere as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOr<T> {
    /// Written in the file.
    Literal(T),
    /// Kept elsewhere.
    Secret(SecretRef),
}

impl<T: OptionValue> OptionValue for SecretOr<T> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if node.value().is_table() {
            return SecretRef::read(node, report).map(Self::Secret);
        }
        T::read(node, report).map(Self::Literal)
    }
    fn kind() -> Cow<'static, str> {
        format!("{}, or {KIND}", T::kind()).into()
    }
    fn schema() -> Value {
        json!({"anyOf": [T::schema(), SecretRef::schema()]})
    }
    fn tables(out: &mut Vec<Declaration>) {
        T::tables(out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_absent_secret_is_named_and_never_shown() {
        let error = SecretRef::Env("BUS_TEST_NO_SUCH_VARIABLE".into()).load().unwrap_err();
        assert_eq!(error.to_string(), "the environment variable BUS_TEST_NO_SUCH_VARIABLE is not set");
        assert!(SecretRef::File("/nonexistent/secret".into()).load().is_err());
        assert_eq!(SecretRef::Env("PATH".into()).load().map(|s| format!("{s:?}")).unwrap(), "***");
    }
}
