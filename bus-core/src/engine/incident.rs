//! What needs a person, said once: opened with what, where and what to do; closed on recovery.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::vocabulary::Moment;

/// What kind of trouble; a stable word for metrics and JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A system we write to answers nothing.
    SystemDown,
    /// A route takes no message at all (credentials, address, everything rejected).
    RoutePaused,
    /// A person has paused a feed, a route or a system.
    PausedByPerson,
    /// A source cannot be read.
    SourceFailing,
    /// A feed has stopped and does not go on by itself.
    FeedStopped,
    /// A queue skipped messages of its stream.
    Gap,
    /// A comparison found more deletions than the guard allows.
    TooManyDeletions,
    /// The state store or the broker's disk takes no writes.
    StoreFailing,
    /// A task of the bus itself has panicked.
    JobCrashed,
}

impl Kind {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::SystemDown => "system-down",
            Kind::RoutePaused => "route-paused",
            Kind::PausedByPerson => "paused-by-person",
            Kind::SourceFailing => "source-failing",
            Kind::FeedStopped => "feed-stopped",
            Kind::Gap => "gap",
            Kind::TooManyDeletions => "too-many-deletions",
            Kind::StoreFailing => "store-failing",
            Kind::JobCrashed => "job-crashed",
        }
    }
}

/// An open incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// What kind.
    pub kind: Kind,
    /// The system, route or feed.
    pub subject: String,
    /// The last error, in words.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Since when.
    pub since: Moment,
    /// How often it was seen.
    pub count: u64,
}

/// The open incidents of this process: one per kind and subject. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Incidents(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<BTreeMap<(Kind, String), Incident>>,
    /// How many: closing is asked for after every delivery, and nearly always nothing is open.
    count: AtomicUsize,
}

impl Incidents {
    /// Opens an incident, or counts it once more; logs only when it is new.
    pub fn open(&self, kind: Kind, subject: &str, message: &str, remedy: &str) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let incident = open.entry((kind, subject.to_owned())).or_insert_with(|| {
            tracing::error!(incident = kind.as_str(), subject, remedy, "{message}");
            Incident {
                kind,
                subject: subject.to_owned(),
                message: String::new(),
                remedy: remedy.to_owned(),
                since: Moment::now(),
                count: 0,
            }
        });
        incident.message = message.to_owned();
        incident.count += 1;
        self.0.count.store(open.len(), Ordering::Release);
    }

    /// Closes an incident, if it is open.
    pub fn close(&self, kind: Kind, subject: &str) {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = open.remove(&(kind, subject.to_owned()));
        self.0.count.store(open.len(), Ordering::Release);
        drop(open);
        if let Some(incident) = closed {
            let seconds = incident.since.until(Moment::now()).as_secs();
            tracing::info!(incident = kind.as_str(), subject, seconds, "resolved");
        }
    }

    /// Everything open now, by kind and subject.
    pub fn list(&self) -> Vec<Incident> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_incident_per_kind_and_subject() {
        let incidents = Incidents::default();
        for _ in 0..3 {
            incidents.open(Kind::SystemDown, "shop", "connection refused", "start it");
        }
        incidents.open(Kind::SystemDown, "erp", "connection refused", "start it");
        let open = incidents.list();
        assert_eq!(open.iter().map(|i| (i.subject.as_str(), i.count)).collect::<Vec<_>>(), [("erp", 1), ("shop", 3)]);
        incidents.close(Kind::SystemDown, "shop");
        incidents.close(Kind::SystemDown, "shop");
        assert_eq!(incidents.list().len(), 1);
    }
}
