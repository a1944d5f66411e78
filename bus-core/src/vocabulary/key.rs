//! The key of a record: what order is kept by and what receivers know the record under.

use std::fmt;
use std::sync::Arc;

/// A key is stored with every message, fence and waiting row; a longer one is a mistake in `key = …`.
const MAX_BYTES: usize = 1024;

/// Why values do not make a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key column was empty, so versions of this record could not be told from those of another.
    #[error("key column {0:?} is empty")]
    Empty(String),
    /// Over the bound of 1024 bytes.
    #[error("the key has {0} bytes, at most 1024 are allowed")]
    TooLong(usize),
}

/// One column's text as it is, several as a JSON array of their texts (so `["a,b","c"]` and `["a","b,c"]` differ).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Key(Arc<str>);

impl Key {
    /// Builds a key from `(column, value)` pairs, in the order of `key = [...]`. Empty values are refused.
    pub fn from_columns(columns: &[(&str, &str)]) -> Result<Self, KeyError> {
        if let Some((name, _)) = columns.iter().find(|(_, value)| value.is_empty()) {
            return Err(KeyError::Empty((*name).to_owned()));
        }
        let text = match columns {
            [(_, single)] => (*single).to_owned(),
            several => serde_json::Value::from_iter(several.iter().map(|(_, value)| *value)).to_string(),
        };
        if text.len() > MAX_BYTES {
            return Err(KeyError::TooLong(text.len()));
        }
        Ok(Self(text.into()))
    }

    /// Wraps the text of a key that was made by [`Key::from_columns`] before (read back from a store or a queue).
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Keys may be personal data: `{:?}` in a log shows only the length.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_keys_cannot_collide() {
        let left = Key::from_columns(&[("a", "x\",\"y"), ("b", "z")]).unwrap();
        let right = Key::from_columns(&[("a", "x"), ("b", "y\",\"z")]).unwrap();
        assert_ne!(left, right);
        assert_eq!(Key::from_columns(&[("a", "x"), ("b", "1")]).unwrap().as_str(), r#"["x","1"]"#);
    }

    #[test]
    fn empty_and_endless_keys_are_refused() {
        assert_eq!(Key::from_columns(&[("sku", "")]), Err(KeyError::Empty("sku".into())));
        assert_eq!(Key::from_columns(&[("sku", &"x".repeat(1025))]), Err(KeyError::TooLong(1025)));
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", Key::from_stored("Иванов")), "Key(12 bytes)");
    }
}
