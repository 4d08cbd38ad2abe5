//! The resource owner password credentials grant (RFC 6749 §4.3): logging in.

use super::{required, TokenRequest};
use crate::domain::authority::Request;
use crate::domain::issue::Issued;
use crate::domain::sessions::LoginOutcome;
use crate::http::oauth2::error::OAuthError;
use crate::service::Service;

/// Logs a user in and returns the tokens of the new session.
///
/// # Errors
/// - [`OAuthError::InvalidRequest`] if `username` or `password` is missing.
/// - [`OAuthError::InvalidCredentials`] if the username or the password is wrong, or the account is
///   locked.
/// - [`OAuthError::InvalidScope`] if a requested scope is unknown, or the account may not have it.
/// - [`OAuthError::MustWait`] if the account is slowed down after failed logins.
/// - [`OAuthError::Other`] with [`ApiError::Busy`](crate::http::error::ApiError::Busy) if too many
///   passwords are waiting to be checked, or with
///   [`ApiError::Internal`](crate::http::error::ApiError::Internal) if a password could not be
///   hashed or the session could not be stored.
pub async fn grant(
    service: &Service,
    by: Request,
    parameters: TokenRequest,
) -> Result<Issued, OAuthError> {
    let asked = parameters.scopes();
    let username = required(parameters.username, "username")?;
    let password = required(parameters.password, "password")?.0;
    match service.log_in(by, &username, password, asked?).await? {
        LoginOutcome::Granted(issued) => Ok(issued),
        LoginOutcome::Refused {
            attempts_remaining,
            locked,
        } => Err(OAuthError::InvalidCredentials {
            attempts_remaining,
            locked,
        }),
        LoginOutcome::ExcessiveScope => Err(OAuthError::InvalidScope),
        LoginOutcome::MustWait { seconds } => Err(OAuthError::MustWait { seconds }),
    }
}
