//! What was asked and what was answered, as it went over the wire: for a person who looks at a source.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Of one answer; the rest is counted and left out.
const ANSWER_BYTES: usize = 64 * 1024;
/// Requests of one look; more are left out.
const REQUESTS: usize = 20;

/// One request with its answer. Credentials are never in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Method and address with headers, or a statement.
    pub request: String,
    /// Status, headers and body, or rows; empty if there was none.
    pub answer: String,
    /// Bytes of the answer that are left out here.
    #[serde(default)]
    pub left_out: usize,
}

/// Notes requests while a source is looked at. Bounded: at most 20 requests with 64 KiB each. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Tape(Arc<Mutex<Vec<Heard>>>);

/// The place of one request on the tape; without one nothing is noted.
#[derive(Debug, Default)]
pub(crate) struct Track {
    of: Option<(Tape, usize)>,
    /// The end of the last piece of an answer, where it cut a character.
    rest: Vec<u8>,
}

impl Tape {
    /// Everything noted so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.inner().clone()
    }

    /// Begins a request.
    pub(crate) fn request(tape: Option<&Self>, request: impl FnOnce() -> String) -> Track {
        let Some(tape) = tape else { return Track::default() };
        let mut heard = tape.inner();
        if heard.len() == REQUESTS {
            return Track::default();
        }
        heard.push(Heard { request: request(), ..Heard::default() });
        Track { of: Some((tape.clone(), heard.len() - 1)), rest: Vec::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Track {
    /// Whether anything is noted.
    pub(crate) fn is_on(&self) -> bool {
        self.of.is_some()
    }

    /// A piece of the answer.
    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        let Some((tape, at)) = &self.of else { return };
        self.rest.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.rest.len(),
        };
        let mut heard = tape.inner();
        if let Some(heard) = heard.get_mut(*at) {
            let text = String::from_utf8_lossy(&self.rest[..whole]);
            let room = text.floor_char_boundary(ANSWER_BYTES.saturating_sub(heard.answer.len()).min(text.len()));
            heard.answer.push_str(&text[..room]);
            heard.left_out += text.len() - room;
        }
        self.rest.drain(..whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_are_cut_by_pieces_are_whole_and_the_rest_is_counted() {
        let tape = Tape::default();
        let mut track = Tape::request(Some(&tape), || "GET /".to_owned());
        for byte in "цена".bytes() {
            track.answer(&[byte]);
        }
        assert_eq!(tape.heard()[0].answer, "цена");
        track.answer(&[b'x'; ANSWER_BYTES]);
        let heard = &tape.heard()[0];
        assert_eq!((heard.answer.len(), heard.left_out), (ANSWER_BYTES, 8));
        for _ in 0..2 * REQUESTS {
            Tape::request(Some(&tape), String::new);
        }
        assert_eq!(tape.heard().len(), REQUESTS);
    }
}
