//! What happens to a value that a map lacks.

use std::time::Duration;

use serde_json::Value;

/// See the module's comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// The message becomes a dead letter.
    DeadLetter,
    /// The value goes on as it is.
    Pass,
    /// This stands in for it.
    Default(Value),
    /// The message waits until the map knows the value; after this time it is a dead letter.
    Hold(Duration),
}

/// A day: what a map lacks in the evening somebody adds in the morning.
const HOLD: Duration = Duration::from_secs(24 * 3600);

impl Unknown {
    /// The words that name one.
    pub const WORDS: [&'static str; 3] = ["dead-letter", "pass", "hold"];

    /// The one that a word names.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "dead-letter" => Some(Self::DeadLetter),
            "pass" => Some(Self::Pass),
            "hold" => Some(Self::Hold(HOLD)),
            _ => None,
        }
    }
}
