//! Counters and gauges of the engine, by Prometheus' naming rules. Labels are names from `routes.toml` and fixed
//! words only, so their number is bounded by the configuration.

use super::ages::{Ages, Oldest};
use crate::vocabulary::{Moment, QueueName};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};

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
    /// Open dead letters, by route.
    pub dead: IntGaugeVec,
    /// Unix seconds of the last successful round, by feed.
    pub last_round: IntGaugeVec,
    /// 1 while the circuit breaker of a system is not closed.
    pub breaker_open: IntGaugeVec,
    /// 1 while an incident is open, by kind and subject.
    pub incidents: IntGaugeVec,
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
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers everything in a registry of its own.
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels).expect("constant metric is valid"))
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help), labels).expect("constant metric is valid"))
        };
        let real = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, GaugeVec::new(Opts::new(name, help), labels).expect("constant metric is valid"))
        };
        Self {
            read: counter("bus_records_read_total", "Records read from the source.", &["stream"]),
            unchanged: counter("bus_records_unchanged_total", "Records that said nothing new.", &["stream"]),
            published: counter("bus_messages_published_total", "Messages confirmed by the broker.", &["stream"]),
            unreadable: counter(
                "bus_records_unreadable_total",
                "Rows that nobody can seal, each time they are read; each is kept once.",
                &["stream"],
            ),
            settled: counter("bus_messages_settled_total", "Final outcomes of messages.", &["route", "outcome"]),
            sent_without: counter(
                "bus_messages_sent_without_total",
                "Messages sent although what they require was not delivered in time.",
                &["route"],
            ),
            skipped: counter("bus_messages_skipped_total", "Messages not sent, by reason.", &["route", "reason"]),
            attempts: counter("bus_attempts_total", "Attempts at the receiver, by result.", &["route", "result"]),
            attempt_seconds: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("bus_attempt_duration_seconds", "From the start of an attempt to its verdict.")
                        .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
                    &["route"],
                )
                .expect("constant metric is valid"),
            ),
            in_flight: gauge("bus_messages_in_flight", "Messages taken and not yet settled.", &["route"]),
            waiting: gauge("bus_messages_waiting", "Messages kept aside for a reason other than pace.", &["route"]),
            dead: gauge("bus_dead_letters", "Open dead letters.", &["route"]),
            last_round: gauge("bus_feed_last_success_timestamp_seconds", "Last round without an error.", &["feed"]),
            breaker_open: gauge("bus_circuit_breaker_open", "1 while the breaker is not closed.", &["system"]),
            incidents: gauge("bus_incident_open", "1 while an incident is open.", &["kind", "subject"]),
            pace_share: real("bus_system_pace_share", "Share of the profile in use, 0.01 to 1.", &["system"]),
            empty_at: real(
                "bus_route_empty_at_seconds",
                "When the route will be empty, by forecast: Unix time, 0 when it is, infinite when never.",
                &["route"],
            ),
            notifications: counter("bus_notifications_total", "Messages about incidents.", &["channel", "result"]),
            notify_failing: gauge("bus_notify_failing", "1 while a channel reaches nobody.", &["channel"]),
            disk_free: register(
                &registry,
                IntGauge::new("bus_state_disk_free_bytes", "Free bytes on the disk of the state store.")
                    .expect("constant metric is valid"),
            ),
            queue_depth: gauge("bus_queue_messages", "Messages in a queue or an outbox.", &["queue"]),
            oldest_age: gauge(
                "bus_subscription_oldest_age_seconds",
                "Age of the oldest message that the subscriber has not taken; of an AMQP queue, at most this.",
                &["queue"],
            ),
            ages: Ages::default(),
            registry,
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

    /// The exposition text.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect("each metric is registered once");
    collector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::new();
        metrics.settled.with_label_values(&["заказы", "delivered"]).inc();
        assert!(metrics.render().contains(r#"bus_messages_settled_total{outcome="delivered",route="заказы"} 1"#));
    }
}
