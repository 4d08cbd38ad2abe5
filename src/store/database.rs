//! The database file: creating, opening, checking, migrating and copying it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::check::{self, Provenance};
use super::error::StoreError;
use super::values;
use crate::os::files::{copy_to_new, open_regular, sync_directory};
use crate::os::owner;

/// Name of the database in the state directory.
pub const DATABASE: &str = "auth-server.sqlite";
/// File mode of the database.
const MODE: u32 = 0o600;
/// Value of `PRAGMA application_id` that marks our databases: "OTAS" in ASCII.
pub const APPLICATION_ID: u32 = 0x4f54_4153;
/// All migrations, in order. The schema version (`PRAGMA user_version`) is the number of migrations
/// applied. A released migration must never be changed.
pub const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/001-accounts.sql"),
    include_str!("migrations/002-second-edition.sql"),
    include_str!("migrations/003-session-handles.sql"),
    include_str!("migrations/004-directory.sql"),
    include_str!("migrations/005-directory-index.sql"),
];
/// The schema that all migrations together make. SQLite reads it in a fraction of their time.
const SCHEMA: &str = include_str!("schema.sql");
/// How long to wait for a lock held by another process, such as the console reading the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Current schema version.
pub const VERSION: u32 = MIGRATIONS.len() as u32;

/// Opens the database at `path` for reading and writing, and migrates it to the current schema
/// version. Creates it if it does not exist.
///
/// # Errors
/// - [`StoreError::Damaged`] if the file is empty, malformed, or missing although its write-ahead
///   log exists.
/// - [`StoreError::Foreign`] if the file is not a database of the auth server.
/// - [`StoreError::Newer`] if its schema version is newer than this program supports.
/// - [`StoreError::Sqlite`] or [`StoreError::Io`] if it cannot be read or written.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, |_| Ok(()))?,
        Err(error) => return Err(StoreError::io(path, "read")(error)),
        // A new database gets its name only when it is complete, so it is never empty.
        Ok(found) if found.is_file() && found.len() == 0 => {
            return Err(StoreError::Damaged {
                path: path.to_owned(),
                source: "the file is empty".into(),
            })
        }
        Ok(_) => check::files(path, path)?,
    }
    let failed = |source| StoreError::of(path, "open", source);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Until the check has passed, closing the connection must not change the file.
    keep_log(&connection, true).map_err(failed)?;
    configure(&connection).map_err(failed)?;
    check_and_migrate(&mut connection, path, Provenance::Own)?;
    use_log(&connection).map_err(failed)?;
    keep_log(&connection, false).map_err(failed)?;
    Ok(connection)
}

/// Checks everything in a database that may come from elsewhere, and migrates it to the current
/// schema version. `named`: the path to name in errors.
///
/// # Errors
/// The database is unchanged after an error.
/// - [`StoreError::Damaged`] if its schema, a value or its structure is not what this program
///   writes.
/// - [`StoreError::Foreign`] or [`StoreError::Newer`] if it is not a database of ours and of a
///   supported version.
/// - [`StoreError::Sqlite`] if it cannot be read or written.
pub fn check_and_migrate(
    connection: &mut Connection,
    named: &Path,
    provenance: Provenance,
) -> Result<(), StoreError> {
    check::within_limits(connection, named, |connection| {
        let failed = |source| StoreError::of(named, "check", source);
        let transaction = connection.transaction().map_err(failed)?;
        check::schema(&transaction, named)?;
        apply_migrations(&transaction).map_err(failed)?;
        values::check(&transaction, named, provenance)?;
        check::integrity(&transaction, named, provenance)?;
        transaction.commit().map_err(failed)
    })
}

/// Creates a database of the current schema version at `path`, where none exists, and returns what
/// `fill` returns after adding its content. The file is built under another name and renamed when
/// complete, so that after a power cut there is either a complete database or none.
///
/// # Errors
/// - [`StoreError::Damaged`] if there is a write-ahead log for `path`, which means that the
///   database was lost.
/// - [`StoreError::Sqlite`] or [`StoreError::Io`] if the database cannot be written.
pub fn create<T>(
    path: &Path,
    fill: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let io = |doing| StoreError::io(path, doing);
    // SQLite keeps a write-ahead log only beside a database, so the database itself was lost.
    let left = beside(path, "-wal");
    if left.exists() {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            source: format!("the file is missing, but {} exists", left.display()).into(),
        });
    }
    let new = beside(path, ".new");
    remove_new(&new).map_err(io("create"))?;
    let make = || {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&new)
            .map_err(io("create"))?;
        let failed = |source| StoreError::of(path, "create", source);
        let mut connection = connect(&new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection
            .execute_batch("PRAGMA auto_vacuum = INCREMENTAL")
            .map_err(failed)?;
        configure(&connection).map_err(failed)?;
        use_log(&connection).map_err(failed)?;
        migrate(&mut connection).map_err(failed)?;
        let value = fill(&mut connection).map_err(failed)?;
        // Closing the connection does this as well, but does not report errors such as a full disk.
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(failed)?;
        connection.close().map_err(|(_, source)| failed(source))?;
        file.sync_all().map_err(io("create"))?;
        fs::rename(&new, path).map_err(io("create"))?;
        Ok(value)
    };
    let made = make();
    if made.is_err() {
        // The first error is the one to report.
        let _ignored = remove_new(&new);
        return made;
    }
    sync_directory(path).map_err(io("create"))?;
    made
}

/// Removes the remains of an incomplete database, if there are any.
fn remove_new(new: &Path) -> io::Result<()> {
    for leftover in ["", "-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(new, leftover)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Opens a database for reading only, after checking that it is ours and of a supported version.
/// Its schema may differ: what somebody did to the audit log must be possible to look into.
///
/// # Errors
/// - [`StoreError::Damaged`] if the file is not a regular file or not a valid SQLite database.
/// - [`StoreError::Foreign`] if the file is not a database of the auth server.
/// - [`StoreError::Newer`] if its schema version is newer than this program supports.
/// - [`StoreError::Sqlite`] or [`StoreError::Io`] if it cannot be opened or read.
pub fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    check::files(path, path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check::version(&connection, path)?;
    Ok(connection)
}

/// Opens a connection to an existing database file.
///
/// # Errors
/// [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the file cannot be opened.
pub fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, StoreError> {
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |source| StoreError::of(path, "open", source);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    check::guard(&connection).map_err(failed)?;
    Ok(connection)
}

/// Sets whether closing the connection keeps the write-ahead log instead of checkpointing it
/// (<https://sqlite.org/c3ref/c_dbconfig_defensive.html>).
fn keep_log(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
        .map(|_| ())
}

/// Returns the value of a pragma.
pub fn pragma<T: rusqlite::types::FromSql>(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<T> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// Sets the pragmas for durable writes and little memory (<https://sqlite.org/pragma.html>).
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Reads are served from the state in memory, so a page cache of 512 KiB is enough. A write-ahead
    // log of 64 pages leaves space in the reserve (`os::reserve`), and what refused logins write is in
    // it only for a short time.
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA secure_delete = FAST;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -512;
         PRAGMA journal_size_limit = 1048576;
         PRAGMA wal_autocheckpoint = 64;",
    )
}

/// Makes SQLite use a write-ahead log, which changes the file if it did not before.
fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA journal_mode = WAL")
}

/// Returns the statements that make the schema of a version.
pub fn schema_of(version: u32) -> &'static [&'static str] {
    match version {
        VERSION => &[SCHEMA],
        earlier => &MIGRATIONS[..earlier as usize],
    }
}

/// Returns a database in memory in which these statements were executed.
///
/// # Errors
/// The SQLite error if a statement fails.
pub fn in_memory(statements: &[&str]) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    for statement in statements {
        connection.execute_batch(statement)?;
    }
    Ok(connection)
}

/// Migrates the schema to the current version, in one transaction.
///
/// # Errors
/// The SQLite error if a migration fails; the schema is unchanged then.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    apply_migrations(&transaction)?;
    transaction.commit()
}

/// Applies the migrations that a database does not have yet.
fn apply_migrations(transaction: &Transaction) -> rusqlite::Result<()> {
    let version: u32 = pragma(transaction, "user_version")?;
    if version == VERSION {
        return Ok(());
    }
    for migration in MIGRATIONS.iter().skip(version as usize) {
        transaction.execute_batch(migration)?;
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}"
    ))
}

/// Returns whether an error means that the file is unusable and must be replaced.
pub fn is_damaged(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Damaged { .. } | StoreError::Foreign { .. }
    )
}

/// Renames a damaged database and its accompanying files, and returns the new path of the database.
///
/// # Errors
/// The I/O error if a file cannot be renamed or the directory cannot be synced.
pub fn move_aside(directory: &Path) -> io::Result<PathBuf> {
    let path = directory.join(DATABASE);
    let aside = (1..)
        .map(|number| beside(&path, &format!(".damaged-{number}")))
        .find(|path| !path.exists())
        .expect("some number is free");
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(beside(&path, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_directory(&path)?;
    Ok(aside)
}

/// Copies a consistent snapshot of the database in `directory` to the new file `target`. The
/// service may be running. If this process is root and another user owns `directory`, the snapshot is
/// first made there with that user's rights alone, and then copied to `target` with root's: either
/// user may have no access to the other's files.
///
/// # Errors
/// As [`copy`]. Also [`StoreError::Io`] if this process cannot act as the owner of `directory`.
pub fn backup(directory: &Path, target: &Path) -> Result<(), StoreError> {
    if !owner::is_anothers(directory).map_err(StoreError::io(directory, "examine"))? {
        return copy(&directory.join(DATABASE), target);
    }
    let snapshot = owner::as_owner(directory, || snapshot(directory))
        .map_err(StoreError::io(directory, "act as the owner of"))??;
    copy_to_new(snapshot, target).map_err(StoreError::io(target, "write"))
}

/// Makes a consistent snapshot of the database in `directory`, as an open file that has no name any
/// more. The service may be running.
///
/// # Errors
/// As [`copy`]. Also [`StoreError::Io`] if no directory for it can be created in `directory`.
pub fn snapshot(directory: &Path) -> Result<File, StoreError> {
    let stage = tempfile::Builder::new()
        .prefix("backup-")
        .tempdir_in(directory)
        .map_err(StoreError::io(directory, "create a directory in"))?;
    let staged = stage.path().join(DATABASE);
    copy(&directory.join(DATABASE), &staged)?;
    open_regular(&staged).map_err(StoreError::io(&staged, "read"))
}

/// Copies a consistent snapshot of the database `source` to the new file `target`. If copying
/// fails, `target` is removed.
///
/// # Errors
/// - [`StoreError::Damaged`], [`StoreError::Foreign`], [`StoreError::Newer`] or
///   [`StoreError::Sqlite`] if `source` is not a database of a supported version, or cannot be
///   read.
/// - [`StoreError::Io`] if `target` already exists, or cannot be created or synced.
/// - [`StoreError::Sqlite`] if `target` cannot be written.
pub fn copy(source: &Path, target: &Path) -> Result<(), StoreError> {
    let io = StoreError::io(target, "write");
    let connection = open_for_reading(source)?;
    // Create the file first, to fail if it exists and to set its mode before it has any content.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(target)
        .map_err(&io)?;
    let copied = connection
        .execute("VACUUM INTO ?1", [target.to_string_lossy()])
        .map_err(|source| StoreError::of(target, "write", source));
    let kept = copied.and_then(|_| {
        File::open(target)
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_directory(target))
            .map_err(io)
    });
    if kept.is_err() {
        // The first error is the one to report.
        let _ignored = fs::remove_file(target);
    }
    kept
}

/// Returns `path` with `suffix` appended to the file name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
