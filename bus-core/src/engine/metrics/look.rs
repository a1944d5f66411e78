//! What is looked at when somebody asks for the metrics, and so is of one moment.

use prometheus::{IntGaugeVec, Registry};

use super::shelf::Shelf;

/// What the broker's connection can be.
const BROKER: [&str; 3] = ["connected", "blocked", "disconnected"];

/// Samples of one answer: made anew for each, so what is over is not in the next one, and two that ask at the same time
/// have nothing in common.
pub struct Look {
    pub(super) registry: Registry,
    /// 1 while an incident is open, by kind and subject.
    pub incidents: IntGaugeVec,
    /// Open dead letters, by route.
    pub dead: IntGaugeVec,
    broker: IntGaugeVec,
}

impl Look {
    /// Nothing is seen yet but the process itself, which is of this version.
    pub fn new(version: &str) -> Self {
        let look = Self::on(&Shelf::default(), version);
        #[cfg(target_os = "linux")]
        {
            let process = prometheus::process_collector::ProcessCollector::for_self();
            look.registry.register(Box::new(process)).expect("no name of ours begins with process");
        }
        look
    }

    pub(super) fn on(shelf: &Shelf, version: &str) -> Self {
        let build = shelf.gauge("bus_build_info", "Always 1: the version that runs.", &["version"]);
        build.with_label_values(&[version]).set(1);
        Self {
            incidents: shelf.gauge("bus_incident_open", "1 while an incident is open.", &["kind", "subject"]),
            dead: shelf.gauge("bus_dead_letters", "Open dead letters.", &["route"]),
            broker: shelf.gauge(
                "bus_broker_state",
                "1 for what the connection is (`connected`, `blocked`, `disconnected`), else 0.",
                &["state"],
            ),
            registry: shelf.registry.clone(),
        }
    }

    /// The connection is in this state: `connected`, `blocked` (it takes no messages for now) or `disconnected`.
    pub fn broker(&self, state: &str) {
        BROKER.iter().for_each(|one| self.broker.with_label_values(&[*one]).set(i64::from(*one == state)));
    }
}
