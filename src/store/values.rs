//! Rules for the values in each column. A value that no version of this program writes must not be
//! served, however it came into the file.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::Connection;

use super::check::{damaged, Provenance};
use super::error::StoreError;
use super::{directory, hash};
use crate::domain::settings::{Kind, SETTINGS};
use crate::domain::users::source::DirectoryId;
use crate::domain::users::AccountType;

/// Maximum id of a row in a file from elsewhere: the largest integer that is interoperable in JSON
/// (RFC 8259 §6).
pub const MAX_ID: i64 = (1 << 53) - 1;
/// Maximum id of a row at the start, far enough from [`MAX_ID`] that the server never gets there.
const MAX_OWN_ID: i64 = 1 << 60;
/// Maximum distance of a moment from the origin, in milliseconds: 10,000 years.
const MAX_MOMENT: i64 = 10_000 * 366 * 86_400_000;
/// Maximum length of a text, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// Rule for the values of a column.
#[derive(Clone, Copy)]
enum Rule {
    /// Id of a row.
    Id,
    /// Integer from the first bound to the second, inclusive.
    Integer(i64, i64),
    /// Number from the first bound to the second, inclusive.
    Real(f64, f64),
    /// Text in UTF-8.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Name of an account type.
    AccountType,
    /// Password hash that can be verified within the limits on memory and time; any text in the server's
    /// own database.
    Hash,
    /// Blob of 32 bytes.
    Digest,
    /// Configuration of the lab's directory, as JSON.
    Directory,
    /// Identifier of a person in the directory.
    DirectoryId,
}

use Rule::{Digest, Id, Integer, OneOf, Real, Text};

const ONLY: Rule = Integer(1, 1);
/// A set of scopes is stored as 32 bits.
const SCOPES: Rule = Integer(0, u32::MAX as i64);
const FLAG: Rule = Integer(0, 1);
const MOMENT: Rule = Integer(-MAX_MOMENT, MAX_MOMENT);

/// Column: its name, its rule, and whether it may be NULL.
type Column = (&'static str, Rule, bool);

/// Table, its key column to name a row by, and its columns.
struct Table {
    name: &'static str,
    /// Name of the integer key; empty if the key must not be shown.
    key: &'static str,
    columns: &'static [Column],
}

const TABLES: [Table; 12] = [
    Table {
        name: "clock_mark",
        key: "id",
        columns: &[
            ("id", ONLY, false),
            ("moment", MOMENT, false),
            ("boot", Text, false),
            ("uptime", MOMENT, false),
            ("wall", MOMENT, false),
        ],
    },
    Table {
        name: "setting",
        key: "id",
        columns: &[("id", ONLY, false), ("access_control", FLAG, false)],
    },
    Table {
        name: "user",
        key: "id",
        columns: &[
            ("id", Id, false),
            ("username", Text, false),
            ("full_name", Text, false),
            ("account_type", Rule::AccountType, false),
            ("password_hash", Rule::Hash, false),
            ("password_set_at", MOMENT, false),
            (
                "reset_reason",
                OneOf(&["NONE", "FIRST_TIME_LOGIN", "ADMIN_FORCED"]),
                false,
            ),
            ("locked_by_admin", FLAG, false),
            ("failed_logins", Integer(0, u32::MAX as i64), false),
            ("last_failed_login", MOMENT, true),
            ("temporary_password", FLAG, false),
            ("directory_id", Rule::DirectoryId, true),
            ("directory_looked_up", MOMENT, true),
            ("directory_confirmed", MOMENT, true),
        ],
    },
    Table {
        name: "directory",
        key: "id",
        columns: &[
            ("id", ONLY, false),
            ("configuration", Rule::Directory, false),
        ],
    },
    Table {
        name: "former_username",
        key: "user_id",
        columns: &[
            ("username", Text, false),
            ("user_id", Id, false),
            ("full_name", Text, false),
        ],
    },
    Table {
        name: "session",
        key: "id",
        columns: &[
            ("id", Id, false),
            ("user_id", Id, false),
            ("scopes", SCOPES, false),
            ("expires", MOMENT, false),
        ],
    },
    Table {
        name: "session_handle",
        key: "session_id",
        columns: &[("digest", Digest, false), ("session_id", Id, false)],
    },
    Table {
        name: "access_token",
        key: "session_id",
        columns: &[
            ("digest", Digest, false),
            ("session_id", Id, false),
            ("scopes", SCOPES, false),
            ("issued", MOMENT, false),
            ("expires", MOMENT, false),
        ],
    },
    Table {
        name: "refresh_token",
        key: "session_id",
        columns: &[
            ("digest", Digest, false),
            ("session_id", Id, false),
            ("expires", MOMENT, false),
            ("superseded", MOMENT, true),
        ],
    },
    Table {
        name: "audit_state",
        key: "id",
        columns: &[
            ("id", ONLY, false),
            ("last_seq", Integer(0, MAX_OWN_ID), false),
            ("last_hash", Digest, false),
            ("delivering", FLAG, false),
            ("delivered", Integer(0, MAX_OWN_ID), false),
            ("chain", Text, false),
        ],
    },
    Table {
        name: "audit_set_aside",
        key: "seq",
        columns: &[("seq", Id, false), ("again", FLAG, false)],
    },
    Table {
        name: "python_import",
        key: "id",
        columns: &[
            ("id", ONLY, false),
            ("file", Text, false),
            ("digest", Digest, false),
        ],
    },
];

/// The audit log, whose rows are checked only when they are restored.
const AUDIT_LOG: Table = Table {
    name: "audit_log",
    key: "seq",
    columns: &[
        ("seq", Id, false),
        ("time", Text, false),
        ("action", Text, false),
        ("account_name", Text, false),
        ("legal_name", Text, false),
        ("message", Text, false),
        ("reason", Text, true),
        ("hash", Digest, false),
        ("origin", OneOf(&["http", "console", "server"]), true),
    ],
};

/// Checks every value of a database of the current schema version. `named`: the path to name in
/// errors.
///
/// # Errors
/// - [`StoreError::Damaged`] names the table, row and column of the first value that breaks a rule,
///   but never the value.
/// - [`StoreError::Sqlite`] if a table cannot be read.
pub fn check(
    connection: &Connection,
    named: &Path,
    provenance: Provenance,
) -> Result<(), StoreError> {
    let settings: Vec<Column> = SETTINGS
        .iter()
        .map(|setting| {
            let rule = match setting.kind {
                Kind::Integer(least, most) => Integer(i64::from(least), i64::from(most)),
                Kind::Seconds(least, most) => Real(least, most),
                Kind::Boolean => FLAG,
            };
            (setting.column, rule, setting.nullable)
        })
        .collect();
    for table in &TABLES {
        rows(connection, named, table, table.columns, provenance)?;
        if table.name == "setting" {
            rows(connection, named, table, &settings, provenance)?;
        }
    }
    if provenance == Provenance::Elsewhere {
        rows(connection, named, &AUDIT_LOG, AUDIT_LOG.columns, provenance)?;
    }
    log_end(connection, named)
}

/// Checks the rows of a table.
fn rows(
    connection: &Connection,
    named: &Path,
    table: &Table,
    columns: &[Column],
    provenance: Provenance,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::of(named, "read", source);
    let names: Vec<_> = columns.iter().map(|(name, ..)| *name).collect();
    let sql = format!(
        "SELECT {}, {} FROM main.{}",
        names.join(", "),
        table.key,
        table.name
    );
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        for (position, (column, rule, nullable)) in columns.iter().enumerate() {
            let value = row.get_ref(position).map_err(failed)?;
            if let Err(what) = rule.check(value, *nullable, provenance) {
                let key = match row.get_ref(columns.len()).map_err(failed)? {
                    ValueRef::Integer(key) => key.to_string(),
                    _ => "(not an integer)".into(),
                };
                let what = format!(
                    "table {}, {} {key}, column {column}: {what}",
                    table.name, table.key
                );
                return Err(damaged(named, what));
            }
        }
    }
    Ok(())
}

/// Checks that the audit log can be continued: there is exactly one record of its end, and no row
/// after it.
fn log_end(connection: &Connection, named: &Path) -> Result<(), StoreError> {
    let (records, beyond): (i64, bool) = connection
        .query_row(
            "SELECT count(*), coalesce(
                 max(last_seq) < (SELECT max(seq) FROM audit_log), 0)
             FROM audit_state",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(|source| StoreError::of(named, "read", source))?;
    let what = match (records, beyond) {
        (1, false) => return Ok(()),
        (1, true) => "column last_seq: is not the last row of the audit log",
        _ => "does not have exactly one row",
    };
    Err(damaged(named, format!("table audit_state, {what}")))
}

impl Rule {
    /// Checks a value. The error describes what is wrong with it, as a verb phrase.
    fn check(self, value: ValueRef, nullable: bool, provenance: Provenance) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        let text = || match value {
            ValueRef::Text(bytes) if bytes.len() > MAX_TEXT => Err("is longer than 1 MiB"),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_err(|_| "is not UTF-8"),
            _ => Err("is not text"),
        };
        match (self, value) {
            (_, ValueRef::Null) if nullable => Ok(()),
            (Id, _) => {
                let most = match provenance {
                    Provenance::Own => MAX_OWN_ID,
                    Provenance::Elsewhere => MAX_ID,
                };
                Integer(1, most).check(value, false, provenance)
            }
            (Integer(least, most), ValueRef::Integer(number))
                if (least..=most).contains(&number) =>
            {
                Ok(())
            }
            (Integer(least, most), _) => Err(format!("is not an integer from {least} to {most}")),
            (Real(least, most), ValueRef::Real(number)) if (least..=most).contains(&number) => {
                Ok(())
            }
            (Real(least, most), _) => Err(format!("is not a number from {least} to {most}")),
            (Digest, ValueRef::Blob(bytes)) if bytes.len() == 32 => Ok(()),
            (Digest, _) => wrong("is not a blob of 32 bytes"),
            (Text, _) => text().map(drop).map_err(str::to_owned),
            (OneOf(known), _) => match text()? {
                text if known.contains(&text) => Ok(()),
                _ => Err(format!("is not one of {}", known.join(", "))),
            },
            (Self::AccountType, _) => match AccountType::from_name(text()?) {
                Some(_) => Ok(()),
                None => wrong("is not one of admin, user, auditor, service"),
            },
            (Self::Hash, _) if provenance == Provenance::Elsewhere => {
                hash::check(text()?).map_err(str::to_owned)
            }
            (Self::Hash, _) => text().map(drop).map_err(str::to_owned),
            (Self::Directory, _) => directory::read(text()?).map(drop),
            (Self::DirectoryId, _) => match DirectoryId::from_text(text()?.into()) {
                Some(_) => Ok(()),
                None => wrong("is not 32 hexadecimal digits in lower case"),
            },
        }
    }
}
