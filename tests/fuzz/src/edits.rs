//! Changes to an intact database: what somebody could do to a file who wants the server to read it.

use std::path::Path;

use arbitrary::Arbitrary;
use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{params, Connection};

/// Changes to the schema. `{table}` and `{column}` are replaced by names of the database. A view may
/// have rows without end, so all that is read of one has a limit.
const SCHEMA: &[&str] = &[
    "DROP TABLE {table}",
    "DROP VIEW {table}",
    "DELETE FROM {table}",
    "CREATE TABLE more (x)",
    "CREATE INDEX more ON {table} ({column})",
    "CREATE UNIQUE INDEX more ON {table} ({column})",
    "CREATE VIEW more AS SELECT * FROM {table}",
    "ALTER TABLE {table} RENAME TO other",
    "ALTER TABLE {table} DROP COLUMN {column}",
    "ALTER TABLE {table} ADD COLUMN more",
    "ALTER TABLE {table} RENAME COLUMN {column} TO other",
    "CREATE TABLE copy AS SELECT * FROM {table} LIMIT 256; DROP TABLE {table}; ALTER TABLE copy RENAME TO {table}",
    "CREATE TABLE copy AS SELECT * FROM {table} LIMIT 256; DROP TABLE {table}; CREATE VIEW {table} AS SELECT * FROM copy",
    "DROP TABLE {table}; CREATE VIEW {table} AS WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS {column} FROM n",
    "CREATE TRIGGER more AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
    "CREATE TRIGGER more AFTER UPDATE ON {table} BEGIN DELETE FROM {table}; END",
    "CREATE TRIGGER more AFTER DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END",
    "INSERT INTO {table} SELECT * FROM {table} LIMIT 256",
    "INSERT OR REPLACE INTO {table} DEFAULT VALUES",
    "PRAGMA user_version = 0",
    "PRAGMA user_version = 1",
    "PRAGMA user_version = 2147483647",
    "PRAGMA application_id = 0",
    "PRAGMA encoding = 'UTF-16'; VACUUM",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA page_size = 512; VACUUM",
    "PRAGMA auto_vacuum = FULL; VACUUM",
];

/// Value of a cell.
#[derive(Arbitrary, Debug)]
pub enum Cell {
    /// NULL.
    Null,
    /// A number near zero.
    Small(i8),
    /// A number near a power of two, by its exponent.
    Power(u8, i8),
    /// Any integer.
    Integer(i64),
    /// Any number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// Bytes that are called text.
    NoText(Vec<u8>),
    /// A hash with these costs (memory, time, parallelism) and this length.
    Hash(u32, u32, u32, u8),
}

impl Cell {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Small(number) => Value::Integer((*number).into()),
            Self::Power(exponent, more) => {
                Value::Integer((1i64 << (exponent % 64)).wrapping_add((*more).into()))
            }
            Self::Integer(number) => Value::Integer(*number),
            Self::Real(number) => Value::Real(*number),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Blob(bytes) | Self::NoText(bytes) => Value::Blob(bytes.clone()),
            Self::Hash(memory, time, lanes, length) => {
                let (salt, hash) = ("c29tZXNhbHQ", "A".repeat((*length).into()));
                Value::Text(format!(
                    "$argon2id$v=19$m={memory},t={time},p={lanes}${salt}${hash}"
                ))
            }
        }
    }
}

/// Change to a database.
#[derive(Arbitrary, Debug)]
pub enum Edit {
    /// Another value in a cell: number of the table, the column and the row.
    Cell(u8, u8, u8, Cell),
    /// Another value in a cell, whatever its column allows.
    Unchecked(u8, u8, u8, Cell),
    /// Another schema: number of the statement in [`SCHEMA`], the table and the column.
    Schema(u8, u8, u8),
    /// Other bytes at an offset of the file.
    Bytes(u32, Vec<u8>),
    /// Fewer bytes.
    Truncate(u32),
    /// Bytes at the end.
    Append(Vec<u8>),
}

/// Writes `base` to `path` and makes the changes. Those that SQLite refuses are skipped.
pub fn apply(base: &[u8], edits: &[Edit], path: &Path) {
    std::fs::write(path, base).expect("the database can be written");
    for edit in edits {
        let (Edit::Bytes(..) | Edit::Truncate(..) | Edit::Append(..)) = edit else {
            if let Ok(connection) = Connection::open(path) {
                let _refused = query(&connection, edit);
            }
            continue;
        };
        let mut bytes = std::fs::read(path).expect("the database can be read");
        match edit {
            Edit::Bytes(at, with) if !bytes.is_empty() => {
                let at = *at as usize % bytes.len();
                let end = (at + with.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&with[..end - at]);
            }
            Edit::Truncate(length) => bytes.truncate(*length as usize),
            Edit::Append(more) => bytes.extend_from_slice(more),
            _ => {}
        }
        std::fs::write(path, bytes).expect("the database can be written");
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        let _none = std::fs::remove_file(beside);
    }
}

/// Makes a change by SQL.
fn query(connection: &Connection, edit: &Edit) -> rusqlite::Result<()> {
    match edit {
        Edit::Cell(table, column, row, cell) => {
            connection.execute_batch("PRAGMA foreign_keys = OFF")?;
            put(connection, (*table, *column, *row), cell)
        }
        Edit::Unchecked(table, column, row, cell) => {
            connection
                .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")?;
            put(connection, (*table, *column, *row), cell)
        }
        Edit::Schema(statement, table, column) => {
            let (table, column) = names(connection, *table, *column)?;
            let statement = SCHEMA[usize::from(*statement) % SCHEMA.len()]
                .replace("{table}", &table)
                .replace("{column}", &column);
            connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {statement}"))
        }
        Edit::Bytes(..) | Edit::Truncate(..) | Edit::Append(..) => Ok(()),
    }
}

/// Replaces the value of a cell.
fn put(
    connection: &Connection,
    (table, column, row): (u8, u8, u8),
    cell: &Cell,
) -> rusqlite::Result<()> {
    let (table, column) = names(connection, table, column)?;
    let rows: i64 = connection.query_row(
        &format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT 256)"),
        [],
        |row| row.get(0),
    )?;
    let row = i64::from(row) % rows.max(1);
    let value = ToSqlOutput::Owned(cell.value());
    let placeholder = if matches!(cell, Cell::NoText(_)) {
        "CAST(?1 AS TEXT)"
    } else {
        "?1"
    };
    // Without a trigger that forbids it; a table without row ids has another key.
    connection.execute_batch("DROP TRIGGER IF EXISTS audit_log_is_not_changed")?;
    let key: String = connection.query_row(
        "SELECT coalesce((SELECT name FROM pragma_table_info(?1) WHERE pk = 1), 'rowid')",
        [&table],
        |row| row.get(0),
    )?;
    connection
        .execute(
            &format!("UPDATE {table} SET {column} = {placeholder} WHERE {key} = (SELECT {key} FROM {table} LIMIT 1 OFFSET ?2)"),
            params![value, row],
        )
        .map(|_| ())
}

/// Returns the names of a table and a column of it, by their numbers.
fn names(connection: &Connection, table: u8, column: u8) -> rusqlite::Result<(String, String)> {
    let pick = |sql: &str, of: &str, number: u8| -> rusqlite::Result<String> {
        let mut statement = connection.prepare(sql)?;
        let found: Vec<String> = statement
            .query_map([of], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        found
            .get(usize::from(number) % found.len().max(1))
            .cloned()
            .ok_or(rusqlite::Error::QueryReturnedNoRows)
    };
    let table = pick(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE ?1 ORDER BY name",
        "sqlite_%",
        table,
    )?;
    let column = pick("SELECT name FROM pragma_table_info(?1)", &table, column)?;
    Ok((table, column))
}
