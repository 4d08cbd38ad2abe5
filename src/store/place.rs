//! Whether the database is still the file at its path. One that was removed or replaced while it is
//! open goes on working, and everything that is written to it is lost at the end.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::database::beside;
use super::error::StoreError;

/// Which file: device and inode.
type Identity = (u64, u64);

/// The files of an open database. SQLite removes none of them while it has them open.
pub struct Place {
    path: PathBuf,
    database: Identity,
    /// The write-ahead log, from when it is first seen.
    log: OnceLock<Identity>,
}

impl Place {
    /// Of the database at `path`, which was just opened.
    ///
    /// # Errors
    /// [`StoreError::Gone`].
    pub fn of(path: &Path) -> Result<Self, StoreError> {
        let place = Self {
            path: path.to_owned(),
            database: identity(path).map_err(|error| gone(path, error))?,
            log: OnceLock::new(),
        };
        place.check()?;
        Ok(place)
    }

    /// Makes sure that what is open lies where it did.
    ///
    /// # Errors
    /// [`StoreError::Gone`].
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
                // Set by another thread just now: to the same.
                let _same = self.log.set(found);
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
