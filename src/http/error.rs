//! Errors of the HTTP API, and the one place that maps them to responses.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{json, Value};
use thiserror::Error;
use utoipa::ToSchema;

pub use super::envelope::{ErrorBody, ErrorEntry};
use crate::domain::error::{Field, RuleError, TokenFault};
use crate::logging;
use crate::service::hashing::HashError;
use crate::service::ServiceError;
use crate::store::StoreError;

/// `Retry-After` of a response to [`ApiError::Busy`], in seconds.
const RETRY_AFTER: u64 = 1;

/// Body of a 401 or 403 response: the access token is missing or invalid, or lacks a scope.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnauthorizedBody {
    /// Description of what is wrong with the token, for developers.
    debug_message: String,
    /// Scopes that the route requires, sorted.
    required_scopes: Vec<&'static str>,
    /// Scopes that the token currently has, sorted.
    provided_scopes: Vec<&'static str>,
}

/// Returns the challenge in `WWW-Authenticate` for a token fault (RFC 6750 §3).
fn challenge(fault: TokenFault) -> HeaderValue {
    HeaderValue::from_static(match fault {
        TokenFault::Missing => "Bearer error=\"invalid_request\"",
        TokenFault::Invalid => "Bearer error=\"invalid_token\"",
        TokenFault::InsufficientScope => "Bearer error=\"insufficient_scope\"",
    })
}

/// Error of the HTTP API.
#[derive(Debug, Error)]
pub enum ApiError {
    /// The HTTP message is malformed, so that it is unknown where the next one begins.
    #[error("{0}")]
    BadRequest(&'static str),
    /// No route has the requested path.
    #[error("There is no resource at this path.")]
    NotFound,
    /// The route does not support the request method.
    #[error("This resource does not support the request method; see the Allow header.")]
    MethodNotAllowed,
    /// The client took too long to send the request.
    #[error("The request was not received in time.")]
    RequestTimeout,
    /// The request body is larger than the server accepts.
    #[error("The request body is larger than {limit} bytes.")]
    PayloadTooLarge {
        /// Maximum size of a request body, in bytes.
        limit: usize,
    },
    /// The request may change something and comes from a web page of another origin.
    #[error("Origin: a web page from another host must not change anything here.")]
    ForeignOrigin,
    /// The request body has another type than the route reads.
    #[error("Content-Type: must be application/json.")]
    UnsupportedMediaType,
    /// The request is malformed or has a value of the wrong type; the text names the field and the
    /// reason.
    #[error("{0}")]
    Invalid(String),
    /// The request breaks a rule, or is not authorized.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The queue of passwords to be hashed is full.
    #[error("Too many passwords are waiting to be checked; try again in {RETRY_AFTER} s.")]
    Busy,
    /// Internal error; the cause is in the log, not in the response.
    #[error("An internal error occurred; the cause is in the server's log.")]
    Internal,
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            // The password was replaced during each of several attempts: the server is busy, and
            // the request is not at fault.
            ServiceError::Rule(RuleError::PasswordReplacedMeanwhile)
            | ServiceError::Hash(HashError::Busy) => Self::Busy,
            ServiceError::Rule(rule) => Self::Rule(rule),
            // The store has logged it, and not for each request while the disk is full.
            ServiceError::Store(StoreError::Full { .. }) => Self::Internal,
            error => {
                log::error!("{}", logging::chain(&error));
                Self::Internal
            }
        }
    }
}

const INTERNAL: (StatusCode, &str) = (StatusCode::INTERNAL_SERVER_ERROR, "internalError");

/// Returns the status and the error id of a broken rule.
fn status_and_id(error: &RuleError) -> (StatusCode, &'static str) {
    let id = match error {
        RuleError::Empty { field } => match field {
            Field::Username => "usernameEmpty",
            Field::Password => "passwordEmpty",
            Field::FullName | Field::Setting(_) => "fullNameEmpty",
        },
        RuleError::UserAlreadyExists { .. } | RuleError::UsernameBelongsToAnother { .. } => {
            "userAlreadyExists"
        }
        RuleError::FullNameContainsInvalidCharacters => "fullNameContainsInvalidCharacters",
        RuleError::UsernameContainsInvalidCharacters => "usernameContainsInvalidCharacters",
        RuleError::PasswordContainsInvalidCharacters => "passwordContainsInvalidCharacters",
        RuleError::PasswordTooShort { .. } => "passwordTooShort",
        RuleError::PasswordMissingSpecialCharacters => "passwordMissingSpecialCharacters",
        RuleError::PasswordPreviouslyUsed => "passwordPreviouslyUsed",
        RuleError::ServiceAccountImmutable => "serviceAccountImmutable",
        RuleError::PasswordManagedByDirectory => "passwordManagedByDirectory",
        RuleError::ManagedByDirectory => "managedByDirectory",
        RuleError::UserNotFound { .. } => return (StatusCode::NOT_FOUND, "userNotFound"),
        RuleError::SessionNotFound { .. } => return (StatusCode::NOT_FOUND, "sessionNotFound"),
        RuleError::DirectoryNotConfigured => {
            return (StatusCode::NOT_FOUND, "directoryNotConfigured")
        }
        RuleError::DirectoryTestFailed(_) => "directoryTestFailed",
        RuleError::LastAdmin => return (StatusCode::CONFLICT, "lastAdmin"),
        RuleError::TooManyAttempts { .. } => {
            return (StatusCode::TOO_MANY_REQUESTS, "tooManyAttempts")
        }
        RuleError::Several(rules) => return rules.first().map_or(INTERNAL, status_and_id),
        RuleError::Unauthorized(unauthorized) => {
            let status = match unauthorized.fault {
                TokenFault::Missing | TokenFault::Invalid => StatusCode::UNAUTHORIZED,
                TokenFault::InsufficientScope => StatusCode::FORBIDDEN,
            };
            return (status, "unauthorized");
        }
        RuleError::PasswordReplacedMeanwhile => return INTERNAL,
        RuleError::TooLong { .. }
        | RuleError::OutOfRange { .. }
        | RuleError::AccessControlAlreadyEnabled
        | RuleError::AccessControlCannotBeDisabled
        | RuleError::AccessControlAlreadyDisabled => {
            return (StatusCode::UNPROCESSABLE_ENTITY, "invalidRequest")
        }
    };
    (StatusCode::BAD_REQUEST, id)
}

impl ApiError {
    /// Returns the stable identifier of the error.
    fn id(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::Invalid(_) => "invalidRequest",
            Self::NotFound => "notFound",
            Self::MethodNotAllowed => "methodNotAllowed",
            Self::RequestTimeout => "requestTimeout",
            Self::PayloadTooLarge { .. } => "payloadTooLarge",
            Self::ForeignOrigin => "foreignOrigin",
            Self::UnsupportedMediaType => "unsupportedMediaType",
            Self::Rule(error) => status_and_id(error).1,
            Self::Busy => "busy",
            Self::Internal => "internalError",
        }
    }

    /// Returns the value of `Retry-After`, in seconds, for an error that goes away by itself.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy => Some(RETRY_AFTER),
            Self::Rule(RuleError::TooManyAttempts { seconds }) => Some(*seconds),
            _ => None,
        }
    }

    /// Returns the error for a status that actix-web responded with by itself, without a body.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge {
                limit: super::MAX_BODY_BYTES,
            },
            status if status.is_client_error() => Self::Invalid("The request is malformed.".into()),
            _ => Self::Internal,
        }
    }

    /// Returns the body of the error response.
    fn body(&self) -> ErrorBody {
        match self {
            Self::Rule(rule) => body_of_rule(rule, &detail),
            error => ErrorBody::new(error.id(), error.to_string()),
        }
    }
}

/// Returns the status of a broken rule, and its envelope with the texts that `detail` returns.
pub fn status_and_body(
    rule: &RuleError,
    detail: &dyn Fn(&RuleError) -> String,
) -> (StatusCode, ErrorBody) {
    (status_and_id(rule).0, body_of_rule(rule, detail))
}

fn body_of_rule(rule: &RuleError, detail: &dyn Fn(&RuleError) -> String) -> ErrorBody {
    let rules = match rule {
        RuleError::Several(rules) => rules.as_slice(),
        rule => std::slice::from_ref(rule),
    };
    rules
        .iter()
        .map(|rule| ErrorEntry {
            id: status_and_id(rule).1.into(),
            detail: detail(rule),
            meta: meta(rule),
        })
        .collect()
}

/// Describes a broken rule, with the JSON path of the field if the rule is about the value of one.
fn detail(rule: &RuleError) -> String {
    match rule {
        RuleError::TooLong { .. } | RuleError::OutOfRange { .. } => format!("data.{rule}"),
        RuleError::AccessControlAlreadyEnabled | RuleError::AccessControlCannotBeDisabled => {
            format!("data.accessControlEnabled: {rule}")
        }
        rule => rule.to_string(),
    }
}

/// Returns further data about a broken rule.
fn meta(rule: &RuleError) -> Option<Value> {
    match rule {
        RuleError::PasswordTooShort { required, actual } => {
            Some(json!({"requiredLength": required, "actualLength": actual}))
        }
        _ => None,
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Rule(error) => status_and_id(error).0,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        match self {
            Self::Rule(RuleError::Unauthorized(unauthorized)) => response
                .insert_header((header::WWW_AUTHENTICATE, challenge(unauthorized.fault)))
                .json(UnauthorizedBody {
                    debug_message: unauthorized.to_string(),
                    required_scopes: unauthorized.required.names(),
                    provided_scopes: unauthorized.provided.names(),
                }),
            error => response.json(error.body()),
        }
    }
}

/// Responds to requests for a path that no route has.
///
/// # Errors
/// Always [`ApiError::NotFound`].
pub async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound)
}

/// Returns a complete response, head and body, for a connection on which no request was received:
/// [`ApiError::RequestTimeout`], or [`ApiError::BadRequest`] with the status that the HTTP library chose.
pub fn raw_response(status: StatusCode, error: &ApiError) -> Vec<u8> {
    let body = serde_json::to_string(&error.body()).expect("an error body can be serialized");
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
