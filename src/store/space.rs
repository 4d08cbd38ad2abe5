//! Space on the disk: what is reserved for administration, and whether the disk is full.
//!
//! What strangers and users cause must not take the last space, else nobody could log in to help. So a
//! reserve is kept ([`Reserve`]), which is given up only for [`Priority::Administration`]. As long as
//! it is given up, or the disk is full, ordinary writes are refused.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::database;
use super::error::{is_full, StoreError};
use crate::domain::decision::Priority;
use crate::logging;
use crate::os::reserve::{is_no_space, Reserve};

/// Free space, besides the reserve, with which the disk is no longer full, in bytes.
const ENOUGH: u64 = 256 << 10;
/// Maximum number of refused writes that are logged in each [`PERIOD`].
const LOGGED: u32 = 10;
/// Length of a period.
const PERIOD: Duration = Duration::from_secs(60);

/// Opens the database at `path` in `directory`, and gives the reserve up if the disk is too full for
/// that. SQLite maps a file of shared memory, and a process that writes to it without space for it on
/// the disk gets SIGBUS (`mmap(2)`), so that must not be left to fail.
///
/// # Errors
/// The errors of [`database::open`].
pub fn open(directory: &Path, path: &Path) -> Result<Connection, StoreError> {
    let reserve = Reserve::of(directory);
    let release = || reserve.release().unwrap_or(false);
    if reserve.free_besides().is_ok_and(|free| free < ENOUGH) {
        release();
    }
    match database::open(path) {
        Err(StoreError::Full { .. }) if release() => database::open(path),
        opened => opened,
    }
}

/// Space on the disk of a database.
pub struct Space {
    /// Path of the database.
    path: PathBuf,
    reserve: Reserve,
    full: watch::Sender<bool>,
    /// Begin of the current period, and number of refused writes logged in it.
    logged: (Instant, u32),
}

impl Space {
    /// Makes the reserve for the database at `path` in `directory`, if there is space for it.
    pub fn keep(directory: &Path, path: &Path) -> Self {
        let space = Self {
            path: path.to_owned(),
            reserve: Reserve::of(directory),
            full: watch::Sender::new(false),
            logged: (Instant::now(), 0),
        };
        match space.reserve.hold() {
            Err(error) if is_no_space(&error) => space.set_full(),
            Err(error) => log::warn!(
                "cannot reserve disk space for administration in {}: {error}",
                directory.display()
            ),
            Ok(()) => {}
        }
        space
    }

    /// Returns whether the disk is full, and changes of that.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.full.subscribe()
    }

    /// Calls `write`, unless its priority is ordinary and only reserved space is left. On a full disk,
    /// calls it again for administration, with the reserve given up. `write` changes nothing if it
    /// fails.
    ///
    /// # Errors
    /// - [`StoreError::Full`] if there is not enough space.
    /// - [`StoreError::Sqlite`] or [`StoreError::Damaged`] if `write` failed for another reason.
    pub fn spend<T>(
        &mut self,
        priority: Priority,
        mut write: impl FnMut() -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if priority == Priority::Ordinary && self.is_full() && !self.holds() {
            return Err(self.refusal());
        }
        let mut done = write();
        let lacks_space = |done: &rusqlite::Result<T>| done.as_ref().is_err_and(is_full);
        if priority == Priority::Administration && lacks_space(&done) {
            self.set_full();
            if self.release() {
                done = write();
            }
        }
        match done {
            Ok(value) => {
                self.check();
                Ok(value)
            }
            Err(error) if is_full(&error) => {
                self.set_full();
                Err(self.refusal())
            }
            Err(error) => Err(StoreError::of(&self.path, "write", error)),
        }
    }

    /// Checks whether a disk that was full has space again, and takes the reserve then.
    pub fn check(&self) {
        if !self.is_full() || !self.holds() {
            return;
        }
        // An error here is no reason to go on refusing; a write will show what is wrong.
        if self
            .reserve
            .free_besides()
            .map_or(true, |free| free >= ENOUGH)
        {
            self.full.send_replace(false);
            log::info!(
                "there is space on the disk of {} again",
                self.path.display()
            );
        }
    }

    /// Logs the error of a refused write, unless there are many.
    pub fn log(&mut self, error: &StoreError) {
        if self.logged.0.elapsed() >= PERIOD {
            self.logged = (Instant::now(), 0);
        }
        self.logged.1 = self.logged.1.saturating_add(1);
        let text = logging::chain(error);
        match self.logged.1 {
            number if number < LOGGED => log::error!("{text}"),
            LOGGED => log::error!("{text}; further such errors are not logged for a while"),
            _ => log::debug!("{text}"),
        }
    }

    fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    /// Takes the reserve, and returns whether it is held, or cannot be had on any disk like this.
    fn holds(&self) -> bool {
        !self.reserve.hold().is_err_and(|error| is_no_space(&error))
    }

    /// Gives the reserve up, and returns whether there was one.
    fn release(&self) -> bool {
        self.reserve.release().unwrap_or_else(|error| {
            log::error!("cannot give up the reserved disk space: {error}");
            false
        })
    }

    fn set_full(&self) {
        if !self.full.send_replace(true) {
            log::error!(
                "disk full: only administrators can log in and make changes: free space in {}",
                self.directory().display()
            );
        }
    }

    fn directory(&self) -> &Path {
        crate::os::files::directory_of(&self.path)
    }

    fn refusal(&self) -> StoreError {
        StoreError::Full {
            path: self.path.clone(),
            doing: "write",
        }
    }
}
