//! One process per database: an advisory lock on a file beside it, which the kernel releases with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Held as long as this value lives. The file stays: removing it would let two processes lock two different files.
pub(crate) struct ProcessLock {
    _file: File,
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
    /// Takes the lock, or says at once who has it.
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
            Err(TryLockError::WouldBlock) => return Err(Refusal::Held(holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(Refusal::Io(error)),
        }
        // The number is only for people: a failure to write it (full disk) must not keep the bus from starting.
        let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, "the process number was not written to the lock file");
        }
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
