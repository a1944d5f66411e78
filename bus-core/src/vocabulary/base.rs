//! Which base a source is.

/// Which base answers, and how far its history has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Another name is another base: a test copy, or one that was loaded anew from a dump.
    pub base: String,
    /// Rises when a backup is restored, or a standby takes over.
    pub timeline: u64,
    /// Never falls in one timeline; `None` where it may (a replica that lags).
    pub position: Option<u64>,
}
