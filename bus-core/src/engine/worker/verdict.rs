//! From the outcome of an attempt to what happens to the message, by the one table of `policy::decide`.

use futures::FutureExt;

use super::attempt::Ended;
use super::batch::{self, Company};
use super::item::{Item, Prepared};
use super::pending::{After, Effect};
use super::{Pause, Worker};
#[cfg(feature = "failpoints")]
use crate::engine::crash::{self, Plant};
use crate::engine::incident::Kind;
use crate::policy::{Attempt, BreakerState, Disposition, Idempotency, decide};
use crate::ports::state::{Change, DeadLetter, HoldReason, Replay, ReplayMode, Settled, Settlement};
use crate::vocabulary::{DeliveryError, Exchange, Fault, Key, Moment, Operation, Receipt};

impl Worker {
    /// And every other attempt that has ended meanwhile: there are at most as many as the concurrency allows.
    pub(super) fn judge_all(&mut self, ended: Ended) {
        self.judge(ended);
        while let Some(Some(ended)) = self.attempts.next().now_or_never() {
            self.judge(ended);
        }
    }

    fn judge(&mut self, ended: Ended) {
        let Ended { load, verdict, outcomes, elapsed } = ended;
        let Some(outcomes) = outcomes else {
            drop(verdict);
            for prepared in load.into_iter().rev() {
                self.write_ended(&prepared.item.envelope.key);
                self.put_back(prepared);
            }
            return;
        };
        let route = self.plan.name.as_str();
        let told = batch::told(&outcomes);
        let result = told.map_or("ok", |error| error.fault.as_str());
        self.ports.metrics.attempts.with_label_values(&[route, result]).inc();
        self.ports.metrics.attempt_seconds.with_label_values(&[route]).observe(elapsed.as_secs_f64());
        // How long several records take follows their number, and says nothing about strain.
        let verdict = if load.len() == 1 { verdict.after(elapsed) } else { verdict };
        if let Some(first) = load.first() {
            let (fault, message) = (told.map(|error| error.fault), told.map_or("", |error| error.message.as_str()));
            verdict.tell(&first.item.envelope.key, fault, message);
        }
        let company = Company::of(&outcomes);
        // From the back, because what is sent again goes to the front.
        for (prepared, outcome) in load.into_iter().zip(outcomes).rev() {
            self.note_attempt(&prepared, elapsed, &outcome);
            self.remember_write(&prepared, &outcome);
            self.conclude(prepared, outcome, company);
        }
    }

    /// Also for a message that is not sent because a mark says that it was.
    pub(super) fn conclude(
        &mut self,
        mut prepared: Prepared,
        outcome: Result<Receipt, DeliveryError>,
        company: Company,
    ) {
        let attempt = Attempt { number: prepared.item.attempts + 1, redelivered_with_mark: prepared.marked };
        let idempotency = self.ports.target.idempotency();
        let disposition = decide(&self.plan.retry, idempotency, attempt, &outcome, fastrand::f64());
        if let Err(error) = &outcome {
            self.status.send_modify(|status| status.last_error = Some(error.message.clone()));
        }
        if self.is_outage(idempotency, &outcome) {
            // A receiver that hangs is down, whatever this message is: an outage costs no message its attempts. But it
            // goes aside, because it may be the one that hangs it: another one has to be the next probe.
            let after = self.plan.retry.backoff(attempt.number, fastrand::f64());
            return self.retry_key(prepared.item, Moment::now().after(after), false);
        }
        match (disposition, outcome) {
            (Disposition::Delivered(receipt), _) => self.delivered(prepared, receipt),
            (Disposition::DeadLetter, Err(error)) if may_split(&error, idempotency, company) => {
                // One of them may have spoilt it for the others: halved until each has a verdict of its own.
                prepared.most = prepared.most.min(company.size / 2);
                if error.fault == Fault::Ambiguous && self.ports.echo.is_some() {
                    self.send_again_when_remembered(prepared);
                } else {
                    self.send_again(prepared);
                }
            }
            (Disposition::RetrySystem | Disposition::SlowDown { .. }, _) => self.send_again(prepared),
            (Disposition::RetryKey { after }, _) => {
                prepared.item.attempts += 1;
                self.retry_key(prepared.item, Moment::now().after(after), true);
            }
            (Disposition::Repeat { after }, _) => {
                prepared.item.attempts += 1;
                self.retry_key(prepared.item, Moment::now().after(after), false);
            }
            (Disposition::DeadLetter, Err(error)) => self.bury(prepared, error, company),
            (Disposition::PauseRoute, Err(error)) => {
                self.pause(error.message, false);
                self.send_again(prepared);
            }
            (Disposition::DeadLetter | Disposition::PauseRoute, Ok(_)) => {
                unreachable!("the table answers a success with Delivered only")
            }
        }
    }

    fn is_outage(&self, idempotency: Idempotency, outcome: &Result<Receipt, DeliveryError>) -> bool {
        let unanswered = matches!(outcome, Err(error) if error.fault == Fault::Ambiguous);
        let open = !matches!(self.ports.gate.breaker(), BreakerState::Closed { .. });
        idempotency == Idempotency::Idempotent && unanswered && open
    }

    fn delivered(&mut self, prepared: Prepared, receipt: Receipt) {
        let present = prepared.leaves_present();
        let item = prepared.item;
        let fence = Settled {
            id: Some(item.envelope.id),
            present,
            doubt: false,
            receiver_id: receipt.receiver_id.clone().or(prepared.parcel.receiver_id),
            ..self.raised(&item)
        };
        let change = Change::Settle {
            key: item.envelope.key.clone(),
            seq: item.seq(),
            id: item.envelope.id,
            outcome: Settlement::Delivered { present, receiver_id: receipt.receiver_id },
        };
        self.ports.incidents.close(Kind::RoutePaused, self.plan.name.as_str());
        self.probing = false;
        self.status.send_modify(|status| {
            status.last_error = None;
            status.last_delivered = Some(Moment::now());
        });
        let effect = Effect::Delivered(item.is_waiting());
        self.pending.push(change, After::of(item, true, Some(fence), effect));
    }

    /// Known not to have been applied, and the message is not to blame: it stays at the head of its key.
    fn send_again(&mut self, prepared: Prepared) {
        self.write_ended(&prepared.item.envelope.key);
        if self.ports.target.idempotency() == Idempotency::Idempotent {
            self.put_back(prepared);
            return;
        }
        // The next attempt marks again, so the mark must be gone durably before it: else the two writes could cross.
        let change = Change::Unmark { id: prepared.item.envelope.id };
        self.pending.push(change, After { put_back: Some(prepared), ..After::default() });
    }

    /// It may have been applied: until that is durable the write is under way for the route that carries the entity back (E5).
    fn send_again_when_remembered(&mut self, prepared: Prepared) {
        // Behind what `remember_write` has noted, in the same transaction; where a repeat does no harm there is no mark.
        let change = Change::Unmark { id: prepared.item.envelope.id };
        self.pending.push(change, After { put_back: Some(prepared), ..After::default() });
    }

    fn retry_key(&mut self, item: Item, not_before: Moment, clear_mark: bool) {
        #[cfg(feature = "failpoints")]
        if crash::planted(Plant::NackOnFailure) && !item.is_waiting() {
            let key = item.envelope.key.clone();
            if let Some(delivery) = item.into_delivery() {
                delivery.nack();
            }
            self.lanes.release(&key);
            return;
        }
        self.set_aside(item, HoldReason::Retry, not_before, clear_mark);
    }

    /// The key waits, and everything of it that was in hand stays behind it; other keys flow.
    pub(super) fn set_aside(&mut self, item: Item, reason: HoldReason, not_before: Moment, clear_mark: bool) {
        let key = item.envelope.key.clone();
        let behind = self.lanes.drain_key(&key);
        if item.is_waiting() {
            // What waits for a map or a record is looked at again and again, and noted once (see `hold_for`).
            if !matches!(reason, HoldReason::Map | HoldReason::Requires) {
                self.note_held(&item, reason, not_before);
            }
            let change = Change::Defer {
                key: key.clone(),
                seq: item.seq(),
                id: item.envelope.id,
                not_before,
                attempts: item.attempts,
                reason,
                clear_mark,
            };
            self.pending.push(change, After::of(item, true, None, Effect::None));
        } else {
            self.hold(item, reason, not_before, clear_mark, true);
        }
        self.put_behind(behind, not_before);
    }

    /// Messages of a key that must wait now: those from the queue enter `waiting`, those from there are put down.
    pub(super) fn put_behind(&mut self, behind: Vec<Item>, not_before: Moment) {
        for item in behind {
            if item.is_waiting() {
                self.drop_rowless(&item.envelope.key, item.seq());
                self.line.unload(&item.envelope.key, item.seq());
            } else {
                self.hold(item, HoldReason::Behind, not_before, false, false);
            }
        }
    }

    fn bury(&mut self, prepared: Prepared, error: DeliveryError, company: Company) {
        let Prepared { item, parcel, marked, .. } = prepared;
        let letter = DeadLetter {
            envelope: Some(item.envelope.clone()),
            raw: None,
            transformed: Some(parcel.body),
            exchange: error.exchange,
            fault: error.fault.as_str().to_owned(),
            message: error.message,
            attempts: item.attempts + u32::from(!marked),
            at: Moment::now(),
        };
        let keep_mark = error.fault == Fault::Ambiguous;
        // Something else in the same request was accepted: this one was rejected for its own sake.
        let in_a_row = error.fault == Fault::Rejected && !company.accepted;
        let logged = letter.message.clone();
        self.dead_letter(item, letter, &logged, (keep_mark, in_a_row));
    }

    /// A message that is not sent at all; the fault is a fixed word.
    pub(super) fn bury_unsent(&mut self, item: Item, fault: &str, message: String) {
        self.bury_late(item, fault, None, message);
    }

    /// The same; the letter may say more than the log.
    pub(super) fn bury_late(&mut self, item: Item, fault: &str, said: Option<String>, logged: String) {
        let letter = DeadLetter {
            envelope: Some(item.envelope.clone()),
            raw: None,
            transformed: None,
            exchange: Exchange::default(),
            fault: fault.to_owned(),
            message: said.unwrap_or_else(|| logged.clone()),
            attempts: item.attempts,
            at: Moment::now(),
        };
        self.dead_letter(item, letter, &logged, (false, false));
    }

    fn dead_letter(&mut self, item: Item, letter: DeadLetter, logged: &str, (keep_mark, rejected): (bool, bool)) {
        let (route, key) = (self.plan.name.as_str(), item.envelope.key.clone());
        tracing::warn!(
            route,
            fault = letter.fault,
            message = %item.envelope.id,
            "dead letter; look at it with `bus dead list --route {route}`: {logged}",
        );
        self.note_dead(&item, &letter);
        let change = Change::Settle {
            key: key.clone(),
            seq: item.seq(),
            id: item.envelope.id,
            outcome: Settlement::DeadLettered { letter: Box::new(letter), keep_mark },
        };
        let mut fence = self.raised(&item);
        // In doubt whether the receiver has it: then a later delete must reach it. The store does the same.
        fence.present |= keep_mark && item.envelope.operation == Operation::Upsert;
        let behind = self.lanes.drain_key(&key);
        self.index.dies(&key);
        let effect = Effect::Dead { waited: item.is_waiting(), rejected };
        self.pending.push(change, After::of(item, true, Some(fence), effect));
        // R10: while the letter is open, its key goes through `waiting`, where a replay can find its place.
        self.put_behind(behind, Moment::now());
    }

    /// A reject is on disk as a dead letter. So many in a row are the route's fault: their letters come back, also those
    /// that were on their way when the route was paused, and the route waits for a person.
    pub(super) async fn rejected(&mut self, key: &Key, id: i64) {
        if self.paused.as_ref().is_some_and(|pause| pause.returns_letters) {
            self.return_letters(vec![id]).await;
        } else if let Some(letters) = self.streak.on_reject(key, id) {
            self.pause(format!("the receiver rejected {} messages of different keys in a row", letters.len()), true);
            self.return_letters(letters).await;
        }
    }

    /// A letter stays where a newer version of its key was settled.
    async fn return_letters(&mut self, letters: Vec<i64>) {
        for id in letters {
            match self.ports.store.replay(id, ReplayMode::Return).await {
                Ok(Replay::Waiting { key, .. }) => {
                    self.index.held(&key);
                    self.fences.forget(&key);
                }
                Ok(Replay::Newer { .. } | Replay::NotFound) => {}
                Err(error) => {
                    self.line.count_again();
                    self.store_failed(&error);
                }
            }
        }
        self.reload_dead().await;
    }

    /// After a commit whose outcome was in doubt, only the store knows what waits. Not while another one is on its way.
    pub(super) async fn recount_if_unsure(&mut self) {
        if !self.line.is_unsure() || !self.flushing.is_empty() {
            return;
        }
        match self.ports.store.open_route(&self.plan.name).await {
            Ok(state) => {
                self.index.recount(&state, self.pending.held());
                self.line.counted();
                self.ports.incidents.close(Kind::StoreFailing, self.plan.name.as_str());
            }
            Err(error) => {
                self.line.count_later();
                self.store_failed(&error);
            }
        }
    }

    /// A person, or we, moved letters. A letter that is being committed now is not known by its key before that is over.
    pub(super) async fn reload_dead(&mut self) {
        match self.ports.store.open_route(&self.plan.name).await {
            Ok(state) => self.index.set_dead(state.dead),
            Err(error) => {
                self.line.count_again();
                self.store_failed(&error);
            }
        }
        if !self.flushing.is_empty() {
            self.line.count_again();
        }
    }

    pub(super) fn pause(&mut self, reason: String, returns_letters: bool) {
        let remedy = format!(
            "no message is lost; mend the cause, then `bus resume {}` (one message is tried every {} s anyway); if the \
             messages are to blame, `bus resume` lets them become dead letters",
            self.plan.name,
            self.plan.pause.as_secs()
        );
        self.ports.incidents.open(Kind::RoutePaused, self.plan.name.as_str(), &reason, &remedy);
        self.paused =
            Some(Pause { reason, returns_letters, until: Some(tokio::time::Instant::now() + self.plan.pause) });
        self.permit = None;
    }

    pub(super) fn resume_when_due(&mut self) {
        let now = tokio::time::Instant::now();
        if self.paused.as_ref().is_some_and(|pause| pause.until.is_some_and(|until| until <= now)) {
            self.paused = None;
            self.probing = true;
            self.line.look_now();
        }
    }
}

/// Whether a verdict that would be a dead letter is that of a request with others in it, all of which may be sent again.
fn may_split(error: &DeliveryError, idempotency: Idempotency, company: Company) -> bool {
    let repeatable = error.fault != Fault::Ambiguous || idempotency == Idempotency::Idempotent;
    error.shared && company.size > 1 && repeatable
}
