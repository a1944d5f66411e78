//! What can be said of a database before a bus uses it. Changes nothing.

use std::fs::OpenOptions;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::lock::{Holder, holder};
use crate::{Database, OpenError};

/// A database that a bus could use, or uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Of SQLite.
    pub version: String,
    /// There is a file; without one, the first start makes it.
    pub exists: bool,
    /// The bus that has it.
    pub holder: Option<Holder>,
}

/// Looks at a database and at what this process may do with it. Blocks for a few disk accesses.
pub fn look(path: &Path) -> Result<Look, OpenError> {
    let io = |path: &Path, source| OpenError::Io { path: path.to_owned(), source };
    let exists = path.exists();
    if exists {
        // Neither cut nor written: whether it could be is all that is asked.
        OpenOptions::new().write(true).open(path).map_err(|error| io(path, error))?;
        drop(Database::open_readonly(path)?);
    }
    // SQLite keeps files beside the database, and the first start may have to make folders.
    let folder = path.ancestors().skip(1).map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    let folder = folder.into_iter().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| io(folder, error.into()))?;
    Ok(Look { version: format!("SQLite {}", rusqlite::version()), exists, holder: holder(path) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_database_is_looked_at_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/bus.db");
        assert!(!look(&path).unwrap().exists);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let database = Database::open(&path).unwrap();
        let seen = look(&path).unwrap();
        assert_eq!((seen.exists, seen.holder.map(|holder| holder.pid)), (true, Some(std::process::id())));
        drop(database);
        let other = folder.path().join("other.db");
        std::fs::write(&other, "these are no pages of SQLite, but more than a hundred bytes of some text: ".repeat(9))
            .unwrap();
        assert!(look(&other).is_err());
        assert!(look(&other.join("bus.db")).is_err(), "under a file");
    }
}
