//! What differs from test to test: how the source is read, what the route does, how the receiver meets a repeat.

use std::sync::Arc;
use std::time::Duration;

use bus_core::engine::capture::{Changes, DeletionGuard};
use bus_core::engine::echo::Echo;
use bus_core::engine::worker::{Batch, Collect, Delivered, LeftPolicy, Requirement, RoutePlan};
use bus_core::policy::{BreakerOptions, Jitter, Profile, RetryPolicy, Schedule};
use bus_core::ports::shape::{AsIs, Shape};
use bus_core::vocabulary::{FeedName, Moment};

use super::messages::feed;
use super::receiver::Kind;
use super::store::Sabotage;

/// What differs from test to test.
#[derive(Clone)]
pub struct Setup {
    /// How the receiver meets a repeat.
    pub kind: Kind,
    /// How the feed finds changes.
    pub changes: Changes,
    /// Records of one fetch or page.
    pub page: usize,
    /// Bytes that a reading for a task keeps, and a subscription.
    pub kept: u64,
    /// Filter and transformation.
    pub shape: Arc<dyn Shape>,
    /// See [`RoutePlan`].
    pub when_left: LeftPolicy,
    /// See [`RoutePlan`].
    pub delivery: Delivered,
    /// See [`RoutePlan`].
    pub collect: Option<Collect>,
    /// See [`RoutePlan`].
    pub batch: Option<Batch>,
    /// What has to be at the receiver before.
    pub requires: Vec<Requirement>,
    /// Where the route is one of a pair.
    pub echo: Option<Echo>,
    /// See [`RoutePlan`].
    pub retry: RetryPolicy,
    /// See [`RoutePlan`].
    pub concurrency: usize,
    /// See [`RoutePlan`].
    pub prefetch: u16,
    /// See [`RoutePlan`].
    pub hold: Duration,
    /// See [`RoutePlan`].
    pub pause: Duration,
    /// The longest a request lasts.
    pub deadline: Duration,
    /// The pace of the receiver's system; `None` is no bound.
    pub profile: Option<Profile>,
    /// Of the receiver's system.
    pub breaker: BreakerOptions,
    /// A restart waits for the predecessor's requests (R11); most tests skip that second.
    pub waits_for_predecessor: bool,
    /// Capture takes its rounds in one transaction of the embedded broker; else step by step, as with any broker.
    pub one_step: bool,
    /// The feed that reads the stream.
    pub feed: FeedName,
    /// What a feed that opens takes for the time.
    pub clock: Moment,
    /// A rule that is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

impl Default for Setup {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            kind: Kind::Keyed,
            changes: Changes::Cursor { recheck: None },
            page: 100,
            kept: 1 << 28,
            shape: Arc::new(AsIs),
            when_left: LeftPolicy::Delete,
            delivery: Delivered::Every,
            collect: None,
            batch: None,
            requires: Vec::new(),
            echo: None,
            retry: RetryPolicy { attempts: 4, first: ms(2), max: ms(10), jitter: Jitter::Equal },
            concurrency: 4,
            prefetch: 64,
            hold: Duration::from_secs(60),
            pause: Duration::from_secs(600),
            deadline: Duration::from_secs(20),
            profile: None,
            breaker: BreakerOptions { failures: 3, busy_keys: 20, first: ms(2), max: ms(10) },
            waits_for_predecessor: false,
            one_step: false,
            feed: feed(),
            clock: Moment(0),
            sabotage: None,
        }
    }
}

impl Setup {
    /// The defaults with one kind of receiver.
    pub fn with(kind: Kind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// A source with a position, compared as a whole on this schedule; deletions without a bound.
    pub fn rechecked(schedule: Schedule) -> Self {
        Self {
            changes: Changes::Cursor { recheck: Some((schedule, DeletionGuard { percent: 100.0 })) },
            ..Self::default()
        }
    }

    /// A source without a position, compared as a whole; deletions without a bound.
    pub fn diff() -> Self {
        Self { changes: Changes::Diff(DeletionGuard { percent: 100.0 }), ..Self::default() }
    }
}
