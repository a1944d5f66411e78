//! The receiver's ledger: one line per request, written before the answer.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// One request as the receiver saw it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Arrival, microseconds since 1970.
    pub at: i64,
    pub method: String,
    /// Percent-encoded, as it came.
    pub path: String,
    /// The message that it brought, by its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was answered.
    pub status: u16,
    pub body: String,
}

/// All complete lines.
pub fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).context("the receiver's ledger")?;
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().map(|line| serde_json::from_str(line).context("a line of the receiver's ledger")).collect()
}
