//! What needs a person: kinds of trouble, and one trouble with its history.

use super::Moment;

/// How much it hurts: whom quiet hours let sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal $severity:ident;)*) => {
        /// What kind of trouble; a stable word for metrics, JSON and the state store.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum IncidentKind {
            $($(#[doc = $doc])* $name,)*
        }

        impl IncidentKind {
            /// All of them.
            pub const ALL: &[IncidentKind] = &[$(IncidentKind::$name),*];

            /// A stable word.
            pub fn as_str(self) -> &'static str {
                match self { $(IncidentKind::$name => $word,)* }
            }

            /// How much it hurts.
            pub fn severity(self) -> Severity {
                match self { $(IncidentKind::$name => Severity::$severity,)* }
            }
        }
    };
}

kinds! {
    /// A system we write to answers nothing.
    SystemDown = "system-down" Critical;
    /// A route takes no message at all (credentials, address, everything rejected).
    RoutePaused = "route-paused" Critical;
    /// A person has paused a feed, a route or a system.
    PausedByPerson = "paused-by-person" Warning;
    /// A source cannot be read.
    SourceFailing = "source-failing" Warning;
    /// A source is closed for maintenance by its own people.
    SourceMaintenance = "source-maintenance" Warning;
    /// A feed has stopped and does not go on by itself.
    FeedStopped = "feed-stopped" Critical;
    /// The source is another base than last time, or an earlier state of it.
    SourceChanged = "source-changed" Critical;
    /// A source has changed what somebody reads of it.
    SchemaDrift = "schema-drift" Critical;
    /// A queue skipped messages of its stream.
    Gap = "gap" Critical;
    /// Rows of a stream that could not be read, and are kept for a person.
    UnreadableRecords = "unreadable-records" Warning;
    /// Records of an entity that no stream of their feed takes.
    UntakenEntity = "untaken-entity" Warning;
    /// A comparison found more deletions than the guard allows.
    TooManyDeletions = "too-many-deletions" Warning;
    /// The state store takes no writes.
    StoreFailing = "store-failing" Critical;
    /// The broker takes no messages, or cannot be reached.
    BrokerDown = "broker-down" Critical;
    /// The file or query of a map cannot be read: it goes on with what it held before.
    MapStale = "map-stale" Warning;
    /// A task of the bus itself has panicked.
    JobCrashed = "job-crashed" Critical;
    /// The configuration on disk cannot be taken over.
    ConfigRefused = "config-refused" Warning;
    /// A stream says nothing in hours when it never is silent.
    SourceSilent = "source-silent" Warning;
    /// Rows come, and the position stays.
    CursorStuck = "cursor-stuck" Warning;
    /// A queue is not empty, the gate is open, and nothing is settled.
    ConsumerStuck = "consumer-stuck" Critical;
    /// A route was to be empty by a time of day, and is not.
    BacklogLate = "backlog-late" Warning;
    /// Messages that were not accepted wait for a person.
    DeadLetters = "dead-letters" Warning;
    /// What a subscriber had not taken was dropped.
    SubscriberBehind = "subscriber-behind" Warning;
    /// A certificate ends soon.
    CertificateEnding = "certificate-ending" Warning;
    /// The disk of the state store fills up.
    DiskFilling = "disk-filling" Critical;
}

impl IncidentKind {
    /// Reads [`IncidentKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// One trouble at one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// What kind.
    pub kind: IncidentKind,
    /// The system, route, feed or stream.
    pub subject: String,
    /// The last error, in words.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Since when.
    pub since: Moment,
    /// When it was seen last.
    pub last: Moment,
    /// How often it was seen.
    pub count: u64,
    /// When it was over.
    pub closed: Option<Moment>,
}
