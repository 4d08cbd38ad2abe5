//! Table `directory`: a single row with the configuration of the lab's directory, or none.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::directory::protocol::Configuration;
use crate::domain::change::Change;
use crate::domain::directory::Directory;
use crate::domain::state::State;

/// Loads the configuration into `state`.
///
/// # Errors
/// The SQLite error if the table cannot be read, or [`rusqlite::Error::InvalidColumnType`] if the
/// configuration is one that no version of this program writes.
pub fn load(connection: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let found: Option<String> = connection
        .query_row("SELECT configuration FROM directory", [], |row| row.get(0))
        .optional()?;
    if let Some(text) = found {
        let directory = read(&text).map_err(|_| {
            rusqlite::Error::InvalidColumnType(0, "configuration".into(), Type::Text)
        })?;
        state.apply(Change::PutDirectory(Some(Arc::new(directory))));
    }
    Ok(())
}

/// Reads a configuration that is stored as JSON, and checks all of its values.
///
/// # Errors
/// A description of what is wrong with it, as a verb phrase without the bind password.
pub fn read(text: &str) -> Result<Directory, String> {
    let configuration: Configuration =
        serde_json::from_str(text).map_err(|_| "is not a configuration of a directory")?;
    let directory = Directory::from(configuration);
    match directory.check() {
        Ok(()) => Ok(directory),
        Err(error) => Err(format!("breaks a rule: {error}")),
    }
}

/// Stores the configuration, or removes it.
///
/// # Errors
/// The SQLite error if a statement fails.
pub fn put(transaction: &Transaction, directory: Option<&Directory>) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM directory", [])?;
    if let Some(directory) = directory {
        let configuration = Configuration::from(directory.clone());
        let text = serde_json::to_string(&configuration)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        transaction.execute("INSERT INTO directory VALUES (1, ?)", [text])?;
    }
    Ok(())
}
