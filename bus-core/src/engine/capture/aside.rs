//! Records that cannot become messages: kept for a person, while the others go on.

use super::Capture;
use crate::engine::incident::Kind;
use crate::ports::state::StateError;
use crate::vocabulary::{LARGEST_BODY, Record, UnreadableRecord};

/// Of a record that is too large for a message, in bytes: enough to see what it is.
const KEPT_OF_TOO_LARGE: usize = 64 * 1024;

impl Capture {
    /// Leaves out what is too large for a message, and keeps the beginning of it for a person.
    pub(super) async fn readable(&mut self, mut records: Vec<Record>) -> Result<Vec<Record>, StateError> {
        let too_large: Vec<_> = records.extract_if(.., |record| record.body.len() > LARGEST_BODY).collect();
        let told = |record: Record| UnreadableRecord {
            reason: format!(
                "the record has {} MiB, and a message at most {}; leave large fields out at the source",
                record.body.len() >> 20,
                LARGEST_BODY >> 20
            ),
            stream: record.stream,
            raw: record.body.slice(..KEPT_OF_TOO_LARGE),
            key: Some(record.key),
            label: record.label,
        };
        self.keep_unreadable(&too_large.into_iter().map(told).collect::<Vec<_>>()).await?;
        Ok(records)
    }

    pub(super) async fn keep_unreadable(&mut self, rows: &[UnreadableRecord]) -> Result<(), StateError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.ports.store.keep_unreadable(rows).await?;
        let mut untaken = 0;
        for row in rows {
            self.ports.metrics.unreadable.with_label_values(&[row.stream.as_str()]).inc();
            untaken += usize::from(!self.plan.streams.iter().any(|plan| plan.name == row.stream));
        }
        if untaken > 0 {
            let message = format!("{untaken} records of entities that no stream of the feed takes were read and kept");
            let remedy = "nothing else is held up; `bus dead list` names the entities: add a stream for each, or leave \
                          them out at the source";
            self.ports.incidents.open(Kind::UntakenEntity, self.plan.name.as_str(), &message, remedy);
        }
        Ok(())
    }
}
