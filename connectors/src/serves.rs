//! Which streams a reader serves: one, or several that the records name themselves.

use bus_core::vocabulary::{StreamName, UnreadableRecord};
use bytes::Bytes;

/// How much of a record that nobody can seal is kept.
pub(crate) const RAW_BYTES: usize = 64 * 1024;

/// A stream, and what its records are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its name.
    pub stream: StreamName,
    /// The columns (of a pushed record: the top-level fields) that identify a record, in this order.
    pub key: Vec<String>,
    /// The column that people search for.
    pub label: Option<String>,
    /// The column of dates that parts of the stream are read by.
    pub date: Option<String>,
}

/// The streams of one reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serves {
    /// Every record belongs to it.
    One(Served),
    /// Each record names its entity, and with it its stream.
    Several(Several),
}

/// A feed of several streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Several {
    /// The feed's name: records that no stream takes are kept under it. No stream has this name.
    pub feed: StreamName,
    /// The column that names the entity.
    pub column: String,
    /// Each entity and its stream; at least one.
    pub streams: Vec<(String, Served)>,
}

impl Serves {
    /// The stream of a record of this entity (`None` where it names none); else what to say of a record nobody takes.
    pub(crate) fn stream_of(&self, entity: Option<&str>) -> Result<&Served, String> {
        let several = match self {
            Self::One(served) => return Ok(served),
            Self::Several(several) => several,
        };
        let Some(entity) = entity else {
            return Err(format!(
                "column {:?} is empty, so nobody knows which entity this is; fill it in the query",
                several.column
            ));
        };
        let found = several.streams.iter().find(|(name, _)| name == entity);
        found.map(|(_, served)| served).ok_or_else(|| {
            // An entity is a kind of thing, and no longer than a name.
            let shown: String = entity.chars().take(100).collect();
            format!(
                "no stream of feed {} takes entity {shown:?}; add one with entity = {shown:?}, or leave it out at the \
                 source",
                several.feed
            )
        })
    }

    /// One of the streams, with its entity where there are several.
    pub(crate) fn find(&self, stream: &StreamName) -> Option<(&Served, Option<&str>)> {
        match self {
            Self::One(served) => (served.stream == *stream).then_some((served, None)),
            Self::Several(several) => {
                let mut streams = several.streams.iter();
                streams.find(|(_, served)| served.stream == *stream).map(|(entity, served)| (served, Some(&**entity)))
            }
        }
    }

    /// The column that names the entity, if there is one.
    pub(crate) fn entity_column(&self) -> Option<&str> {
        match self {
            Self::One(_) => None,
            Self::Several(several) => Some(&several.column),
        }
    }

    /// All streams.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Served> {
        let (one, several) = match self {
            Self::One(served) => (Some(served), &[][..]),
            Self::Several(several) => (None, &several.streams[..]),
        };
        one.into_iter().chain(several.iter().map(|(_, served)| served))
    }

    /// What is kept of a record that none of the streams takes: the engine tells it by the name.
    pub(crate) fn untaken(&self, raw: Bytes, reason: String) -> UnreadableRecord {
        let stream = match self {
            Self::One(served) => &served.stream,
            Self::Several(several) => &several.feed,
        };
        unreadable(stream, raw, reason)
    }
}

/// A record nobody can seal; as much of it is kept as is useful to a person.
pub(crate) fn unreadable(stream: &StreamName, mut raw: Bytes, reason: String) -> UnreadableRecord {
    raw.truncate(RAW_BYTES);
    UnreadableRecord { stream: stream.clone(), raw, reason, key: None, label: None }
}
