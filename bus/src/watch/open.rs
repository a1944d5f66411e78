//! Whether work could get on now: receivers that take messages, and feeds that read.

use std::sync::Arc;
use std::time::Duration;

use bus_config::is_own_route;
use bus_core::engine::gate::Gate;
use bus_core::engine::worker::Handle;
use bus_core::policy::BreakerState;
use bus_core::ports::backfills::MayGo;
use bus_core::ports::pauses::Subject;
use bus_core::vocabulary::{FeedName, GateName, RouteName, SystemName};

use super::Oversight;

/// A receiver that gives a permit within this time is only slow; one that is closed for longer has its hours.
const HOURS: Duration = Duration::from_secs(15 * 60);

/// Whether the route's receiver takes messages, the next one within this time. What the route itself pauses is not looked at.
pub fn is_open(oversight: &Oversight, handle: &Handle, within: Duration) -> bool {
    gate_of(oversight, handle).is_none_or(|gate| is_closed(&gate) && waits(&gate, handle.operation(), within))
}

fn gate_of(oversight: &Oversight, handle: &Handle) -> Option<Arc<Gate>> {
    let route = handle.route();
    let name = if is_own_route(route.as_str()) {
        GateName::Own(route.clone())
    } else {
        GateName::Deliveries(SystemName::new(oversight.plan().topology.route.get(route.as_str())?).ok()?)
    };
    oversight.workshop.gates.known(&name)
}

/// The breaker: the system answers.
fn is_closed(gate: &Gate) -> bool {
    matches!(gate.breaker(), BreakerState::Closed { .. })
}

/// For no longer than this. A pause that a person ordered has no end.
fn waits(gate: &Gate, operation: Option<&str>, within: Duration) -> bool {
    gate.wait(operation).is_some_and(|wait| wait <= within)
}

/// One that was down is worth a try as soon as it may be asked again: with an empty line nobody else would ask.
fn may_be_asked(gate: &Gate, operation: Option<&str>) -> bool {
    waits(gate, operation, if is_closed(gate) { HOURS } else { Duration::ZERO })
}

impl MayGo for Oversight {
    fn delivers(&self, route: &RouteName) -> bool {
        // A route that is gone fails its task, which is to be seen.
        let Some(handle) = self.engine.route(route) else { return true };
        let asked = || gate_of(self, &handle).is_none_or(|gate| may_be_asked(&gate, handle.operation()));
        handle.status().paused.is_none() && asked()
    }

    fn reads(&self, feed: &FeedName) -> bool {
        let plan = self.plan();
        let system = plan.topology.feed.get(feed.as_str());
        let reads = system.and_then(|system| SystemName::new(system).ok()).map(GateName::Reads);
        let gate = reads.and_then(|reads| self.workshop.gates.known(&reads));
        let paused = self.workshop.operations.pauses.of(&Subject::Feed(feed.clone()));
        paused.is_none() && gate.is_none_or(|gate| may_be_asked(&gate, None))
    }
}
