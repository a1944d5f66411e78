//! `delivery = "latest"`: a newer version takes the place in line of one that waits (D9, D10).
//!
//! What comes while its key has anything in hand goes to `waiting`, over the row of an older version if there is one. Once it is
//! durable there, it takes the place of what is in hand and not under way; that one is settled as superseded, then acked.

use std::time::Duration;

use super::item::{Item, Origin, Prepared};
use super::pending::{After, Effect, Flushed};
use super::{Delivered, Worker};
use crate::ports::journal::What;
use crate::ports::state::{Applied, Change, Replayed, Settlement};
use crate::vocabulary::{Key, Operation, Seq};

/// Once as many are in hand as may be taken, those older than this go to `waiting`, so that newer versions further back
/// in the queue are found; a receiver that keeps up never has them so long.
const LOOK_BACK: Duration = Duration::from_secs(1);

impl Worker {
    /// To the end of its key's line, or in the place of what stands there.
    pub(super) fn line_up_item(&mut self, item: Item) {
        match self.plan.delivery {
            Delivered::Every => self.lanes.push(item),
            Delivered::Latest => {
                if let Some(older) = self.lanes.push_latest(item) {
                    self.supersede(older);
                }
            }
        }
    }

    /// A newer version of what is in hand becomes durable in `waiting` first: only then the older one may be dropped. Dropped
    /// on its word in memory, it could come again after a crash, alone, and be sent after the newer one (D9).
    ///
    /// Not what is under way itself, come again after a lost connection: a row of its own would outlive its outcome. Behind
    /// that it meets its fence, or its own row (D4).
    pub(super) fn waits_for_its_row(&self, key: &Key, seq: Seq) -> bool {
        self.plan.delivery == Delivered::Latest && self.lanes.has(key) && !self.lanes.is_repeat(key, seq)
    }

    /// How long messages may stay unsettled in memory.
    pub(super) fn patience(&self) -> Duration {
        let from_queue = self.in_hand().saturating_sub(self.line.in_hand());
        let crowded = self.plan.delivery == Delivered::Latest && from_queue >= usize::from(self.plan.prefetch);
        if crowded { self.plan.hold.min(LOOK_BACK) } else { self.plan.hold }
    }

    /// What waits for its permit, or was put back after a failure that was not its own, gives its place to a newer
    /// version behind it. Its key stays locked.
    pub(super) async fn renew(&mut self) {
        if self.plan.delivery == Delivered::Every {
            return;
        }
        for key in self.lanes.take_renewed() {
            let Some(place) = self.sendable.iter().position(|prepared| prepared.item.envelope.key == key) else {
                continue; // under way: it is compared again if it is put back
            };
            let Some(newer) = self.lanes.take_newer(&self.sendable[place].item) else { continue };
            let marked = self.look_up(vec![key], vec![newer.envelope.id]).await;
            let Some(Prepared { item, since, .. }) = self.sendable.remove(place) else { continue };
            self.supersede(item);
            if let Some(prepared) = self.prepared(newer, marked.first().copied().unwrap_or(false)).await {
                // Else a key that changes all the time would wait for company for ever.
                self.sendable.insert(place.min(self.sendable.len()), Prepared { since, ..prepared });
            }
        }
    }

    fn supersede(&mut self, older: Item) {
        let (key, seq) = (older.envelope.key.clone(), older.seq());
        if self.drop_rowless(&key, seq) {
            self.line.unload(&key, seq);
            return;
        }
        self.note_skipped(&older, "superseded");
        let upsert = older.envelope.operation == Operation::Upsert;
        let outcome = Settlement::Superseded { upsert };
        let change = Change::Settle { key, seq, id: older.envelope.id, outcome };
        let effect = Effect::Superseded(older.is_waiting());
        self.pending.push(change, After::of(older, false, None, effect));
    }

    /// A message that leaves our hands without an outcome of its own, and whose row holds a newer one: the store has
    /// settled it already. `true` if it was one.
    pub(super) fn drop_rowless(&mut self, key: &Key, seq: Seq) -> bool {
        let rowless = self.line.take_rowless(key, seq);
        if rowless {
            self.count_superseded(seq);
        }
        rowless
    }

    fn count_superseded(&self, seq: Seq) {
        let what = What::Skipped("superseded");
        self.ports.chronicle.step(&self.plan.name, &self.plan.stream, seq, what);
        self.ports.metrics.settled.with_label_values(&[self.plan.name.as_str(), "superseded"]).inc();
    }

    /// A group is on disk: newer versions that it made durable take the place of what is in hand of their keys.
    pub(super) fn replaced(&mut self, flushed: &Flushed) {
        if self.plan.delivery == Delivered::Every {
            return;
        }
        for ((change, applied), after) in flushed.changes.iter().zip(&flushed.applied).zip(&flushed.afters) {
            let Change::Hold { envelope, attempts, doubt, latest: true, .. } = change else { continue };
            let (key, seq) = (&envelope.key, envelope.seq);
            let in_hand = match applied {
                Applied::Yes => false,
                // One in hand is counted when it leaves: it may be under way.
                Applied::Replaced { seq: older } => {
                    let in_hand = self.line.replaced(key, *older);
                    if !in_hand {
                        self.count_superseded(*older);
                    }
                    in_hand
                }
                Applied::Outdated => {
                    self.count_superseded(seq);
                    self.fences.doubt(key);
                    continue;
                }
                Applied::Ignored | Applied::Dead(_) => continue,
            };
            if *doubt || matches!(applied, Applied::Replaced { .. }) {
                self.fences.doubt(key);
            }
            let joins = in_hand || (!after.unlock && self.lanes.has(key));
            // It may have been read from its row between the commit and now: what is in hand then is itself.
            if joins && self.line.load(key, seq) {
                let origin = Origin::Waiting { replayed: Replayed::Never };
                self.line_up_item(Item { envelope: envelope.clone(), origin, attempts: *attempts, doubt: true });
            }
        }
    }
}
