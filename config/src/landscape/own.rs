//! The names of the bus's own routes: they keep maps and the parts of joined streams.

/// What the names of the bus's own routes begin with that keep maps from streams.
pub(super) const MAPS: &str = "map.";

/// The same of those that keep the parts of joined streams.
pub(super) const JOINS: &str = "join.";

/// Whether this is one of the bus's own routes; no other has such a name.
pub fn is_own_route(name: &str) -> bool {
    name.starts_with(MAPS) || name.starts_with(JOINS)
}
