//! The directory that keeps state: given and lasting, or temporary; and the lock that gives it to one
//! process at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{access, AccessFlags};
use tempfile::TempDir;
use thiserror::Error;

use super::files::own_as_directory;

/// Permission bits of a state directory that the server makes.
const MODE: u32 = 0o700;
/// The file that asks for a factory reset, by the name that the Python server gave it.
pub const RESET: &str = "_TO_BE_DELETED_ON_REBOOT";
/// The file whose lock says who works in the directory.
const LOCK: &str = "lock";
/// How long to wait for a server that stops, or for a command of the console.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two tries.
const RETRY: Duration = Duration::from_millis(20);

/// The state directory cannot be used.
#[derive(Debug, Error)]
pub enum StateDirError {
    /// Making or reading the directory failed.
    #[error("cannot keep state in {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else lies at the path.
    #[error("cannot keep state in {}: it is no directory", path.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory or its lock was removed or replaced.
    #[error("{} is gone: another process may work in the directory", path.display())]
    Gone {
        /// The lock.
        path: PathBuf,
    },
    /// A factory reset was asked for, and something cannot be removed.
    #[error("cannot reset {}: {RESET} asks for it", path.display())]
    Reset {
        /// What cannot be removed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works in the directory.
    #[error("cannot keep state in {}: another server keeps its state there", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
}

/// A directory for state, locked for this process. A temporary one is removed when this is dropped.
#[derive(Debug)]
pub struct StateDir {
    place: Place,
    /// Released by the system when the process ends, however it does.
    lock: Flock<File>,
}

#[derive(Debug)]
enum Place {
    Lasting(PathBuf),
    Temporary(TempDir),
}

impl StateDir {
    /// Opens the directory at `path`, making it (0700) when only it is missing; without a path makes
    /// a temporary one. Waits a moment for another process that is about to leave the directory.
    ///
    /// # Errors
    /// [`StateDirError`] names the directory and the reason.
    pub fn open(path: Option<&Path>) -> Result<Self, StateDirError> {
        let place = match path {
            Some(path) => Place::Lasting(usable(path)?),
            None => TempDir::with_prefix("opentrons-auth-server-")
                .map(Place::Temporary)
                .map_err(|source| StateDirError::Io {
                    path: std::env::temp_dir(),
                    source,
                })?,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = try_lock(place.path())? {
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

    /// Opens the directory at `path`, which must be there, unless another process works in it.
    ///
    /// # Errors
    /// [`StateDirError`] names the directory and the reason.
    pub fn open_if_free(path: &Path) -> Result<Option<Self>, StateDirError> {
        Ok(try_lock(path)?.map(|lock| Self {
            place: Place::Lasting(path.to_owned()),
            lock,
        }))
    }

    /// Makes sure that the directory is still this process's: its lock lies where it did.
    ///
    /// # Errors
    /// [`StateDirError::Gone`].
    pub fn check(&self) -> Result<(), StateDirError> {
        let path = self.path().join(LOCK);
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let ours = self.lock.metadata().map(identity);
        match (ours, fs::metadata(&path).map(identity)) {
            (Ok(ours), Ok(found)) if ours == found => Ok(()),
            _ => Err(StateDirError::Gone { path }),
        }
    }

    /// Removes all that the directory holds, but for its lock, when [`RESET`] lies in it; returns
    /// whether. Symbolic links are removed and not followed. The file itself goes last: a reset that
    /// is cut off goes on at the next start.
    ///
    /// # Errors
    /// [`StateDirError::Reset`] names what cannot be removed.
    pub fn reset_if_asked(&self) -> Result<bool, StateDirError> {
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

    /// The directory's path.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Whether the directory goes with this value.
    pub fn is_temporary(&self) -> bool {
        matches!(self.place, Place::Temporary(_))
    }
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Lasting(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// Removes a file, or a directory with all in it.
fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Makes sure that there is a directory at `path` that can be written.
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
        (_, Ok(_)) => Err(StateDirError::NoDirectory {
            path: path.to_owned(),
        }),
        (Err(source), Err(_)) | (Ok(()), Err(source)) => Err(failed(source)),
    }
}

/// Locks the directory, or returns `None` when another process has locked it.
fn try_lock(directory: &Path) -> Result<Option<Flock<File>>, StateDirError> {
    let failed = |source| StateDirError::Io {
        path: directory.to_owned(),
        source,
    };
    let path = directory.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    own_as_directory(&path).map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(failed(errno.into())),
    }
}
