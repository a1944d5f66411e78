//! Which queues a stream goes to, as last declared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bus_core::ports::broker::QueuePlan;
use bus_core::vocabulary::{QueueName, StreamName};

/// The declared queues by stream. A stream that a later plan names gets that plan's queues and no others; one that it
/// does not name keeps its own.
#[derive(Default)]
pub(crate) struct Plan {
    streams: Mutex<Option<HashMap<StreamName, Arc<[QueuePlan]>>>>,
}

impl Plan {
    /// Takes over what is about to be declared.
    pub(crate) fn take_over(&self, plan: &[QueuePlan]) {
        let mut grouped: HashMap<StreamName, Vec<QueuePlan>> = HashMap::new();
        for queue in plan {
            let queues = grouped.entry(queue.stream.clone()).or_default();
            if !queues.contains(queue) {
                queues.push(queue.clone());
            }
        }
        let mut streams = self.lock();
        let known = streams.get_or_insert_default();
        known.extend(grouped.into_iter().map(|(stream, queues)| (stream, queues.into())));
    }

    /// Takes a queue out: nothing more is published to it.
    pub(crate) fn leave_out(&self, queue: &QueueName) {
        for queues in self.lock().iter_mut().flat_map(|streams| streams.values_mut()) {
            if queues.iter().any(|plan| plan.queue == *queue) {
                *queues = queues.iter().filter(|plan| plan.queue != *queue).cloned().collect();
            }
        }
    }

    /// The stream's queues, empty for a stream that nobody takes. `None` before the first plan: publishing then would
    /// confirm what went nowhere.
    pub(crate) fn queues(&self, stream: &StreamName) -> Option<Arc<[QueuePlan]>> {
        self.lock().as_ref().map(|streams| streams.get(stream).cloned().unwrap_or_default())
    }

    /// The plan of one queue.
    pub(crate) fn queue(&self, name: &QueueName) -> Option<QueuePlan> {
        let streams = self.lock();
        streams.as_ref()?.values().flat_map(|queues| queues.iter()).find(|plan| plan.queue == *name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<StreamName, Arc<[QueuePlan]>>>> {
        self.streams.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(stream: &str, queue: &str) -> QueuePlan {
        let (stream, queue) = (StreamName::new(stream).unwrap(), QueueName::new(queue).unwrap());
        QueuePlan { queue, stream, keep: None }
    }

    fn queues(plan: &Plan, stream: &str) -> Option<Vec<String>> {
        let queues = plan.queues(&StreamName::new(stream).unwrap())?;
        Some(queues.iter().map(|row| row.queue.to_string()).collect())
    }

    #[test]
    fn a_later_plan_replaces_the_streams_it_names() {
        let plan = Plan::default();
        assert_eq!(queues(&plan, "заказы"), None);
        plan.take_over(&[row("заказы", "a"), row("заказы", "b"), row("заказы", "b"), row("stock", "c")]);
        assert_eq!(queues(&plan, "заказы").unwrap(), ["a", "b"]);
        plan.take_over(&[row("заказы", "b")]);
        assert_eq!(queues(&plan, "заказы").unwrap(), ["b"]);
        assert_eq!(queues(&plan, "stock").unwrap(), ["c"]);
        assert!(queues(&plan, "nobody").unwrap().is_empty());
        assert_eq!(plan.queue(&QueueName::new("c").unwrap()), Some(row("stock", "c")));
        plan.leave_out(&QueueName::new("c").unwrap());
        assert!(queues(&plan, "stock").unwrap().is_empty());
        assert_eq!(queues(&plan, "заказы").unwrap(), ["b"]);
    }
}
