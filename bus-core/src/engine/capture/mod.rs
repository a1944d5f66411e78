//! Capture: one feed's rounds of fetch → seal → publish → confirm → advance → committed.
//!
//! A crash, or dropping the future, at any await leaves one of three situations, and `open` goes on from
//! each: nothing sealed (the same fetch again); sealed (the same batch is published again, same ids and seq, and the
//! fences of the workers absorb what had arrived); advanced (`committed` is called again).

mod aside;
mod between;
mod guard;
mod plan;
mod publish;
mod recheck;
mod scan;
mod stock;
mod told;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::between::Woken;
pub use self::guard::DeletionGuard;
pub use self::plan::{Changes, FeedPlan, FeedStatus, RoundError, StreamPlan};
use super::chronicle::Chronicle;
use super::crash::{self, Plant};
use super::gate::Gate;
use super::incident::{Incidents, Kind};
use super::metrics::Metrics;
use super::pauses::Pauses;
use super::rewind::Rewinds;
use super::seal::{LastPublished, Numbering, seal};
use super::tasks::Tasks;
use crate::policy::{RetryPolicy, Schedule};
use crate::ports::broker::Broker;
use crate::ports::one_step::OneStep;
use crate::ports::permits::Permits;
use crate::ports::runs::Runs;
use crate::ports::source::Source;
use crate::ports::state::{SealedBatch, StateError, StateStore};
use crate::vocabulary::{Cursor, Moment, Record, StreamName};

/// How a source is asked again after a failure: soon at first, then once a minute, without end.
const BACKOFF: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    first: Duration::from_millis(500),
    max: Duration::from_secs(60),
    jitter: crate::policy::Jitter::Equal,
};

/// A feed at work. Owns the source; progress lives in the store.
pub struct Capture {
    plan: FeedPlan,
    ports: CapturePorts,
    status: watch::Sender<FeedStatus>,
    position: Option<Position>,
    /// When the last recheck of this process began, or the last one before it that was done.
    rechecked: Option<Moment>,
    /// An incident about the store may be open that this feed has told; also one of before this process.
    store_failing: bool,
}

/// Where an opened feed stands.
struct Position {
    epoch: u64,
    cursor: Option<Cursor>,
    numbering: Numbering,
    /// `committed` is owed to the source before the next fetch.
    owes_committed: bool,
}

/// What a capture works with.
pub struct CapturePorts {
    /// The reader.
    pub source: Box<dyn Source>,
    /// Where messages go.
    pub broker: Arc<dyn Broker>,
    /// Where progress lives.
    pub store: Arc<dyn StateStore>,
    /// Where the broker keeps its queues in the store's own file.
    pub one_step: Option<Arc<dyn OneStep>>,
    /// When rechecks were made.
    pub runs: Arc<dyn Runs>,
    /// The reading capacity of the source's system; `None` where nothing outside is asked: records that are pushed, or
    /// put together from what is kept here.
    pub gate: Option<Arc<Gate>>,
    /// What people have paused.
    pub pauses: Pauses,
    /// What people want to have read as a whole.
    pub tasks: Tasks,
    /// Orders to go on from another position.
    pub rewinds: Rewinds,
    /// Where trouble is told.
    pub incidents: Incidents,
    /// Counters.
    pub metrics: Metrics,
    /// Where is noted what was read.
    pub chronicle: Chronicle,
}

impl CapturePorts {
    fn permits(&self) -> Permits {
        self.gate.clone().map_or_else(Permits::unbounded, |gate| Permits::new(None, gate))
    }
}

impl Capture {
    /// A feed that has not been opened yet, and where its status can be watched.
    pub fn new(plan: FeedPlan, ports: CapturePorts) -> (Self, watch::Receiver<FeedStatus>) {
        let (status, watched) = watch::channel(FeedStatus::default());
        (Self { plan, ports, status, position: None, rechecked: None, store_failing: true }, watched)
    }

    /// Runs rounds on schedule until stopped. Ends by itself only when the feed must not go on (another process took
    /// it over, its cursor or the store is damaged), with an open incident.
    pub async fn run(mut self, stop: CancellationToken) {
        // What no stream took may have one now; else it is read and told again.
        self.ports.incidents.close(Kind::UntakenEntity, self.plan.name.as_str());
        // Dropping a round at any await is safe (see the module's comment), so stopping needs no cooperation.
        let _ = stop.run_until_cancelled(self.rounds()).await;
    }

    async fn rounds(&mut self) {
        let mut failures = 0;
        let (mut task_failed, mut for_a_task) = (false, false);
        let Some(mut next_recheck) = self.first_recheck().await else { return };
        let mut due = next_recheck.or(self.first_round());
        loop {
            let held = self.ports.gate.as_ref().map_or(Duration::ZERO, |gate| gate.held());
            self.status.send_modify(|status| status.next = Some(due.max(Moment::now().after(held))));
            // Neither a scan that fails nor one scan after the other may keep the feed from its rounds: they take turns.
            let round_first = task_failed || (for_a_task && due <= Moment::now());
            for_a_task = self.sleep_until(due, !round_first).await == Woken::ForATask;
            task_failed = false;
            let recheck = !for_a_task && next_recheck.is_due();
            let ended =
                if for_a_task { self.read_for_a_task().await.map(|()| false) } else { self.round(recheck).await };
            match ended {
                Ok(more) => {
                    failures = 0;
                    if recheck {
                        next_recheck = self.next_recheck();
                    }
                    self.succeeded(next_recheck.is_failing());
                    if !for_a_task {
                        next_recheck.may_go();
                        due = next_recheck.or(if more { Moment::now() } else { self.next_round(due) });
                    }
                }
                Err(error) => {
                    task_failed = for_a_task;
                    let times = if recheck {
                        next_recheck.failed()
                    } else {
                        failures += 1;
                        failures
                    };
                    if !recheck && !for_a_task {
                        next_recheck.may_go();
                    }
                    if self.failed(&error, times) {
                        return;
                    }
                    due = if recheck {
                        // Its own wait does not put the rounds off.
                        next_recheck.or(self.next_round(due))
                    } else {
                        Moment::now().after(BACKOFF.backoff(times, fastrand::f64()))
                    };
                }
            }
        }
    }

    /// One round. `Ok(true)`: another page is ready now.
    pub async fn round(&mut self, recheck: bool) -> Result<bool, RoundError> {
        let mut position = match self.position.take() {
            Some(position) => position,
            None => self.open().await?,
        };
        let permits = self.ports.permits();
        if position.owes_committed {
            self.tell_committed(&mut position, &permits).await?;
        }
        let more = match self.plan.changes {
            Changes::Diff(guard) => self.compare(&mut position, guard, &permits).await.map(|_| false),
            Changes::Cursor { recheck: Some((_, guard)) } if recheck => {
                self.recheck(&mut position, guard, &permits).await.map(|()| true)
            }
            Changes::Cursor { .. } | Changes::Push => self.fetch(&mut position, &permits).await,
        }?;
        // Only a round that ended well keeps its position; after an error or a drop, `open` finds out where we stand.
        self.position = Some(position);
        Ok(more)
    }

    /// Raises the epoch, then finishes what a predecessor had sealed: published again as it was (R2, R7).
    async fn open(&mut self) -> Result<Position, RoundError> {
        let state = self.ports.store.open_feed(&self.plan.name, Moment::now()).await?;
        crash::point("capture.opened");
        let mut position = Position {
            epoch: state.epoch,
            cursor: state.cursor,
            numbering: Numbering::new(state.epoch),
            owes_committed: true,
        };
        if let Some(sealed) = state.sealed {
            self.publish_and_advance(&mut position, &sealed).await?;
        }
        Ok(position)
    }

    async fn fetch(&mut self, position: &mut Position, permits: &Permits) -> Result<bool, RoundError> {
        let batch = self.ports.source.fetch(position.cursor.as_ref(), self.plan.limit, permits).await?;
        crash::point("capture.fetched");
        self.keep_unreadable(&batch.unreadable).await?;
        let next = batch.next.or_else(|| position.cursor.clone());
        let moved = self.publish_new(position, batch.records, next.clone()).await?;
        if moved || next != position.cursor || matches!(self.plan.changes, Changes::Push) {
            position.cursor = next;
            self.tell_committed(position, permits).await?;
        }
        Ok(batch.more || matches!(self.plan.changes, Changes::Push))
    }

    /// A source that wants no requests gets none.
    async fn tell_committed(&mut self, position: &mut Position, permits: &Permits) -> Result<(), RoundError> {
        if let Some(gate) = &self.ports.gate {
            gate.until_not_held().await;
        }
        self.ports.source.committed(position.cursor.as_ref(), permits).await?;
        position.owes_committed = false;
        Ok(())
    }

    /// Seals, publishes and advances what is new among the records. `true` if the store's position was written.
    async fn publish_new(
        &mut self,
        position: &mut Position,
        records: Vec<Record>,
        next: Option<Cursor>,
    ) -> Result<bool, RoundError> {
        let records = self.readable(records).await?;
        let records = self.by_stream(records);
        let mut published = self.last_published(&records).await?;
        let count = |name: &StreamName, of: &mut dyn Iterator<Item = &StreamName>| of.filter(|s| *s == name).count();
        let read: Vec<usize> =
            self.plan.streams.iter().map(|plan| count(&plan.name, &mut records.iter().map(|r| &r.stream))).collect();
        let mut numbering = position.numbering.clone();
        let envelopes = seal(records, &mut published, &mut numbering, Moment::now());
        for (plan, read) in self.plan.streams.iter().zip(read) {
            let sealed = count(&plan.name, &mut envelopes.iter().map(|e| &e.stream));
            self.ports.metrics.read.with_label_values(&[plan.name.as_str()]).inc_by(read as u64);
            self.ports.metrics.unchanged.with_label_values(&[plan.name.as_str()]).inc_by((read - sealed) as u64);
        }
        let batch = SealedBatch { expected: position.cursor.clone(), next, envelopes };
        if batch.envelopes.is_empty() && batch.next == batch.expected {
            return Ok(false);
        }
        if let Some(one_step) = self.ports.one_step.clone() {
            self.take_one_step(&*one_step, position, &batch).await?;
            position.numbering = numbering;
            return Ok(true);
        }
        if !batch.envelopes.is_empty() {
            // Nothing is visible outside before this is durable: a crash after it publishes exactly this again (R1, R4).
            self.ports.store.seal(&self.plan.name, position.epoch, &batch).await?;
            position.numbering = numbering;
            crash::point("capture.sealed");
        }
        self.publish_and_advance(position, &batch).await?;
        Ok(true)
    }

    async fn publish_and_advance(&mut self, position: &mut Position, batch: &SealedBatch) -> Result<(), RoundError> {
        self.ports.chronicle.sealed(&self.plan.name, &batch.envelopes);
        if crash::planted(Plant::AdvanceBeforeConfirm) {
            self.ports.store.advance(&self.plan.name, position.epoch, batch).await?;
            self.publish(&batch.envelopes).await;
        } else {
            self.publish(&batch.envelopes).await;
            crash::point("capture.confirmed");
            // Before the cursor moves, so that the notes of what was read are durable with it.
            self.ports.chronicle.published(&batch.envelopes);
            self.ports.store.advance(&self.plan.name, position.epoch, batch).await?;
        }
        crash::point("capture.advanced");
        position.cursor.clone_from(&batch.next);
        position.owes_committed = true;
        Ok(())
    }

    async fn last_published(&mut self, records: &[Record]) -> Result<LastPublished, StateError> {
        let mut known = LastPublished::new();
        for plan in &self.plan.streams {
            let distinct: HashSet<_> = records.iter().filter(|r| r.stream == plan.name).map(|r| &r.key).collect();
            let keys: Vec<_> = distinct.into_iter().cloned().collect();
            if keys.is_empty() {
                continue;
            }
            let found = self.ports.store.published(&plan.name, &keys).await?;
            let pairs = keys.into_iter().zip(found);
            known.extend(pairs.filter_map(|(key, last)| Some(((plan.name.clone(), key), last?))));
        }
        Ok(known)
    }

    /// The records of each stream together, in the order that the streams are configured in: publish windows are of one
    /// stream each. The order within a stream stays as it is, and there is no other.
    fn by_stream(&self, mut records: Vec<Record>) -> Vec<Record> {
        if self.plan.streams.len() > 1 {
            records.sort_by_key(|record| self.plan.streams.iter().position(|plan| plan.name == record.stream));
        }
        records
    }

    fn first_round(&self) -> Moment {
        match self.plan.schedule {
            Schedule::Every(_) => Moment::now(),
            _ => self.plan.schedule.next_after(Moment::now(), self.plan.timezone),
        }
    }

    fn next_round(&self, due: Moment) -> Moment {
        between::next_round(&self.plan.schedule, self.plan.timezone, due, Moment::now())
    }
}
