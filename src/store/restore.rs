//! Restoring accounts and settings from a backup.
//!
//! The current audit log is never replaced. Only if it is empty, as on a new robot, the backup's
//! audit log is restored too, including its queue of undelivered events. All sessions end. The passwords
//! that the lab's directory confirmed are not restored.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::{params, Connection, OpenFlags, TransactionBehavior};
use tempfile::TempDir;

use super::check::{self, Provenance};
use super::database::{beside, check_and_migrate, connect, APPLICATION_ID, DATABASE};
use super::error::StoreError;
use super::{audit, clock, load, write_lock, Writer};
use crate::domain::audit::hex;
use crate::domain::authority::Caller;
use crate::domain::decision::Priority;
use crate::domain::passwords::PasswordHash;
use crate::os::files::{copy_to_new, open_regular};

/// Summary of a completed restore.
#[derive(Debug)]
pub struct Restored {
    /// Number of users after the restore.
    pub users: usize,
    /// Whether the backup's audit log was restored too.
    pub with_audit_log: bool,
}

/// Suffixes of the files that are part of a database (<https://sqlite.org/tempfiles.html>).
const PARTS: [&str; 3] = ["", "-wal", "-journal"];

/// Size of the beginning of a file that shows what the file is: the largest page of a database, which
/// contains the schema.
const BEGINNING_BYTES: u64 = 65_536;
/// Size of the header of a database file, at its beginning.
const HEADER_BYTES: usize = 100;
/// First bytes of the header.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Offset of the application ID in the header.
const APPLICATION_ID_AT: usize = 68;
/// Tables that the databases of the Python server have.
const PYTHON_TABLES: [&[u8]; 2] = [b"alembic_version", b"access_control_enabled"];

/// Backup that was opened with the rights of the user who named it.
pub struct Backup {
    named: PathBuf,
    /// The file and those that SQLite keeps beside it, with their suffixes.
    files: Vec<(&'static str, Box<dyn Read>)>,
}

impl Backup {
    /// Opens the backup at `path`.
    ///
    /// # Errors
    /// - [`StoreError::NoBackup`] if it is something else than a database of the auth server in a regular
    ///   file, or too large.
    /// - [`StoreError::Io`] if it cannot be opened or read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some((path, what)) = check::unusable(path, path)? {
            return Err(no_backup(&path, what));
        }
        let read = |suffix| match open_regular(&beside(path, suffix)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => Ok(None),
            Err(error) => Err(StoreError::io(&beside(path, suffix), "read")(error)),
        };
        let mut files: Vec<(_, Box<dyn Read>)> = Vec::new();
        for suffix in PARTS {
            match read(suffix)? {
                // A large file that is something else must not be copied into the state directory.
                Some(file) if suffix.is_empty() => files.push((suffix, checked(file, path)?)),
                Some(file) => files.push((suffix, Box::new(file))),
                None => {}
            }
        }
        Ok(Self {
            named: path.to_owned(),
            files,
        })
    }

    /// Takes the backup that `input` contains, which errors call `named`.
    ///
    /// # Errors
    /// - [`StoreError::NoBackup`] if it is something else than a database of the auth server.
    /// - [`StoreError::Io`] if it cannot be read.
    pub fn read(input: impl Read + 'static, named: &str) -> Result<Self, StoreError> {
        let named = PathBuf::from(named);
        let files = vec![("", checked(input, &named)?)];
        Ok(Self { named, files })
    }

    /// Copies the backup into a new private directory in `directory`, checks the copy completely
    /// and migrates it to the current schema version.
    ///
    /// # Errors
    /// - [`StoreError::NoBackup`] if it is too large, its schema version is newer than this program
    ///   supports, or its schema, a value or its structure is not what the server writes.
    /// - [`StoreError::Sqlite`] or [`StoreError::Io`] if it cannot be copied or read.
    pub fn stage(self, directory: &Path) -> Result<StagedBackup, StoreError> {
        let named = &self.named;
        let stage = tempfile::Builder::new()
            .prefix("restore-")
            .tempdir_in(directory)
            .map_err(StoreError::io(directory, "create a directory in"))?;
        let copy = stage.path().join(DATABASE);
        for (suffix, file) in self.files {
            let limited = file.take(check::MAX_BYTES + 1);
            copy_to_new(limited, &beside(&copy, suffix)).map_err(StoreError::io(named, "copy"))?;
        }
        if let Some((_, what)) = check::unusable(&copy, named)? {
            return Err(no_backup(named, what));
        }
        check_and_migrate_copy(&copy).map_err(|error| error.about_backup(named))?;
        Ok(StagedBackup {
            copy,
            _stage: stage,
        })
    }
}

/// Checks the private copy of a backup completely, and migrates it to the current schema version.
fn check_and_migrate_copy(copy: &Path) -> Result<(), StoreError> {
    let mut connection = connect(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check_and_migrate(&mut connection, copy, Provenance::Elsewhere)?;
    connection
        .close()
        .map_err(|(_, source)| StoreError::of(copy, "read", source))
}

/// Checks that `input` begins like a database of the auth server; returns all of it.
///
/// # Errors
/// - [`StoreError::NoBackup`] if it begins otherwise.
/// - [`StoreError::Io`] if it cannot be read.
fn checked(mut input: impl Read + 'static, named: &Path) -> Result<Box<dyn Read>, StoreError> {
    let mut beginning = Vec::new();
    input
        .by_ref()
        .take(BEGINNING_BYTES)
        .read_to_end(&mut beginning)
        .map_err(StoreError::io(named, "read"))?;
    match what_else(&beginning) {
        None => Ok(Box::new(io::Cursor::new(beginning).chain(input))),
        Some(what) => Err(no_backup(named, what)),
    }
}

/// Returns what a file is that does not begin like a database of the auth server
/// (<https://sqlite.org/fileformat2.html>, section 1.3), as a predicate with what to do.
fn what_else(beginning: &[u8]) -> Option<&'static str> {
    if beginning.is_empty() {
        return Some("is empty");
    }
    if beginning.len() < HEADER_BYTES || !beginning.starts_with(MAGIC) {
        return Some("is not an SQLite database");
    }
    if beginning[APPLICATION_ID_AT..][..4] == APPLICATION_ID.to_be_bytes() {
        return None;
    }
    let has = |name: &[u8]| beginning.windows(name.len()).any(|found| found == name);
    Some(match PYTHON_TABLES.iter().all(|table| has(table)) {
        true => {
            "is the state of the Python server: import its state directory with \
             `opentrons-auth-server import DIRECTORY`"
        }
        false => "is not a database of the auth server, but of another application",
    })
}

fn no_backup(named: &Path, what: &str) -> StoreError {
    StoreError::NoBackup {
        path: named.to_owned(),
        what: what.to_owned(),
    }
}

/// Private copy of a backup, which is removed when dropped.
pub struct StagedBackup {
    copy: PathBuf,
    _stage: TempDir,
}

impl StagedBackup {
    /// Returns the path of the copy.
    pub fn path(&self) -> &Path {
        &self.copy
    }
}

impl Writer {
    /// Restores accounts and settings from the backup at `path`, a private copy, which is migrated
    /// to the current schema version in place.
    pub(super) fn restore(&mut self, path: &Path, caller: &Caller) -> Result<Restored, StoreError> {
        check::files(path, path)?;
        let of_backup = |source| StoreError::of(path, "read", source);
        let mut backup = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_and_migrate(&mut backup, path, Provenance::Elsewhere)?;
        let log_end = audit::head(&backup).map_err(of_backup)?;
        // Offset of our timeline relative to the backup's, in milliseconds, assuming that both wall
        // clocks were right.
        let now = self.shared.clock.mark();
        let ahead = clock::load(&backup).map_err(of_backup)?.map_or(0, |then| {
            (now.moment.0 - now.reading.wall) - (then.moment.0 - then.reading.wall)
        });
        backup.close().map_err(|(_, source)| of_backup(source))?;

        let failed = |source| StoreError::of(&self.shared.path, "write", source);
        self.connection
            .execute("ATTACH ? AS backup", [path.to_string_lossy()])
            .map_err(failed)?;
        let connection = &mut self.connection;
        let write = || copy(connection, ahead, caller, log_end);
        let copied = self.space.spend(Priority::Administration, write);
        let detached = self.connection.execute_batch("DETACH backup");
        let (appended, with_audit_log) = copied?;
        if let Err(error) = detached {
            log::warn!("cannot detach the backup from the database: {error}");
        }
        let mut restored = load(&self.connection).map_err(failed)?;
        let users = restored.user_count();
        {
            let mut state = write_lock(&self.shared);
            restored.skip_ids_of(&state);
            *state = restored;
        }
        self.tell(&appended);
        Ok(Restored {
            users,
            with_audit_log,
        })
    }
}

/// Replaces accounts and settings by those of the attached database `backup`, whose times are
/// shifted by `ahead` milliseconds.
fn copy(
    connection: &mut Connection,
    ahead: i64,
    caller: &Caller,
    (log_seq, log_hash): (i64, crate::domain::audit::ChainHash),
) -> rusqlite::Result<(audit::Appended, bool)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "INSERT OR REPLACE INTO main.former_username
             SELECT lower(username), id, full_name FROM main.user;
         INSERT OR IGNORE INTO main.former_username SELECT * FROM backup.former_username;
         DELETE FROM main.session;
         DELETE FROM main.user;
         DELETE FROM main.setting;
         DELETE FROM main.directory;
         INSERT INTO main.setting SELECT * FROM backup.setting;
         INSERT INTO main.directory SELECT * FROM backup.directory;
         INSERT INTO main.user SELECT * FROM backup.user;
         INSERT OR IGNORE INTO main.python_import SELECT * FROM backup.python_import;",
    )?;
    transaction.execute(
        "UPDATE main.user SET password_set_at = password_set_at + ?1,
             last_failed_login = last_failed_login + ?1,
             directory_looked_up = directory_looked_up + ?1",
        params![ahead],
    )?;
    // Somebody may not use the robot any more whom the directory still confirmed in the backup.
    transaction.execute(
        "UPDATE main.user SET directory_confirmed = NULL, password_hash = ?1
             WHERE directory_id IS NOT NULL",
        params![PasswordHash::of_no_password().as_phc()],
    )?;
    let (our_seq, _) = audit::head(&transaction)?;
    let with_audit_log = our_seq == 0 && log_seq > 0;
    if with_audit_log {
        transaction.execute_batch(
            "INSERT INTO main.audit_log SELECT * FROM backup.audit_log;
             UPDATE main.audit_state SET delivered = (SELECT delivered FROM backup.audit_state),
                 delivering = (SELECT delivering FROM backup.audit_state),
                 chain = (SELECT chain FROM backup.audit_state);
             INSERT INTO main.audit_set_aside SELECT * FROM backup.audit_set_aside;",
        )?;
        audit::set_head(&transaction, log_seq, &log_hash)?;
    }
    let message = format!(
        "Restored accounts and settings from a backup whose audit log ends with row {log_seq}, {}.",
        hex(&log_hash)
    );
    let appended = audit::append(&transaction, &[caller.event("restore", message)])?;
    transaction.commit()?;
    Ok((appended, with_audit_log))
}
