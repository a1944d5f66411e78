//! Counters as SQLite keeps them: it knows signed numbers only.

/// A counter as SQLite stores it. Positions, epochs and sizes start at 0 and never come near 2^63.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads [`signed`].
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
