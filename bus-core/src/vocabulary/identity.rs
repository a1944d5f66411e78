//! What makes two messages the same message.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{Key, Operation, StreamName};

/// SHA-256 of a record's operation and body.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Hashes what a receiver would see: the operation and the body's bytes.
    pub fn of(operation: Operation, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([operation.code()]);
        hasher.update(body);
        Self(hasher.finalize().into())
    }

    /// Wraps stored bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", hex::encode(&self.0[..4]))
    }
}

/// Identity of one version of one record: the same content read again after a crash has the same id, and
/// 100 → 90 → 100 has three, because the key's generation rises with every change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// The first half of SHA-256 over (stream, key, generation, content hash), each length-prefixed.
    pub fn derive(stream: &StreamName, key: &Key, generation: u64, hash: &ContentHash) -> Self {
        let mut hasher = Sha256::new();
        for part in [stream.as_str().as_bytes(), key.as_str().as_bytes()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(generation.to_be_bytes());
        hasher.update(hash.as_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    /// Wraps stored bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the 32 hexadecimal digits that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Self(id))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_makes_a_returning_value_a_new_message() {
        let (stream, key) = (StreamName::new("stock").unwrap(), Key::from_stored("A1"));
        let hash = ContentHash::of(Operation::Upsert, b"100");
        let first = MessageId::derive(&stream, &key, 1, &hash);
        assert_eq!(first, MessageId::derive(&stream, &key, 1, &hash));
        assert_ne!(first, MessageId::derive(&stream, &key, 3, &hash));
        assert_eq!(MessageId::parse(&first.to_string()), Some(first));
    }
}
