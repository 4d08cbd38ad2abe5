//! The grant of a resource owner's password (RFC 6749 §4.3): logging in.

use super::{needed, TokenRequest};
use crate::domain::authority::Request;
use crate::domain::sessions::{Issued, LoginOutcome};
use crate::http::oauth2::error::OAuthError;
use crate::service::Service;

/// Logs a user in.
///
/// # Errors
/// [`OAuthError::InvalidCredentials`], [`OAuthError::InvalidScope`], [`OAuthError::MustWait`];
/// [`OAuthError::InvalidRequest`] for a parameter that is missing.
pub async fn grant(
    service: &Service,
    by: Request,
    parameters: TokenRequest,
) -> Result<Issued, OAuthError> {
    let asked = parameters.scopes();
    let username = needed(parameters.username, "username")?;
    let password = needed(parameters.password, "password")?.0;
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
