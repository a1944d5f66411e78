//! A sealed batch as one value: a version byte, the two cursors, then length-prefixed frames.

use bus_core::ports::state::SealedBatch;
use bus_core::vocabulary::{Cursor, Envelope};
use bytes::{Buf, BufMut, Bytes};

use crate::failure::{Failure, damaged};

const VERSION: u8 = 1;
/// Length of a cursor that is not there.
const NONE: u32 = u32::MAX;

pub(super) fn encode(batch: &SealedBatch) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for cursor in [&batch.expected, &batch.next] {
        match cursor {
            Some(cursor) => put(&mut bytes, cursor.as_str().as_bytes()),
            None => bytes.put_u32(NONE),
        }
    }
    for envelope in &batch.envelopes {
        put(&mut bytes, &envelope.to_frame());
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    // SQLite takes no value of 1 GB or more, far below 4 GiB.
    bytes.put_u32(u32::try_from(part.len()).unwrap_or(NONE - 1));
    bytes.put_slice(part);
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
    let length = bytes.try_get_u32().map_err(|_| cut())?;
    if length == NONE {
        return Ok(None);
    }
    let length = length as usize;
    if length > bytes.len() {
        return Err(cut());
    }
    Ok(Some(bytes.split_to(length)))
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
