//! A block: neighbouring messages of one stream as two values, who they are and what they hold.
//!
//! One row for up to 256 messages instead of one each: their bodies compress together to a fraction (records of a stream
//! look alike), and the row's cost is shared. Only key and label have rows of their own, to be found by.

use bus_core::ports::journal::Run;
use bus_core::vocabulary::{Envelope, Key, MessageId, Operation};
use bytes::{Buf, BufMut, Bytes};

use crate::failure::{Failure, damaged};
use crate::parts;

/// The fastest level: records compress well already, and this runs while a batch is being published.
const LEVEL: i32 = 1;
/// The largest block that is unpacked: far above what is packed, below what could hurt.
const UNPACKED: usize = 256 * 1024 * 1024;
/// What an index entry and its message cost beside their texts, about.
const ENTRY: usize = 48;

/// Who one message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub id: MessageId,
    pub generation: u64,
    pub operation: Operation,
    pub key: Key,
    pub label: Option<String>,
}

/// A run, ready to be written.
#[derive(Debug)]
pub(super) struct Packed {
    pub run: Run,
    pub entries: Vec<u8>,
    pub bodies: Option<Vec<u8>>,
    /// What it takes in the file, about.
    pub bytes: usize,
}

/// Packs on the caller's thread; the writer has more to do than anybody.
pub(super) fn pack(mut run: Run) -> Packed {
    let bodies = run.archive.and_then(|_| pack_bodies(&run.envelopes));
    let entries = pack_entries(&run.envelopes);
    let texts: usize =
        run.envelopes.iter().map(|e| e.key.as_str().len() + e.label.as_ref().map_or(0, String::len)).sum();
    let bytes = entries.len() + bodies.as_ref().map_or(0, Vec::len) + texts + ENTRY * run.envelopes.len();
    // Packed: what waits for the writer is small.
    run.envelopes.iter_mut().for_each(|envelope| envelope.body = Bytes::new());
    Packed { run, entries, bodies, bytes }
}

fn pack_entries(envelopes: &[Envelope]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(envelopes.len() * 96);
    for envelope in envelopes {
        bytes.put_u8(envelope.operation.code());
        bytes.put_u64(envelope.generation);
        bytes.put_slice(envelope.id.as_bytes());
        parts::put(&mut bytes, Some(envelope.key.as_str().as_bytes()));
        parts::put(&mut bytes, envelope.label.as_ref().map(String::as_bytes));
    }
    bytes
}

fn pack_bodies(envelopes: &[Envelope]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(envelopes.iter().map(|envelope| envelope.body.len() + 4).sum());
    envelopes.iter().for_each(|envelope| parts::put(&mut bytes, Some(&envelope.body)));
    // It fails only without memory; the journal then does without the bodies.
    zstd::bulk::compress(&bytes, LEVEL).ok()
}

pub(super) fn entries(bytes: Vec<u8>) -> Result<Vec<Entry>, Failure> {
    let mut bytes = Bytes::from(bytes);
    let mut entries = Vec::new();
    while bytes.has_remaining() {
        entries.push(entry(&mut bytes)?);
    }
    Ok(entries)
}

fn entry(bytes: &mut Bytes) -> Result<Entry, Failure> {
    let operation = bytes.try_get_u8().ok().and_then(Operation::from_code).ok_or_else(cut)?;
    let generation = bytes.try_get_u64().map_err(|_| cut())?;
    let mut id = [0; 16];
    bytes.try_copy_to_slice(&mut id).map_err(|_| cut())?;
    let key = take(bytes)?.ok_or_else(cut)?;
    let label = take(bytes)?.map(|label| text(&label)).transpose()?;
    Ok(Entry { id: MessageId::from_bytes(id), generation, operation, key: Key::from_stored(&text(&key)?), label })
}

/// The bodies of a block, in order; one that was not kept is empty.
pub(super) fn bodies(packed: &[u8]) -> Result<Vec<Bytes>, Failure> {
    let size = zstd::bulk::Decompressor::upper_bound(packed).unwrap_or(UNPACKED).min(UNPACKED);
    let mut bytes = Bytes::from(zstd::bulk::decompress(packed, size).map_err(damaged)?);
    let mut bodies = Vec::new();
    while bytes.has_remaining() {
        bodies.push(take(&mut bytes)?.ok_or_else(cut)?);
    }
    Ok(bodies)
}

fn take(bytes: &mut Bytes) -> Result<Option<Bytes>, Failure> {
    parts::take(bytes).map_err(|_| cut())
}

fn text(bytes: &[u8]) -> Result<String, Failure> {
    Ok(std::str::from_utf8(bytes).map_err(damaged)?.to_owned())
}

fn cut() -> Failure {
    damaged("a block of the journal is cut short")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use bus_contract::sample;
    use bus_core::vocabulary::FeedName;

    use super::*;

    #[test]
    fn a_block_comes_back_as_it_was_or_not_at_all() {
        let mut envelopes = sample::run(&sample::stream(), 1, 40);
        envelopes[3].label = None;
        let feed = FeedName::new("ф").unwrap();
        let packed = pack(Run { feed, number: 1, envelopes: envelopes.clone(), archive: Some(Duration::ZERO) });
        let back = entries(packed.entries.clone()).unwrap();
        let same = |(entry, envelope): (&Entry, &Envelope)| {
            entry.id == envelope.id
                && entry.generation == envelope.generation
                && entry.key == envelope.key
                && entry.label == envelope.label
        };
        assert!(back.len() == 40 && back.iter().zip(&envelopes).all(same));
        let whole = packed.bodies.unwrap();
        let kept = bodies(&whole).unwrap();
        assert!(kept.iter().zip(&envelopes).all(|(body, envelope)| *body == envelope.body));
        let raw: usize = envelopes.iter().map(|envelope| envelope.body.len()).sum();
        assert!(whole.len() * 3 < raw, "{} of {raw} bytes", whole.len());
        for end in 1..packed.entries.len() {
            let shorter = entries(packed.entries[..end].to_vec());
            assert!(shorter.is_err() || shorter.is_ok_and(|shorter| back.starts_with(&shorter)));
        }
        assert!(bodies(&whole[..whole.len() - 1]).is_err());
    }
}
