//! Tables `login`, `access_token` and `refresh_token`. Tokens go with their login.

use rusqlite::{params, Connection, Transaction};

use crate::domain::clock::Moment;
use crate::domain::scope::Scopes;
use crate::domain::state::{Change, State};
use crate::domain::token::{AccessToken, Login, LoginId, RefreshToken, TokenDigest};
use crate::domain::user::UserId;

pub fn load(connection: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT id, user_id, scopes, expires FROM login")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        state.apply(Change::PutLogin(Login {
            id: LoginId(row.get(0)?),
            user: UserId(row.get(1)?),
            grant: Scopes::from_bits(row.get(2)?),
            expires: Moment(row.get(3)?),
        }));
    }
    let mut statement =
        connection.prepare("SELECT digest, login_id, scopes, issued, expires FROM access_token")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let token = AccessToken {
            login: LoginId(row.get(1)?),
            scopes: Scopes::from_bits(row.get(2)?),
            issued: Moment(row.get(3)?),
            expires: Moment(row.get(4)?),
        };
        state.apply(Change::PutAccessToken(TokenDigest(row.get(0)?), token));
    }
    let mut statement =
        connection.prepare("SELECT digest, login_id, expires, superseded FROM refresh_token")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let token = RefreshToken {
            login: LoginId(row.get(1)?),
            expires: Moment(row.get(2)?),
            superseded: row.get::<_, Option<i64>>(3)?.map(Moment),
        };
        state.apply(Change::PutRefreshToken(TokenDigest(row.get(0)?), token));
    }
    Ok(())
}

pub fn put(transaction: &Transaction, login: &Login) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO login VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET scopes = ?3, expires = ?4",
        )?
        .execute(params![
            login.id.0,
            login.user.0,
            login.grant.bits(),
            login.expires.0
        ])?;
    Ok(())
}

pub fn end(transaction: &Transaction, id: LoginId) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM login WHERE id = ?")?
        .execute([id.0])?;
    Ok(())
}

pub fn end_of(
    transaction: &Transaction,
    user: UserId,
    except: Option<LoginId>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM login WHERE user_id = ? AND id IS NOT ?")?
        .execute(params![user.0, except.map(|login| login.0)])?;
    Ok(())
}

pub fn end_all(transaction: &Transaction, except: Option<LoginId>) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM login WHERE id IS NOT ?",
        [except.map(|login| login.0)],
    )?;
    Ok(())
}

pub fn put_access(
    transaction: &Transaction,
    digest: &TokenDigest,
    token: &AccessToken,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO access_token VALUES (?, ?, ?, ?, ?)")?
        .execute(params![
            digest.0,
            token.login.0,
            token.scopes.bits(),
            token.issued.0,
            token.expires.0
        ])?;
    Ok(())
}

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
            token.login.0,
            token.expires.0,
            token.superseded.map(|moment| moment.0)
        ])?;
    Ok(())
}

pub fn forget_access(transaction: &Transaction, digests: &[TokenDigest]) -> rusqlite::Result<()> {
    forget(
        transaction,
        "DELETE FROM access_token WHERE digest = ?",
        digests,
    )
}

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
