//! The folder that keeps state: given and lasting, or temporary.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use tempfile::TempDir;
use thiserror::Error;

/// Permission bits of a state folder that the server makes.
const MODE: u32 = 0o700;

/// The state folder cannot be used.
#[derive(Debug, Error)]
pub enum StateDirError {
    /// Making or reading the folder failed.
    #[error("cannot keep state in {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else lies at the path.
    #[error("cannot keep state in {}: it is no folder", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
    },
}

/// A folder for state. A temporary one is removed when this is dropped.
#[derive(Debug)]
pub enum StateDir {
    /// The folder that `--persistence-directory` names.
    Lasting(PathBuf),
    /// A folder of this run only.
    Temporary(TempDir),
}

impl StateDir {
    /// Opens the folder at `path`, making it (0700) when only it is missing; without a path makes
    /// a temporary one.
    ///
    /// # Errors
    /// [`StateDirError`] names the folder and the reason.
    pub fn open(path: Option<&Path>) -> Result<Self, StateDirError> {
        let Some(path) = path else {
            return TempDir::with_prefix("opentrons-auth-server-")
                .map(Self::Temporary)
                .map_err(|source| StateDirError::Io {
                    path: std::env::temp_dir(),
                    source,
                });
        };
        let made = DirBuilder::new().mode(MODE).create(path);
        match (made, fs::metadata(path)) {
            (_, Ok(found)) if found.is_dir() => {
                rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| {
                    StateDirError::Io {
                        path: path.to_owned(),
                        source: errno.into(),
                    }
                })?;
                Ok(Self::Lasting(path.to_owned()))
            }
            (_, Ok(_)) => Err(StateDirError::NoFolder {
                path: path.to_owned(),
            }),
            (Err(source), Err(_)) | (Ok(()), Err(source)) => Err(StateDirError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Lasting(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
