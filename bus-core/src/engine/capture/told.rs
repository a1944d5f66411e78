//! What people hear of a round that ended, well or not.

use super::{Capture, RoundError};
use crate::engine::incident::Kind;
use crate::ports::source::SourceFault;
use crate::ports::state::StateError;
use crate::vocabulary::Moment;

impl Capture {
    /// A round ended well. What a recheck that is `failing` has told is over when it comes to its end.
    pub(super) fn succeeded(&mut self, failing: bool) {
        let now = Moment::now();
        if let Some(gate) = &self.ports.gate {
            gate.reads_well();
        }
        self.ports.metrics.last_round.with_label_values(&[self.plan.name.as_str()]).set(now.0 / 1000);
        self.status.send_modify(|status| status.last_success = Some(now));
        if failing {
            return;
        }
        let over =
            [Kind::SourceFailing, Kind::SourceMaintenance, Kind::FeedStopped, Kind::SourceChanged, Kind::SchemaDrift];
        // Told by this feed, or before this process began; that of a route of the same name is the route's.
        if std::mem::take(&mut self.store_failing) {
            self.ports.incidents.close(Kind::StoreFailing, self.plan.name.as_str());
        }
        for kind in over {
            self.ports.incidents.close(kind, self.plan.name.as_str());
        }
        self.status.send_modify(|status| status.error = None);
    }

    /// Tells about a failed round; `true` if the feed has to stop.
    pub(super) fn failed(&mut self, error: &RoundError, failures: u32) -> bool {
        let (feed, message) = (self.plan.name.as_str(), error.to_string());
        let stopped = error.is_final();
        let fault = if let RoundError::Source(error) = error { Some(error.fault) } else { None };
        let throttled = matches!(fault, Some(SourceFault::Throttled { .. }));
        if let (Some(SourceFault::Throttled { retry_after }), Some(gate)) = (fault, &self.ports.gate) {
            // The other feeds of the system wait too.
            gate.asks_for_less(retry_after);
        }
        self.status.send_modify(|status| {
            status.error = Some(message.clone());
            status.stopped = stopped;
        });
        if fault == Some(SourceFault::Maintenance) {
            let remedy = "nothing to do here: reading goes on by itself when the base is open again";
            self.ports.incidents.open(Kind::SourceMaintenance, feed, &message, remedy);
        } else if stopped {
            let remedy = "the feed does not go on by itself: find the cause, then restart the bus";
            self.ports.incidents.open(Kind::FeedStopped, feed, &message, remedy);
        } else if fault == Some(SourceFault::AnotherBase) {
            let remedy = format!(
                "nothing is read meanwhile; if this base is right, `bus accept-source {feed}`, and compare everything once \
                 if changes may be missing; if not, correct the address"
            );
            self.ports.incidents.open(Kind::SourceChanged, feed, &message, &remedy);
        } else if fault == Some(SourceFault::SchemaChanged) {
            let remedy = format!(
                "nothing is read meanwhile, and nothing is lost; mend the routes that read these fields (`bus reload`), then \
                 `bus accept-source {feed}`; put back in 1C, it goes on by itself"
            );
            self.ports.incidents.open(Kind::SchemaDrift, feed, &message, &remedy);
        } else if failures >= 3 && matches!(error, RoundError::State(StateError::Failed(_))) {
            let remedy = "nothing is lost: the feed reads on when the state store takes writes again; look at the disk";
            self.store_failing = true;
            self.ports.incidents.open(Kind::StoreFailing, feed, &message, remedy);
        } else if fault == Some(SourceFault::Misconfigured) || failures >= 3 {
            let remedy = match throttled {
                true => {
                    "nothing is lost: the feed tries again by itself, not before the time that was named; give `reads` of the system a lower rate, or let the system take more"
                }
                false => "the feed tries again by itself, at most a minute apart; check the system and the query",
            };
            self.ports.incidents.open(Kind::SourceFailing, feed, &message, remedy);
        } else {
            tracing::warn!(feed, "reading failed, trying again: {message}");
        }
        stopped
    }
}
