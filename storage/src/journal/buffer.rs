//! Notes between the moment they are made and the transaction that takes them along.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bus_core::ports::state::StateError;
use bus_core::vocabulary::Moment;
use rusqlite::Connection;

use super::JournalBounds;
use super::note::{Lost, Note};
use super::{trim, write};
use crate::failure::Failure;
use crate::number::unsigned;
use crate::writer::Chore;

/// Notes in memory, and as many again on their way to disk. The writer takes them with every transaction, several times a second, so this is reached only while
/// the disk takes nothing; messages cannot be settled then either, and only repeated attempts make notes.
const NOTES: usize = 50_000;
/// Bytes of them, about.
const BYTES: usize = 32 * 1024 * 1024;
/// Notes that cannot be written for so long are given up, so that a bad one does not hold up all others for ever. A full disk
/// is mended sooner, or has stopped everything else as well.
const GIVE_UP_MS: i64 = 3_600_000;
/// Between looks at age and size.
const TRIM_EVERY_MS: i64 = 10_000;

#[derive(Default)]
struct Waiting {
    notes: Vec<Note>,
    bytes: usize,
    lost: Lost,
}

#[derive(Default)]
struct Writing {
    notes: Vec<Note>,
    lost: Lost,
    /// Since when no group of notes could be written.
    failing: Option<Moment>,
    /// `write` succeeded, so its notes are as durable as the transaction.
    written: bool,
}

/// The buffer; the writer's chore.
pub(super) struct Buffer {
    bounds: JournalBounds,
    waiting: Mutex<Waiting>,
    writing: Mutex<Writing>,
    noted: AtomicU64,
    durable: AtomicU64,
    /// When age and size are looked at again, in milliseconds since 1970.
    trim_at: AtomicI64,
}

impl Buffer {
    pub fn new(bounds: JournalBounds) -> Self {
        Self {
            bounds,
            waiting: Mutex::default(),
            writing: Mutex::default(),
            noted: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            trim_at: AtomicI64::new(0),
        }
    }

    /// Never waits for the disk. Beyond the bound a note is counted and lost.
    pub fn add(&self, note: Note) {
        let mut waiting = lock(&self.waiting);
        self.noted.fetch_add(1, Ordering::Release);
        if waiting.notes.len() >= NOTES || waiting.bytes >= BYTES {
            waiting.lost.add(1, Moment::now());
            self.durable.fetch_add(1, Ordering::Release);
            return;
        }
        waiting.bytes += note.bytes();
        waiting.notes.push(note);
    }

    pub fn noted(&self) -> u64 {
        self.noted.load(Ordering::Acquire)
    }

    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// What could not be written goes back before what has come since: steps of one message stay in order.
    fn put_back(&self, writing: &mut Writing) {
        let mut waiting = lock(&self.waiting);
        let mut notes = std::mem::take(&mut writing.notes);
        waiting.bytes += notes.iter().map(Note::bytes).sum::<usize>();
        notes.append(&mut waiting.notes);
        waiting.notes = notes;
        waiting.lost.merge(std::mem::take(&mut writing.lost));
    }

    fn give_up(&self, writing: &mut Writing, error: &StateError) {
        let count = writing.notes.len() as u64;
        tracing::warn!(count, "notes of the journal cannot be written and are given up: {error}");
        writing.notes.clear();
        writing.failing = None;
        writing.lost.add(count, Moment::now());
        self.durable.fetch_add(count, Ordering::Release);
    }
}

impl Chore for Buffer {
    fn due(&self) -> bool {
        let waiting = lock(&self.waiting);
        let some = !waiting.notes.is_empty() || waiting.lost.count > 0;
        drop(waiting);
        some || self.trim_at.load(Ordering::Relaxed) <= Moment::now().0
    }

    fn write(&self, connection: &Connection) -> Result<(), Failure> {
        let now = Moment::now();
        let Waiting { notes, lost, .. } = std::mem::take(&mut *lock(&self.waiting));
        let mut writing = lock(&self.writing);
        (writing.notes, writing.lost) = (notes, lost);
        let due = self.trim_at.load(Ordering::Relaxed) <= now.0;
        let written = write::notes(connection, &writing.notes, writing.lost).and_then(|size| {
            if due || unsigned(size) > self.bounds.bytes {
                let more = trim::step(connection, self.bounds, now)?;
                self.trim_at.store(if more { 0 } else { now.0 + TRIM_EVERY_MS }, Ordering::Relaxed);
            }
            Ok(())
        });
        writing.written = written.is_ok();
        if let Err(Failure(error)) = &written {
            let since = *writing.failing.get_or_insert(now);
            if now.0 - since.0 >= GIVE_UP_MS {
                self.give_up(&mut writing, error);
            }
        }
        written
    }

    fn done(&self, durable: bool) {
        let mut writing = lock(&self.writing);
        if durable && writing.written {
            self.durable.fetch_add(writing.notes.len() as u64, Ordering::Release);
            *writing = Writing::default();
        } else {
            self.put_back(&mut writing);
        }
    }
}

/// A panic cannot leave a list half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
