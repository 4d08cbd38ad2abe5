//! OAuth 2 errors (RFC 6749 §5.2).

use actix_web::http::{header, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::service::ServiceError;

/// The body of an OAuth 2 error.
#[derive(Debug, Serialize, ToSchema)]
pub struct OAuthErrorBody {
    /// What is wrong, for programs.
    #[schema(example = "invalid_grant")]
    error: &'static str,
    /// What is wrong, for people.
    error_description: String,
    /// Failed logins that are left before the account locks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, required = false)]
    opentrons_login_attempts_remaining: Option<u32>,
    /// That the account is locked; left out when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    opentrons_account_locked: Option<bool>,
}

/// A request to an OAuth 2 route that cannot be answered as it wishes.
#[derive(Debug, Error)]
pub enum OAuthError {
    /// A parameter is missing, given twice, or not a form's.
    #[error("{0}")]
    InvalidRequest(String),
    /// There is no such client.
    #[error("The client is not known.")]
    InvalidClient,
    /// Wrong credentials.
    #[error("Invalid credentials given.")]
    InvalidCredentials {
        /// Failed logins that are left.
        attempts_remaining: Option<u32>,
        /// Whether the account is locked.
        locked: bool,
    },
    /// A refresh token that is unknown, expired, revoked or used up.
    #[error("The refresh token is unknown, expired or revoked.")]
    InvalidRefreshToken,
    /// An unknown scope, or more than may be had.
    #[error("A scope is unknown, or more than may be had.")]
    InvalidScope,
    /// A grant type that is not offered.
    #[error("The grant type must be password or refresh_token.")]
    UnsupportedGrantType,
    /// An account that is slowed down has to wait.
    #[error("Too many wrong passwords; try again in {seconds} s.")]
    MustWait {
        /// How long, in seconds.
        seconds: u64,
    },
    /// What is not OAuth 2's own.
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
            // RFC 6749 §4.1.2.1; §5.2 has no error for it.
            Self::MustWait { .. } | Self::Other(ApiError::Busy) => "temporarily_unavailable",
            Self::Other(error) => return error.error_response(),
        };
        let mut response = HttpResponse::build(self.status_code());
        if matches!(self, Self::InvalidClient) {
            // RFC 9110 §15.5.2 wants one; RFC 6749 §5.2 wants that of the scheme which clients use.
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
