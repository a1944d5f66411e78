//! One process per database: an advisory lock on a file beside it, which the kernel releases with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Held as long as this value lives. The file stays: removing it would let two processes lock two different files.
pub(crate) struct ProcessLock {
    file: File,
}

/// The process that has a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Where it listens; `None` until it does.
    pub listens: Option<SocketAddr>,
}

/// Why the lock was not taken.
pub(crate) enum Refusal {
    /// Another process holds it; its number, if it could be read.
    Held(Option<u32>),
    /// The lock file cannot be used.
    Io(std::io::Error),
}

/// The lock file of a database.
pub(crate) fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

impl ProcessLock {
    /// Takes the lock, or says at once who has it. Everybody may read the file, as far as the folder lets them: it says to the
    /// commands of other users who has the database, and holds nothing else.
    pub fn take(database: &Path) -> Result<Self, Refusal> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(beside(database))
            .map_err(Refusal::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refusal::Held(noted(&mut file).map(|holder| holder.pid))),
            Err(TryLockError::Error(error)) => return Err(Refusal::Io(error)),
        }
        let lock = Self { file };
        lock.note(&std::process::id().to_string());
        Ok(lock)
    }

    /// Notes for commands where this process listens.
    pub fn announce(&self, listens: SocketAddr) {
        self.note(&format!("{}\n{listens}", std::process::id()));
    }

    /// A help for people and commands: a failure to write it (full disk) must not keep the bus from starting.
    fn note(&self, text: &str) {
        let mut file = &self.file;
        let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        if let Err(error) = noted {
            tracing::debug!(%error, "the process was not noted in the lock file");
        }
    }
}

/// Who has a database, as its process noted it; `None` where that has ended. Takes no lock: a bus that starts at this
/// moment would be refused.
pub fn holder(database: &Path) -> Option<Holder> {
    let holder = noted(&mut File::open(beside(database)).ok()?)?;
    let pid = rustix::process::Pid::from_raw(i32::try_from(holder.pid).ok()?)?;
    // Of another user: it is there.
    let alive = !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    alive.then_some(holder)
}

fn noted(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let pid = lines.next()?.parse().ok()?;
    Some(Holder { pid, listens: lines.next().and_then(|line| line.parse().ok()) })
}
