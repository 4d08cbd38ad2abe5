//! The state directory, persistent or temporary, and its lock, which only one process can hold at a
//! time.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::Flock;
use nix::unistd::{access, AccessFlags};
use tempfile::TempDir;
use thiserror::Error;

use super::lock::{try_lock, LOCK};

/// File mode of a state directory that the server creates.
const MODE: u32 = 0o700;
/// Name of the file that requests a factory reset. The Python server used the same name.
pub const RESET: &str = "_TO_BE_DELETED_ON_REBOOT";
/// Maximum time to wait for a server that is stopping, or for a console command.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two attempts to lock the directory.
const RETRY: Duration = Duration::from_millis(20);

/// Reason why the state directory cannot be used.
#[derive(Debug, Error)]
pub enum StateDirError {
    /// The directory or its lock file cannot be created, read or written.
    #[error("cannot use the state directory {}", path.display())]
    Io {
        /// Path of the directory.
        path: PathBuf,
        /// Error reported by the operating system.
        source: io::Error,
    },
    /// There is something else than a directory at the path.
    #[error("cannot use the state directory {}: it is not a directory", path.display())]
    NotADirectory {
        /// Path of the directory.
        path: PathBuf,
    },
    /// The directory or its lock file was removed or replaced.
    #[error(
        "{} is gone or was replaced: another process may be using the state directory",
        path.display()
    )]
    Gone {
        /// Path of the lock file.
        path: PathBuf,
    },
    /// A factory reset was requested, but a file cannot be removed.
    #[error("cannot complete the factory reset requested by {RESET}: {}", path.display())]
    Reset {
        /// Path of the file or directory that cannot be read, removed or synced.
        path: PathBuf,
        /// Error reported by the operating system.
        source: io::Error,
    },
    /// Another process is using the directory.
    #[error("cannot use the state directory {}: another process is using it", path.display())]
    InUse {
        /// Path of the directory.
        path: PathBuf,
    },
}

/// State directory that this process has locked. A temporary one is removed when dropped.
#[derive(Debug)]
pub struct StateDir {
    place: Place,
    /// Lock on the lock file. The kernel releases it when the process ends, even if it crashes
    /// (`flock(2)`).
    lock: Flock<File>,
}

/// Location of a state directory.
#[derive(Debug)]
enum Place {
    Persistent(PathBuf),
    Temporary(TempDir),
}

impl StateDir {
    /// Opens and locks the directory at `path`, or a new temporary one without a path. The
    /// directory is created with mode 0700 if it does not exist but its parent does. If another
    /// process holds the lock, waits for up to 5 seconds.
    ///
    /// # Errors
    /// - [`StateDirError::Io`] if the directory or its lock file cannot be created, read or
    ///   written.
    /// - [`StateDirError::NotADirectory`] if there is something else at `path`.
    /// - [`StateDirError::InUse`] if another process does not release the lock in time.
    pub fn open(path: Option<&Path>) -> Result<Self, StateDirError> {
        let place = match path {
            Some(path) => Place::Persistent(usable(path)?),
            None => TempDir::with_prefix("opentrons-auth-server-")
                .map(Place::Temporary)
                .map_err(|source| StateDirError::Io {
                    path: std::env::temp_dir(),
                    source,
                })?,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = lock_at(place.path())? {
                return Ok(Self { place, lock });
            }
            if Instant::now() >= deadline {
                return Err(StateDirError::InUse {
                    path: place.path().to_owned(),
                });
            }
            std::thread::sleep(RETRY);
        }
    }

    /// Opens and locks the existing directory at `path`. Returns `None` if another process holds
    /// the lock.
    ///
    /// # Errors
    /// [`StateDirError::Io`] if the directory does not exist, or its lock file cannot be created or
    /// locked.
    pub fn open_if_free(path: &Path) -> Result<Option<Self>, StateDirError> {
        Ok(lock_at(path)?.map(|lock| Self {
            place: Place::Persistent(path.to_owned()),
            lock,
        }))
    }

    /// Checks that this process still holds the directory: that the lock file at its path is the
    /// one that this process has locked.
    ///
    /// # Errors
    /// [`StateDirError::Gone`] if the lock file was removed or replaced.
    pub fn check(&self) -> Result<(), StateDirError> {
        let path = self.path().join(LOCK);
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let ours = self.lock.metadata().map(identity);
        match (ours, fs::symlink_metadata(&path).map(identity)) {
            (Ok(ours), Ok(found)) if ours == found => Ok(()),
            _ => Err(StateDirError::Gone { path }),
        }
    }

    /// Removes the content of the directory, except the lock file, if the file [`RESET`] exists in
    /// it; returns whether it did. Symbolic links are removed, not followed. [`RESET`] itself is
    /// removed last, so that the next start continues an interrupted reset.
    ///
    /// # Errors
    /// [`StateDirError::Reset`] if a file or directory cannot be read, removed or synced.
    pub fn reset_if_requested(&self) -> Result<bool, StateDirError> {
        let directory = self.path();
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StateDirError::Reset { path, source }
        };
        let marker = directory.join(RESET);
        match fs::symlink_metadata(&marker) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found.map_err(failed(&marker))?,
        };
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let entry = entry.map_err(failed(directory))?;
            if entry.file_name() != LOCK && entry.file_name() != RESET {
                let path = entry.path();
                remove(&path).map_err(failed(&path))?;
            }
        }
        let sync = || File::open(directory)?.sync_all();
        sync().map_err(failed(directory))?;
        remove(&marker).map_err(failed(&marker))?;
        sync().map_err(failed(directory))?;
        Ok(true)
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Returns whether the directory is temporary, and so is removed when this value is dropped.
    pub fn is_temporary(&self) -> bool {
        matches!(self.place, Place::Temporary(_))
    }
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Persistent(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// Removes a file or symbolic link, or a directory with its content.
fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Creates the directory at `path` if it does not exist, checks that it is writable, and returns its
/// path.
fn usable(path: &Path) -> Result<PathBuf, StateDirError> {
    let failed = |source| StateDirError::Io {
        path: path.to_owned(),
        source,
    };
    let made = DirBuilder::new().mode(MODE).create(path);
    match (made, fs::metadata(path)) {
        (_, Ok(found)) if found.is_dir() => {
            access(path, AccessFlags::W_OK | AccessFlags::X_OK)
                .map_err(|errno| failed(errno.into()))?;
            Ok(path.to_owned())
        }
        (_, Ok(_)) => Err(StateDirError::NotADirectory {
            path: path.to_owned(),
        }),
        (Err(source), Err(_)) | (Ok(()), Err(source)) => Err(failed(source)),
    }
}

/// Locks the directory at `path`. Returns `None` if another process holds the lock.
fn lock_at(path: &Path) -> Result<Option<Flock<File>>, StateDirError> {
    try_lock(path).map_err(|source| StateDirError::Io {
        path: path.to_owned(),
        source,
    })
}
