//! The change table of an exchange plan.
//!
//! Each node has a row for each object that changed. A row without a message number was not sent yet.
//!
//! | event | what becomes of the rows |
//! |---|---|
//! | an object is written | its row has no number, even if it had one |
//! | `SelectChanges(N)` | rows without a number get N; the answer is every row with a number up to N |
//! | `NotifyChangesReceived(N)` | rows with a number up to N are deleted |
//!
//! So a change between the two calls survives; and what a second `SelectChanges(N)` numbered is deleted by a notification
//! that was meant for the first one's answer. That is the trap of the real thing, and it is kept.

use std::collections::BTreeMap;

use crate::value::Guid;

/// The tables of all nodes.
#[derive(Default)]
pub struct Changes {
    nodes: BTreeMap<Guid, Node>,
    /// Where each entity stands in `$metadata`: answers are grouped by it.
    order: Vec<String>,
}

#[derive(Default)]
struct Node {
    rows: BTreeMap<(usize, String), Option<u64>>,
}

impl Changes {
    /// Keeps changes for this node from now on, for entities in this order.
    pub fn add_node(&mut self, node: Guid, order: Vec<String>) {
        self.nodes.entry(node).or_default();
        self.order = order;
    }

    /// Stops: the node was deleted.
    pub fn remove_node(&mut self, node: Guid) {
        self.nodes.remove(&node);
    }

    /// Whether changes are kept for it.
    pub fn knows(&self, node: Guid) -> bool {
        self.nodes.contains_key(&node)
    }

    /// An object was written or deleted.
    pub fn note(&mut self, entity: &str, key: &str) {
        let Some(place) = self.order.iter().position(|name| name == entity) else { return };
        for node in self.nodes.values_mut() {
            node.rows.insert((place, key.to_owned()), None);
        }
    }

    /// `SelectChanges`: numbers what has no number, and gives everything numbered up to `message`.
    pub fn select(&mut self, node: Guid, message: u64) -> Vec<(String, String)> {
        let Some(node) = self.nodes.get_mut(&node) else { return Vec::new() };
        for number in node.rows.values_mut() {
            number.get_or_insert(message);
        }
        let sent = node.rows.iter().filter(|(_, number)| number.is_some_and(|number| number <= message));
        sent.map(|((place, key), _)| (self.order[*place].clone(), key.clone())).collect()
    }

    /// `NotifyChangesReceived`: deletes everything numbered up to `message`.
    pub fn notify(&mut self, node: Guid, message: u64) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.rows.retain(|_, number| number.is_none_or(|number| number > message));
        }
    }

    /// The rows of a node: entity, key, number.
    pub fn rows(&self, node: Guid) -> Vec<(String, String, Option<u64>)> {
        let rows = self.nodes.get(&node).into_iter().flat_map(|node| &node.rows);
        rows.map(|((place, key), number)| (self.order[*place].clone(), key.clone(), *number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Guid = Guid(7);

    fn table() -> Changes {
        let mut changes = Changes::default();
        changes.add_node(NODE, vec!["Catalog_А".into(), "Catalog_Б".into()]);
        changes
    }

    fn keys(selected: &[(String, String)]) -> Vec<&str> {
        selected.iter().map(|(_, key)| key.as_str()).collect()
    }

    #[test]
    fn what_is_not_notified_comes_again_under_the_new_number() {
        let mut changes = table();
        changes.note("Catalog_А", "1");
        assert_eq!(keys(&changes.select(NODE, 1)), ["1"]);
        changes.note("Catalog_Б", "2");
        assert_eq!(keys(&changes.select(NODE, 2)), ["1", "2"]);
        changes.notify(NODE, 2);
        assert!(changes.rows(NODE).is_empty());
    }

    #[test]
    fn a_change_between_select_and_notify_survives() {
        let mut changes = table();
        changes.note("Catalog_А", "1");
        changes.select(NODE, 1);
        changes.note("Catalog_А", "1");
        changes.notify(NODE, 1);
        assert_eq!(keys(&changes.select(NODE, 2)), ["1"]);
    }

    #[test]
    fn a_second_select_of_the_same_number_is_lost_by_the_notification_of_the_first() {
        let mut changes = table();
        changes.note("Catalog_А", "1");
        changes.select(NODE, 1);
        changes.note("Catalog_А", "2");
        assert_eq!(keys(&changes.select(NODE, 1)), ["1", "2"]);
        changes.notify(NODE, 1);
        assert!(changes.rows(NODE).is_empty(), "the trap: the second is gone unless the second answer was read");
    }

    #[test]
    fn an_older_notification_leaves_newer_messages() {
        let mut changes = table();
        changes.note("Catalog_А", "1");
        changes.select(NODE, 2);
        changes.notify(NODE, 1);
        assert_eq!(changes.rows(NODE).len(), 1);
    }
}
