//! Named places where the fault oracle kills the process, and the bugs it plants to prove that it would notice.
//!
//! Both exist only with the feature `failpoints`; in a release build the calls compile to nothing.
//! `BUS_CRASH_AT=capture.sealed:3` aborts at the third passage; `BUS_PLANT=ack-before-send` plants one bug.

/// Aborts the process here (no destructor, no flush: like `kill -9`) if `BUS_CRASH_AT` names this place.
#[cfg(feature = "failpoints")]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("BUS_CRASH_AT").ok()?;
        let (place, count) = text.rsplit_once(':').unwrap_or((&text, "1"));
        Some((place.to_owned(), count.parse().unwrap_or(1)))
    });
    if let Some((place, count)) = wanted
        && place == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *count
    {
        std::process::abort();
    }
}

/// Does nothing: crash points exist only with the feature `failpoints`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn point(_name: &str) {}

/// A bug that the oracle must catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// The worker acknowledges a message before it sends it.
    AckBeforeSend,
    /// The capture advances its cursor before the broker confirmed.
    AdvanceBeforeConfirm,
    /// The worker gives a failed message back to the broker (a real `basic.nack` with `requeue`, over RabbitMQ) and goes on
    /// with the next one of its key.
    NackOnFailure,
    /// The SQL source ends a page inside a run of equal cursor values.
    CutInTie,
    /// The worker does not look at the fence.
    ForgottenFence,
    /// A letter is put back although a newer version was settled or waits.
    ReplayOverNewer,
    /// The first message that a run leaves to the next one is acknowledged.
    AckOfTheNextRun,
    /// 1C is told that an answer has arrived when it was handed out, before anything of it is durable here.
    NotifyBeforePublish,
}

/// Whether `BUS_PLANT` plants this bug. Always false without the feature `failpoints`.
pub fn planted(bug: Plant) -> bool {
    #[cfg(feature = "failpoints")]
    {
        static PLANTED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let name = match bug {
            Plant::AckBeforeSend => "ack-before-send",
            Plant::AdvanceBeforeConfirm => "advance-before-confirm",
            Plant::NackOnFailure => "nack-on-failure",
            Plant::CutInTie => "cut-in-tie",
            Plant::ForgottenFence => "forgotten-fence",
            Plant::ReplayOverNewer => "replay-over-newer",
            Plant::AckOfTheNextRun => "ack-of-the-next-run",
            Plant::NotifyBeforePublish => "notify-before-publish",
        };
        PLANTED.get_or_init(|| std::env::var("BUS_PLANT").unwrap_or_default()) == name
    }
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = bug;
        false
    }
}
