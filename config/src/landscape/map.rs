//! Maps: dictionaries that values are looked up in.

use std::sync::Arc;

use bus_core::policy::Schedule;
use bus_core::vocabulary::{RouteName, StreamName, SystemName};

use super::Gives;
use super::own::MAPS;
use crate::maps::{CsvFile, Handle, Table};
use crate::shape::FieldPath;

/// A dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Its name, and what programs hold of it. Inline values and files are bound to it; the others bind who wires them.
    pub handle: Handle,
    /// Where its values come from.
    pub source: MapSource,
}

impl Map {
    /// The name under which status, metrics and incidents know it; its route's, where a stream keeps it.
    pub fn full_name(&self) -> String {
        format!("{MAPS}{}", self.handle.name)
    }

    /// The stream that it is kept from, if it is.
    pub fn kept_from(&self) -> Option<&StreamName> {
        match &self.source {
            MapSource::Stream { stream, .. } => Some(stream),
            _ => None,
        }
    }
}

/// Where the values of a map come from.
#[derive(Debug, Clone, PartialEq)]
pub enum MapSource {
    /// The configuration itself.
    Inline(Arc<Table>),
    /// A file, read already.
    Csv(Arc<CsvFile>),
    /// A database.
    Query {
        /// The system that is read.
        system: SystemName,
        /// What to read.
        query: String,
        /// When.
        schedule: Schedule,
    },
    /// A stream.
    Stream {
        /// Which.
        stream: StreamName,
        /// Where in a record the value stands.
        value: FieldPath,
    },
    /// The receiver's ids that a route has learnt.
    Route {
        /// Which.
        route: RouteName,
        /// From what to what.
        gives: Gives,
    },
}
