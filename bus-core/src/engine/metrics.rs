//! Counters and gauges of the engine, by Prometheus' naming rules. Labels are names from `routes.toml` and fixed
//! words only, so their number is bounded by the configuration.

mod look;
mod shelf;

pub use self::look::Look;
use self::shelf::Shelf;
use super::ages::{Ages, Oldest};
use crate::vocabulary::{Moment, QueueName};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

/// All metrics of one process. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Records read by a feed, by stream.
    pub read: IntCounterVec,
    /// Records that said nothing new, by stream.
    pub unchanged: IntCounterVec,
    /// Messages confirmed by the broker, by stream.
    pub published: IntCounterVec,
    /// Rows that could not be sealed, by stream.
    pub unreadable: IntCounterVec,
    /// Final outcomes, by route and outcome (`delivered`, `skipped`, `superseded`, `dead_lettered`).
    pub settled: IntCounterVec,
    /// Why messages were skipped, by route and reason.
    pub skipped: IntCounterVec,
    /// Messages kept for a subscriber that fetches them, by subscription.
    pub stored: IntCounterVec,
    /// Messages sent although what they refer to was not delivered in time, by route.
    pub sent_without: IntCounterVec,
    /// Attempts, by route and result (`ok` or a fault).
    pub attempts: IntCounterVec,
    /// Seconds from the start of an attempt to its verdict, by route.
    pub attempt_seconds: HistogramVec,
    /// Messages taken and not yet settled, by route.
    pub in_flight: IntGaugeVec,
    /// Rows in `waiting`, by route.
    pub waiting: IntGaugeVec,
    /// Unix seconds of the last successful round, by feed.
    pub last_round: IntGaugeVec,
    /// 1 while the circuit breaker of a system is not closed.
    pub breaker_open: IntGaugeVec,
    /// The share of its profile that a system's pace may use, 0.01 to 1.
    pub pace_share: GaugeVec,
    /// When a route will be empty: Unix seconds, 0 when it is, infinite when never.
    pub empty_at: GaugeVec,
    /// Messages to people, by channel and result (`ok`, `failed`).
    pub notifications: IntCounterVec,
    /// 1 while a channel reaches nobody.
    pub notify_failing: IntGaugeVec,
    /// Bytes that may still be written on the disk of the state store.
    pub disk_free: IntGauge,
    /// Messages in a queue or an outbox, by queue.
    pub queue_depth: IntGaugeVec,
    /// Age in seconds of the oldest message that a subscriber has not taken, by queue.
    pub oldest_age: IntGaugeVec,
    /// Where that comes from, for queues that subscribers take from themselves.
    pub ages: Ages,
    /// Messages that were dropped before their subscriber came, by subscription that asks over HTTP.
    pub dropped: IntCounterVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers everything in a registry of its own.
    pub fn new() -> Self {
        Self::on(&Shelf::default())
    }

    fn on(shelf: &Shelf) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| shelf.counter(name, help, labels);
        let gauge = |name: &str, help: &str, labels: &[&str]| shelf.gauge(name, help, labels);
        let real = |name: &str, help: &str, labels: &[&str]| shelf.real(name, help, labels);
        Self {
            read: counter("bus_records_read_total", "Records read from the source.", &["stream"]),
            unchanged: counter("bus_records_unchanged_total", "Records that said nothing new.", &["stream"]),
            published: counter("bus_messages_published_total", "Messages confirmed by the broker.", &["stream"]),
            unreadable: counter(
                "bus_records_unreadable_total",
                "Rows that nobody can seal, each time they are read; each is kept once.",
                &["stream"],
            ),
            settled: counter(
                "bus_messages_settled_total",
                "Final outcomes of messages: `delivered`, `skipped`, `superseded`, `dead_lettered`.",
                &["route", "outcome"],
            ),
            stored: counter(
                "bus_subscription_messages_stored_total",
                "Messages kept for a subscriber that fetches them over HTTP.",
                &["subscription"],
            ),
            sent_without: counter(
                "bus_messages_sent_without_total",
                "Messages sent although what they require was not delivered in time.",
                &["route"],
            ),
            skipped: counter("bus_messages_skipped_total", "Messages not sent, by reason.", &["route", "reason"]),
            attempts: counter("bus_attempts_total", "Attempts at the receiver, by result.", &["route", "result"]),
            attempt_seconds: shelf.put(
                "histogram",
                HistogramVec::new(
                    HistogramOpts::new("bus_attempt_duration_seconds", "From the start of an attempt to its verdict.")
                        .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
                    &["route"],
                ),
            ),
            in_flight: gauge("bus_messages_in_flight", "Messages taken and not yet settled.", &["route"]),
            waiting: gauge("bus_messages_waiting", "Messages kept aside for a reason other than pace.", &["route"]),
            last_round: gauge("bus_feed_last_success_timestamp_seconds", "Last round without an error.", &["feed"]),
            breaker_open: gauge("bus_circuit_breaker_open", "1 while the breaker is not closed.", &["system"]),
            pace_share: real("bus_system_pace_share", "Share of the profile in use, 0.01 to 1.", &["system"]),
            empty_at: real(
                "bus_route_empty_timestamp_seconds",
                "When the route will be empty, by forecast: Unix time, 0 when it is, infinite when never.",
                &["route"],
            ),
            notifications: counter("bus_notifications_total", "Messages about incidents.", &["channel", "result"]),
            notify_failing: gauge("bus_notify_failing", "1 while a channel reaches nobody.", &["channel"]),
            disk_free: shelf
                .put("gauge", IntGauge::new("bus_state_disk_free_bytes", "Free bytes on the disk of the state store.")),
            queue_depth: gauge("bus_queue_messages", "Messages in a queue or an outbox.", &["queue"]),
            oldest_age: gauge(
                "bus_subscription_oldest_age_seconds",
                "Age of the oldest message that the subscriber has not taken; of an AMQP queue, at most this.",
                &["queue"],
            ),
            ages: Ages::default(),
            dropped: counter(
                "bus_subscription_dropped_total",
                "Messages that `keep` dropped before the subscriber asked for them; not of AMQP queues.",
                &["subscription"],
            ),
            registry: shelf.registry.clone(),
        }
    }

    /// One look at a subscriber's own queue, when so many messages of its stream had been published.
    pub fn look(&self, queue: &QueueName, published: u64, messages: u64) {
        let now = Moment::now();
        self.ages.note(queue, now, published, messages);
        let age = match self.ages.backlog(queue).and_then(|backlog| backlog.oldest) {
            Some(Oldest::About(since) | Oldest::Before(since)) => since.until(now),
            None => std::time::Duration::ZERO,
        };
        self.oldest_age.with_label_values(&[queue.as_str()]).set(age.as_secs() as i64);
    }

    /// A subscriber's queue is no more.
    pub fn forget(&self, queue: &QueueName) {
        self.ages.forget(queue);
        // It may never have been looked at.
        let _ = self.oldest_age.remove_label_values(&[queue.as_str()]);
    }

    /// The exposition text, with what was looked at for it.
    pub fn render(&self, look: &Look) -> String {
        let mut families = self.registry.gather();
        families.extend(look.registry.gather());
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

/// `docs/reference/metrics.md`: generated from what is registered, never written by hand.
pub fn reference() -> String {
    let shelf = Shelf::default();
    Metrics::on(&shelf);
    Look::on(&shelf, "");
    let mut said = shelf.said.into_inner();
    said.sort();
    format!(
        "# Metrics\n\nGenerated from what `bus-core/src/engine/metrics.rs` registers; `BUS_WRITE_DOCS=1 cargo test -p bus-config` \
         writes it anew.\n\n`GET /metrics` speaks Prometheus. Labels are names from `routes.toml` and fixed words. On Linux \
         `process_…` tells about CPU, memory, threads and open files of the process.\n\n\
         | metric | kind | labels | what |\n|---|---|---|---|\n{}",
        said.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::new();
        metrics.settled.with_label_values(&["заказы", "delivered"]).inc();
        let look = Look::new("1.2.3");
        look.broker("blocked");
        let text = metrics.render(&look);
        for line in [
            r#"bus_build_info{version="1.2.3"} 1"#,
            r#"bus_broker_state{state="blocked"} 1"#,
            r#"bus_broker_state{state="connected"} 0"#,
            r#"bus_broker_state{state="disconnected"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        #[cfg(target_os = "linux")]
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
        assert!(text.contains(r#"bus_messages_settled_total{outcome="delivered",route="заказы"} 1"#));
    }
}
