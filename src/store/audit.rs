//! Tables `audit_log`, `audit_state` and `audit_set_aside`: a log that only grows, how far it was
//! delivered, and what the audit server has refused.

use std::path::Path;

use rusqlite::types::Type;
use rusqlite::{params, Connection, OpenFlags, Row, Transaction};

use super::database::{check_version, connect, DATABASE};
use super::error::StoreError;
use crate::domain::audit::{AuditRow, ChainHash, ChainedRow, Event, Origin, CHAIN_START};
use crate::os::clock::rfc_3339;

const COLUMNS: &str = "seq, time, action, account_name, legal_name, message, reason, hash, origin";

/// Told of each row that was committed to the audit log, with the identifier of its chain.
pub type Observer = fn(row: &ChainedRow, chain: &str);

/// Rows that were appended to the audit log.
#[derive(Default)]
pub struct Appended {
    /// Identifier of the chain that the rows belong to.
    pub chain: String,
    /// The rows, in order.
    pub rows: Vec<ChainedRow>,
}

impl Appended {
    /// Tells `observer` of each row, once they are committed.
    pub fn tell(&self, observer: Observer) {
        for row in &self.rows {
            observer(row, &self.chain);
        }
    }
}

/// Adds events at the end.
pub fn append(transaction: &Transaction, events: Vec<Event>) -> rusqlite::Result<Appended> {
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
            event,
        };
        hash = row.chain_hash(&hash);
        put(transaction, &row, &hash)?;
        rows.push(ChainedRow { row, hash });
    }
    set_head(transaction, seq, &hash)?;
    let chain = chain(transaction)?;
    Ok(Appended { chain, rows })
}

/// Which chain the log is: another after each time that state was made anew.
fn chain(connection: &Connection) -> rusqlite::Result<String> {
    connection
        .prepare_cached("SELECT chain FROM audit_state")?
        .query_row([], |row| row.get(0))
}

/// The number and the hash of the last row, as they were written down beside the log.
pub fn head(connection: &Connection) -> rusqlite::Result<(i64, ChainHash)> {
    connection
        .prepare_cached("SELECT last_seq, last_hash FROM audit_state")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Writes down where the log ends.
pub fn set_head(transaction: &Transaction, seq: i64, hash: &ChainHash) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE audit_state SET last_seq = ?, last_hash = ?")?
        .execute(params![seq, hash])?;
    Ok(())
}

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

/// Says whether rows are delivered. When that begins, what is in the log already is not owed.
pub fn set_delivering(transaction: &Transaction, delivering: bool) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE audit_state SET
             delivered = CASE WHEN ?1 AND NOT delivering THEN last_seq ELSE delivered END,
             delivering = ?1",
        [delivering],
    )?;
    Ok(())
}

/// The first rows to deliver, in order: those that are to be sent again, which are all older, and
/// those that were not delivered.
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

/// Writes down that a row was delivered.
pub fn set_delivered(transaction: &Transaction, seq: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM audit_set_aside WHERE seq = ?")?
        .execute([seq])?;
    pass(transaction, seq)
}

/// Sets a row aside, which the audit server has refused: those after it go on.
pub fn set_aside(transaction: &Transaction, seq: i64) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO audit_set_aside (seq, again) VALUES (?, 0)
         ON CONFLICT (seq) DO UPDATE SET again = 0",
        [seq],
    )?;
    pass(transaction, seq)
}

fn pass(transaction: &Transaction, seq: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE audit_state SET delivered = max(delivered, ?)")?
        .execute([seq])?;
    Ok(())
}

/// Has all rows sent again that were set aside; returns how many.
pub fn send_again(transaction: &Transaction) -> rusqlite::Result<usize> {
    transaction.execute("UPDATE audit_set_aside SET again = 1", [])
}

/// How far the log was delivered.
#[derive(Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// Rows of the log.
    pub rows: i64,
    /// Whether the service was last started with an audit server to send events to.
    pub configured: bool,
    /// The last row that the queue is past.
    pub delivered: i64,
    /// Rows that were never sent.
    pub waiting: i64,
    /// Numbers of the rows that the audit server has refused, and whether each is sent again.
    pub set_aside: Vec<(i64, bool)>,
}

/// The audit log of a state directory, to be read while the service runs or does not.
pub struct AuditLog {
    connection: Connection,
    path: std::path::PathBuf,
}

/// What a check of the chain found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verified {
    /// All rows are there, as they were written.
    Whole {
        /// How many.
        rows: i64,
        /// The last one's hash: noted elsewhere, it vouches for all before.
        hash: ChainHash,
    },
    /// The first place where something is wrong.
    Broken {
        /// The row's number.
        seq: i64,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl AuditLog {
    /// Opens the log of the state directory `directory`, to read it as it is at one moment.
    ///
    /// # Errors
    /// There is no database, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(DATABASE);
        check_version(&path)?;
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection
            .execute_batch("BEGIN")
            .map_err(|source| StoreError::of(&path, "read", source))?;
        Ok(Self { connection, path })
    }

    /// Gives every row with its hash to `take`, in order, until it fails.
    ///
    /// # Errors
    /// The outer one: the rows could not be read. The inner one is `take`'s.
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

    /// Which chain the log is, as lines of the journal name it.
    ///
    /// # Errors
    /// It could not be read.
    pub fn chain(&self) -> Result<String, StoreError> {
        chain(&self.connection).map_err(|source| StoreError::of(&self.path, "read", source))
    }

    /// How far the log was delivered.
    ///
    /// # Errors
    /// It could not be read.
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

    /// Checks the chain from its beginning to where the log is said to end.
    ///
    /// # Errors
    /// The rows could not be read.
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
                    what: "was changed, or the one before it was",
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
