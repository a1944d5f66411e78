//! Names that operators write in `routes.toml`: checked once, then typed, so a route never passes for a stream.

use std::fmt;
use std::sync::Arc;

/// Names become queue names, metric labels and file names, and AMQP allows 255 bytes (127 Cyrillic letters)
/// with our prefix included.
const MAX_BYTES: usize = 200;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than a queue name may be.
    #[error("a name must not be longer than 200 bytes (100 Cyrillic letters), this one has {0}")]
    TooLong(usize),
    /// A character other than a letter, a digit, `-`, `_` or `.`.
    #[error("a name may hold letters of any alphabet, digits, '-', '_' and '.', but not {0:?}")]
    BadCharacter(char),
}

fn checked(text: &str) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(NameError::TooLong(text.len()));
    }
    match text.chars().find(|c| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.')) {
        Some(c) => Err(NameError::BadCharacter(c)),
        None => Ok(text.into()),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps a name: letters of any alphabet, digits, `-`, `_`, `.`; at most 200 bytes.
            pub fn new(text: &str) -> Result<Self, NameError> {
                checked(text).map(Self)
            }
            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.to_string()
            }
        }
    )*};
}

names! {
    /// A system the bus talks to: one address, one set of credentials, one capacity.
    SystemName;
    /// A reader with one cursor and one schedule; serves one stream, or several.
    FeedName;
    /// One entity (orders, stock, prices): the unit of publishing.
    StreamName;
    /// One stream to one receiver.
    RouteName;
    /// An outside system that takes a stream by itself.
    SubscriptionName;
    /// A queue at the broker.
    QueueName;
    /// A dictionary from a source's values to a receiver's.
    MapName;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_alphabet_are_names() {
        for good in ["orders", "заказы-в-магазин", "bi.orders", "a_1"] {
            assert_eq!(StreamName::new(good).map(String::from), Ok(good.to_owned()));
        }
    }

    #[test]
    fn what_is_not_a_name_says_why() {
        assert_eq!(StreamName::new(""), Err(NameError::Empty));
        assert_eq!(StreamName::new("a b"), Err(NameError::BadCharacter(' ')));
        assert_eq!(StreamName::new("a/b"), Err(NameError::BadCharacter('/')));
        assert_eq!(StreamName::new(&"я".repeat(101)), Err(NameError::TooLong(202)));
    }
}
