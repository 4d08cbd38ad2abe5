//! Tables `user` and `former_username`.

use std::path::Path;

use rusqlite::types::Type;
use rusqlite::{named_params, params, Connection, Row, Transaction};

use super::database::{open_for_reading, DATABASE};
use super::error::StoreError;
use crate::domain::change::Change;
use crate::domain::passwords::PasswordHash;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::users::source::{DirectoryId, OfDirectory};
use crate::domain::users::{AccountType, FormerUsername, ResetPasswordReason, User, UserId};

/// Stored reasons with their names in the database. `PasswordExpired` is computed, and never
/// stored.
const REASONS: [(ResetPasswordReason, &str); 3] = [
    (ResetPasswordReason::None, "NONE"),
    (ResetPasswordReason::FirstTimeLogin, "FIRST_TIME_LOGIN"),
    (ResetPasswordReason::AdminForced, "ADMIN_FORCED"),
];

/// Loads all users and former usernames into `state`.
///
/// # Errors
/// The SQLite error if the tables cannot be read, or [`rusqlite::Error::InvalidColumnType`] if a
/// value is one that no version of this program writes.
pub fn load(connection: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT * FROM user")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        state.apply(Change::PutUser(user(row)?));
    }
    let mut statement =
        connection.prepare("SELECT username, user_id, full_name FROM former_username")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        state.apply(Change::PutFormerUsername(FormerUsername {
            key: row.get(0)?,
            user: UserId(row.get(1)?),
            full_name: row.get(2)?,
        }));
    }
    Ok(())
}

/// Returns the usernames of all accounts in the state directory `directory`, in alphabetical order,
/// whether or not the service is running.
///
/// # Errors
/// - [`StoreError::Io`] if there is no database, or it cannot be examined.
/// - [`StoreError::Sqlite`] if it cannot be opened or read.
/// - [`StoreError::Damaged`], [`StoreError::Foreign`] or [`StoreError::Newer`] if it is not a database
///   of the auth server, of a supported version.
pub fn usernames(directory: &Path) -> Result<Vec<String>, StoreError> {
    let path = directory.join(DATABASE);
    let connection = open_for_reading(&path)?;
    let read = || {
        let mut statement = connection.prepare("SELECT username FROM user ORDER BY username")?;
        let names = statement.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<_>>()
    };
    read().map_err(|source| StoreError::of(&path, "read", source))
}

/// Converts a row of table `user`.
fn user(row: &Row) -> rusqlite::Result<User> {
    let unknown = |name: &str| {
        let column = row.as_ref().column_index(name).unwrap_or_default();
        rusqlite::Error::InvalidColumnType(column, name.into(), Type::Text)
    };
    let account_type: String = row.get("account_type")?;
    let reason: String = row.get("reset_reason")?;
    let directory = match row.get("directory_id")? {
        None => None,
        Some(id) => Some(OfDirectory {
            id: DirectoryId::from_text(id).ok_or_else(|| unknown("directory_id"))?,
            looked_up: Moment(row.get("directory_looked_up")?),
            confirmed: row
                .get::<_, Option<i64>>("directory_confirmed")?
                .map(Moment),
        }),
    };
    Ok(User {
        id: UserId(row.get("id")?),
        username: row.get("username")?,
        full_name: row.get("full_name")?,
        account_type: AccountType::from_name(&account_type)
            .ok_or_else(|| unknown("account_type"))?,
        password: PasswordHash::from_phc(row.get("password_hash")?),
        password_set_at: Moment(row.get("password_set_at")?),
        stored_reason: REASONS
            .into_iter()
            .find(|(_, name)| *name == reason)
            .map(|(reason, _)| reason)
            .ok_or_else(|| unknown("reset_reason"))?,
        locked_by_admin: row.get("locked_by_admin")?,
        failed_logins: row.get("failed_logins")?,
        last_failed_login: row.get::<_, Option<i64>>("last_failed_login")?.map(Moment),
        temporary_password: row.get("temporary_password")?,
        directory,
    })
}

/// Inserts a user, or updates the one with the same id.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn put(transaction: &Transaction, user: &User) -> rusqlite::Result<()> {
    let reason = REASONS
        .into_iter()
        .find(|(reason, _)| *reason == user.stored_reason)
        .map_or("NONE", |(_, name)| name);
    let directory = user.directory.as_ref();
    transaction
        .prepare_cached(
            "INSERT INTO user VALUES (:id, :username, :full_name, :type, :hash, :set_at, :reason,
                 :locked, :failed, :last_failed, :temporary, :directory, :looked_up, :confirmed)
             ON CONFLICT (id) DO UPDATE SET
                 username = :username, full_name = :full_name, account_type = :type,
                 password_hash = :hash, password_set_at = :set_at, reset_reason = :reason,
                 locked_by_admin = :locked, failed_logins = :failed,
                 last_failed_login = :last_failed, temporary_password = :temporary,
                 directory_id = :directory, directory_looked_up = :looked_up,
                 directory_confirmed = :confirmed",
        )?
        .execute(named_params! {
            ":id": user.id.0,
            ":username": user.username,
            ":full_name": user.full_name,
            ":type": user.account_type.name(),
            ":hash": user.password.as_phc(),
            ":set_at": user.password_set_at.0,
            ":reason": reason,
            ":locked": user.locked_by_admin,
            ":failed": user.failed_logins,
            ":last_failed": user.last_failed_login.map(|moment| moment.0),
            ":temporary": user.temporary_password,
            ":directory": directory.map(|of| of.id.as_text()),
            ":looked_up": directory.map(|of| of.looked_up.0),
            ":confirmed": directory.and_then(|of| of.confirmed).map(|moment| moment.0),
        })?;
    Ok(())
}

/// Inserts or replaces the record of a former username.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn put_former(transaction: &Transaction, former: &FormerUsername) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR REPLACE INTO former_username VALUES (?, ?, ?)",
        params![former.key, former.user.0, former.full_name],
    )?;
    Ok(())
}

/// Deletes a user, and thereby the user's sessions.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn delete(transaction: &Transaction, id: UserId) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM user WHERE id = ?", [id.0])?;
    Ok(())
}
