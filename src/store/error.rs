//! What goes wrong with the database.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

/// The database cannot be used, or a write failed. The text names the file and what was tried, and
/// holds nothing that is secret: SQLite's errors name tables and never values.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file is not what was written.
    #[error(
        "the database {} is damaged; it was left as it is: \
         restore a backup with `opentrons-auth-server restore FILE`", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file was written by a newer version of this program.
    #[error(
        "the database {} has version {found}, and this program knows up to {known}; \
         it was left as it is: install the newer program again", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// The file is a database of another program.
    #[error("{} is no database of the auth server", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed.
    #[error("cannot {doing} the database {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// State of the Python server that is in doubt: nothing of it was taken over.
    #[error(
        "cannot take over the Python server's state: {first}{}; nothing was changed: \
         see `opentrons-auth-server import --dry-run`", and_more(*more)
    )]
    NotTakenOver {
        /// Which file, and why.
        first: String,
        /// How many other reasons there are.
        more: usize,
    },
    /// The database is no longer the file at its path: what is written to it is lost.
    #[error("the database {} is gone: {what}", path.display())]
    Gone {
        /// The path.
        path: PathBuf,
        /// What is there instead.
        what: String,
    },
    /// The thread that writes is gone, or failed in the middle.
    #[error("the database is being closed, or a write of it failed inside")]
    Stopped,
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

impl StoreError {
    /// What an error of SQLite means for a file.
    pub fn of(path: &Path, doing: &'static str, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                path,
                source: source.into(),
            },
            _ => match source {
                // A value that no version of this program wrote.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::QueryReturnedNoRows => Self::Damaged {
                    path,
                    source: source.into(),
                },
                source => Self::Sqlite {
                    path,
                    doing,
                    source,
                },
            },
        }
    }
}
