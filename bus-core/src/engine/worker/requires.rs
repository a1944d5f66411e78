//! `requires`: a message goes when every record that it refers to was delivered to the same receiver (D11).
//!
//! Asked of the fences of the routes that bring them, which are durable before anything is told. A message that lacks one is
//! held like one that waits for a map: a row of `waiting`, its whole key behind it, looked at again at growing intervals, and
//! at once when the record is delivered.

use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use super::fate::Fate;
use crate::ports::requires::References;
use crate::ports::shape::{self, Hold};
use crate::ports::state::{Change, DeadFilter, StateError};
use crate::vocabulary::{Envelope, Key, Moment, Operation, RouteName, StreamName};

/// What a route's messages refer to.
#[derive(Clone)]
pub struct Requirement {
    /// The stream of the records.
    pub stream: StreamName,
    /// The routes that bring them to the same receiver; one of them is enough.
    pub from: Arc<[RouteName]>,
    /// Finds the keys in a record.
    pub references: Arc<dyn References>,
    /// How long a message waits for one of them at most.
    pub within: Duration,
    /// What becomes of it then.
    pub late: Late,
    /// The receiver held the records before the bus came: what the bus has never published is there.
    pub preloaded: bool,
}

/// What becomes of a message whose references were not delivered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It is a dead letter.
    DeadLetter,
    /// It is sent all the same.
    Send,
}

/// Records that the receiver does not hold.
struct Lack<'a> {
    requirement: &'a Requirement,
    first: Key,
    others: usize,
    /// What it waits for waits for it.
    circle: bool,
}

impl Worker {
    /// What was about to be sent is held while it lacks something. Deletions refer to nothing; what a person forced goes.
    pub(super) async fn unless_lacking(
        &mut self,
        fate: Fate,
        envelope: &Envelope,
        held_since: Option<Moment>,
        forced: bool,
    ) -> Fate {
        let sends = matches!(fate, Fate::Send { operation: Operation::Upsert, .. });
        if self.ports.requires.is_empty() {
            return fate;
        }
        if !sends || forced {
            self.ports.arrivals.found(&self.plan.name, &envelope.key);
            return fate;
        }
        let requires = Arc::clone(&self.ports.requires);
        for requirement in requires.iter() {
            let keys = match requirement.references.of(&envelope.body) {
                Ok(keys) => keys,
                Err(error) => return Fate::Unshapable(error.0),
            };
            let Some(lack) = self.lack(requirement, envelope, keys).await else { continue };
            let late = held_since.is_some_and(|since| Moment::now() >= since.after(requirement.within));
            // Time does not open a circle, so the one that closes it need not wait.
            if (late || lack.circle) && requirement.late == Late::Send {
                self.ports.metrics.sent_without.with_label_values(&[self.plan.name.as_str()]).inc();
                continue;
            }
            let (what, late) = self.in_words(&lack).await;
            let circle = if lack.circle { " (a circle of references)" } else { "" };
            let subject = format!("the delivery of what it refers to in stream {}{circle}", requirement.stream);
            return Fate::Lacks(Hold { what, subject, late: Some(late), within: Some(requirement.within) });
        }
        // It waits no more, so nobody may take it for part of a circle.
        self.ports.arrivals.found(&self.plan.name, &envelope.key);
        fate
    }

    /// The first of the keys that the receiver does not hold. Patient: what is not known is not there.
    async fn lack<'a>(
        &mut self,
        requirement: &'a Requirement,
        envelope: &Envelope,
        mut keys: Vec<Key>,
    ) -> Option<Lack<'a>> {
        if requirement.stream == envelope.stream {
            keys.retain(|key| *key != envelope.key); // a record never waits for itself
        }
        let mut missing = self.missing(requirement, keys).await;
        loop {
            let first = missing.first()?.clone();
            // Registered, then looked again: what is delivered between the two is seen by the look, or told to us.
            self.ports.arrivals.seek(&self.plan.name, &envelope.key, &first, &requirement.from);
            missing = self.missing(requirement, missing).await;
            if missing.first() == Some(&first) {
                // Asked last: who is about to be sent is no part of a circle any more.
                let circle = self.ports.arrivals.is_circle(&self.plan.name, &envelope.key);
                return Some(Lack { requirement, first, others: missing.len() - 1, circle });
            }
        }
    }

    async fn missing(&mut self, requirement: &Requirement, keys: Vec<Key>) -> Vec<Key> {
        loop {
            match self.look_for(requirement, keys.clone()).await {
                Ok(missing) => return missing,
                Err(error) => {
                    self.store_failed(&error);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Those of the keys that no fence says to be at the receiver, in their order.
    async fn look_for(&mut self, requirement: &Requirement, mut missing: Vec<Key>) -> Result<Vec<Key>, StateError> {
        for route in requirement.from.iter() {
            if missing.is_empty() {
                return Ok(missing);
            }
            let fences = self.ports.store.settled(route, &missing).await?;
            // Present without an id: nobody knows whether it was applied, only that a deletion has to be sent.
            let held = fences.into_iter().map(|fence| fence.is_some_and(|fence| fence.present && fence.id.is_some()));
            missing = missing.into_iter().zip(held).filter(|(_, held)| !held).map(|(key, _)| key).collect();
        }
        if requirement.preloaded && !missing.is_empty() {
            let published = self.ports.store.published(&requirement.stream, &missing).await?;
            let known = missing.into_iter().zip(published).filter(|(_, published)| published.is_some());
            missing = known.map(|(key, _)| key).collect();
        }
        Ok(missing)
    }

    /// For an operator: what it waits for, and what its dead letter says; kept in the store, never logged.
    async fn in_words(&mut self, lack: &Lack<'_>) -> (String, shape::Late) {
        let Lack { requirement, first, others, .. } = lack;
        let routes: Vec<&str> = requirement.from.iter().map(RouteName::as_str).collect();
        let why = self.why_lacking(lack).await;
        let and = if *others > 0 { format!(" and {others} others") } else { String::new() };
        let stream = &requirement.stream;
        let because = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let words = format!("{stream} {first}{and} to be delivered by {}{because}", routes.join(" or "));
        let what = format!("{stream} {}{and} was not delivered to {}", named(first), self.plan.system);
        (words, shape::Late { what, why })
    }

    /// As far as the bus knows; nothing where it is on its way.
    async fn why_lacking(&mut self, lack: &Lack<'_>) -> Option<String> {
        let Lack { requirement, first, circle, .. } = lack;
        if *circle {
            let opened = "a circle, opened by `bus dead replay --force` when its time is over";
            return Some(format!("it waits for this one: {opened}"));
        }
        for route in requirement.from.iter() {
            let key = Some(first.as_str().to_owned());
            let filter = DeadFilter { route: Some(route.clone()), key, limit: 1, ..DeadFilter::default() };
            // Only words: without an answer they say less.
            if let Ok(letters) = self.ports.store.dead_letters(&filter).await
                && let Some(letter) = letters.last()
            {
                return Some(format!("it is dead letter {} there", letter.id));
            }
        }
        let published = self.ports.store.published(&requirement.stream, std::slice::from_ref(first)).await;
        match published.as_deref() {
            Ok([None]) => Some("the bus has never read it".to_owned()),
            _ => None,
        }
    }

    /// What was held for a record that has been delivered since is due.
    pub(super) fn wake_held(&mut self) {
        if self.ports.requires.is_empty() {
            return;
        }
        for key in self.ports.arrivals.take(&self.plan.name) {
            self.pending.push_plain(Change::Wake { key });
        }
    }
}

/// Quoted where `policy::pattern` would not leave it out by its digits: letters that lack different keys are one group.
fn named(key: &Key) -> String {
    let text = key.as_str();
    let one_word = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    if (one_word && text.chars().any(char::is_numeric)) || text.contains('"') {
        return text.to_owned();
    }
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::pattern;

    #[test]
    fn letters_that_lack_different_keys_are_one_group() {
        let late = |key: &str| format!("clients {} was not delivered to shop", named(&Key::from_stored(key)));
        assert_eq!(late("56"), "clients 56 was not delivered to shop");
        for key in ["7", "о-1", "две слова", "Иванов", "3f2504e0-4f89-11d3", r#"["a","1"]"#] {
            let found = pattern(&late(key), Some("о-77"), Some("УТ-1")).replace("[…,…]", "…");
            assert_eq!(found, "clients … was not delivered to shop", "{key}");
        }
    }
}
