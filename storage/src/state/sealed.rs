//! A sealed batch as one value: a version byte, the two cursors, then length-prefixed frames.

use bus_core::ports::state::SealedBatch;
use bus_core::vocabulary::{Cursor, Envelope};
use bytes::{Buf, Bytes};

use crate::failure::{Failure, damaged};
use crate::parts;

const VERSION: u8 = 1;

pub(super) fn encode(batch: &SealedBatch) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for cursor in [&batch.expected, &batch.next] {
        parts::put(&mut bytes, cursor.as_ref().map(|cursor| cursor.as_str().as_bytes()));
    }
    for envelope in &batch.envelopes {
        parts::put(&mut bytes, Some(&envelope.to_frame()));
    }
    bytes
}

pub(super) fn decode(bytes: Vec<u8>) -> Result<SealedBatch, Failure> {
    let mut bytes = Bytes::from(bytes);
    if bytes.try_get_u8().ok() != Some(VERSION) {
        return Err(damaged("a sealed batch is of an unknown version"));
    }
    let (expected, next) = (cursor(&mut bytes)?, cursor(&mut bytes)?);
    let mut envelopes = Vec::new();
    while bytes.has_remaining() {
        let frame = take(&mut bytes)?.ok_or_else(cut)?;
        envelopes.push(Envelope::from_frame(frame).map_err(damaged)?);
    }
    Ok(SealedBatch { expected, next, envelopes })
}

fn cursor(bytes: &mut Bytes) -> Result<Option<Cursor>, Failure> {
    let Some(text) = take(bytes)? else { return Ok(None) };
    Ok(Some(Cursor::new(std::str::from_utf8(&text).map_err(damaged)?)))
}

fn take(bytes: &mut Bytes) -> Result<Option<Bytes>, Failure> {
    parts::take(bytes).map_err(|_| cut())
}

fn cut() -> Failure {
    damaged("a sealed batch is cut short")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bus_contract::sample;

    #[test]
    fn a_batch_comes_back_whole_or_not_at_all() {
        let stream = sample::stream();
        let empty = SealedBatch { expected: None, next: None, envelopes: Vec::new() };
        let full = SealedBatch {
            expected: Some(Cursor::new("{\"после\":1}")),
            next: Some(Cursor::new("")),
            envelopes: sample::run(&stream, 1, 3),
        };
        for batch in [empty, full] {
            let bytes = encode(&batch);
            assert_eq!(decode(bytes.clone()).unwrap(), batch);
            for end in 0..bytes.len() {
                // A cut between two frames is a shorter batch; only a whole value is ever stored, so that is no loss.
                if let Ok(shorter) = decode(bytes[..end].to_vec()) {
                    assert!(batch.envelopes.starts_with(&shorter.envelopes));
                }
            }
        }
    }
}
