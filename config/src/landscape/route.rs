//! Routes: one stream to one receiver, and what is watched on the way.

use std::sync::Arc;
use std::time::Duration;

use bus_core::policy::{RetryPolicy, Schedule, TimeOfDay};
use bus_core::vocabulary::{RouteName, StreamName, SystemName};

use super::{Carried, Delivery, EchoKey, Late, WhenLeft};
use crate::shape::{Compared, References, Shaper};

/// One stream to one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name.
    pub name: RouteName,
    /// The name it had before: it keeps the place of that, with everything that waits there.
    pub was: Option<RouteName>,
    /// What is sent.
    pub stream: StreamName,
    /// Where to: a system that takes requests.
    pub to: SystemName,
    /// Which of the system's operations its requests are.
    pub operation: Option<String>,
    /// Filter and transformation.
    pub shape: Arc<Shaper>,
    /// What happens to a record that the filter no longer wants.
    pub when_left: WhenLeft,
    /// Which versions of a record are sent.
    pub delivery: Delivery,
    /// How a record is carried.
    pub carried: Carried,
    /// Attempts and waits of one record.
    pub retry: RetryPolicy,
    /// Requests under way at the same time.
    pub concurrency: usize,
    /// By when nothing may wait any more.
    pub empty_by: Option<TimeOfDay>,
    /// The other way, whose writes do not go back.
    pub echo: Option<Echo>,
    /// What its receiver must hold before a record is sent.
    pub requires: Vec<Requires>,
    /// When what was collected is delivered; `None`: as it comes.
    pub schedule: Option<Schedule>,
}

/// Records that another record refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Requires {
    /// Their stream.
    pub stream: StreamName,
    /// The routes that bring them to the same system; at least one.
    pub from: Vec<RouteName>,
    /// Where their keys stand.
    pub keys: Arc<References>,
    /// How long a record waits for them.
    pub within: Duration,
    /// What becomes of it then.
    pub late: Late,
    /// The receiver held such records before.
    pub preloaded: bool,
}

/// How a route recognises what another one has written.
#[derive(Debug, Clone, PartialEq)]
pub struct Echo {
    /// That route.
    pub of: RouteName,
    /// The fields that are compared.
    pub compare: Arc<Compared>,
    /// How its records are found.
    pub by: EchoKey,
}
