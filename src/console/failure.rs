//! How a failed command ends: its exit code, and what it prints to standard error.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::error::ConsoleError;
use super::journal::JournalError;
use crate::domain::error::RuleError;
use crate::domain::text::escape;
use crate::http::envelope::ErrorBody;
use crate::http::error::status_and_body;
use crate::logging::{self, escape_json};
use crate::os::owner;
use crate::service::hashing::HashError;
use crate::service::ServiceError;
use crate::store::StoreError;

/// Exit code for a command line that is wrong in itself, as of clap.
const WRONG_USE: u8 = 2;

/// Kind of failure of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An operation failed, or the command was not confirmed.
    Failed,
    /// What the user named does not exist.
    NotFound,
    /// A rule does not allow the change.
    Refused,
    /// The user lacks rights to a file or directory.
    NotPermitted,
}

impl Kind {
    /// Returns the exit code.
    fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed => 1,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::NotPermitted => 5,
        })
    }
}

/// Refusal of a command, with the descriptions for the user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Kind of failure.
    pub kind: Kind,
    /// Envelope of the errors.
    pub body: ErrorBody,
}

impl Refusal {
    /// Creates a refusal with one error.
    pub fn new(kind: Kind, id: &'static str, detail: impl Into<String>) -> Self {
        let body = ErrorBody::new(id, detail.into());
        Self { kind, body }
    }

    /// Creates the refusal of what another version of this program wrote.
    pub fn other_version() -> Self {
        let detail = "the running service has a different version: restart it";
        Self::new(Kind::Failed, "differentVersion", detail)
    }

    /// Creates the refusal of a request that could not be carried out. `detail` describes a broken
    /// rule.
    pub fn of(error: &ServiceError, detail: &dyn Fn(&RuleError) -> String) -> Self {
        let failed = |id| Self::new(Kind::Failed, id, logging::chain(error));
        match error {
            ServiceError::Rule(RuleError::PasswordReplacedMeanwhile)
            | ServiceError::Hash(HashError::Busy) => failed("busy"),
            ServiceError::Rule(rule) => {
                let (status, body) = status_and_body(rule, detail);
                let kind = match rule {
                    _ if status == StatusCode::NOT_FOUND => Kind::NotFound,
                    RuleError::DirectoryTestFailed(_) => Kind::Failed,
                    _ => Kind::Refused,
                };
                Self { kind, body }
            }
            ServiceError::Hash(_) | ServiceError::Store(_) => failed("internalError"),
        }
    }
}

impl ConsoleError {
    /// Returns the refusal that says the same, with the kind of failure and the identifier.
    fn into_refusal(self) -> Refusal {
        let (kind, id) = match &self {
            Self::Broken { .. } => (Kind::Failed, "auditLogBroken"),
            Self::NotInJournal { .. } => (Kind::Failed, "notInJournal"),
            Self::Store(StoreError::NoBackup { .. }) => (Kind::Failed, "noBackup"),
            Self::Journal(JournalError::File { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                (Kind::NotFound, "fileNotFound")
            }
            error if has_cause(error, io::ErrorKind::PermissionDenied) => {
                (Kind::NotPermitted, "notPermitted")
            }
            Self::Service { .. } => (Kind::Failed, "serviceUnavailable"),
            _ => (Kind::Failed, "internalError"),
        };
        match self {
            Self::Refused(refusal) => refusal,
            error => Refusal::new(kind, id, logging::chain(&error)),
        }
    }

    /// Advises the user what to do about lacking rights. `directory`: the state directory.
    pub(super) fn advise_rights(self, directory: &Path) -> Self {
        if !has_cause(&self, io::ErrorKind::PermissionDenied) {
            return self;
        }
        let owner = owner::name(directory).filter(|owner| owner != "root");
        let or_owner = owner.map_or_else(String::new, |owner| format!(" or {owner}"));
        let detail = format!(
            "{}: run the command as root{or_owner}",
            logging::chain(&self)
        );
        Refusal::new(Kind::NotPermitted, "notPermitted", detail).into()
    }

    /// Converts the error of an operation on a file that the user named: says whether the file is
    /// missing.
    pub(super) fn about_named_file(self) -> Self {
        if has_cause(&self, io::ErrorKind::NotFound) {
            let detail = logging::chain(&self);
            return Refusal::new(Kind::NotFound, "fileNotFound", detail).into();
        }
        self
    }
}

/// Returns whether an I/O error of this kind is among the causes of an error.
fn has_cause(error: &(dyn StdError + 'static), kind: io::ErrorKind) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == kind => return true,
            _ => cause = error.source(),
        }
    }
    false
}

/// Prints why a command failed to standard error, with `json` as the envelope of the errors on one
/// line; returns the exit code.
pub fn report(error: ConsoleError, json: bool) -> ExitCode {
    let refusal = error.into_refusal();
    if json {
        print_envelope(&refusal.body);
    } else {
        for detail in refusal.body.details() {
            eprintln!("error: {}", escape(detail));
        }
    }
    refusal.kind.exit_code()
}

/// Prints what is wrong with the command line, or the text of `--help` or `--version`; returns the
/// exit code. If `--json` is among the arguments, an error is printed as an envelope.
pub fn report_wrong_use(error: &clap::Error) -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let json = arguments
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        error.exit();
    }
    let text = error.render().to_string();
    // The usage and a hint follow in further paragraphs.
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = first
        .trim_start_matches("error:")
        .split_whitespace()
        .collect();
    print_envelope(&ErrorBody::new("wrongUse", words.join(" ")));
    ExitCode::from(WRONG_USE)
}

fn print_envelope(body: &ErrorBody) {
    let text = serde_json::to_string(body).expect("an error body can be serialized");
    eprintln!("{}", escape_json(text));
}
