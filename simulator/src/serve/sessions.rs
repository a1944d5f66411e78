//! Sessions: reused by themselves, kept by clients, or one for each request.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::locked;

/// How the service is published, as `reuseSessions` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A pool of sessions; what clients say of sessions does nothing.
    AutoUse,
    /// Clients start and finish sessions with `IBSession`, and name them with a cookie.
    Use,
    /// One session for each request.
    DontUse,
}

/// The publication's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// How sessions are reused.
    pub mode: Mode,
    /// `poolSize`.
    pub size: usize,
    /// `poolTimeout`: how long a request waits for a session before it is refused with 406.
    pub wait: Duration,
    /// `sessionMaxAge`: a session that rests longer is closed.
    pub age: Duration,
}

impl Default for Pool {
    fn default() -> Self {
        Self { mode: Mode::AutoUse, size: 10, wait: Duration::from_secs(5), age: Duration::from_secs(20) }
    }
}

/// The sessions of one base.
pub(super) struct Sessions {
    pool: Pool,
    free: Semaphore,
    /// When each resting session was used last.
    resting: Mutex<Vec<Instant>>,
    kept: Mutex<BTreeMap<String, Instant>>,
    opened: AtomicU64,
}

/// The right to use a session until it is dropped.
pub(super) struct Session<'a> {
    sessions: &'a Sessions,
    /// Opened for this request.
    pub(super) is_new: bool,
    /// `Set-Cookie` of a session that was started.
    pub(super) cookie: Option<String>,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.sessions.pool.mode == Mode::AutoUse {
            locked(&self.sessions.resting).push(Instant::now());
        }
    }
}

impl Sessions {
    pub(super) fn new(pool: Pool) -> Self {
        let free = Semaphore::new(pool.size);
        let (resting, kept) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
        Self { pool, free, resting, kept, opened: AtomicU64::new(0) }
    }

    /// How many were opened: each costs a licence and time.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// A session, or the status of the refusal.
    pub(super) async fn enter(&self, headers: &HeaderMap, exhausted: bool) -> Result<Session<'_>, u16> {
        match self.pool.mode {
            Mode::AutoUse => self.reused(exhausted).await,
            Mode::Use => self.kept_by_client(headers, exhausted),
            Mode::DontUse if exhausted => Err(406),
            Mode::DontUse => Ok(self.open(None, None)),
        }
    }

    async fn reused(&self, exhausted: bool) -> Result<Session<'_>, u16> {
        let size = if exhausted { u32::MAX } else { 1 };
        // More than there are never come: a pool that others have taken.
        let permit = match tokio::time::timeout(self.pool.wait, self.free.acquire_many(size)).await {
            Ok(Ok(permit)) => permit,
            _ => return Err(406),
        };
        let mut resting = locked(&self.resting);
        resting.retain(|used| used.elapsed() < self.pool.age);
        if resting.pop().is_some() {
            return Ok(Session { sessions: self, is_new: false, cookie: None, _permit: Some(permit) });
        }
        drop(resting);
        Ok(self.open(None, Some(permit)))
    }

    fn open<'a>(&'a self, cookie: Option<String>, permit: Option<SemaphorePermit<'a>>) -> Session<'a> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Session { sessions: self, is_new: true, cookie, _permit: permit }
    }

    fn kept_by_client(&self, headers: &HeaderMap, exhausted: bool) -> Result<Session<'_>, u16> {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let word = headers.get("IBSession").and_then(|value| value.to_str().ok());
        let cookie = text(header::COOKIE)
            .and_then(|all| all.split(';').find_map(|one| one.trim().strip_prefix("ibsession=").map(str::to_owned)));
        let mut kept = locked(&self.kept);
        kept.retain(|_, used| used.elapsed() < self.pool.age);
        if let Some(id) = cookie {
            let Some(used) = kept.get_mut(&id) else { return Err(400) };
            *used = Instant::now();
            if word == Some("finish") {
                kept.remove(&id);
            }
            return Ok(Session { sessions: self, is_new: false, cookie: None, _permit: None });
        }
        if exhausted || kept.len() >= self.pool.size {
            return Err(406);
        }
        if word != Some("start") {
            return Ok(self.open(None, None));
        }
        let id = format!("{:08x}-0000-4000-8000-000000000000", self.opened() + 1);
        kept.insert(id.clone(), Instant::now());
        drop(kept);
        Ok(self.open(Some(format!("ibsession={id}")), None))
    }
}
