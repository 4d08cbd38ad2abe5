//! Errors of the OAuth 2.0 endpoints and their responses (RFC 6749 §5.2).

use actix_web::http::{header, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::service::ServiceError;

/// Body of an OAuth 2.0 error response (RFC 6749 §5.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct OAuthErrorBody {
    /// Error code, for programs.
    #[schema(example = "invalid_grant")]
    error: &'static str,
    /// Description of the error, for people.
    error_description: String,
    /// Number of failed logins left before the account is locked. Omitted if there is no limit or
    /// no such user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, required = false)]
    opentrons_login_attempts_remaining: Option<u32>,
    /// `true` if the account is locked; omitted otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    opentrons_account_locked: Option<bool>,
}

/// Error of an OAuth 2.0 endpoint.
#[derive(Debug, Error)]
pub enum OAuthError {
    /// The body is not form-encoded, or a parameter is missing or given more than once.
    #[error("{0}")]
    InvalidRequest(String),
    /// The client is unknown, or its authentication failed.
    #[error("The client is unknown.")]
    InvalidClient,
    /// The username or the password is wrong, or the account is locked.
    #[error("Invalid credentials given.")]
    InvalidCredentials {
        /// Number of failed logins left before the account is locked; `None` if there is no limit
        /// or no such user.
        attempts_remaining: Option<u32>,
        /// Whether the account is locked.
        locked: bool,
    },
    /// The refresh token is unknown, expired, revoked or already used.
    #[error("The refresh token is unknown, expired or revoked.")]
    InvalidRefreshToken,
    /// A requested scope is unknown or exceeds those that the account or the session may have.
    #[error("A requested scope is unknown or not allowed.")]
    InvalidScope,
    /// The grant type is not supported.
    #[error("The grant type must be password or refresh_token.")]
    UnsupportedGrantType,
    /// The account must wait after failed logins: logins of accounts that are never locked by
    /// failed logins are slowed down instead.
    #[error("Too many failed logins; try again in {seconds} s.")]
    MustWait {
        /// Time until the next attempt, in seconds.
        seconds: u64,
    },
    /// An error that is not specific to OAuth 2.0.
    #[error(transparent)]
    Other(#[from] ApiError),
}

impl From<ServiceError> for OAuthError {
    fn from(error: ServiceError) -> Self {
        Self::Other(error.into())
    }
}

impl ResponseError for OAuthError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::MustWait { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Other(error) => error.status_code(),
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let error = match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidCredentials { .. } | Self::InvalidRefreshToken => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            // From RFC 6749 §4.1.2.1: §5.2 has no error code for this case.
            Self::MustWait { .. } | Self::Other(ApiError::Busy) => "temporarily_unavailable",
            Self::Other(error) => return error.error_response(),
        };
        let mut response = HttpResponse::build(self.status_code());
        if matches!(self, Self::InvalidClient) {
            // RFC 9110 §15.5.2 requires a challenge; RFC 6749 §5.2 requires the scheme that the
            // client used, which can only be Basic.
            response.insert_header((
                header::WWW_AUTHENTICATE,
                "Basic realm=\"opentrons-auth-server\"",
            ));
        }
        let retry_after = match self {
            Self::MustWait { seconds } => Some(*seconds),
            Self::Other(error) => error.retry_after(),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        let (attempts, locked) = match self {
            Self::InvalidCredentials {
                attempts_remaining,
                locked,
            } => (*attempts_remaining, locked.then_some(true)),
            _ => (None, None),
        };
        response.json(OAuthErrorBody {
            error,
            error_description: self.to_string(),
            opentrons_login_attempts_remaining: attempts,
            opentrons_account_locked: locked,
        })
    }
}
