//! Restoring accounts and settings from a backup.
//!
//! The current audit log is never replaced. Only if it is empty, as on a new robot, the backup's
//! audit log is restored too, including its queue of undelivered events. All sessions end.

use std::path::Path;

use rusqlite::{params, Connection, OpenFlags, TransactionBehavior};

use super::check::{self, Provenance};
use super::database::{check_and_migrate, connect, open_for_reading, VERSION};
use super::error::StoreError;
use super::{audit, clock, load, values, write_lock, Writer};
use crate::domain::audit::hex;
use crate::domain::authority::Caller;
use crate::domain::decision::Priority;

/// Summary of a completed restore.
#[derive(Debug)]
pub struct Restored {
    /// Number of users after the restore.
    pub users: usize,
    /// Whether the backup's audit log was restored too.
    pub with_audit_log: bool,
}

/// Checks that a file is an intact backup of the current or an older schema version, as far as that
/// can be seen without migrating it. [`Writer::restore`] checks its private copy completely.
///
/// # Errors
/// - [`StoreError::Damaged`] if the file is not a regular file, not an intact SQLite database, or
///   its schema differs from the one of its version.
/// - [`StoreError::Foreign`] if the file is not a database of the auth server.
/// - [`StoreError::Newer`] if its schema version is newer than this program supports.
/// - [`StoreError::Sqlite`] or [`StoreError::Io`] if it cannot be opened or read.
pub fn check_backup(path: &Path) -> Result<(), StoreError> {
    let mut connection = open_for_reading(path)?;
    check::within_limits(&mut connection, path, |connection| {
        check::schema(connection, path)?;
        if check::version(connection, path)? == VERSION {
            values::check(connection, path, Provenance::Elsewhere)?;
        }
        check::integrity(connection, path, Provenance::Elsewhere)
    })
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
         INSERT INTO main.setting SELECT * FROM backup.setting;
         INSERT INTO main.user SELECT * FROM backup.user;
         INSERT OR IGNORE INTO main.python_import SELECT * FROM backup.python_import;",
    )?;
    transaction.execute(
        "UPDATE main.user SET password_set_at = password_set_at + ?1,
             last_failed_login = last_failed_login + ?1",
        params![ahead],
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
