//! Reads a copy of the Python server's database with SQLite, without trusting it: first its schema,
//! then its integrity, then every row.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::find::{Fault, Schema, Staged};
use super::plan::{Cell, Plan, UserRow};
use super::Faults;

/// Maximum number of rows to read from a table.
const MAX_ROWS: u64 = 1_000_000;
/// Maximum number of users to read.
const MAX_USERS: u64 = 100_000;

/// Expected table: its name, its columns with their types, and its primary key.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, &'static str)],
    key: &'static str,
}

const ALEMBIC_VERSION: Table = Table {
    name: "alembic_version",
    columns: &[("version_num", "VARCHAR(32)")],
    key: "version_num",
};
const SETTING: Table = Table {
    name: "setting",
    columns: &[("key", "VARCHAR"), ("value", "VARCHAR")],
    key: "key",
};
const ACCESS_CONTROL: Table = Table {
    name: "access_control_enabled",
    columns: &[("id", "INTEGER"), ("enabled", "BOOLEAN")],
    key: "id",
};
const FAILED_LOGIN: Table = Table {
    name: "failed_login",
    columns: &[
        ("id", "INTEGER"),
        ("user_id", "INTEGER"),
        ("attempted_at", "DATETIME"),
    ],
    key: "id",
};
const FIRST_USER: Table = Table {
    name: "user",
    columns: &[
        ("id", "INTEGER"),
        ("username", "VARCHAR"),
        ("hashed_password", "VARCHAR"),
        ("full_name", "VARCHAR"),
        ("account_type", "VARCHAR"),
        ("reset_password", "BOOLEAN"),
        ("password_set_at", "DATETIME"),
        ("deactivated", "BOOLEAN"),
    ],
    key: "id",
};
const USER: Table = Table {
    columns: &[
        ("id", "INTEGER"),
        ("username", "VARCHAR"),
        ("hashed_password", "VARCHAR"),
        ("full_name", "VARCHAR"),
        ("account_type", "VARCHAR"),
        ("reset_password", "BOOLEAN"),
        ("password_set_at", "DATETIME"),
        ("deactivated", "BOOLEAN"),
        ("temporary_hashed_password", "VARCHAR"),
    ],
    ..FIRST_USER
};

impl Schema {
    /// Returns the tables of the schema; the last one is `user`.
    fn tables(self) -> [&'static Table; 5] {
        let user = match self {
            Self::B8c4e2f1a903 => &FIRST_USER,
            Self::C3a91d4e2b70 => &USER,
        };
        [
            &ALEMBIC_VERSION,
            &SETTING,
            &ACCESS_CONTROL,
            &FAILED_LOGIN,
            user,
        ]
    }
}

/// Reads the copy into `plan`. What cannot be read is skipped and reported as a fault.
///
/// Returns whether the schema and the integrity of the whole database are as expected. Only then
/// can its record of access control be trusted.
pub fn read(staged: &Staged, plan: &mut Plan, faults: &mut Faults) -> bool {
    let before = faults.count();
    let connection = match open(&staged.copy) {
        Ok(connection) => connection,
        Err(error) => {
            faults.add(Fault::new(&staged.file, error));
            return false;
        }
    };
    let mut reader = Reader {
        connection,
        file: &staged.file,
        faults,
    };
    reader.check_objects(staged.schema);
    let tables = staged.schema.tables();
    let sound = tables.map(|table| reader.check_table(table));
    reader.check_integrity();
    if sound[0] {
        reader.check_version(staged.schema);
    }
    let is_whole = reader.faults.count() == before;
    if sound[1] {
        reader.rows(&SETTING, "key", MAX_ROWS, |row| {
            plan.setting(&cell(row, 0), &cell(row, 1))
        });
    }
    if sound[2] {
        let before = reader.faults.count();
        reader.rows(&ACCESS_CONTROL, "id", MAX_ROWS, |row| {
            plan.access_control(&cell(row, 0), &cell(row, 1))
        });
        if reader.faults.count() > before {
            plan.access_control = None;
        }
    }
    if sound[3] {
        reader.rows(&FAILED_LOGIN, "id", MAX_ROWS, |row| {
            plan.failed_login(&cell(row, 0), &cell(row, 1), &cell(row, 2))
        });
    }
    if sound[4] {
        let has_temporary = staged.schema == Schema::C3a91d4e2b70;
        reader.rows(tables[4], "id", MAX_USERS, |row| {
            plan.user(&UserRow {
                id: cell(row, 0),
                username: cell(row, 1),
                hashed_password: cell(row, 2),
                full_name: cell(row, 3),
                account_type: cell(row, 4),
                reset_password: cell(row, 5),
                password_set_at: cell(row, 6),
                deactivated: cell(row, 7),
                temporary_hashed_password: match has_temporary {
                    true => cell(row, 8),
                    false => Cell::Null,
                },
            })
        });
    }
    plan.finish();
    is_whole
}

/// Opens the copy: first for writing, so that SQLite recovers from a power cut by means of the
/// write-ahead log or rollback journal, then read-only. Defensive options keep SQLite from running
/// code in the schema (<https://sqlite.org/security.html>).
fn open(copy: &Path) -> rusqlite::Result<Connection> {
    let connect = |mode| {
        let connection = Connection::open_with_flags(copy, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        for (option, on) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        ] {
            connection.set_db_config(option, on)?;
        }
        connection.execute_batch(
            "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048;",
        )?;
        Ok::<_, rusqlite::Error>(connection)
    };
    let recovering = connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    recovering.execute_batch("PRAGMA synchronous = OFF")?;
    let count = "SELECT count(*) FROM sqlite_schema";
    recovering.query_row(count, [], |_| Ok(()))?;
    recovering.close().map_err(|(_, error)| error)?;
    connect(OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Reader that reports faults of the copy as faults of the original file.
struct Reader<'a> {
    connection: Connection,
    file: &'a Path,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    /// Reports a fault of the database.
    fn fault(&mut self, what: impl std::fmt::Display) {
        self.faults.add(Fault::new(self.file, what));
    }

    /// Reports objects other than the known tables, their indexes, and the statistics tables of
    /// SQLite itself, whose reserved names (`sqlite_…`) nobody else can use.
    fn check_objects(&mut self, schema: Schema) {
        let known = schema.tables().map(|table| table.name);
        let found = self.all("SELECT type, name, tbl_name FROM sqlite_schema", |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        for (kind, name, table) in found {
            let (kind, name, table): (String, String, String) = (kind, name, table);
            let expected = match kind.as_str() {
                "table" => known.contains(&name.as_str()) || name.starts_with("sqlite_stat"),
                "index" => known.contains(&table.as_str()),
                _ => false,
            };
            if !expected {
                let name: String = name.chars().take(64).collect();
                self.fault(format!("has a {kind} {name:?} that no known version has"));
            }
        }
    }

    /// Returns whether a table is as expected: an ordinary table with exactly these columns.
    /// Reports faults if it is not.
    fn check_table(&mut self, table: &Table) -> bool {
        let before = self.faults.count();
        let name = table.name;
        let kinds = self.all(
            &format!(
                "SELECT type, wr FROM pragma_table_list WHERE schema = 'main' AND name = '{name}'"
            ),
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)),
        );
        if kinds != [("table".to_owned(), false)] {
            self.fault(format!("does not have an ordinary table {name}"));
            return false;
        }
        let found: BTreeMap<String, (String, bool, i64)> = self
            .all(&format!("PRAGMA main.table_xinfo('{name}')"), |row| {
                let kind: String = row.get("type")?;
                let column = (
                    kind.to_ascii_uppercase(),
                    row.get("pk")?,
                    row.get("hidden")?,
                );
                Ok((row.get("name")?, column))
            })
            .into_iter()
            .collect();
        for (column, kind) in table.columns {
            let is_key = *column == table.key;
            if found.get(*column) != Some(&((*kind).to_owned(), is_key, 0)) {
                self.fault(format!(
                    "table {name}: has no column {column} of the expected type"
                ));
            }
        }
        if found.len() > table.columns.len() {
            self.fault(format!(
                "table {name}: has columns that no known version has"
            ));
        }
        let computed = self.all(
            &format!(
                "SELECT list.name FROM pragma_index_list('{name}', 'main') AS list
                 WHERE list.partial OR EXISTS
                     (SELECT 1 FROM pragma_index_xinfo(list.name, 'main') WHERE cid = -2)"
            ),
            |row| row.get::<_, String>(0),
        );
        if !computed.is_empty() {
            self.fault(format!(
                "table {name}: has a partial index or an index on an expression"
            ));
        }
        self.faults.count() == before
    }

    /// Checks the integrity of the whole database.
    fn check_integrity(&mut self) {
        for said in self.all("PRAGMA integrity_check(1)", |row| row.get::<_, String>(0)) {
            if said != "ok" {
                self.fault(format!("is damaged: {said}"));
            }
        }
    }

    /// Checks that the database states the same schema version as its directory.
    fn check_version(&mut self, schema: Schema) {
        let found = self.all("SELECT version_num FROM alembic_version LIMIT 2", |row| {
            Ok(cell(row, 0))
        });
        if found != [Cell::Text(schema.revision().into())] {
            self.fault(format!(
                "table alembic_version: does not contain the directory's version, {}",
                schema.revision()
            ));
        }
    }

    /// Passes the rows of a table to `take`, in the given order and at most `most`, and reports its
    /// errors as faults.
    fn rows(
        &mut self,
        table: &Table,
        order: &str,
        most: u64,
        mut take: impl FnMut(&Row) -> Result<(), String>,
    ) {
        let columns: Vec<_> = table
            .columns
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let sql = format!(
            "SELECT {} FROM main.\"{}\" ORDER BY \"{order}\"",
            columns.join(", "),
            table.name
        );
        let mut read = || {
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            let mut left = most;
            while let Some(row) = rows.next()? {
                if left == 0 {
                    let what = format!("table {}: has more than {most} rows", table.name);
                    self.faults.add(Fault::new(self.file, what));
                    break;
                }
                left -= 1;
                if let Err(what) = take(row) {
                    self.faults.add(Fault::new(self.file, what));
                }
            }
            Ok::<_, rusqlite::Error>(())
        };
        if let Err(error) = read() {
            self.fault(format!("table {}: cannot be read: {error}", table.name));
        }
    }

    /// Returns all rows of a query about the schema. An error is reported as a fault, and ends the
    /// rows.
    fn all<T>(&mut self, sql: &str, take: impl FnMut(&Row) -> rusqlite::Result<T>) -> Vec<T> {
        let mut found = Vec::new();
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            for row in statement.query_map([], take)? {
                found.push(row?);
            }
            Ok::<_, rusqlite::Error>(())
        };
        if let Err(error) = read() {
            self.fault(format!("cannot be read: {error}"));
        }
        found
    }
}

/// Returns the value of a column.
fn cell(row: &Row, column: usize) -> Cell {
    match row.get_ref(column) {
        Ok(ValueRef::Null) => Cell::Null,
        Ok(ValueRef::Integer(value)) => Cell::Integer(value),
        Ok(ValueRef::Text(bytes)) => {
            String::from_utf8(bytes.to_vec()).map_or(Cell::Other, Cell::Text)
        }
        _ => Cell::Other,
    }
}
