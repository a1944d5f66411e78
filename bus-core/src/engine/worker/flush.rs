//! From lanes to sendable, and from pending to durable.

use futures::FutureExt;
use tokio::time::Instant;

use super::Worker;
use super::batch::Company;
use super::edits;
use super::fate::{Fate, fate};
use super::item::{Item, Prepared, parcel};
use super::pending::{After, Effect, Flushed};
use crate::engine::crash;
use crate::engine::incident::Kind;
use crate::policy::{Idempotency, RejectStreak};
use crate::ports::state::{Applied, Change, HoldReason, Replayed, Settled, Settlement};
use crate::vocabulary::{DeliveryError, Fault, Key, MessageId, Seq};

/// Messages prepared in one turn of the worker: a program may take 20 µs for each, and as long as they last no attempt
/// that has ended is followed by the next one.
const TURN: usize = 8;
/// Where the marks of each turn are looked up, which costs as much for many as for few.
const TURN_WITH_MARKS: usize = 64;
/// Fences looked up together: those of the next turns too, because a lookup keeps the worker waiting for another thread.
const FENCES: usize = 128;

impl Worker {
    pub(super) fn room_to_prepare(&self) -> usize {
        let two_batches = self.plan.batch.map_or(0, |batch| batch.max * 2);
        super::SENDABLE.max(two_batches).saturating_sub(self.sendable.len())
    }

    /// Whether the last turn left something for the next one.
    pub(super) fn has_more_to_prepare(&self) -> bool {
        self.room_to_prepare() > 0 && self.lanes.has_ready()
    }

    /// Takes what is ready in the lanes and decides by fence and shape; only what has to be sent stays in hand.
    pub(super) async fn prepare(&mut self) {
        self.renew().await;
        let turn = if self.ports.target.idempotency() == Idempotency::Idempotent { TURN } else { TURN_WITH_MARKS };
        let items = self.lanes.take(self.room_to_prepare().min(turn));
        if items.is_empty() {
            return;
        }
        let (keys, ids) = items.iter().map(|item| (item.envelope.key.clone(), item.envelope.id)).unzip();
        let marked = self.look_up(keys, ids).await;
        for (item, marked) in items.into_iter().zip(marked) {
            if let Some(prepared) = self.prepared(item, marked).await {
                self.sendable.push_back(prepared);
            }
        }
    }

    /// Ready to be sent; `None`: its outcome is decided without.
    pub(super) async fn prepared(&mut self, item: Item, marked: bool) -> Option<Prepared> {
        let fence = self.fences.get(&item.envelope.key);
        let edited = self.edits.take(&item.envelope.id);
        let held_since = self.held.take(&item.envelope.id);
        let fate = fate(&self.plan, &*self.ports.shape, &item.envelope, item.replayed(), item.doubt, fence);
        let fate = if marked {
            fate
        } else {
            {
                let forced = item.replayed() == Replayed::Forced;
                self.unless_lacking(fate, &item.envelope, held_since, forced).await
            }
        };
        match edits::overrule(fate, edited.as_ref()) {
            Fate::Past if item.is_waiting() => self.settle_skipped(item, "repeat"),
            Fate::Past => {
                self.count_older_epoch(&item);
                let key = item.envelope.key.clone();
                if let Some(delivery) = item.into_delivery() {
                    // Its outcome is durable; if the ack fails it comes again and meets the same fence.
                    drop(delivery.ack().await);
                }
                self.lanes.release(&key);
            }
            Fate::Skip(reason) => self.settle_skipped(item, reason),
            Fate::Overtaken => {
                let message = "a newer version of its key was settled before this one was sent again".to_owned();
                self.bury_unsent(item, "overtaken", message);
            }
            Fate::Hold(hold) => self.hold_for(item, hold, held_since, HoldReason::Map),
            Fate::Lacks(hold) => self.hold_for(item, hold, held_since, HoldReason::Requires),
            Fate::Unshapable(message) => self.bury_unsent(item, "shape", message),
            Fate::Send { operation, body } => {
                let fence = self.fences.get(&item.envelope.key);
                let key = edits::idempotency_key(&item.envelope.id, &self.plan.name, edited.as_ref());
                let parcel = parcel(item.envelope.clone(), operation, body, key, fence);
                let most = self.plan.batch.map_or(1, |batch| batch.most(item.attempts));
                let prepared = Prepared { item, parcel, marked, since: Some(Instant::now()), most };
                if !marked {
                    return Some(prepared);
                }
                let message = "an earlier attempt was cut off, and whether the receiver applied it is unknown";
                self.conclude(prepared, Err(DeliveryError::new(Fault::Ambiguous, message)), Company::NONE);
            }
        }
        None
    }

    /// Fences into memory, and for each item whether a mark of an earlier attempt exists. Patient: without the fence
    /// nothing may be sent.
    pub(super) async fn look_up(&mut self, mut keys: Vec<Key>, ids: Vec<MessageId>) -> Vec<bool> {
        if !self.fences.are_known(&keys) {
            keys.extend(self.lanes.next(FENCES.saturating_sub(keys.len())).cloned());
        }
        loop {
            let looked_up = async {
                self.fences.load(&keys).await?;
                if self.ports.target.idempotency() == Idempotency::Idempotent {
                    return Ok(vec![false; ids.len()]);
                }
                self.ports.store.marked(&self.plan.name, &ids).await
            };
            match looked_up.await {
                Ok(marked) => return marked,
                Err(error) => {
                    self.store_failed(&error);
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    pub(super) fn settle_skipped(&mut self, item: Item, reason: &'static str) {
        self.note_skipped(&item, reason);
        let change = Change::Settle {
            key: item.envelope.key.clone(),
            seq: item.seq(),
            id: item.envelope.id,
            outcome: Settlement::Skipped,
        };
        let fence = self.raised(&item);
        let effect = Effect::Skipped(reason, item.is_waiting());
        self.pending.push(change, After::of(item, true, Some(fence), effect));
    }

    /// What is behind its fence was settled and counted before. Under an older epoch it may also be a message that nobody
    /// has settled, if two publishers had the stream at once, or the clock was set back when the store was lost (R15).
    fn count_older_epoch(&self, item: &Item) {
        let fence = self.fences.get(&item.envelope.key);
        if fence.is_some_and(|fence| item.seq().epoch < fence.seq.epoch) {
            let (route, metrics) = (self.plan.name.as_str(), &self.ports.metrics);
            metrics.settled.with_label_values(&[route, "skipped"]).inc();
            metrics.skipped.with_label_values(&[route, "older-epoch"]).inc();
        }
    }

    /// The key's fence raised to the item, everything else as it was.
    pub(super) fn raised(&self, item: &Item) -> Settled {
        let known = self.fences.get(&item.envelope.key);
        Settled {
            seq: known.map_or(item.seq(), |known| known.seq.max(item.seq())),
            id: known.and_then(|known| known.id),
            present: known.is_some_and(|known| known.present),
            doubt: known.is_some_and(|known| known.doubt) || item.doubt,
            receiver_id: known.and_then(|known| known.receiver_id.clone()),
        }
    }

    /// One commit at a time: what comes meanwhile forms the next group. A small group waits a moment for the attempts
    /// under way: a flush costs as much for one outcome as for fifty. Not where a repeat does harm: there an outcome that
    /// is not durable at a crash becomes a dead letter.
    pub(super) fn start_flush(&mut self) {
        let harmful = self.ports.target.idempotency() == Idempotency::NonIdempotent;
        let ripe = harmful || self.attempts.is_empty() || self.pending.is_ripe(self.lanes.any_behind());
        if self.pending.is_empty() || !self.flushing.is_empty() || !ripe {
            return;
        }
        if let Some(seq) = self.reached() {
            self.pending.push_plain(Change::Reached { seq });
        }
        let ports = &self.ports;
        let flush =
            self.pending.flush(self.plan.name.clone(), std::sync::Arc::clone(&ports.store), ports.incidents.clone());
        self.flushing.push(flush.boxed());
    }

    /// The group is on disk: now, and not before, acks go out and keys are unlocked (R5, R6).
    pub(super) async fn flushed(&mut self, flushed: Flushed) {
        let in_doubt = flushed.in_doubt;
        self.replaced(&flushed);
        crash::point("worker.flushed");
        self.ports.incidents.close(Kind::StoreFailing, self.plan.name.as_str());
        for (after, applied) in flushed.afters.into_iter().zip(flushed.applied) {
            if let (Some(key), Some(fence)) = (&after.key, after.fence) {
                self.fences.raise(key, fence);
            }
            self.count(after.key.as_ref(), after.seq, after.effect, applied).await;
            if let (Some(key), true) = (&after.key, after.unlock) {
                self.write_ended(key);
            }
            if let (Some(key), Some(seq)) = (&after.key, after.seq) {
                match after.effect {
                    // Its row may have been loaded since the commit, so it may be in hand again already.
                    Effect::Held if applied == Applied::Ignored => self.line.not_spilled(key, seq),
                    Effect::Held => {}
                    _ => self.line.committed(key, seq),
                }
            }
            if let Some(told) = after.told {
                told.one_is_durable();
            }
            if let Some(delivery) = after.delivery {
                // A failed ack means a redelivery, which meets the fence that was just made durable.
                drop(delivery.ack().await);
            }
            if let Some(prepared) = after.put_back {
                self.write_ended(&prepared.item.envelope.key);
                self.put_back(prepared);
            } else if let (Some(key), true) = (&after.key, after.unlock) {
                self.lanes.release(key);
            }
        }
        crash::point("worker.acked");
        if in_doubt {
            self.line.doubt();
        }
        self.recount_if_unsure().await;
    }

    fn believe_rejects_again(&mut self) {
        if self.forgiving {
            self.forgiving = false;
            self.streak = RejectStreak::new(self.plan.reject_limit);
        }
        self.streak.on_success();
    }

    async fn count(&mut self, key: Option<&Key>, seq: Option<Seq>, effect: Effect, applied: Applied) {
        let (Some(key), Some(seq)) = (key, seq) else { return };
        let route = self.plan.name.clone();
        let settled = |outcome: &str| {
            self.ports.metrics.settled.with_label_values(&[route.as_str(), outcome]).inc();
        };
        let has_outcome = matches!(effect, Effect::Delivered(_) | Effect::Skipped(..) | Effect::Dead { .. });
        if has_outcome && !self.ports.requires.is_empty() {
            self.ports.arrivals.found(&self.plan.name, key);
        }
        let waited = match effect {
            Effect::Delivered(waited) => {
                settled("delivered");
                self.ports.arrivals.delivered(&self.plan.name, key);
                self.believe_rejects_again();
                waited
            }
            Effect::Skipped(reason, waited) => {
                settled("skipped");
                self.ports.metrics.skipped.with_label_values(&[route.as_str(), reason]).inc();
                waited
            }
            Effect::Dead { waited, rejected } => {
                settled("dead_lettered");
                self.index.died(key);
                if let (true, Applied::Dead(id)) = (rejected, applied) {
                    self.rejected(key, id).await;
                }
                waited
            }
            Effect::Superseded(waited) => {
                settled("superseded");
                waited
            }
            Effect::Held => matches!(applied, Applied::Ignored | Applied::Replaced { .. } | Applied::Outdated),
            Effect::None => {
                self.drop_rowless(key, seq);
                false
            }
        };
        // The row that it came from may hold a newer version by now.
        if waited && !self.line.take_rowless(key, seq) {
            self.index.left(key);
        }
    }
}
