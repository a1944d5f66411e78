//! What was asked and what was answered, as it went over the wire: for a person who looks at a source.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::echo::Credentials;

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
#[derive(Default)]
pub(crate) struct Track {
    of: Option<(Tape, usize)>,
    /// Of the answer as it came: as much as is shown, and what of a credential may stand behind that.
    raw: Vec<u8>,
    /// Bytes behind that.
    behind: usize,
    /// What is not shown of it.
    credentials: Credentials,
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
        Track { of: Some((tape.clone(), heard.len() - 1)), ..Track::default() }
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

    /// The answer may hold what the request signed in with.
    pub(crate) fn masking(self, credentials: &Credentials) -> Self {
        Self { credentials: credentials.clone(), ..self }
    }

    /// A piece of the answer.
    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        let Some((tape, at)) = &self.of else { return };
        let room = (ANSWER_BYTES + self.credentials.longest()).saturating_sub(self.raw.len()).min(bytes.len());
        self.raw.extend_from_slice(&bytes[..room]);
        self.behind += bytes.len() - room;
        // A character that the piece has cut is whole with the next one.
        let whole = match std::str::from_utf8(&self.raw) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.raw.len(),
        };
        // As a whole: a credential may come in two pieces.
        let mut text = self.credentials.mask_cut(String::from_utf8_lossy(&self.raw[..whole]).into_owned());
        let all = text.len() + self.behind;
        text.truncate(text.floor_char_boundary(ANSWER_BYTES));
        if let Some(heard) = tape.inner().get_mut(*at) {
            (heard.left_out, heard.answer) = (all - text.len(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use bus_core::vocabulary::Secret;

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

    #[test]
    fn what_the_request_signed_in_with_is_not_shown_however_the_answer_comes() {
        let login = ("шина".to_owned(), Secret::new("тайна&1"));
        let credentials = Credentials::new(Some(&login), std::iter::empty());
        let heard = |pieces: &[&[u8]]| {
            let tape = Tape::default();
            let mut track = Tape::request(Some(&tape), || "GET /".to_owned()).masking(&credentials);
            pieces.iter().for_each(|piece| track.answer(piece));
            tape.heard().remove(0)
        };
        let answer = "<m>тайна&amp;1</m> и тайна&1.";
        assert_eq!(heard(&[answer.as_bytes()]).answer, "<m>***</m> и ***.");
        let bytes: Vec<&[u8]> = answer.as_bytes().chunks(1).collect();
        assert_eq!(heard(&bytes).answer, "<m>***</m> и ***.");
        // Cut in the middle of it, and where no more is shown.
        assert_eq!(heard(&["нет, тайна".as_bytes()]).answer, "нет, ***");
        let long = vec![b'x'; ANSWER_BYTES - 5];
        let cut = heard(&[&long, "тайна&1 и ещё".as_bytes()]);
        assert!(
            cut.answer.ends_with("xxx*** ") && cut.answer.len() <= ANSWER_BYTES,
            "{}",
            &cut.answer[ANSWER_BYTES - 20..]
        );
        let unmasked = ANSWER_BYTES - 5 + "*** и ещё".len();
        assert_eq!(cut.answer.len() + cut.left_out, unmasked);
    }
}
