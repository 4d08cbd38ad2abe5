//! Tables `audit_log`, `audit_state` and `audit_set_aside`: the append-only audit log, how far it
//! was delivered to the audit server, and the events that the audit server rejected.

use std::path::Path;

use rusqlite::types::Type;
use rusqlite::{params, Connection, OptionalExtension, Row, Transaction};

use super::database::{open_for_reading, DATABASE};
use super::error::StoreError;
use crate::domain::audit::{AuditRow, ChainHash, ChainedRow, Event, Origin, CHAIN_START};
use crate::os::clock::rfc_3339;

/// Columns of `audit_log` in the order that [`row`] expects.
const COLUMNS: &str = "seq, time, action, account_name, legal_name, message, reason, hash, origin";

/// Function that is called with each row after it was committed to the audit log, and with the
/// identifier of the hash chain.
pub type Observer = fn(row: &ChainedRow, chain: &str);

/// Rows that were appended to the audit log.
#[derive(Default)]
pub struct Appended {
    /// Identifier of the hash chain that the rows belong to.
    pub chain: String,
    /// Appended rows, in order.
    pub rows: Vec<ChainedRow>,
}

impl Appended {
    /// Calls `observer` with each row. The rows must have been committed before.
    pub fn tell(&self, observer: Observer) {
        for row in &self.rows {
            observer(row, &self.chain);
        }
    }
}

/// Appends events to the audit log.
///
/// # Errors
/// The SQLite error if the rows cannot be written.
pub fn append(transaction: &Transaction, events: &[Event]) -> rusqlite::Result<Appended> {
    if events.is_empty() {
        return Ok(Appended::default());
    }
    let (mut seq, mut hash) = head(transaction)?;
    let mut rows = Vec::new();
    for event in events {
        seq += 1;
        let row = AuditRow {
            seq,
            time: rfc_3339(),
            event: event.clone(),
        };
        hash = row.chain_hash(&hash);
        put(transaction, &row, &hash)?;
        rows.push(ChainedRow { row, hash });
    }
    set_head(transaction, seq, &hash)?;
    let chain = chain(transaction)?;
    Ok(Appended { chain, rows })
}

/// Returns the identifier of the hash chain, which is random and chosen when the database is
/// created.
fn chain(connection: &Connection) -> rusqlite::Result<String> {
    connection
        .prepare_cached("SELECT chain FROM audit_state")?
        .query_row([], |row| row.get(0))
}

/// Returns the number and hash of the last row, as recorded separately in `audit_state`.
///
/// # Errors
/// The SQLite error if the row of `audit_state` cannot be read.
pub fn head(connection: &Connection) -> rusqlite::Result<(i64, ChainHash)> {
    connection
        .prepare_cached("SELECT last_seq, last_hash FROM audit_state")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Records the number and hash of the last row in `audit_state`.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn set_head(transaction: &Transaction, seq: i64, hash: &ChainHash) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE audit_state SET last_seq = ?, last_hash = ?")?
        .execute(params![seq, hash])?;
    Ok(())
}

/// Inserts a row into `audit_log`.
fn put(transaction: &Transaction, row: &AuditRow, hash: &ChainHash) -> rusqlite::Result<()> {
    let event = &row.event;
    transaction
        .prepare_cached("INSERT INTO audit_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            row.seq,
            row.time,
            event.action,
            event.account_name,
            event.legal_name,
            event.message,
            event.reason,
            hash,
            event.origin.map(Origin::name)
        ])?;
    Ok(())
}

/// Converts a row of table `audit_log` selected with [`COLUMNS`].
fn row(row: &Row) -> rusqlite::Result<ChainedRow> {
    let origin: Option<String> = row.get(8)?;
    let unknown = || rusqlite::Error::InvalidColumnType(8, "origin".into(), Type::Text);
    let origin = origin
        .map(|name| Origin::from_name(&name).ok_or_else(unknown))
        .transpose()?;
    let event = Event {
        action: row.get(2)?,
        account_name: row.get(3)?,
        legal_name: row.get(4)?,
        message: row.get(5)?,
        reason: row.get(6)?,
        origin,
        refusal: None,
    };
    let found = AuditRow {
        seq: row.get(0)?,
        time: row.get(1)?,
        event,
    };
    Ok(ChainedRow {
        row: found,
        hash: row.get(7)?,
    })
}

/// Sets whether rows are delivered to an audit server. Rows that are in the log when delivery is
/// first enabled are not delivered.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn set_delivering(transaction: &Transaction, delivering: bool) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE audit_state SET
             delivered = CASE WHEN ?1 AND NOT delivering THEN last_seq ELSE delivered END,
             delivering = ?1",
        [delivering],
    )?;
    Ok(())
}

/// Returns the next rows to deliver, in order and at most `most`: first rows that were set aside
/// and are to be resent, which are all older, then rows that were not delivered yet.
///
/// # Errors
/// The SQLite error if the rows cannot be read, or [`rusqlite::Error::InvalidColumnType`] if one
/// has an unknown origin.
pub fn undelivered(connection: &Connection, most: u32) -> rusqlite::Result<Vec<AuditRow>> {
    let mut found = Vec::new();
    for which in [
        "seq IN (SELECT seq FROM audit_set_aside WHERE again)",
        "seq > (SELECT delivered FROM audit_state)",
    ] {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM audit_log WHERE {which} ORDER BY seq LIMIT ?"
        ))?;
        let left = most - found.len() as u32;
        for chained in statement.query_map([left], row)? {
            found.push(chained?.row);
        }
    }
    Ok(found)
}

/// Records that a row was delivered.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn set_delivered(transaction: &Transaction, seq: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM audit_set_aside WHERE seq = ?")?
        .execute([seq])?;
    advance(transaction, seq)
}

/// Sets aside a row that the audit server rejected, so that delivery continues with the next row.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn set_aside(transaction: &Transaction, seq: i64) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO audit_set_aside (seq, again) VALUES (?, 0)
         ON CONFLICT (seq) DO UPDATE SET again = 0",
        [seq],
    )?;
    advance(transaction, seq)
}

/// Advances the delivery queue past a row.
fn advance(transaction: &Transaction, seq: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE audit_state SET delivered = max(delivered, ?)")?
        .execute([seq])?;
    Ok(())
}

/// Marks all rows that were set aside to be resent, and returns their number.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn send_again(transaction: &Transaction) -> rusqlite::Result<usize> {
    transaction.execute("UPDATE audit_set_aside SET again = 1", [])
}

/// Status of the delivery to the audit server.
#[derive(Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// Number of rows in the log.
    pub rows: i64,
    /// Whether the service was last started with an audit server configured.
    pub configured: bool,
    /// Number of the last row that was delivered or set aside.
    pub delivered: i64,
    /// Number of rows that wait to be delivered.
    pub waiting: i64,
    /// Numbers of the rows that were set aside, and whether each is to be resent.
    pub set_aside: Vec<(i64, bool)>,
}

/// Read-only access to the audit log of a state directory, whether or not the service is running.
pub struct AuditLog {
    connection: Connection,
    path: std::path::PathBuf,
}

/// Result of verifying the hash chain.
#[derive(Debug, PartialEq, Eq)]
pub enum Verified {
    /// All rows are present and unchanged.
    Whole {
        /// Number of rows.
        rows: i64,
        /// Hash of the last row. Recorded elsewhere, it proves later that no row up to it was
        /// changed.
        hash: ChainHash,
    },
    /// The chain is broken.
    Broken {
        /// Number of the first row that is wrong.
        seq: i64,
        /// Description of what is wrong with the row, as a verb phrase.
        what: &'static str,
    },
}

impl AuditLog {
    /// Opens a snapshot of the audit log in the state directory `directory`.
    ///
    /// # Errors
    /// - [`StoreError::Sqlite`] if there is no database, or it cannot be opened or read.
    /// - [`StoreError::Damaged`] if the file is not a valid SQLite database.
    /// - [`StoreError::Foreign`] if the file is not a database of the auth server.
    /// - [`StoreError::Newer`] if its schema version is newer than this program supports.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(DATABASE);
        let connection = open_for_reading(&path)?;
        connection
            .execute_batch("BEGIN")
            .map_err(|source| StoreError::of(&path, "read", source))?;
        Ok(Self { connection, path })
    }

    /// Passes every row with its hash to `take`, in order, until `take` returns an error.
    ///
    /// # Errors
    /// The outer error is [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the rows cannot be
    /// read; the inner error is the one that `take` returned.
    pub fn each<E>(
        &self,
        mut take: impl FnMut(ChainedRow) -> Result<(), E>,
    ) -> Result<Result<(), E>, StoreError> {
        let mut read = || {
            let mut statement = self
                .connection
                .prepare(&format!("SELECT {COLUMNS} FROM audit_log ORDER BY seq"))?;
            let mut rows = statement.query([])?;
            while let Some(found) = rows.next()? {
                if let Err(error) = take(row(found)?) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        };
        read().map_err(|source| StoreError::of(&self.path, "read", source))
    }

    /// Returns the identifier of the hash chain, which the journal lines contain as well.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] or [`StoreError::Damaged`] if it cannot be read.
    pub fn chain(&self) -> Result<String, StoreError> {
        chain(&self.connection).map_err(|source| StoreError::of(&self.path, "read", source))
    }

    /// Returns the hash of a row; `None` if there is no such row.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] or [`StoreError::Damaged`] if it cannot be read.
    pub fn hash_of(&self, seq: i64) -> Result<Option<ChainHash>, StoreError> {
        self.connection
            .query_row("SELECT hash FROM audit_log WHERE seq = ?", [seq], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|source| StoreError::of(&self.path, "read", source))
    }

    /// Returns the status of the delivery to the audit server.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] or [`StoreError::Damaged`] if it cannot be read.
    pub fn delivery_status(&self) -> Result<DeliveryStatus, StoreError> {
        let read = || {
            let (rows, configured, delivered): (i64, bool, i64) = self.connection.query_row(
                "SELECT last_seq, delivering, delivered FROM audit_state",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let mut statement = self
                .connection
                .prepare("SELECT seq, again FROM audit_set_aside ORDER BY seq")?;
            let set_aside = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(DeliveryStatus {
                rows,
                configured,
                delivered,
                waiting: if configured { rows - delivered } else { 0 },
                set_aside: set_aside.collect::<rusqlite::Result<_>>()?,
            })
        };
        read().map_err(|source| StoreError::of(&self.path, "read", source))
    }

    /// Verifies the hash chain from the first row to the last one recorded in `audit_state`.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] or [`StoreError::Damaged`] if the rows cannot be read.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let (mut last, mut before) = (0, CHAIN_START);
        let checked = self.each(|ChainedRow { row, hash }| {
            last += 1;
            if row.seq != last {
                return Err(Verified::Broken {
                    seq: last,
                    what: "is missing",
                });
            }
            if row.chain_hash(&before) != hash {
                return Err(Verified::Broken {
                    seq: last,
                    what: "was changed, or the row before it was",
                });
            }
            before = hash;
            Ok(())
        })?;
        if let Err(broken) = checked {
            return Ok(broken);
        }
        let (seq, hash) =
            head(&self.connection).map_err(|source| StoreError::of(&self.path, "read", source))?;
        Ok(match seq.cmp(&last) {
            std::cmp::Ordering::Greater => Verified::Broken {
                seq: last + 1,
                what: "is missing",
            },
            std::cmp::Ordering::Less => Verified::Broken {
                seq: seq + 1,
                what: "was added by another program",
            },
            std::cmp::Ordering::Equal if hash != before => Verified::Broken {
                seq,
                what: "was changed",
            },
            std::cmp::Ordering::Equal => Verified::Whole { rows: last, hash },
        })
    }
}
