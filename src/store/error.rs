//! Errors of the database.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ffi, ErrorCode};
use thiserror::Error;

use crate::os::files::{denied, directory_of};

/// The database cannot be used, or a write failed. The text names the file and the operation. It
/// contains no secrets, because SQLite's error messages name tables but never values.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is damaged: its content is not what the server wrote.
    #[error(
        "the database {} is damaged and was left unchanged: \
         restore a backup with `opentrons-auth-server restore FILE`", path.display()
    )]
    Damaged {
        /// Path of the database.
        path: PathBuf,
        /// Description of the damage.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database was written by a newer version of this program.
    #[error(
        "the database {} has version {found}, but this program supports only up to {known}; \
         it was left unchanged: install the newer program again", path.display()
    )]
    Newer {
        /// Path of the database.
        path: PathBuf,
        /// Schema version of the database.
        found: u32,
        /// Newest schema version that this program supports.
        known: u32,
    },
    /// The file is not a database of the auth server.
    #[error("{} is not a database of the auth server", path.display())]
    Foreign {
        /// Path of the database.
        path: PathBuf,
    },
    /// The file is no backup that can be restored.
    #[error("cannot restore {}: it {what}; nothing was changed", path.display())]
    NoBackup {
        /// Path of the file.
        path: PathBuf,
        /// What the file is, as a predicate, and what to do.
        what: String,
    },
    /// The disk is full, or only space is left that is reserved for administration.
    #[error(
        "cannot {doing} the database {}: the disk is full: free space in {}",
        path.display(), directory_of(path).display()
    )]
    Full {
        /// Path of the database.
        path: PathBuf,
        /// Attempted operation, as a verb.
        doing: &'static str,
    },
    /// An SQLite operation failed.
    #[error("cannot {doing} the database {}", path.display())]
    Sqlite {
        /// Path of the database.
        path: PathBuf,
        /// Attempted operation, as a verb.
        doing: &'static str,
        /// Error reported by SQLite.
        source: rusqlite::Error,
    },
    /// A file operation failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// Path of the file or directory.
        path: PathBuf,
        /// Attempted operation, as a verb.
        doing: &'static str,
        /// Error reported by the operating system.
        source: io::Error,
    },
    /// The Python server's state cannot be imported completely, so none of it was imported.
    #[error(
        "cannot import the Python server's state: {first}{}; nothing was changed: \
         see `opentrons-auth-server import --dry-run`", and_more(*more)
    )]
    NotImported {
        /// First fault: the file and what is wrong with it.
        first: String,
        /// Number of further faults.
        more: usize,
    },
    /// The open database is no longer the file at its path, so everything written to it is lost.
    #[error("the database {} is gone: {what}", path.display())]
    Gone {
        /// Path of the database or its write-ahead log.
        path: PathBuf,
        /// Description of what is at the path instead.
        what: String,
    },
    /// The writer thread has ended, or panicked during this operation.
    #[error("the database is closed, or its writer thread panicked during this operation")]
    Stopped,
}

/// Returns whether an SQLite error means that the disk is full, also for the file of shared memory.
pub fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
    })
}

/// Formats the number of further faults.
fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

impl StoreError {
    /// Returns the same error about the backup at `named`, of which a copy was used: says what that file
    /// is, and what to do.
    pub fn about_backup(self, named: &Path) -> Self {
        let path = named.to_owned();
        let what = match self {
            Self::Sqlite { doing, source, .. } => {
                return Self::Sqlite {
                    path,
                    doing,
                    source,
                }
            }
            Self::Damaged { source, .. } => format!("is damaged ({source}): use another backup"),
            Self::Foreign { .. } => {
                "is not a database of the auth server, but of another application".into()
            }
            Self::Newer { found, known, .. } => format!(
                "has schema version {found}, but this program supports only up to {known}: install \
                 the newer program first"
            ),
            other => return other,
        };
        Self::NoBackup { path, what }
    }

    /// Returns a function that converts the error of an operation (`doing`, a verb) on a file or directory.
    pub fn io(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            path: path.clone(),
            doing,
            source,
        }
    }

    /// Classifies an SQLite error that occurred during `doing` (a verb) on the database at `path`.
    pub fn of(path: &Path, doing: &'static str, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) {
            return Self::Full { path, doing };
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                path,
                source: source.into(),
            },
            _ => match source {
                // No version of this program writes such values.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::QueryReturnedNoRows => Self::Damaged {
                    path,
                    source: source.into(),
                },
                // SQLite does not tell what it may not access.
                source => match denied(&path) {
                    Some((path, source)) => Self::Io {
                        path,
                        doing: "use",
                        source,
                    },
                    None => Self::Sqlite {
                        path,
                        doing,
                        source,
                    },
                },
            },
        }
    }
}
