//! The refresh token grant (RFC 6749 §6): continuing a session.

use super::{required, TokenRequest};
use crate::domain::authority::Request;
use crate::domain::issue::Issued;
use crate::domain::sessions::RefreshOutcome;
use crate::domain::tokens::Presented;
use crate::http::oauth2::error::OAuthError;
use crate::service::Service;

/// Exchanges a refresh token for a new pair of tokens of the same session.
///
/// # Errors
/// - [`OAuthError::InvalidRequest`] if `refresh_token` is missing.
/// - [`OAuthError::InvalidRefreshToken`] if the refresh token is unknown, expired, revoked or
///   already used.
/// - [`OAuthError::InvalidScope`] if a requested scope is unknown, or the session may not have it.
/// - [`OAuthError::Other`] with [`ApiError::Internal`](crate::http::error::ApiError::Internal) if
///   the new tokens could not be stored.
pub async fn grant(
    service: &Service,
    by: Request,
    parameters: TokenRequest,
) -> Result<Issued, OAuthError> {
    let asked = parameters.scopes();
    let presented = Presented::of(&required(parameters.refresh_token, "refresh_token")?);
    match service.refresh(by, presented, asked?).await? {
        RefreshOutcome::Granted { issued, .. } => Ok(issued),
        RefreshOutcome::Refused => Err(OAuthError::InvalidRefreshToken),
        RefreshOutcome::ExcessiveScope => Err(OAuthError::InvalidScope),
    }
}
