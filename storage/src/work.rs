//! A bounded queue of requests to a thread that owns a connection, and the way an answer comes back.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus_core::ports::state::StateError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::failure::Failure;

/// Requests that may wait for a thread; more callers wait before handing theirs in.
const WAITING: usize = 1024;

/// Something to be done on a connection.
pub(crate) trait Job: Send {
    /// Does it and remembers the outcome. `false`: what it wrote must be undone.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Tells the caller: the remembered outcome, or `failed` if nothing of it was kept.
    fn answer(self: Box<Self>, failed: Option<&StateError>);
    /// Roughly how many bytes it writes.
    fn weight(&self) -> usize;
}

/// A closure as a [`Job`], and what is done with its outcome.
pub(crate) struct Request<T, Work, Answer> {
    pub work: Option<Work>,
    pub outcome: Option<Result<T, StateError>>,
    pub answer: Answer,
    pub weight: usize,
}

impl<T, Work, Answer> Job for Request<T, Work, Answer>
where
    T: Send,
    Work: FnOnce(&Connection) -> Result<T, Failure> + Send,
    Answer: FnOnce(Result<T, StateError>) + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        if let Some(work) = self.work.take() {
            self.outcome = Some(work(connection).map_err(|failure| failure.0));
        }
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, failed: Option<&StateError>) {
        let outcome = match failed {
            Some(error) => Err(error.clone()),
            None => self.outcome.unwrap_or_else(|| Err(stopped())),
        };
        (self.answer)(outcome);
    }

    fn weight(&self) -> usize {
        self.weight
    }
}

/// The answer when the thread is gone, which only a closing database or a panic makes it.
pub(crate) fn stopped() -> StateError {
    StateError::Failed("the database has been closed".into())
}

/// Requests in order of arrival. Callers wait without a thread, the owner waits with its own.
pub(crate) struct Inbox {
    state: Mutex<Arrived>,
    arrived: Condvar,
    room: Semaphore,
}

#[derive(Default)]
struct Arrived {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
}

/// What an owner finds when it looks.
pub(crate) enum Taken {
    /// Requests, at least one.
    Jobs(Vec<Box<dyn Job>>),
    /// Nothing came for the whole patience.
    Nothing,
    /// Closed, and every request was taken.
    Closed,
}

impl Inbox {
    pub fn new() -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), room: Semaphore::new(WAITING) }
    }

    /// Hands a request in when there is room. Cancel-safe: dropped before it returns, the request was not handed in.
    pub async fn hand_in(&self, job: Box<dyn Job>) -> Result<(), StateError> {
        let room = self.room.acquire().await.map_err(|_| stopped())?;
        // The place is given back by the owner when it takes the request.
        room.forget();
        self.push(job)
    }

    fn push(&self, job: Box<dyn Job>) -> Result<(), StateError> {
        let mut state = self.lock();
        if state.closed {
            return Err(stopped());
        }
        state.jobs.push_back(job);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes what has arrived, oldest first, up to `most` requests or about `bytes`; waits at most `patience` for the
    /// first.
    pub fn take(&self, most: usize, bytes: usize, patience: Duration) -> Taken {
        let state = self.lock();
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, patience, |state| state.jobs.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut jobs, mut weight) = (Vec::new(), 0);
        while jobs.len() < most && weight < bytes {
            let Some(job) = state.jobs.pop_front() else { break };
            weight += job.weight();
            jobs.push(job);
        }
        let closed = state.closed;
        drop(state);
        self.room.add_permits(jobs.len());
        match (jobs.is_empty(), closed) {
            (false, _) => Taken::Jobs(jobs),
            (true, true) => Taken::Closed,
            (true, false) => Taken::Nothing,
        }
    }

    /// Refuses further requests; those handed in are still done.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.arrived.notify_all();
    }

    /// For the owner's thread: when it ends, by a panic too, nobody may wait for it for ever.
    pub fn closing(&self) -> Closing<'_> {
        Closing(self)
    }

    /// A panic while holding the lock cannot leave the list half changed.
    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the inbox when it is dropped, and drops what is still in it, which answers the callers with an error.
pub(crate) struct Closing<'a>(&'a Inbox);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
        self.0.lock().jobs.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Database, SqliteState};
    use bus_core::ports::state::{Reserved, StateStore};
    use bus_core::vocabulary::{GateName, SystemName};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_waits_for_ever_for_a_writer_that_panicked() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("bus.db")).unwrap();
        let state = SqliteState::new(database.clone());
        let system = GateName::Deliveries(SystemName::new("s").unwrap());
        let broken = database.write(0, |_| -> Result<(), _> { panic!("a planted bug") });
        let (broken, other) = tokio::join!(broken, state.set_gate(&system, Reserved::at(1)));
        assert!(broken.is_err() && other.is_err());
        assert!(state.set_gate(&system, Reserved::at(2)).await.is_err());
        assert_eq!(state.gate(&system).await, Ok(None), "lookups go on");
    }
}
