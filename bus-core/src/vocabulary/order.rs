//! The only order the bus trusts.

use std::fmt;

/// Position of a message in its stream: the publisher's epoch, then a number contiguous within that epoch from 1.
///
/// The epoch rises durably each time a publisher starts, so a restarted publisher is above whatever its
/// predecessor may still have in the air. It is above every other publisher's too, and no less than the clock's
/// milliseconds since 1970 at that moment (R15). Compared lexicographically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Seq {
    /// Which start of the publisher.
    pub epoch: u64,
    /// Which message of that epoch, from 1.
    pub number: u64,
}

impl Seq {
    /// Before every message.
    pub const ZERO: Seq = Seq { epoch: 0, number: 0 };
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}
