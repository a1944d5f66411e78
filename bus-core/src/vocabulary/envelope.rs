//! A sealed record: identity, order and body, immutable from here to the receiver.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ContentHash, Key, MessageId, Moment, Seq, StreamName};

/// What happened to the record at its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It exists with this body (new or changed: a source rarely knows which).
    Upsert,
    /// It is gone.
    Delete,
}

impl Operation {
    /// One stable byte for hashes and stores.
    pub fn code(self) -> u8 {
        match self {
            Operation::Upsert => b'u',
            Operation::Delete => b'd',
        }
    }

    /// Reads [`Operation::code`].
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            b'u' => Some(Operation::Upsert),
            b'd' => Some(Operation::Delete),
            _ => None,
        }
    }

    /// A stable word for headers, metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Upsert => "upsert",
            Operation::Delete => "delete",
        }
    }
}

/// A message of the bus. Cloning is cheap: names and key are shared, the body is reference-counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Identity of this version of this key.
    pub id: MessageId,
    /// The stream it was published to.
    pub stream: StreamName,
    /// What order is kept by.
    pub key: Key,
    /// Position in the stream.
    pub seq: Seq,
    /// How many times the key's content has changed, from 1.
    pub generation: u64,
    /// Exists or is gone.
    pub operation: Operation,
    /// When the bus read it.
    pub time: Moment,
    /// What people search for.
    pub label: Option<String>,
    /// Hash of operation and body.
    pub hash: ContentHash,
    /// A JSON object as UTF-8 text, digits as the source wrote them.
    pub body: Bytes,
}

/// A stored or received frame that is not an envelope.
#[derive(Debug, thiserror::Error)]
#[error("not an envelope of the bus: {0}")]
pub struct FrameError(String);

impl Envelope {
    /// The envelope as one frame for a store: header length (u32, big-endian), header (JSON), body.
    pub fn to_frame(&self) -> Bytes {
        let header = Header {
            id: self.id.to_string(),
            stream: self.stream.clone(),
            key: self.key.as_str().to_owned(),
            epoch: self.seq.epoch,
            seq: self.seq.number,
            generation: self.generation,
            op: self.operation,
            time: self.time.0,
            label: self.label.clone(),
            hash: hex::encode(self.hash.as_bytes()),
        };
        let mut frame = Vec::with_capacity(320 + self.body.len());
        frame.extend_from_slice(&[0; 4]);
        serde_json::to_writer(&mut frame, &header).expect("a header of strings and numbers always serialises");
        let length = u32::try_from(frame.len() - 4).expect("names, key and label are bounded far below 4 GiB");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&self.body);
        frame.into()
    }

    /// Reads what [`Envelope::to_frame`] wrote; the body shares the frame's memory.
    pub fn from_frame(frame: Bytes) -> Result<Self, FrameError> {
        let bad = |what: &str| FrameError(what.to_owned());
        let length = frame.first_chunk::<4>().ok_or_else(|| bad("shorter than its length field"))?;
        let end = 4 + u32::from_be_bytes(*length) as usize;
        let header = frame.get(4..end).ok_or_else(|| bad("shorter than its header"))?;
        let header: Header = serde_json::from_slice(header).map_err(|error| FrameError(error.to_string()))?;
        header.into_envelope(frame.slice(end..)).ok_or_else(|| bad("the id or the hash is not hexadecimal"))
    }
}

/// Everything but the body, as the frame's header.
#[derive(Serialize, Deserialize)]
struct Header {
    id: String,
    stream: StreamName,
    key: String,
    epoch: u64,
    seq: u64,
    generation: u64,
    op: Operation,
    time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    hash: String,
}

impl Header {
    fn into_envelope(self, body: Bytes) -> Option<Envelope> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.hash, &mut hash).ok()?;
        Some(Envelope {
            id: MessageId::parse(&self.id)?,
            stream: self.stream,
            key: Key::from_stored(&self.key),
            seq: Seq { epoch: self.epoch, number: self.seq },
            generation: self.generation,
            operation: self.op,
            time: Moment(self.time),
            label: self.label,
            hash: ContentHash::from_bytes(hash),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        let (stream, key) = (StreamName::new("заказы").unwrap(), Key::from_stored("УТ-000123"));
        let body = Bytes::from_static("{\"Сумма\":12345678901234567.89}".as_bytes());
        let hash = ContentHash::of(Operation::Upsert, &body);
        Envelope {
            id: MessageId::derive(&stream, &key, 2, &hash),
            stream,
            key,
            seq: Seq { epoch: 3, number: 17 },
            generation: 2,
            operation: Operation::Upsert,
            time: Moment(1_763_800_000_123),
            label: Some("УТ-000123".into()),
            hash,
            body,
        }
    }

    #[test]
    fn a_frame_carries_everything() {
        assert_eq!(Envelope::from_frame(envelope().to_frame()).unwrap(), envelope());
    }

    #[test]
    fn a_cut_or_foreign_frame_is_an_error_and_never_a_panic() {
        let frame = envelope().to_frame();
        let header_end = 4 + u32::from_be_bytes(*frame.first_chunk::<4>().unwrap()) as usize;
        for cut in 0..header_end {
            assert!(Envelope::from_frame(frame.slice(..cut)).is_err());
        }
        assert!(Envelope::from_frame(Bytes::from_static(b"\xff\xff\xff\xff{}")).is_err());
    }
}
