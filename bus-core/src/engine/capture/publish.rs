//! Publishing a sealed batch: in order, in windows, until the broker has confirmed every message.

use std::time::Duration;

use super::{Capture, Position, RoundError};
use crate::engine::crash;
use crate::engine::incident::Kind;
use crate::engine::seal::windows;
use crate::policy::{Jitter, RetryPolicy};
use crate::ports::one_step::OneStep;
use crate::ports::state::SealedBatch;
use crate::vocabulary::Envelope;

/// 256 reaches about 95 % of a broker's maximum at 15 ms latency (measured); a larger window only adds latency.
const WINDOW: usize = 256;

/// Publishing goes on until it succeeds: the source must not be read further than the broker has taken.
const BACKOFF: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    first: Duration::from_millis(100),
    max: Duration::from_secs(5),
    jitter: Jitter::Equal,
};

impl Capture {
    /// Returns when every message is confirmed. Waits as long as the broker is away: the bound is the caller's stop.
    pub(super) async fn publish(&mut self, envelopes: &[Envelope]) {
        for window in windows(envelopes, WINDOW) {
            self.publish_window(window).await;
        }
    }

    async fn publish_window(&mut self, window: &[Envelope]) {
        let Some(stream) = window.first().map(|envelope| &envelope.stream) else { return };
        let (mut rest, mut failures) = (window, 0);
        while !rest.is_empty() {
            let results = self.ports.broker.publish(stream, rest).await;
            let confirmed = results.iter().take_while(|result| result.is_ok()).count();
            self.ports.metrics.published.with_label_values(&[stream.as_str()]).inc_by(confirmed as u64);
            crash::point("capture.window");
            // From the first unconfirmed one, in order, also those behind it that were confirmed: order is worth more
            // than a repeat that the fence drops.
            rest = &rest[confirmed..];
            if rest.is_empty() {
                break;
            }
            let error = match results.get(confirmed) {
                Some(Err(error)) => error.to_string(),
                _ => "the broker answered for fewer messages than it was given".to_owned(),
            };
            failures += 1;
            if failures >= 3 {
                let remedy = "nothing is lost: reading has stopped until the broker confirms; check the broker";
                self.ports.incidents.open(Kind::BrokerDown, stream.as_str(), &error, remedy);
            }
            tokio::time::sleep(BACKOFF.backoff(failures, fastrand::f64())).await;
        }
        self.ports.incidents.close(Kind::BrokerDown, stream.as_str());
    }

    /// The same as sealing, publishing and advancing, where one transaction holds it all.
    pub(super) async fn take_one_step(
        &mut self,
        one_step: &dyn OneStep,
        position: &mut Position,
        batch: &SealedBatch,
    ) -> Result<(), RoundError> {
        // Both notes before, so that they are durable with it.
        self.ports.chronicle.sealed(&self.plan.name, &batch.envelopes);
        self.ports.chronicle.published(&batch.envelopes);
        // Where the three steps have places between them, this one has its own: `step.written` and `step.committed` are
        // the store's.
        crash::point("step.begun");
        one_step.publish_and_advance(&self.plan.name, position.epoch, batch).await?;
        crash::point("capture.advanced");
        for run in batch.envelopes.chunk_by(|one, next| one.stream == next.stream) {
            self.ports.metrics.published.with_label_values(&[run[0].stream.as_str()]).inc_by(run.len() as u64);
        }
        position.cursor.clone_from(&batch.next);
        position.owes_committed = true;
        Ok(())
    }
}
