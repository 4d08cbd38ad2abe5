//! Table `setting`: a single row, or none while all settings have their defaults.

use std::time::Duration;

use rusqlite::types::{Null, ToSqlOutput, Type, ValueRef};
use rusqlite::{params_from_iter, Connection, OptionalExtension, Row, ToSql, Transaction};

use crate::domain::change::Change;
use crate::domain::settings::{Kind, Setting, Settings, Value, SETTINGS};
use crate::domain::state::State;

/// Loads the settings, and whether access control is on, into `state`.
///
/// # Errors
/// The SQLite error if the table cannot be read, or [`rusqlite::Error::InvalidColumnType`] if a
/// value is one that no version of this program writes.
pub fn load(connection: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let found = connection
        .query_row("SELECT * FROM setting", [], |row| {
            let mut settings = Settings::default();
            for setting in &SETTINGS {
                let wrong = || {
                    let column = row
                        .as_ref()
                        .column_index(setting.column)
                        .unwrap_or_default();
                    rusqlite::Error::InvalidColumnType(column, setting.column.into(), Type::Null)
                };
                let value = value(row, setting)?.ok_or_else(wrong)?;
                setting.put(&mut settings, value).map_err(|_| wrong())?;
            }
            Ok((settings, row.get("access_control")?))
        })
        .optional()?;
    if let Some((settings, access_control)) = found {
        state.apply(Change::PutSettings(settings));
        state.apply(Change::SetAccessControl(access_control));
    }
    Ok(())
}

/// Returns the value in the column of a setting; `None` if it is not a valid value of its type.
fn value(row: &Row, setting: &Setting) -> rusqlite::Result<Option<Value>> {
    if row.get_ref(setting.column)? == ValueRef::Null {
        return Ok(Some(Value::Null));
    }
    Ok(match setting.kind {
        Kind::Integer(..) => Some(Value::Integer(row.get(setting.column)?)),
        Kind::Boolean => Some(Value::Boolean(row.get(setting.column)?)),
        Kind::Seconds(..) => Duration::try_from_secs_f64(row.get(setting.column)?)
            .ok()
            .map(Value::Duration),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => Null.into(),
            Self::Integer(number) => (*number).into(),
            Self::Duration(duration) => duration.as_secs_f64().into(),
            Self::Boolean(on) => (*on).into(),
        })
    }
}

/// Stores all settings. Whether access control is on stays unchanged.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn put(transaction: &Transaction, settings: &Settings) -> rusqlite::Result<()> {
    let columns: Vec<_> = SETTINGS.iter().map(|setting| setting.column).collect();
    let updates: Vec<_> = columns
        .iter()
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let places = vec!["?"; columns.len()].join(", ");
    let (columns, updates) = (columns.join(", "), updates.join(", "));
    transaction.execute(
        &format!(
            "INSERT INTO setting (id, access_control, {columns}) VALUES (1, 0, {places})
             ON CONFLICT (id) DO UPDATE SET {updates}"
        ),
        params_from_iter(SETTINGS.iter().map(|setting| setting.value(settings))),
    )?;
    Ok(())
}

/// Stores whether access control is on.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn set_access_control(transaction: &Transaction, on: bool) -> rusqlite::Result<()> {
    let changed = transaction.execute("UPDATE setting SET access_control = ?", [on])?;
    if changed == 0 {
        put(transaction, &Settings::default())?;
        transaction.execute("UPDATE setting SET access_control = ?", [on])?;
    }
    Ok(())
}
