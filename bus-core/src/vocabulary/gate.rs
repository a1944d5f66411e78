//! Which gate: systems, streams and routes may bear one name, and their gates are not one.

use std::fmt;

use super::{RouteName, SystemName};

/// What goes through a gate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GateName {
    /// Deliveries to a system.
    Deliveries(SystemName),
    /// Reads of a system, which have a capacity of their own.
    Reads(SystemName),
    /// Writes of one of the bus's own routes, whose receiver is the state store.
    Own(RouteName),
}

/// The name of the system or route, or `reads of NAME`; for people.
impl fmt::Display for GateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GateName::Deliveries(system) => write!(f, "{system}"),
            GateName::Reads(system) => write!(f, "reads of {system}"),
            GateName::Own(route) => write!(f, "{route}"),
        }
    }
}
