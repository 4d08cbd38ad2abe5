//! Tables `session`, `session_handle`, `access_token` and `refresh_token`. Deleting a session deletes
//! what belongs to it (`ON DELETE CASCADE`).

use rusqlite::{params, Connection, Transaction};

use crate::domain::change::Change;
use crate::domain::scopes::Scopes;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::tokens::{
    AccessToken, HandleDigest, RefreshToken, Session, SessionId, TokenDigest,
};
use crate::domain::users::UserId;

/// Loads all sessions and tokens into `state`.
///
/// # Errors
/// The SQLite error if the tables cannot be read.
pub fn load(connection: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT id, user_id, scopes, expires FROM session")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        state.apply(Change::PutSession(Session {
            id: SessionId(row.get(0)?),
            user: UserId(row.get(1)?),
            grant: Scopes::from_bits(row.get(2)?),
            expires: Moment(row.get(3)?),
        }));
    }
    let mut statement = connection.prepare("SELECT digest, session_id FROM session_handle")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let handle = HandleDigest(TokenDigest(row.get(0)?));
        state.apply(Change::PutHandle(handle, SessionId(row.get(1)?)));
    }
    let mut statement = connection.prepare(
        "SELECT digest, session_id, scopes, issued, expires FROM access_token ORDER BY issued",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let token = AccessToken {
            session: SessionId(row.get(1)?),
            scopes: Scopes::from_bits(row.get(2)?),
            issued: Moment(row.get(3)?),
            expires: Moment(row.get(4)?),
        };
        state.apply(Change::PutAccessToken(TokenDigest(row.get(0)?), token));
    }
    // Without a column for it, this is the order of issue as far as it is known.
    let mut statement = connection.prepare(
        "SELECT digest, session_id, expires, superseded FROM refresh_token ORDER BY expires",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let token = RefreshToken {
            session: SessionId(row.get(1)?),
            expires: Moment(row.get(2)?),
            superseded: row.get::<_, Option<i64>>(3)?.map(Moment),
        };
        state.apply(Change::PutRefreshToken(TokenDigest(row.get(0)?), token));
    }
    Ok(())
}

/// Inserts a session, or updates the one with the same id.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn put(transaction: &Transaction, session: &Session) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO session VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET scopes = ?3, expires = ?4",
        )?
        .execute(params![
            session.id.0,
            session.user.0,
            session.grant.bits(),
            session.expires.0
        ])?;
    Ok(())
}

/// Deletes a session and its tokens.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn end(transaction: &Transaction, id: SessionId) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM session WHERE id = ?")?
        .execute([id.0])?;
    Ok(())
}

/// Deletes all sessions of a user, except optionally one.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn end_of(
    transaction: &Transaction,
    user: UserId,
    except: Option<SessionId>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM session WHERE user_id = ? AND id IS NOT ?")?
        .execute(params![user.0, except.map(|session| session.0)])?;
    Ok(())
}

/// Deletes the sessions of all users, except optionally one session.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn end_all(transaction: &Transaction, except: Option<SessionId>) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM session WHERE id IS NOT ?",
        [except.map(|session| session.0)],
    )?;
    Ok(())
}

/// Inserts a handle of a session, unless it is known.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn put_handle(
    transaction: &Transaction,
    handle: &HandleDigest,
    session: SessionId,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO session_handle VALUES (?, ?) ON CONFLICT (digest) DO NOTHING")?
        .execute(params![handle.0 .0, session.0])?;
    Ok(())
}

/// Inserts an access token.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn put_access(
    transaction: &Transaction,
    digest: &TokenDigest,
    token: &AccessToken,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO access_token VALUES (?, ?, ?, ?, ?)")?
        .execute(params![
            digest.0,
            token.session.0,
            token.scopes.bits(),
            token.issued.0,
            token.expires.0
        ])?;
    Ok(())
}

/// Inserts a refresh token, or updates the time of first use of the one with the same digest.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn put_refresh(
    transaction: &Transaction,
    digest: &TokenDigest,
    token: &RefreshToken,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO refresh_token VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (digest) DO UPDATE SET superseded = ?4",
        )?
        .execute(params![
            digest.0,
            token.session.0,
            token.expires.0,
            token.superseded.map(|moment| moment.0)
        ])?;
    Ok(())
}

/// Deletes access tokens.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn forget_access(transaction: &Transaction, digests: &[TokenDigest]) -> rusqlite::Result<()> {
    forget(
        transaction,
        "DELETE FROM access_token WHERE digest = ?",
        digests,
    )
}

/// Deletes refresh tokens.
///
/// # Errors
/// The SQLite error if the statement fails.
pub fn forget_refresh(transaction: &Transaction, digests: &[TokenDigest]) -> rusqlite::Result<()> {
    forget(
        transaction,
        "DELETE FROM refresh_token WHERE digest = ?",
        digests,
    )
}

fn forget(
    transaction: &Transaction,
    statement: &str,
    digests: &[TokenDigest],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(statement)?;
    for digest in digests {
        statement.execute([digest.0])?;
    }
    Ok(())
}
