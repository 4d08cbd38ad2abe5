//! Taking over the state of the Python server that this one takes the place of.
//!
//! It lies beside ours: `VERSION/auth_server.db`. It is found ([`find`]), copied and read through
//! SQLite ([`read`]), understood ([`plan`]), and written in one transaction with one audit event.
//! What cannot be understood stops all of it, unless somebody at the console wants what can be had
//! ([`Strictness::Force`]). Their files stay as they are: an older image that comes back finds them.

mod find;
mod plan;
mod read;

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
use crate::domain::audit::{hex, ChainHash};
use crate::domain::authority::Caller;
use crate::domain::settings::Settings;
use crate::domain::time::Mark;
use crate::domain::users::{AccountType, User};
use crate::os::clock::Clock;

/// The action of the audit event.
const ACTION: &str = "import";
/// Most faults that are kept; the others are counted.
const MAX_FAULTS: usize = 200;
/// Most faults that an audit event tells.
const MAX_TOLD: usize = 20;

/// What stands in the way of taking everything over.
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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Each in a line; of many only the first.
    pub fn lines(&self) -> Vec<String> {
        self.told(MAX_FAULTS)
    }

    fn told(&self, most: usize) -> Vec<String> {
        let shown = self.first.len().min(most);
        let mut lines: Vec<_> = self.first[..shown].iter().map(Fault::to_string).collect();
        if self.count > shown {
            lines.push(format!("and {} more", self.count - shown));
        }
        lines
    }
}

/// What to do about faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strictness {
    /// Take over everything or nothing.
    All,
    /// Take over what can be had; access control is on unless it is certain that it was off.
    Force,
}

/// What was found in a directory, copied: it can be handed to whoever holds our database.
#[derive(Debug, Serialize, Deserialize)]
pub struct Survey {
    /// The directory.
    pub directory: PathBuf,
    /// A copy of the database, if there is one that can be copied.
    pub staged: Option<Staged>,
    /// What stands in the way so far.
    pub faults: Vec<Fault>,
}

impl Survey {
    /// Looks for state of the Python server in `directory`, and copies it into the directory `into`;
    /// `None` when there is none. Faults are part of what is found.
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

    /// The file that counts, or the directory when there is none.
    fn file(&self) -> &Path {
        match &self.staged {
            Some(staged) => &staged.file,
            None => &self.directory,
        }
    }
}

/// All that is to be taken over.
pub struct Takeover {
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

/// What was, or would be, taken over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// From where.
    pub file: PathBuf,
    /// How many users.
    pub users: usize,
    /// How many of them are administrators.
    pub administrators: usize,
    /// How many failed logins of theirs.
    pub failed_logins: u64,
    /// How many settings.
    pub settings: usize,
    /// Whether access control is on then.
    pub access_control: bool,
    /// What was not taken as it was.
    pub notes: Vec<String>,
    /// What stands in the way, or was left out.
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

impl Takeover {
    /// Reads what was found. `now`: the moment and what the clocks show at it.
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
            // Nobody turned it on yet; with something amiss, the row may be what is missing.
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

    /// What there is.
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

    /// Refuses what has faults, unless forced.
    ///
    /// # Errors
    /// [`StoreError::NotTakenOver`] names the file and the reason.
    pub fn check(&self, strictness: Strictness) -> Result<(), StoreError> {
        match (strictness, self.faults.first.first()) {
            (Strictness::All, Some(first)) => Err(StoreError::NotTakenOver {
                first: first.to_string(),
                more: self.faults.count - 1,
            }),
            _ => Ok(()),
        }
    }

    /// Makes the database in `directory`, where there is none: with all of this in it, or not at all.
    ///
    /// # Errors
    /// It could not be written.
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

    /// Writes all of it down, with its audit event. Accounts that are there are replaced, and their
    /// logins end; access control stays on if it is. Returns what there is now.
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
             DELETE FROM user;",
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
        remember(&transaction, self)?;
        // The Python server sent its events to the audit server: so is this one, if there is one.
        audit::set_delivering(&transaction, true)?;
        let event = caller.event(ACTION, self.message(&summary));
        let appended = audit::append(&transaction, vec![event])?;
        transaction.commit()?;
        Ok((summary, appended))
    }

    /// The audit event's sentence.
    fn message(&self, summary: &Summary) -> String {
        let mut text = format!("Took over ({summary}) from {:?}", self.file);
        if let Some(digest) = &self.digest {
            text += &format!(" (SHA-256 {})", hex(digest));
        }
        text += ".";
        for note in &self.notes {
            text += &format!(" {note}.");
        }
        if self.faults.count > 0 {
            let told = self.faults.told(MAX_TOLD).join("; ");
            text += &format!(" Left out: {told}.");
        }
        text
    }
}

fn remember(transaction: &Transaction, takeover: &Takeover) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM python_import", [])?;
    if let Some(digest) = &takeover.digest {
        transaction.execute(
            "INSERT INTO python_import VALUES (1, ?, ?)",
            params![takeover.file.to_string_lossy(), digest],
        )?;
    }
    Ok(())
}

/// Reads what the Python server left in the state directory `directory`, where no database of ours is;
/// `None` when there is nothing. No other process may work in the directory.
///
/// # Errors
/// [`StoreError::NotTakenOver`] when it cannot be taken over whole; or there is no room for a copy.
pub fn at_first_start(directory: &Path) -> Result<Option<Takeover>, StoreError> {
    let stage = clean_stage_directory(directory)?;
    let Some(survey) = Survey::of(directory, stage.path()) else {
        return Ok(None);
    };
    let takeover = Takeover::read(&survey, Clock::resume(None).1);
    takeover.check(Strictness::All)?;
    Ok(Some(takeover))
}

/// Says in the log what was taken over.
pub fn tell(summary: &Summary) {
    let notes = summary.notes.iter().map(|note| format!("; {note}"));
    log::info!(
        "took over the Python server's state from {}, which was left as it is: {summary}{}",
        summary.file.display(),
        notes.collect::<String>()
    );
    for fault in &summary.faults {
        log::warn!("left out: {fault}");
    }
}

/// A directory for the copy of a [`Survey`], in `directory`, where no other process works: copies that a
/// power cut left there are removed. It goes when it is dropped.
///
/// # Errors
/// It cannot be made, or a copy not be removed.
pub fn clean_stage_directory(directory: &Path) -> Result<tempfile::TempDir, StoreError> {
    find::remove_left_stages(directory).map_err(|source| StoreError::Io {
        path: directory.to_owned(),
        doing: "remove an old copy from",
        source,
    })?;
    stage_directory(directory)
}

/// A directory for the copy of a [`Survey`], in `directory`, that goes when it is dropped.
///
/// # Errors
/// It cannot be made.
pub fn stage_directory(directory: &Path) -> Result<tempfile::TempDir, StoreError> {
    find::stage_directory(directory).map_err(|source| StoreError::Io {
        path: directory.to_owned(),
        doing: "make a directory in",
        source,
    })
}

/// Warns when the Python server's state in `directory` is not what accounts were taken over from: the
/// robot went back to the Python server for a time, or nobody ever took it over.
///
/// # Errors
/// What was taken over cannot be read.
pub fn warn_if_changed(directory: &Path) -> Result<(), StoreError> {
    let found = find::find(directory);
    let path = directory.join(DATABASE);
    let taken: Option<(String, ChainHash)> = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?
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
            if taken.as_ref().is_some_and(|(_, taken)| *taken == digest) {
                return Ok(());
            }
            found
                .source
                .map_or_else(String::new, |source| source.file.display().to_string())
        }
    };
    match taken {
        Some((file, _)) => log::warn!(
            "the Python server's state is not what it was when {file} was taken over, and is not \
             used: {now}: to take it over in place of the accounts that are here: \
             opentrons-auth-server import --again"
        ),
        None => log::warn!(
            "the Python server's state was never taken over, and is not used: {now}: to take it \
             over in place of the accounts that are here: opentrons-auth-server import --again"
        ),
    }
    Ok(())
}
