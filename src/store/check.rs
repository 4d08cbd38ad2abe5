//! Checks of a database file before it is used: at the start, and before a backup is restored. The
//! file may come from anywhere, so nothing in it is believed: neither its schema nor its values.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

use super::database::{beside, in_memory, pragma, schema_of, APPLICATION_ID, VERSION};
use super::error::StoreError;

/// Maximum size of a database file, in bytes: decades of audit events.
pub const MAX_BYTES: u64 = 4 << 30;
/// Maximum time to check a database.
const PATIENCE: Duration = Duration::from_secs(300);
/// Files that SQLite uses as parts of a database (<https://sqlite.org/tempfiles.html>).
const PARTS: [&str; 4] = ["", "-wal", "-journal", "-shm"];
/// Tables that are read at the start. All of them are small.
const AT_START: [&str; 10] = [
    "clock_mark",
    "setting",
    "directory",
    "user",
    "former_username",
    "session",
    "session_handle",
    "access_token",
    "refresh_token",
    "python_import",
];
/// Tables whose rows refer to other tables.
const REFERRING: [&str; 4] = ["session", "session_handle", "access_token", "refresh_token"];

/// Where a database comes from, which decides how much of it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// The server's own, at its start. The rows of the audit log are left to `audit verify`, and the
    /// limits of a password hash to the login, which refuses one user instead of the whole robot.
    Own,
    /// Elsewhere, as a backup: everything is checked.
    Elsewhere,
}

/// Checks, without opening them, that the files of the database at `path` are regular files, not
/// symbolic links, FIFOs or devices, and not too large. `named`: the path to name in errors.
///
/// # Errors
/// - [`StoreError::Damaged`] if a file is something else or too large.
/// - [`StoreError::Io`] if a file cannot be examined, or there is no database.
pub fn files(path: &Path, named: &Path) -> Result<(), StoreError> {
    match unusable(path, named)? {
        None => Ok(()),
        Some((path, what)) => Err(damaged(named, format!("{} {what}", path.display()))),
    }
}

/// Returns the first file of the database at `path` that is not a regular file, or too large, and what
/// it is, as a predicate. `named`: the path to name.
///
/// # Errors
/// [`StoreError::Io`] if a file cannot be examined, or there is no database.
pub fn unusable(path: &Path, named: &Path) -> Result<Option<(PathBuf, &'static str)>, StoreError> {
    for part in PARTS {
        let named = beside(named, part);
        let what = match fs::symlink_metadata(beside(path, part)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !part.is_empty() => continue,
            Err(error) => return Err(StoreError::io(&named, "read")(error)),
            Ok(found) if found.file_type().is_symlink() => "is a symbolic link",
            Ok(found) if found.is_dir() => "is not a regular file but a directory",
            Ok(found) if !found.is_file() => "is not a regular file",
            Ok(found) if found.len() > MAX_BYTES => "is larger than 4 GiB",
            Ok(_) => continue,
        };
        return Ok(Some((named, what)));
    }
    Ok(None)
}

/// Keeps SQLite from running what the schema of a file contains
/// (<https://sqlite.org/security.html>).
///
/// # Errors
/// The SQLite error if an option cannot be set.
pub fn guard(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch("PRAGMA cell_size_check = ON")
}

/// Runs `check` with a limit on its time. A statement that takes longer is interrupted
/// (<https://sqlite.org/c3ref/interrupt.html>).
///
/// # Errors
/// - The error of `check`.
/// - [`StoreError::Damaged`] if it took too long.
/// - [`StoreError::Io`] if the thread that measures the time cannot be started.
pub fn within_limits<T>(
    connection: &mut Connection,
    named: &Path,
    check: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let handle = connection.get_interrupt_handle();
    let (done, is_done) = mpsc::channel::<()>();
    let watch = thread::Builder::new()
        .name("limit".into())
        .spawn(move || {
            let took_too_long = is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            if took_too_long {
                handle.interrupt();
            }
            took_too_long
        })
        .map_err(StoreError::io(named, "start a thread to check"))?;
    let checked = check(connection);
    drop(done);
    let took_too_long = watch.join().unwrap_or(true);
    if checked.is_err() && took_too_long {
        let what = format!("checking it took longer than {} s", PATIENCE.as_secs());
        return Err(damaged(named, what));
    }
    checked
}

/// Checks that a database is ours, and of a supported version; returns the version.
///
/// # Errors
/// - [`StoreError::Foreign`] if it is not a database of the auth server.
/// - [`StoreError::Newer`] if its schema version is newer than this program supports.
/// - [`StoreError::Sqlite`] or [`StoreError::Damaged`] if it cannot be read.
pub fn version(connection: &Connection, named: &Path) -> Result<u32, StoreError> {
    let failed = |source| StoreError::of(named, "read", source);
    let application: u32 = pragma(connection, "application_id").map_err(failed)?;
    let found: u32 = pragma(connection, "user_version").map_err(failed)?;
    let path = named.to_owned();
    match found {
        _ if application != APPLICATION_ID => Err(StoreError::Foreign { path }),
        0 => Err(StoreError::Foreign { path }),
        found if found > VERSION => Err(StoreError::Newer {
            path,
            found,
            known: VERSION,
        }),
        found => Ok(found),
    }
}

/// Checks that a database is ours, and that its schema is exactly the one that the migrations make
/// for its version: no table, view, index or trigger more, less or different.
///
/// # Errors
/// The errors of [`version`], and [`StoreError::Damaged`] if the schema differs.
pub fn schema(connection: &Connection, named: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::of(named, "read", source);
    let version = version(connection, named)?;
    let expected = in_memory(schema_of(version))
        .and_then(|model| objects(&model))
        .map_err(failed)?;
    let found = objects(connection).map_err(failed)?;
    let difference = found
        .iter()
        .find(|object| !expected.contains(object))
        .map(|object| (object, "is not part of the schema of version"))
        .or_else(|| {
            let missing = expected.iter().find(|object| !found.contains(object));
            missing.map(|object| (object, "is missing in the schema of version"))
        });
    match difference {
        None => Ok(()),
        Some((object, what)) => {
            let Object { kind, name, .. } = object;
            let shown: String = name.chars().take(64).collect();
            Err(damaged(
                named,
                format!("its {kind} {shown:?} {what} {version}"),
            ))
        }
    }
}

/// Entry of a schema.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    kind: String,
    name: String,
    table: String,
    sql: String,
}

/// Returns all entries of a schema, without the statistics tables of SQLite itself, whose reserved
/// names nobody else can use.
fn objects(connection: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema
         WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4'))",
    )?;
    let rows = statement.query_map([], |row| {
        let sql: String = row.get(3)?;
        Ok(Object {
            kind: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            // Versions of SQLite differ in whether ALTER TABLE quotes a name, and in the white space
            // before an added column.
            sql: sql
                .chars()
                .filter(|c| *c != '"' && !c.is_ascii_whitespace())
                .collect(),
        })
    })?;
    rows.collect()
}

/// Checks the integrity of the tables, including that every reference has its target: a session of
/// no user would become the next new user's.
///
/// # Errors
/// [`StoreError::Damaged`] if the check fails, [`StoreError::Sqlite`] if it cannot be carried out.
pub fn integrity(
    connection: &Connection,
    named: &Path,
    provenance: Provenance,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::of(named, "check", source);
    let checks = match provenance {
        Provenance::Own => AT_START
            .iter()
            .map(|table| format!("PRAGMA integrity_check('{table}')"))
            .collect(),
        Provenance::Elsewhere => vec!["PRAGMA integrity_check(1)".to_owned()],
    };
    for check in checks {
        let said: String = connection
            .query_row(&check, [], |row| row.get(0))
            .map_err(failed)?;
        if said != "ok" {
            return Err(damaged(named, said));
        }
    }
    let checks = match provenance {
        Provenance::Own => REFERRING
            .iter()
            .map(|table| format!("PRAGMA foreign_key_check('{table}')"))
            .collect(),
        // All tables, whatever they are called in an earlier version.
        Provenance::Elsewhere => vec!["PRAGMA foreign_key_check".to_owned()],
    };
    for check in checks {
        let table: Option<String> = connection
            .query_row(&check, [], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        if let Some(table) = table {
            let what = format!("table {table}: a row refers to a row that does not exist");
            return Err(damaged(named, what));
        }
    }
    Ok(())
}

/// Returns the error for a database whose content is not what the server writes.
pub fn damaged(named: &Path, what: String) -> StoreError {
    StoreError::Damaged {
        path: named.to_owned(),
        source: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database::MIGRATIONS;

    #[test]
    fn schema_is_what_the_migrations_make() {
        let schema = |statements| {
            let mut objects = objects(&in_memory(statements).unwrap()).unwrap();
            objects.sort();
            objects
        };
        assert_eq!(schema(schema_of(VERSION)), schema(&MIGRATIONS));
    }
}
