//! Detects that the database file was removed or replaced while it is open. Such a database keeps
//! working, but everything written to it is lost when it is closed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::database::beside;
use super::error::StoreError;

/// Identity of a file: device and inode number (`inode(7)`).
type Identity = (u64, u64);

/// Files of an open database. SQLite itself does not remove or replace them while they are open.
pub struct Place {
    path: PathBuf,
    database: Identity,
    /// Identity of the write-ahead log, once it has been seen.
    log: OnceLock<Identity>,
}

impl Place {
    /// Records the identity of the database at `path`, which was just opened.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if there is no file at `path` or its metadata cannot be read.
    pub fn of(path: &Path) -> Result<Self, StoreError> {
        let place = Self {
            path: path.to_owned(),
            database: identity(path).map_err(|error| gone(path, error))?,
            log: OnceLock::new(),
        };
        place.check()?;
        Ok(place)
    }

    /// Checks that the open files are still the ones at their paths.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if the database or its write-ahead log was removed or replaced.
    pub fn check(&self) -> Result<(), StoreError> {
        match identity(&self.path) {
            Ok(found) if found == self.database => {}
            Ok(_) => return Err(gone(&self.path, "another file is in its place")),
            Err(error) => return Err(gone(&self.path, error)),
        }
        let log = beside(&self.path, "-wal");
        match (identity(&log), self.log.get()) {
            (Ok(found), Some(log)) if found == *log => Ok(()),
            (Ok(found), None) => {
                // If another thread has just set it, then to the same value.
                let _already_set = self.log.set(found);
                Ok(())
            }
            (Err(_), None) => Ok(()),
            (Ok(_), Some(_)) => Err(gone(&log, "another file is in its place")),
            (Err(error), Some(_)) => Err(gone(&log, error)),
        }
    }
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

fn gone(path: &Path, what: impl std::fmt::Display) -> StoreError {
    StoreError::Gone {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
