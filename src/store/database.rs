//! Opening the file: is it there, is it ours, is it whole, is it of this version?

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::StoreError;
use crate::os::files::{own_as_directory, sync_directory};

/// The database's name in the state directory.
pub const DATABASE: &str = "auth-server.sqlite";
/// Permission bits of the database.
const MODE: u32 = 0o600;
/// `PRAGMA application_id`: "OTAS".
const APPLICATION_ID: u32 = 0x4f54_4153;
/// All migrations in order; the database's version is how many it has had. One that was released
/// never changes.
const MIGRATIONS: [&str; 2] = [
    include_str!("migrations/001-accounts.sql"),
    include_str!("migrations/002-second-edition.sql"),
];
/// How long to wait for the console's process, which reads.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What may be lost of a table that is small, before it is used.
const CHECKED: [&str; 7] = [
    "clock_mark",
    "setting",
    "user",
    "former_username",
    "session",
    "access_token",
    "refresh_token",
];

/// Opens the database at `path` for reading and writing, and brings it up to this version; makes
/// it when there is none.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let io = |doing, source| StoreError::Io {
        path: path.to_owned(),
        doing,
        source,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, |_| Ok(()))?,
        Err(error) => return Err(io("read", error)),
        // One that is made gets its name when it is complete.
        Ok(found) if found.len() == 0 => {
            return Err(StoreError::Damaged {
                path: path.to_owned(),
                source: "it is empty".into(),
            })
        }
        Ok(_) => check_version(path)?,
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let failed = |source| StoreError::of(path, "open", source);
    // Until it is known to be whole, closing it again must not change it.
    keep_log(&connection, true).map_err(failed)?;
    check(&connection, path)?;
    configure(&connection).map_err(failed)?;
    migrate(&mut connection).map_err(failed)?;
    keep_log(&connection, false).map_err(failed)?;
    Ok(connection)
}

/// Makes a database of this version, with what `fill` puts into it, under another name, and gives
/// it its name when it is whole: a power cut leaves the whole or nothing. There must be none.
pub fn create<T>(
    path: &Path,
    fill: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let io = |doing: &'static str| {
        move |source| StoreError::Io {
            path: path.to_owned(),
            doing,
            source,
        }
    };
    // What SQLite keeps beside a database in use: the database itself is gone.
    let left = beside(path, "-wal");
    if left.exists() {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            source: format!("it is missing, and {} is there", left.display()).into(),
        });
    }
    let new = beside(path, ".new");
    remove_new(&new).map_err(io("make"))?;
    let make = || {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&new)
            .map_err(io("make"))?;
        own_as_directory(&new).map_err(io("make"))?;
        let failed = |source| StoreError::of(path, "make", source);
        let mut connection = connect(&new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection
            .execute_batch("PRAGMA auto_vacuum = INCREMENTAL")
            .map_err(failed)?;
        configure(&connection).map_err(failed)?;
        migrate(&mut connection).map_err(failed)?;
        let value = fill(&mut connection).map_err(failed)?;
        // Closing does this too, and does not say when it fails, as on a full disk.
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(failed)?;
        connection.close().map_err(|(_, source)| failed(source))?;
        file.sync_all().map_err(io("make"))?;
        fs::rename(&new, path).map_err(io("make"))?;
        Ok(value)
    };
    let made = make();
    if made.is_err() {
        // What failed first is what to tell.
        let _kept = remove_new(&new);
        return made;
    }
    sync_directory(path).map_err(io("make"))?;
    made
}

/// Removes a database that is not complete.
fn remove_new(new: &Path) -> io::Result<()> {
    for leftover in ["", "-wal", "-shm"] {
        match fs::remove_file(beside(new, leftover)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a file that is not ours or newer than this program, and changes nothing of it.
pub fn check_version(path: &Path) -> Result<(), StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let failed = |source| StoreError::of(path, "read", source);
    let application: u32 = pragma(&connection, "application_id").map_err(failed)?;
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
    }
    let found: u32 = pragma(&connection, "user_version").map_err(failed)?;
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(())
}

/// A connection. The file must be there.
pub fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, StoreError> {
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |source| StoreError::of(path, "open", source);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    Ok(connection)
}

/// Whether closing the connection leaves what is in the write-ahead log where it is.
fn keep_log(connection: &Connection, keep: bool) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
        .map(|_| ())
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // The memory is for the state: 512 KiB of pages are plenty for writing.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA secure_delete = FAST;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -512;
         PRAGMA journal_size_limit = 1048576;",
    )
}

/// Brings the schema up to this version, in one transaction.
pub fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = pragma(&transaction, "user_version")?;
    let missing = MIGRATIONS.iter().skip(version as usize);
    if missing.len() == 0 {
        return Ok(());
    }
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}",
        MIGRATIONS.len()
    ))?;
    transaction.commit()
}

/// Looks for damage in what is about to be read. The audit log can be large; `audit verify` reads
/// it.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    for table in CHECKED {
        let said: String = connection
            .query_row(&format!("PRAGMA quick_check('{table}')"), [], |row| {
                row.get(0)
            })
            .map_err(|source| StoreError::of(path, "check", source))?;
        if said != "ok" {
            return Err(StoreError::Damaged {
                path: path.to_owned(),
                source: said.into(),
            });
        }
    }
    Ok(())
}

/// Whether an error says that the file is lost.
pub fn is_damaged(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Damaged { .. } | StoreError::Foreign { .. }
    )
}

/// Moves a damaged database and what lies beside it out of the way; returns its new name.
///
/// # Errors
/// The system refused.
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

/// Copies the database in `directory` to the new file `target`, as it is at one moment, while the
/// service may be writing.
///
/// # Errors
/// There is no database, or `target` exists or cannot be written.
pub fn backup(directory: &Path, target: &Path) -> Result<(), StoreError> {
    copy(&directory.join(DATABASE), target)
}

/// Copies a database of ours to the new file `target`, whole or not at all.
///
/// # Errors
/// `source` is none, or `target` exists or cannot be written.
pub fn copy(source: &Path, target: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io {
        path: target.to_owned(),
        doing: "write",
        source,
    };
    check_version(source)?;
    // Claims the name, and gives the copy its mode before there is anything in it.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(target)
        .map_err(io)?;
    let copied = connect(source, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
        connection
            .execute("VACUUM INTO ?1", [target.to_string_lossy()])
            .map_err(|source| StoreError::of(target, "write", source))
    });
    let kept = copied.and_then(|_| {
        File::open(target)
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_directory(target))
            .map_err(io)
    });
    if kept.is_err() {
        // What failed first is what to tell.
        let _failed = fs::remove_file(target);
    }
    kept
}

/// `path` with `suffix` after its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
