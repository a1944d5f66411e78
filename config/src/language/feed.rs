//! `[feeds.NAME]`: one reader that serves several streams.

use bus_core::policy::Schedule;
use bus_core::vocabulary::SystemName;
use bus_options::{Filled, Located, Own, Ref, options};

use super::select::SelectText;
use super::stream::{Changes, Push};

options! {
    /// One reader with one position that serves several streams: read from a system, or pushed to the bus through one
    /// door. Each record names its entity; a stream with `from = "NAME"` takes those of its `entity`.
    pub struct Feed("[feeds.NAME]") {
        /// The system it is read from.
        from: Ref<SystemName>, optional;
        /// What to read: one SELECT for all entities, with columns that are empty where an entity has none.
        query: SelectText, optional;
        /// When to read.
        schedule: Own<Schedule>, optional, shared;
        /// How changes are found.
        changes: Located<Changes>, optional;
        /// Records of all entities are pushed to the bus instead, by one path.
        listen: Located<Push>, optional;
        /// The column (of a pushed record: the top-level field) that names the entity of a record. Not for an exchange plan,
        /// whose records name their own.
        entity_column: Located<Filled>, optional;
    } planned ["identity"]
}
