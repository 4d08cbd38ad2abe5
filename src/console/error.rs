//! Why a command failed.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::failure::Refusal;
use super::journal::JournalError;
use crate::domain::text::escape;
use crate::os::state_dir::StateDirError;
use crate::store::StoreError;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum ConsoleError {
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command was refused, by the service or by the console.
    #[error("the command was refused")]
    Refused(Refusal),
    /// The service does not answer.
    #[error(
        "the service with the state directory {} does not answer: {}",
        directory.display(),
        holder.as_ref().map_or("another process".into(), |holder| escape(holder))
            + " holds the lock of the directory"
    )]
    Service {
        /// State directory of the service.
        directory: PathBuf,
        /// Number and name of the process that holds its lock, if known.
        holder: Option<String>,
        /// Error of the connection; `None` if the service accepts none.
        source: Option<io::Error>,
    },
    /// The audit log was changed.
    #[error("the audit log was tampered with or damaged: row {seq} {what}")]
    Broken {
        /// Number of the first row with a fault.
        seq: i64,
        /// Description of the fault, as a predicate of the row.
        what: &'static str,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal contains no line of the audit log's chain.
    #[error("the journal has no line for any row of the audit log (rows: {rows}; chain: {chain})")]
    NotInJournal {
        /// Number of rows of the audit log.
        rows: i64,
        /// Identifier of the audit log's chain.
        chain: String,
    },
    /// An operation on a file, the terminal, standard input or standard output failed.
    #[error("cannot {doing}")]
    Io {
        /// Operation that failed, as a verb phrase.
        doing: &'static str,
        /// Error of the operation.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl From<Refusal> for ConsoleError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Returns a function that converts an error of the operation `doing`.
pub(super) fn io_error<E: StdError + Send + Sync + 'static>(
    doing: &'static str,
) -> impl Fn(E) -> ConsoleError {
    move |source| ConsoleError::Io {
        doing,
        source: source.into(),
    }
}

/// Result of a step of a command.
pub(super) type Done<T = ()> = Result<T, ConsoleError>;
