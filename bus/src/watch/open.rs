//! Whether work could get on now: receivers that take messages, and feeds that read.

use std::sync::Arc;
use std::time::Duration;

use bus_core::engine::gate::Gate;
use bus_core::engine::worker::Handle;
use bus_core::policy::BreakerState;
use bus_core::ports::backfills::MayGo;
use bus_core::ports::pauses::Subject;
use bus_core::vocabulary::{FeedName, RouteName, SystemName};

use super::Oversight;
use crate::wire::gates::READS;

/// A receiver that gives a permit within this time is only slow; one that is closed for longer has its hours.
const HOURS: Duration = Duration::from_secs(15 * 60);

/// Whether the route's receiver takes messages, the next one within this time. What the route itself pauses is not looked at.
pub fn is_open(oversight: &Oversight, handle: &Handle, within: Duration) -> bool {
    let plan = oversight.plan();
    let system = plan.topology.route.get(handle.route().as_str());
    let gate = system.and_then(|system| gate(oversight, system));
    gate.is_none_or(|gate| answers(&gate) && gate.wait(handle.operation()).is_some_and(|wait| wait <= within))
}

fn gate(oversight: &Oversight, name: &str) -> Option<Arc<Gate>> {
    SystemName::new(name).ok().and_then(|name| oversight.workshop.gates.known(&name))
}

/// Neither down nor paused.
fn answers(gate: &Gate) -> bool {
    matches!(gate.breaker(), BreakerState::Closed { .. }) && gate.pause().is_none()
}

impl MayGo for Oversight {
    fn delivers(&self, route: &RouteName) -> bool {
        // A route that is gone fails its task, which is to be seen.
        let Some(handle) = self.engine.route(route) else { return true };
        handle.status().paused.is_none() && is_open(self, &handle, HOURS)
    }

    fn reads(&self, feed: &FeedName) -> bool {
        let plan = self.plan();
        let system = plan.topology.feed.get(feed.as_str());
        let gate = system.and_then(|system| gate(self, &format!("{system}{READS}")));
        self.workshop.operations.pauses.of(&Subject::Feed(feed.clone())).is_none()
            && gate.is_none_or(|gate| answers(&gate))
    }
}
