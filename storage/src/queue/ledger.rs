//! What the broker knows in memory: streams, their tails, and each queue's place; and how floors reach the disk.
//!
//! Acks are not written one by one. A queue's floor is written in whatever transaction the writer commits next, and
//! log rows that every queue of the stream has passed are deleted there. A crash therefore hands out again what was
//! acked in the last moments, and everything acked above the floor; the fence of each key absorbs that.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus_core::ports::broker::{BrokerHealth, Keep};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{Envelope, Moment, QueueName, StreamName};
use rusqlite::Connection;
use tokio::sync::{Notify, watch};

use super::line::Line;
use super::log;
use super::tail::Tail;
use crate::failure::Failure;
use crate::number::signed;
use crate::writer::Chore;

/// Memory for the tails of all streams together.
const TAILS: usize = 16 * 1024 * 1024;

/// Log rows deleted per stream in one transaction, so that a long backlog, once acked, does not hold up publishers.
const DELETED_AT_ONCE: u64 = 16 * 1024;

/// How often ages are looked at when nothing is published.
const AGE_PERIOD_MS: i64 = 5_000;

/// One stream.
pub(crate) struct Stream {
    pub id: i64,
    state: Mutex<StreamState>,
}

/// What changes with every message. The lock is held for memory accesses only.
pub(crate) struct StreamState {
    /// The last durable position.
    pub end: u64,
    /// Everything up to here was deleted from the log.
    pub deleted: u64,
    pub tail: Tail,
    pub queues: Vec<Queue>,
}

/// One queue of a stream.
pub(crate) struct Queue {
    pub id: i64,
    pub name: QueueName,
    pub keep: Option<Keep>,
    pub line: Line,
    /// The floor on disk.
    pub stored: u64,
    /// Counts consumers, so that what a former one still holds cannot be acked any more.
    pub generation: u64,
    /// Whether the consumer of this generation is there.
    pub taken: bool,
    /// Deleted: nothing is kept for it. Its index stays, others count on theirs.
    pub removed: bool,
    /// Wakes the consumer: something was appended, or room was made.
    pub wake: Arc<Notify>,
}

impl Stream {
    pub fn new(id: i64, end: u64, deleted: u64) -> Self {
        Self { id, state: Mutex::new(StreamState { end, deleted, tail: Tail::default(), queues: Vec::new() }) }
    }

    /// A panic elsewhere leaves counters that are each right by themselves, so poison is ignored.
    pub fn lock(&self) -> MutexGuard<'_, StreamState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All streams that have queues. Outlives the broker as the writer's chore, and holds no database.
pub(crate) struct Ledger {
    streams: Mutex<HashMap<StreamName, Arc<Stream>>>,
    queues: Mutex<HashMap<QueueName, (Arc<Stream>, usize)>>,
    /// A floor has moved since it was last written.
    pub moved: AtomicBool,
    bounded: AtomicBool,
    ages_seen: Mutex<i64>,
    /// Of the transaction that is being written.
    writing: Mutex<Vec<Written>>,
    health: watch::Sender<BrokerHealth>,
}

/// What the open transaction changes, to be taken over once it is durable.
struct Written {
    stream: Arc<Stream>,
    deleted: u64,
    /// Queue (by index) and floor.
    floors: Vec<(usize, u64)>,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            streams: Mutex::default(),
            queues: Mutex::default(),
            moved: AtomicBool::new(false),
            bounded: AtomicBool::new(false),
            ages_seen: Mutex::new(0),
            writing: Mutex::default(),
            health: watch::Sender::new(BrokerHealth::Connected),
        }
    }

    pub fn stream(&self, name: &StreamName) -> Option<Arc<Stream>> {
        lock(&self.streams).get(name).cloned()
    }

    pub fn queue(&self, name: &QueueName) -> Option<(Arc<Stream>, usize)> {
        lock(&self.queues).get(name).cloned()
    }

    pub fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.health.subscribe()
    }

    /// Takes a durable queue into memory, with what its stream is if that is new; again: takes its new bounds over.
    pub fn add(&self, stream: &StreamName, found: Stream, queue: Queue) {
        if queue.keep.is_some() {
            self.bounded.store(true, Ordering::Relaxed);
        }
        let stream = lock(&self.streams).entry(stream.clone()).or_insert_with(|| Arc::new(found)).clone();
        let name = queue.name.clone();
        let mut state = stream.lock();
        let index = match state.queues.iter().position(|known| known.id == queue.id) {
            Some(index) if state.queues[index].removed => {
                let generation = state.queues[index].generation + 1;
                state.queues[index] = Queue { generation, ..queue };
                index
            }
            Some(index) => {
                state.queues[index].keep = queue.keep;
                index
            }
            None => {
                state.queues.push(queue);
                state.queues.len() - 1
            }
        };
        drop(state);
        lock(&self.queues).insert(name, (stream, index));
    }

    /// After the commit that deletes it: what its consumer still holds cannot be acked any more.
    pub fn remove(&self, name: &QueueName) {
        let Some((stream, index)) = lock(&self.queues).remove(name) else { return };
        let mut state = stream.lock();
        let queue = &mut state.queues[index];
        queue.removed = true;
        queue.taken = false;
        queue.generation += 1;
        self.moved.store(true, Ordering::Relaxed);
    }

    /// After the commit, on the writer's thread, hence in the order of positions.
    pub fn appended(&self, stream: &Stream, first: u64, messages: Vec<Envelope>) {
        let bound = TAILS / lock(&self.streams).len().max(1);
        let mut state = stream.lock();
        state.end = first + messages.len() as u64 - 1;
        state.tail.append(first, messages, bound);
        for queue in &state.queues {
            queue.wake.notify_one();
        }
    }

    /// A full disk is a state in which publishers wait, not an error of their messages.
    pub fn note_health(&self, outcome: Result<(), &StateError>) {
        let now = match outcome {
            Ok(()) => BrokerHealth::Connected,
            Err(error) => BrokerHealth::Blocked(error.to_string()),
        };
        self.health.send_if_modified(|health| std::mem::replace(health, now.clone()) != now);
    }

    fn ages_due(&self) -> bool {
        self.bounded.load(Ordering::Relaxed) && Moment::now().0 - *lock(&self.ages_seen) >= AGE_PERIOD_MS
    }

    /// Before the commit that deletes the rows, so that a consumer never looks for a row that is gone. If the commit
    /// fails, the rows stay on disk and come back with a restart.
    fn drop_oldest(&self, stream: &Stream, index: usize, floor: u64) {
        let mut state = stream.lock();
        let queue = &mut state.queues[index];
        let dropped = queue.line.raise(floor);
        if dropped > 0 {
            tracing::warn!(queue = %queue.name, dropped, "the oldest messages were dropped by the queue's bound");
        }
    }

    fn write_stream(&self, connection: &Connection, stream: &Arc<Stream>) -> Result<Written, Failure> {
        let (deleted, end, planned) = {
            let state = stream.lock();
            let plan =
                |(index, queue): (usize, &Queue)| (index, queue.id, queue.line.floor(), queue.stored, queue.keep);
            let there = state.queues.iter().enumerate().filter(|(_, queue)| !queue.removed);
            (state.deleted, state.end, there.map(plan).collect::<Vec<_>>())
        };
        // Without a queue nobody needs anything.
        let (mut floors, mut lowest) = (Vec::new(), end);
        for (index, id, mut floor, stored, keep) in planned {
            if let Some(keep) = keep
                && let Some(cut) = log::over_bound(connection, stream.id, floor, keep, Moment::now())?
            {
                floor = cut;
                self.drop_oldest(stream, index, cut);
            }
            if floor > stored {
                let mut update = connection.prepare_cached("UPDATE queues SET floor = ?2 WHERE id = ?1")?;
                update.execute((id, signed(floor)))?;
                floors.push((index, floor));
            }
            lowest = lowest.min(floor);
        }
        let mut upto = deleted;
        if lowest > deleted {
            upto = lowest.min(deleted + DELETED_AT_ONCE);
            if upto < lowest {
                self.moved.store(true, Ordering::Relaxed);
            }
            log::delete(connection, stream.id, deleted, upto)?;
        }
        Ok(Written { stream: stream.clone(), deleted: upto, floors })
    }
}

impl Chore for Ledger {
    fn due(&self) -> bool {
        self.moved.load(Ordering::Relaxed) || self.ages_due()
    }

    fn write(&self, connection: &Connection) -> Result<(), Failure> {
        if !self.moved.swap(false, Ordering::Relaxed) && !self.bounded.load(Ordering::Relaxed) {
            return Ok(());
        }
        *lock(&self.ages_seen) = Moment::now().0;
        let streams: Vec<_> = lock(&self.streams).values().cloned().collect();
        let written = streams.iter().map(|stream| self.write_stream(connection, stream)).collect::<Result<_, _>>();
        match written {
            Ok(written) => {
                *lock(&self.writing) = written;
                Ok(())
            }
            Err(failure) => {
                self.moved.store(true, Ordering::Relaxed);
                Err(failure)
            }
        }
    }

    fn done(&self, durable: bool) {
        let written = std::mem::take(&mut *lock(&self.writing));
        if !durable {
            // Harmless if nothing had moved: the next chore finds nothing to write.
            self.moved.store(true, Ordering::Relaxed);
            return;
        }
        for Written { stream, deleted, floors } in written {
            let mut state = stream.lock();
            state.deleted = deleted;
            for (index, floor) in floors {
                state.queues[index].stored = floor;
            }
        }
    }
}

/// See [`Stream::lock`].
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
