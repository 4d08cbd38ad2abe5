//! Imports the state of the Python server that this program replaces.
//!
//! That state is in the same directory as ours: `VERSION/auth_server.db`. It is found ([`find`]),
//! copied and read with SQLite ([`read`]), converted ([`plan`]), and written in one transaction
//! together with one audit event. Any fault prevents the whole import, unless somebody at the
//! console forces the import of whatever is valid ([`Strictness::Force`]). The original files are not
//! changed, so that an older image finds them if it is installed again.

mod find;
mod plan;
mod read;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{
    params, Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior,
};
use serde::{Deserialize, Serialize};

pub use find::{Fault, Staged};

use super::audit::Observer;
use super::database::{self, connect, DATABASE};
use super::error::StoreError;
use super::{audit, settings, users};
use crate::domain::audit::{hex, ChainHash, IMPORT};
use crate::domain::authority::Caller;
use crate::domain::settings::Settings;
use crate::domain::time::Mark;
use crate::domain::users::{AccountType, User};
use crate::os::clock::Clock;
use crate::os::files::{copy_to_new, open_regular};

/// Maximum number of faults to keep. Further ones are only counted.
const MAX_FAULTS: usize = 200;
/// Maximum number of faults to list in the audit event.
const MAX_LISTED: usize = 20;

/// Obstacles to importing the complete state.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    first: Vec<Fault>,
    count: usize,
}

impl Faults {
    fn add(&mut self, fault: Fault) {
        self.count += 1;
        if self.first.len() < MAX_FAULTS {
            self.first.push(fault);
        }
    }

    /// Returns the number of faults.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns one line for each fault; if there are very many, only for the first ones.
    pub fn lines(&self) -> Vec<String> {
        self.list(MAX_FAULTS)
    }

    /// Returns one line for each fault, but at most `most`, and a line that counts the rest.
    fn list(&self, most: usize) -> Vec<String> {
        let shown = self.first.len().min(most);
        let mut lines: Vec<_> = self.first[..shown].iter().map(Fault::to_string).collect();
        if self.count > shown {
            lines.push(format!("and {} more", self.count - shown));
        }
        lines
    }
}

/// How to deal with faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strictness {
    /// Import the complete state or nothing.
    All,
    /// Import whatever has no faults. Access control is turned on unless it certainly was off.
    Force,
}

/// Copy of the state found in a directory. The console can send it to the process that has our
/// database open.
#[derive(Debug, Serialize, Deserialize)]
pub struct Survey {
    /// Directory that was searched.
    pub directory: PathBuf,
    /// Copy of the database, if there is one that can be copied.
    pub staged: Option<Staged>,
    /// Obstacles found so far.
    pub faults: Vec<Fault>,
}

impl Survey {
    /// Searches `directory` for state of the Python server, and copies it into the directory
    /// `into`. Returns `None` if there is neither state nor a fault.
    pub fn of(directory: &Path, into: &Path) -> Option<Self> {
        let found = find::find(directory);
        let mut faults = found.faults;
        if found.source.is_none() && faults.is_empty() {
            return None;
        }
        let staged = found
            .source
            .and_then(|source| source.stage(into).map_err(|fault| faults.push(fault)).ok());
        Some(Self {
            directory: directory.to_owned(),
            staged,
            faults,
        })
    }

    /// Returns the path of the original database, or of the directory if there is no copy.
    fn file(&self) -> &Path {
        match &self.staged {
            Some(staged) => &staged.file,
            None => &self.directory,
        }
    }
}

/// State that was read with the rights of one user, to be copied with those of another.
pub struct Carried {
    survey: Survey,
    /// Open copies of the staged files, with their names.
    files: Vec<(OsString, File)>,
}

impl Carried {
    /// Searches `directory` for state of the Python server and holds a copy of it. Returns `None`
    /// if there is neither state nor a fault.
    ///
    /// # Errors
    /// The I/O error if the temporary copy cannot be created or read.
    pub fn of(directory: &Path) -> io::Result<Option<Self>> {
        let stage = tempfile::Builder::new()
            .prefix("opentrons-auth-server-")
            .tempdir()?;
        let Some(survey) = Survey::of(directory, stage.path()) else {
            return Ok(None);
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(stage.path())? {
            let entry = entry?;
            files.push((entry.file_name(), open_regular(&entry.path())?));
        }
        Ok(Some(Self { survey, files }))
    }

    /// Copies the state into the directory `into`.
    ///
    /// # Errors
    /// The I/O error if a file cannot be copied.
    pub fn stage(self, into: &Path) -> io::Result<Survey> {
        for (name, file) in self.files {
            copy_to_new(file, &into.join(name))?;
        }
        let mut survey = self.survey;
        if let Some(staged) = &mut survey.staged {
            staged.copy = into.join(find::FILE);
        }
        Ok(survey)
    }
}

/// State to import, converted to ours.
pub struct Import {
    file: PathBuf,
    digest: Option<ChainHash>,
    users: Vec<User>,
    failed_logins: u64,
    settings: Settings,
    settings_changed: usize,
    access_control: bool,
    notes: Vec<String>,
    faults: Faults,
}

/// Summary of what was, or would be, imported.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Path of the original database, or of the directory that was searched.
    pub file: PathBuf,
    /// Number of users.
    pub users: usize,
    /// Number of administrators among them.
    pub administrators: usize,
    /// Number of failed logins of these users.
    pub failed_logins: u64,
    /// Number of settings.
    pub settings: usize,
    /// Whether access control is on after the import.
    pub access_control: bool,
    /// Notes on what was adapted, which are not faults.
    pub notes: Vec<String>,
    /// Faults: what prevents the import or, if it was forced, was skipped.
    pub faults: Vec<String>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "users: {} (administrators: {}), failed logins: {}, settings: {}, access control: {}",
            self.users,
            self.administrators,
            self.failed_logins,
            self.settings,
            if self.access_control { "on" } else { "off" }
        )
    }
}

impl Import {
    /// Reads and converts what was found. `now` maps wall-clock times to our timeline.
    pub fn read(survey: &Survey, now: Mark) -> Self {
        let mut faults = Faults::default();
        for fault in &survey.faults {
            faults.add(fault.clone());
        }
        let mut plan = plan::Plan::new(now);
        let is_certain = faults.count() == 0;
        let is_whole = match &survey.staged {
            Some(staged) => read::read(staged, &mut plan, &mut faults),
            None => false,
        };
        let is_certain = is_certain && is_whole;
        let access_control = match plan.access_control {
            Some(on) if is_certain => on,
            // Without a row, access control was never turned on, but if anything is faulty, the row
            // itself may have been lost.
            None if faults.count() == 0 => false,
            _ => true,
        };
        Self {
            file: survey.file().to_owned(),
            digest: survey.staged.as_ref().map(|staged| staged.digest),
            users: plan.users,
            failed_logins: plan.failed_logins,
            settings: plan.settings,
            settings_changed: plan.settings_changed,
            access_control,
            notes: plan.notes,
            faults,
        }
    }

    /// Summarizes the state to import.
    pub fn summary(&self) -> Summary {
        let is_admin = |user: &&User| user.account_type == AccountType::Admin;
        Summary {
            file: self.file.clone(),
            users: self.users.len(),
            administrators: self.users.iter().filter(is_admin).count(),
            failed_logins: self.failed_logins,
            settings: self.settings_changed,
            access_control: self.access_control,
            notes: self.notes.clone(),
            faults: self.faults.lines(),
        }
    }

    /// Checks that the import may proceed.
    ///
    /// # Errors
    /// [`StoreError::NotImported`] if there are faults and the import is not forced.
    pub fn check(&self, strictness: Strictness) -> Result<(), StoreError> {
        match (strictness, self.faults.first.first()) {
            (Strictness::All, Some(first)) => Err(StoreError::NotImported {
                first: first.to_string(),
                more: self.faults.count - 1,
            }),
            _ => Ok(()),
        }
    }

    /// Creates the database in `directory`, where none exists, with the state in it, and calls
    /// `observer` with the audit row. If that fails, no database is created.
    ///
    /// # Errors
    /// - [`StoreError::Damaged`] if there is a write-ahead log without a database.
    /// - [`StoreError::Sqlite`] or [`StoreError::Io`] if the database cannot be written.
    pub fn make_database(
        &self,
        directory: &Path,
        caller: &Caller,
        observer: Observer,
    ) -> Result<Summary, StoreError> {
        let path = directory.join(DATABASE);
        let (summary, appended) =
            database::create(&path, |connection| self.write(connection, caller))?;
        tell(&summary);
        appended.tell(observer);
        Ok(summary)
    }

    /// Writes the state and its audit event in one transaction. Existing accounts are replaced and
    /// their sessions end. The lab's directory is removed with its users, because the Python server has
    /// none: only the imported users may log in. Access control stays on if it is on already. Returns a
    /// summary of the result.
    ///
    /// # Errors
    /// The SQLite error if the state cannot be written; nothing changes then.
    pub fn write(
        &self,
        connection: &mut Connection,
        caller: &Caller,
    ) -> rusqlite::Result<(Summary, audit::Appended)> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(
            "INSERT OR REPLACE INTO former_username
                 SELECT lower(username), id, full_name FROM user;
             DELETE FROM session;
             DELETE FROM user;
             DELETE FROM directory;",
        )?;
        for user in &self.users {
            users::put(&transaction, user)?;
        }
        settings::put(&transaction, &self.settings)?;
        let mut summary = self.summary();
        let was_on: bool =
            transaction.query_row("SELECT access_control FROM setting", [], |row| row.get(0))?;
        summary.access_control |= was_on;
        settings::set_access_control(&transaction, summary.access_control)?;
        record_source(&transaction, self)?;
        // The Python server sent its events to the audit server, so this event is delivered as well
        // if an audit server is configured.
        audit::set_delivering(&transaction, true)?;
        let event = caller.event(IMPORT, self.message(&summary));
        let appended = audit::append(&transaction, &[event])?;
        transaction.commit()?;
        Ok((summary, appended))
    }

    /// Returns the message of the audit event.
    fn message(&self, summary: &Summary) -> String {
        let mut text = format!(
            "Imported the Python server's state ({summary}) from {:?}",
            self.file
        );
        if let Some(digest) = &self.digest {
            text += &format!(" (SHA-256 {})", hex(digest));
        }
        text += ".";
        for note in &self.notes {
            text += &format!(" {note}.");
        }
        if self.faults.count > 0 {
            let listed = self.faults.list(MAX_LISTED).join("; ");
            text += &format!(" Skipped: {listed}.");
        }
        text
    }
}

/// Records which file was imported, for [`warn_if_changed`].
fn record_source(transaction: &Transaction, import: &Import) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM python_import", [])?;
    if let Some(digest) = &import.digest {
        transaction.execute(
            "INSERT INTO python_import VALUES (1, ?, ?)",
            params![import.file.to_string_lossy(), digest],
        )?;
    }
    Ok(())
}

/// Reads the state that the Python server left in the state directory `directory`, where there is
/// no database of ours yet; `None` if there is nothing. No other process may be using the
/// directory.
///
/// # Errors
/// - [`StoreError::NotImported`] if the state cannot be imported completely.
/// - [`StoreError::Io`] if the directory for the copy cannot be created, or an old copy removed.
pub fn at_first_start(directory: &Path) -> Result<Option<Import>, StoreError> {
    let stage = clean_stage_directory(directory)?;
    let Some(survey) = Survey::of(directory, stage.path()) else {
        return Ok(None);
    };
    let import = Import::read(&survey, Clock::resume(None).1);
    import.check(Strictness::All)?;
    Ok(Some(import))
}

/// Logs what was imported.
pub fn tell(summary: &Summary) {
    let notes = summary.notes.iter().map(|note| format!("; {note}"));
    log::info!(
        "imported the Python server's state from {}, which was left unchanged: {summary}{}",
        summary.file.display(),
        notes.collect::<String>()
    );
    for fault in &summary.faults {
        log::warn!("skipped during the import: {fault}");
    }
}

/// Creates a directory in `directory` for the copy of a [`Survey`], after removing copies left
/// behind by a power cut. No other process may be using `directory`. The new directory is removed
/// when dropped.
///
/// # Errors
/// [`StoreError::Io`] if an old copy cannot be removed or the directory cannot be created.
pub fn clean_stage_directory(directory: &Path) -> Result<tempfile::TempDir, StoreError> {
    find::remove_left_stages(directory)
        .map_err(StoreError::io(directory, "remove an old copy from"))?;
    stage_directory(directory)
}

/// Creates a directory in `directory` for the copy of a [`Survey`]. It is removed when dropped.
///
/// # Errors
/// [`StoreError::Io`] if the directory cannot be created.
pub fn stage_directory(directory: &Path) -> Result<tempfile::TempDir, StoreError> {
    find::stage_directory(directory).map_err(StoreError::io(directory, "create a directory in"))
}

/// Logs a warning if the Python server's state in `directory` differs from the one that was
/// imported: the robot went back to the Python server for a time, or its state was never imported.
///
/// # Errors
/// [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the record of what was imported cannot be
/// read.
pub fn warn_if_changed(directory: &Path) -> Result<(), StoreError> {
    let found = find::find(directory);
    let path = directory.join(DATABASE);
    let imported: Option<(String, ChainHash)> = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?
        .query_row("SELECT file, digest FROM python_import", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .map_err(|source| StoreError::of(&path, "read", source))?;
    let digest = found.source.as_ref().map(find::Source::digest).transpose();
    let fault = found.faults.into_iter().next();
    let now = match (fault, digest) {
        (Some(fault), _) | (None, Err(fault)) => fault.to_string(),
        (None, Ok(None)) => return Ok(()),
        (None, Ok(Some(digest))) => {
            if imported.as_ref().is_some_and(|(_, old)| *old == digest) {
                return Ok(());
            }
            found
                .source
                .map_or_else(String::new, |source| source.file.display().to_string())
        }
    };
    match imported {
        Some((file, _)) => log::warn!(
            "the Python server's state has changed since {file} was imported, and is ignored: \
             {now}; to replace the current accounts with it, run \
             `opentrons-auth-server import --again`"
        ),
        None => log::warn!(
            "the Python server's state was never imported, and is ignored: {now}; to replace \
             the current accounts with it, run `opentrons-auth-server import --again`"
        ),
    }
    Ok(())
}
