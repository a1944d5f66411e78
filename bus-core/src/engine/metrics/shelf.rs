//! Where metrics are registered, and what the reference says of them.

use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// A registry that remembers what it was given.
#[derive(Default)]
pub(super) struct Shelf {
    pub registry: Registry,
    /// Lines of the reference.
    pub said: RefCell<Vec<String>>,
}

impl Shelf {
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.put("counter", IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.put("gauge", IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn real(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.put("gauge", GaugeVec::new(Opts::new(name, help), labels))
    }

    /// Any other one.
    pub fn put<C: Collector + Clone + 'static>(&self, kind: &str, made: prometheus::Result<C>) -> C {
        let collector = made.expect("constant metric is valid");
        for desc in collector.desc() {
            let labels: Vec<String> = desc.variable_labels.iter().map(|label| format!("`{label}`")).collect();
            let line = format!("| `{}` | {kind} | {} | {} |\n", desc.fq_name, labels.join(", "), desc.help);
            self.said.borrow_mut().push(line);
        }
        self.registry.register(Box::new(collector.clone())).expect("each metric is registered once");
        collector
    }
}
