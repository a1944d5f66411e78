//! `batch`: messages of several keys in one request (D13).
//!
//! Each key has one message at most among those that are ready, so no request holds two versions of a key. What has failed
//! before goes in ever smaller company of its like, and a deletion alone, as its request is another one.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use super::item::Prepared;
use crate::policy::BreakerState;
use crate::ports::target::Parcel;
use crate::vocabulary::{DeliveryError, Fault, Moment, Operation, Receipt};

/// How many messages share a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// At most so many; 0 is read as 1.
    pub max: usize,
    /// The longest that the first of them waits for others.
    pub wait: Duration,
    /// Bytes of their bodies at most; one that is longer goes alone.
    pub bytes: usize,
}

impl Batch {
    /// A quarter for each attempt that failed: one message that spoils its requests delays few others for long, and those
    /// that met an outage together do not cost a request each.
    pub(super) fn most(self, attempts: u32) -> usize {
        (self.max >> attempts.saturating_mul(2).min(usize::BITS - 1)).max(1)
    }
}

/// Only messages of one kind share a request: what has failed takes nothing fresh down with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    most: usize,
    deletion: bool,
    /// A row of a task, which has its own share of the requests.
    loaded: bool,
}

/// One message that is ready, as far as it matters here.
#[derive(Debug, Clone, Copy)]
struct Ready {
    kind: Kind,
    bytes: usize,
    since: Option<Instant>,
}

/// Messages that go together.
#[derive(Debug)]
struct Group {
    kind: Kind,
    places: Vec<usize>,
    bytes: usize,
    /// Nothing more goes in.
    full: bool,
    /// Since when the first of them waits; `None`: it does not.
    since: Option<Instant>,
}

impl Group {
    /// Until when it waits for others; `None`: it goes now.
    fn until(&self, batch: Batch) -> Option<Instant> {
        self.since.filter(|_| !self.full).map(|since| since + batch.wait)
    }
}

/// The next request of each kind, in the order of their first messages.
fn groups(batch: Batch, ready: impl Iterator<Item = Ready>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (place, Ready { kind, bytes, since }) in ready.enumerate() {
        let most = if kind.deletion { 1 } else { kind.most };
        match groups.iter_mut().find(|group| group.kind == kind) {
            None => groups.push(Group { kind, places: vec![place], bytes, full: most <= 1, since }),
            Some(group) if group.full => {}
            Some(group) if group.bytes + bytes > batch.bytes => group.full = true,
            Some(group) => {
                group.places.push(place);
                group.bytes += bytes;
                group.since = group.since.min(since); // nothing is less than some time
                group.full = group.places.len() >= most;
            }
        }
    }
    groups
}

/// Which of these messages would share a request, if each was ready when it was read and every answer came at once. Each
/// request as the places of its messages; all in the order in which they come, oldest first. Pure.
pub fn shared(batch: Batch, messages: &[(Moment, Parcel)]) -> Vec<Vec<usize>> {
    let mut left: VecDeque<usize> = (0..messages.len()).collect();
    let mut requests = Vec::new();
    while let Some(first) = left.front() {
        let until = messages[*first].0.after(batch.wait);
        let mut keys = HashSet::new();
        let come = left.iter().take_while(|place| messages[**place].0 <= until);
        let ready: Vec<usize> = come.copied().filter(|place| keys.insert(&messages[*place].1.envelope.key)).collect();
        let of = |place: &usize| {
            let parcel = &messages[*place].1;
            let deletion = parcel.operation == Operation::Delete;
            let kind = Kind { most: batch.most(0), deletion, loaded: false };
            Ready { kind, bytes: parcel.body.len() + 1, since: None }
        };
        let Some(group) = groups(batch, ready.iter().map(of)).into_iter().next() else { break };
        let request: Vec<usize> = group.places.iter().map(|place| ready[*place]).collect();
        left.retain(|place| !request.contains(place));
        requests.push(request);
    }
    requests
}

impl Worker {
    /// Whether a permit would be used at once.
    pub(super) fn has_load(&self) -> bool {
        match self.plan.batch {
            None => !self.sendable.is_empty(),
            Some(batch) => !self.sendable.is_empty() && !self.ripe(batch).is_empty(),
        }
    }

    /// When the first of those that wait for others has waited long enough.
    pub(super) fn load_ripens(&self) -> Option<Instant> {
        let batch = self.plan.batch.filter(|_| !self.is_paused() && !self.has_load())?;
        self.groups(batch).iter().filter_map(|group| group.until(batch)).min()
    }

    fn groups(&self, batch: Batch) -> Vec<Group> {
        let tasks = self.line.has_loaded_rows();
        let ready = self.sendable.iter().map(|prepared| Ready {
            kind: Kind {
                most: prepared.most,
                deletion: prepared.parcel.operation == Operation::Delete,
                loaded: tasks && self.line.is_loaded_row(&prepared.item.envelope.key, prepared.item.seq()),
            },
            bytes: prepared.parcel.body.len() + 1,
            since: prepared.since,
        });
        groups(batch, ready)
    }

    /// Groups that need not wait: full, waited long enough, or nothing more can come.
    fn ripe(&self, batch: Batch) -> Vec<Group> {
        let now = Instant::now();
        let from_queue = self.in_hand().saturating_sub(self.line.in_hand());
        let complete = from_queue >= usize::from(self.plan.prefetch) || self.room_to_prepare() == 0;
        let mut groups = self.groups(batch);
        groups.retain(|group| complete || group.until(batch).is_none_or(|until| now >= until));
        groups
    }

    /// What goes with the permit that came.
    pub(super) fn take_load(&mut self) -> Vec<Prepared> {
        let taken = match self.plan.batch {
            None => self.next_to_send().into_iter().collect(),
            Some(batch) => self.take_group(batch),
        };
        taken.into_iter().filter_map(|prepared| self.unless_echo(prepared)).collect()
    }

    fn take_group(&mut self, batch: Batch) -> Vec<Prepared> {
        let mut ripe = self.ripe(batch);
        let Some(first) = ripe.first() else { return Vec::new() };
        let first_is_loaded = first.kind.loaded;
        let other = ripe.iter().position(|group| group.kind.loaded != first_is_loaded);
        let chosen = match other {
            Some(other) if self.line.share.loaded_goes() != first_is_loaded => other,
            _ => 0,
        };
        let mut places = ripe.swap_remove(chosen).places;
        // Whether a system is back, or a paused route works again, is found out with one message.
        if self.probing || matches!(self.ports.gate.breaker(), BreakerState::HalfOpen { .. }) {
            places.truncate(1);
        }
        let mut taken: Vec<Prepared> = places.iter().rev().filter_map(|place| self.sendable.remove(*place)).collect();
        taken.reverse();
        taken
    }
}

/// Who else was in a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Company {
    /// Messages in it.
    pub size: usize,
    /// One of them was accepted, so the route is not to blame for the others.
    pub accepted: bool,
}

impl Company {
    /// No request at all, or one of its own.
    pub const NONE: Self = Self { size: 1, accepted: false };

    pub fn of(outcomes: &[Result<Receipt, DeliveryError>]) -> Self {
        Self { size: outcomes.len(), accepted: outcomes.iter().any(Result::is_ok) }
    }
}

/// What the gate is told of a request: the receiver's wish for less, or a failure if nothing in it succeeded.
pub(super) fn told(outcomes: &[Result<Receipt, DeliveryError>]) -> Option<&DeliveryError> {
    let errors = || outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let throttled = errors().find(|error| matches!(error.fault, Fault::Throttled { .. }));
    throttled.or_else(|| errors().next().filter(|_| outcomes.iter().all(Result::is_err)))
}

/// One verdict for each message, whatever the connector returned; `None`: it returned nothing.
pub(super) fn complete(
    verdicts: Option<Vec<Result<Receipt, DeliveryError>>>,
    messages: usize,
) -> Vec<Result<Receipt, DeliveryError>> {
    let mut verdicts = verdicts.unwrap_or_default();
    verdicts.truncate(messages);
    verdicts.resize_with(messages, || {
        Err(DeliveryError::new(Fault::Ambiguous, "the attempt did not end within its time limit").shared())
    });
    verdicts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;

    use super::*;
    use crate::vocabulary::{ContentHash, Envelope, Key, MessageId, Seq, StreamName};

    const BATCH: Batch = Batch { max: 4, wait: Duration::from_secs(1), bytes: 100 };

    fn ready(most: usize, bytes: usize) -> Ready {
        Ready { kind: Kind { most, deletion: false, loaded: false }, bytes, since: Some(Instant::now()) }
    }

    fn places(ready: &[Ready]) -> Vec<(Vec<usize>, bool)> {
        groups(BATCH, ready.iter().copied()).into_iter().map(|group| (group.places, group.full)).collect()
    }

    #[test]
    fn a_group_is_bounded_by_count_and_bytes() {
        let small = ready(4, 10);
        assert_eq!(places(&[]), []);
        assert_eq!(places(&[small; 3]), [(vec![0, 1, 2], false)]);
        assert_eq!(places(&[small; 6]), [(vec![0, 1, 2, 3], true)]);
        assert_eq!(places(&[ready(4, 60), ready(4, 40), small]), [(vec![0, 1], true)]);
        assert_eq!(places(&[ready(4, 500), small]), [(vec![0], true)], "it goes alone");
    }

    #[test]
    fn only_the_like_go_together() {
        let deletion = Ready { kind: Kind { most: 4, deletion: true, loaded: false }, ..ready(4, 1) };
        let found = places(&[ready(4, 1), ready(2, 1), deletion, ready(4, 1), deletion, ready(2, 1), ready(2, 1)]);
        assert_eq!(found, [(vec![0, 3], false), (vec![1, 5], true), (vec![2], true)]);
    }

    #[test]
    fn a_group_is_as_old_as_its_oldest() {
        let (old, young) = (ready(4, 1), ready(4, 1));
        let young = Ready { since: old.since.map(|since| since + Duration::from_millis(5)), ..young };
        assert_eq!(groups(BATCH, [young, old].into_iter())[0].since, old.since);
        let again = Ready { since: None, ..young };
        assert_eq!(groups(BATCH, [young, again].into_iter())[0].since, None);
    }

    #[test]
    fn what_would_have_shared_a_request_is_told_from_when_it_was_read() {
        // Key, milliseconds, bytes; a capital letter is a deletion.
        let message = |(key, at, bytes): (char, i64, usize)| {
            let mut parcel = parcel_of(&key.to_lowercase().to_string(), bytes);
            parcel.operation = if key.is_uppercase() { Operation::Delete } else { Operation::Upsert };
            (Moment(at), parcel)
        };
        let of = |all: &[(char, i64, usize)]| {
            let messages: Vec<_> = all.iter().copied().map(message).collect();
            let requests = shared(BATCH, &messages).into_iter();
            requests.map(|request| request.into_iter().map(|place| all[place].0).collect()).collect::<Vec<String>>()
        };
        assert_eq!(of(&[]), [""; 0]);
        assert_eq!(of(&"abcdef".chars().map(|key| (key, 0, 9)).collect::<Vec<_>>()), ["abcd", "ef"]);
        assert_eq!(of(&[('a', 0, 9), ('b', 1000, 9), ('c', 1001, 9)]), ["ab", "c"], "the first waits for a second");
        assert_eq!(of(&[('a', 0, 9), ('b', 0, 9), ('a', 0, 9), ('c', 0, 9)]), ["abc", "a"], "a key once");
        assert_eq!(of(&[('a', 0, 9), ('B', 0, 9), ('c', 0, 9)]), ["ac", "B"]);
        assert_eq!(of(&[('a', 0, 60), ('b', 0, 60), ('c', 0, 9)]), ["a", "bc"], "a hundred bytes");
    }

    fn parcel_of(key: &str, bytes: usize) -> Parcel {
        let (key, body) = (Key::from_stored(key), Bytes::from(vec![b' '; bytes]));
        let (stream, hash) = (StreamName::new("s").unwrap(), ContentHash::of(Operation::Upsert, &body));
        let envelope = Envelope {
            id: MessageId::derive(&stream, &key, 1, &hash),
            stream,
            key,
            seq: Seq { epoch: 1, number: 1 },
            generation: 1,
            operation: Operation::Upsert,
            time: Moment(0),
            label: None,
            hash,
            body: body.clone(),
        };
        let operation = Operation::Upsert;
        Parcel { envelope, operation, body, idempotency_key: String::new(), receiver_id: None, exists: false }
    }

    #[test]
    fn who_failed_goes_in_smaller_company() {
        let of = |max, attempts| Batch { max, ..BATCH }.most(attempts);
        assert_eq!([of(50, 0), of(50, 1), of(50, 2), of(50, 3), of(50, 99)], [50, 12, 3, 1, 1]);
        assert_eq!([of(0, 0), of(1000, u32::MAX)], [1, 1]);
    }

    #[test]
    fn a_request_failed_if_nothing_in_it_succeeded() {
        let ok = || Ok(Receipt::default());
        let failed = |fault| Err(DeliveryError::new(fault, "x"));
        let fault = |outcomes: &[_]| told(outcomes).map(|error| error.fault);
        assert_eq!(fault(&[ok(), failed(Fault::Busy)]), None);
        assert_eq!(fault(&[failed(Fault::Rejected), failed(Fault::Busy)]), Some(Fault::Rejected));
        let throttled = Fault::Throttled { retry_after: None };
        assert_eq!(fault(&[ok(), failed(throttled)]), Some(throttled));
    }

    #[test]
    fn a_connector_that_says_too_little_leaves_the_rest_in_doubt() {
        let verdicts = complete(Some(vec![Ok(Receipt::default())]), 3);
        assert_eq!(verdicts.len(), 3);
        assert!(verdicts[1..].iter().all(|v| v.as_ref().is_err_and(|error| error.fault == Fault::Ambiguous)));
        assert_eq!(complete(None, 2).len(), 2);
        assert_eq!(complete(Some(vec![Ok(Receipt::default()); 3]), 2).len(), 2);
    }
}
