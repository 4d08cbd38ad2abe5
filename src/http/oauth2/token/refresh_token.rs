//! The grant of a refresh token (RFC 6749 §6): going on with a session.

use super::{needed, TokenRequest};
use crate::domain::authority::Request;
use crate::domain::sessions::{Issued, RefreshOutcome};
use crate::domain::tokens::TokenDigest;
use crate::http::oauth2::error::OAuthError;
use crate::service::Service;

/// Exchanges a refresh token for a new pair of the same session.
///
/// # Errors
/// [`OAuthError::InvalidRefreshToken`], [`OAuthError::InvalidScope`];
/// [`OAuthError::InvalidRequest`] for a parameter that is missing.
pub async fn grant(
    service: &Service,
    by: Request,
    parameters: TokenRequest,
) -> Result<Issued, OAuthError> {
    let asked = parameters.scopes();
    let digest = TokenDigest::of(&needed(parameters.refresh_token, "refresh_token")?);
    match service.refresh(by, digest, asked?).await? {
        RefreshOutcome::Granted(issued) => Ok(issued),
        RefreshOutcome::Refused => Err(OAuthError::InvalidRefreshToken),
        RefreshOutcome::ExcessiveScope => Err(OAuthError::InvalidScope),
    }
}
