//! One lookup: the value, or what becomes of a message whose value the map lacks.

use bus_core::ports::map::Answer;
use bus_core::ports::shape::{Hold, ShapeError};
use serde_json::Value;

use super::catalogue::Handle;
use super::unknown::Unknown;

/// What a lookup gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This.
    Value(Value),
    /// The value that was asked for.
    Same,
}

/// Why a record is not shaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Not yet.
    Hold(Hold),
    /// Never.
    Error(ShapeError),
}

impl From<ShapeError> for Stop {
    fn from(error: ShapeError) -> Self {
        Self::Error(error)
    }
}

/// Longest excerpt of a value in what an operator is told a message waits for.
const SHOWN: usize = 200;

/// Asks the map for a value; `None` asks for null, which no map knows.
pub fn look_up(map: &Handle, asked: Option<&str>, unknown: &Unknown) -> Result<Found, Stop> {
    let subject = || format!("map `{}`", map.name);
    match asked.map(|asked| map.get(asked)) {
        Some(Answer::Value(value)) => return Ok(Found::Value(value)),
        Some(Answer::NotReady) => {
            let what = format!("{}, which could not be read yet", subject());
            return Err(Stop::Hold(Hold { what, subject: subject(), late: None, within: None }));
        }
        Some(Answer::Unknown) | None => {}
    }
    match (unknown, asked) {
        (Unknown::Pass, _) => Ok(Found::Same),
        (Unknown::Default(value), _) => Ok(Found::Value(value.clone())),
        (Unknown::Hold(within), Some(asked)) => {
            let shown: String = asked.chars().take(SHOWN).collect();
            let what = format!("{} to know {shown:?}", subject());
            Err(Stop::Hold(Hold { what, subject: subject(), late: None, within: Some(*within) }))
        }
        (Unknown::DeadLetter, Some(_)) => {
            Err(ShapeError(format!("{} does not know the value it was asked for", subject())).into())
        }
        // Waiting would be in vain.
        (Unknown::DeadLetter | Unknown::Hold(_), None) => {
            Err(ShapeError(format!("{} was asked for a value that is null or missing", subject())).into())
        }
    }
}
