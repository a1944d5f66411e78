//! A system that asks for less (429, `Retry-After`): nothing goes through its gate for the time that it named, whoever asks.
//! An attempt says so by its verdict; reads, which have none, by their feed.

use std::time::Duration;

use super::{Gate, Inner};
use crate::policy::Now;

/// Where it names no time.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A mistaken header must not silence a system for ever.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Gate {
    /// The system has refused a read because it wants fewer of them. No request of anybody passes for so long.
    pub fn asks_for_less(&self, retry_after: Option<Duration>) {
        let now = self.now();
        let mut inner = self.inner();
        inner.asked_for_less(now, retry_after);
        self.show_share(&inner);
    }

    /// The system has answered what a feed had to read: a pace that it had lowered may rise again.
    pub fn reads_well(&self) {
        let now = self.now();
        let mut inner = self.inner();
        if let Some(pacer) = inner.paces.system_mut() {
            pacer.succeeded(now);
            self.show_share(&inner);
        }
    }

    /// How long nothing may be asked because the system wants less; zero when it has not said so.
    pub fn held(&self) -> Duration {
        let now = self.now();
        self.inner().held.since(now.mono)
    }

    /// Until that is over. Cancel-safe.
    pub async fn until_not_held(&self) {
        loop {
            let held = self.held();
            if held.is_zero() {
                return;
            }
            tokio::time::sleep(held).await;
        }
    }

    pub(super) fn show_share(&self, inner: &Inner) {
        if let Some(share) = inner.paces.share() {
            self.metrics.pace_share.with_label_values(&[self.label.as_str()]).set(share);
        }
    }
}

impl Inner {
    pub(super) fn asked_for_less(&mut self, now: Now, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(A_MOMENT).min(LONGEST);
        self.held = self.held.max(now.mono.after(pause));
        self.paces.throttled(now, pause);
    }
}
