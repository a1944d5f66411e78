//! The file: opening, locking, and the threads that read and write it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bus_core::ports::state::StateError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::lock::{ProcessLock, Refusal};
use crate::names::Names;
use crate::schema::{self, Kind};
use crate::work::{Inbox, Request, stopped};
use crate::writer::{self, Chore, Chores, Owner};
use crate::{lock, readers};

/// How often a standby asks for the lock: a takeover may take this long.
const STANDBY_PERIOD: Duration = Duration::from_millis(200);

/// Pages that the write-ahead log may hold before it is copied into the file: 16 MiB, so that the copying, which
/// stops the writer, comes seldom, and a crash leaves little to read again.
const CHECKPOINT_PAGES: i64 = 4000;

/// Why a database was not opened. Every text says what to do or names the file to look at.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{path} is in use by process {}: stop it first", pid.map_or_else(|| "?".into(), |pid| pid.to_string()))]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who holds it, where that is known.
        pid: Option<u32>,
    },
    /// Written by a newer program.
    #[error("{path} was written by a newer version (schema {found}, this program knows {known}): update the program")]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i32,
        /// Ours.
        known: i32,
    },
    /// Not a database of the bus; it is left as it is.
    #[error("{0} is not a database of the bus")]
    NotOurs(PathBuf),
    /// There is no file, and only reading was asked for.
    #[error("there is no database at {0}")]
    Missing(PathBuf),
    /// The directory or file cannot be made or opened.
    #[error("cannot open {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Anything else that SQLite says, damage included.
    #[error("cannot open {path}: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// An open database. Cloning shares it; the last clone to go finishes what was asked, and closes the file.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    names: Names,
    /// `None` when opened for reading only.
    writes: Option<Arc<Inbox>>,
    reads: Arc<Inbox>,
    chores: Arc<Chores>,
    threads: Vec<JoinHandle<()>>,
    /// After `threads`: given up when nothing can be written any more.
    lock: Option<ProcessLock>,
    is_new: bool,
}

impl Database {
    /// Opens the database for this process alone; makes directory and file where they are missing. Blocks for the
    /// time of a few disk accesses.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|source| OpenError::Io { path: directory.to_owned(), source })?;
        }
        let lock = ProcessLock::take(path).map_err(|refusal| match refusal {
            Refusal::Held(pid) => OpenError::InUse { path: path.to_owned(), pid },
            Refusal::Io(source) => OpenError::Io { path: lock::beside(path), source },
        })?;
        // SQLite says only "unable to open database file"; the operating system says why.
        private(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;

        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version = version(path, &connection)?;
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        prepare_writer(&connection).map_err(sqlite)?;
        schema::migrate(&mut connection, version).map_err(sqlite)?;
        Self::start(path, Some((connection, lock)), version == 0)
    }

    /// As [`Database::open`], but waits up to `patience` for another process to end: a standby takes its turn.
    /// Cancel-safe.
    pub async fn open_waiting(path: impl AsRef<Path>, patience: Duration) -> Result<Self, OpenError> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::open(path.as_ref()) {
                Err(OpenError::InUse { .. }) if Instant::now() < deadline => tokio::time::sleep(STANDBY_PERIOD).await,
                outcome => return outcome,
            }
        }
    }

    /// Opens for looking only, also while another process has it open. Every write fails.
    pub fn open_readonly(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(OpenError::Missing(path.to_owned()));
        }
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        version(path, &connection)?;
        Self::start(path, None, false)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Whether it was made just now: nothing is known of what was read and delivered before.
    pub fn is_new(&self) -> bool {
        self.inner.is_new
    }

    /// Notes where this process listens, for [`holder`](crate::holder).
    pub fn announce(&self, listens: SocketAddr) {
        if let Some(lock) = &self.inner.lock {
            lock.announce(listens);
        }
    }

    fn start(path: &Path, writer: Option<(Connection, ProcessLock)>, is_new: bool) -> Result<Self, OpenError> {
        let (reads, chores) = (Arc::new(Inbox::new()), Arc::new(Chores::default()));
        let mut threads = Vec::new();
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
            spawned.map_err(|source| OpenError::Io { path: path.to_owned(), source })
        };
        for _ in 0..readers::READERS {
            let (connection, inbox) = (connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?, reads.clone());
            threads.push(spawn("store-reader", Box::new(move || readers::run(&connection, &inbox)))?);
        }
        let (mut writes, mut lock) = (None, None);
        if let Some((connection, held)) = writer {
            let (inbox, chores) = (Arc::new(Inbox::new()), chores.clone());
            (writes, lock) = (Some(inbox.clone()), Some(held));
            threads.push(spawn("store-writer", Box::new(move || writer::run(&connection, &inbox, &chores)))?);
        }
        let (path, names) = (path.to_owned(), Names::default());
        Ok(Self { inner: Arc::new(Inner { path, names, writes, reads, chores, threads, lock, is_new }) })
    }

    /// A connection for lookups of a caller's own, which sees every write that was answered before.
    pub(crate) fn reader(&self) -> Result<Connection, OpenError> {
        connect(&self.inner.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.inner.names
    }

    /// Gives the writer a chore; `false` if this owner has one. A chore must not hold the database, which it outlives.
    pub(crate) fn register(&self, owner: Owner, chore: Arc<dyn Chore>) -> bool {
        self.inner.chores.set(owner, chore)
    }

    /// Runs `work` in the writer's next transaction and returns when that is durable. Dropped while waiting, the work
    /// is done or not.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StateError> {
        self.write_then(weight, work, |_| ()).await
    }

    /// As [`Database::write`]; `then` runs on the writer's thread right after the commit, in the order of commits,
    /// and also if the caller has gone.
    pub(crate) async fn write_then<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
        then: impl FnOnce(&Result<T, StateError>) + Send + 'static,
    ) -> Result<T, StateError> {
        let inbox = self.writes()?;
        let (sender, receiver) = oneshot::channel();
        let answer = move |outcome: Result<T, StateError>| {
            then(&outcome);
            // The caller may have gone; what it asked for has happened all the same.
            let _ = sender.send(outcome);
        };
        inbox.hand_in(Box::new(Request { work: Some(work), outcome: None, answer, weight })).await?;
        receiver.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Runs a lookup on a reader. Sees everything that was answered before.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StateError> {
        self.start_read(work).await?.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// As [`Database::read`], for a caller that comes back for the answer later.
    pub(crate) async fn start_read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StateError>>, StateError> {
        let (sender, receiver) = oneshot::channel();
        let answer = move |outcome| {
            // As in `write_then`.
            let _ = sender.send(outcome);
        };
        self.inner.reads.hand_in(Box::new(Request { work: Some(work), outcome: None, answer, weight: 0 })).await?;
        Ok(receiver)
    }

    fn writes(&self) -> Result<&Inbox, StateError> {
        let inbox = self.inner.writes.as_deref();
        inbox.ok_or_else(|| StateError::Failed("the database was opened for reading only".into()))
    }
}

impl Drop for Inner {
    /// Finishes what was handed in. Blocks for at most the flushes of that.
    fn drop(&mut self) {
        for inbox in self.writes.iter().chain([&self.reads]) {
            inbox.close();
        }
        for thread in self.threads.drain(..) {
            // The last handle may be dropped by a job on one of our own threads, which cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the database panicked; restart the bus and report it");
            }
        }
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let prepared = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).and_then(|connection| {
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(connection)
    });
    prepared.map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
}

/// Makes the file where it is missing. Records are nobody else's business, hence the mode, which SQLite gives to the files
/// that it keeps beside this one too.
pub(crate) fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// WAL with FULL: a commit returns after its flush, and readers are never in the way.
fn prepare_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "cache_size", -8 * 1024)
}

fn version(path: &Path, connection: &Connection) -> Result<i32, OpenError> {
    match schema::inspect(connection) {
        Ok(Kind::Fresh) => Ok(0),
        Ok(Kind::Ours(found)) if found > schema::CURRENT => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: schema::CURRENT })
        }
        Ok(Kind::Ours(found)) => Ok(found),
        Ok(Kind::Foreign) => Err(OpenError::NotOurs(path.to_owned())),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(OpenError::NotOurs(path.to_owned()))
        }
        Err(source) => Err(OpenError::Sqlite { path: path.to_owned(), source }),
    }
}
