//! What goes wrong, and the one place that maps it to an answer.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{json, Value};
use thiserror::Error;
use utoipa::ToSchema;

use crate::domain::error::{Field, RuleError, TokenFault};
use crate::logging;
use crate::service::hashing::HashError;
use crate::service::ServiceError;

/// How long to wait when too many passwords are being checked, in seconds.
const RETRY_AFTER: u64 = 1;

/// The envelope of an answer to a request that breaks a rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong; one entry for each broken rule.
    errors: Vec<ErrorEntry>,
    /// The first entry's `detail` again, where clients of the first generation look for it.
    detail: String,
}

/// One broken rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorEntry {
    /// Stable name of the rule, for programs.
    #[schema(example = "notFound")]
    id: &'static str,
    /// One sentence for people.
    detail: String,
    /// Figures that belong to the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    meta: Option<Value>,
}

/// What is wrong with the token of a request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnauthorizedBody {
    /// What is wrong, for developers.
    debug_message: String,
    /// The scopes that the route needs, sorted.
    required_scopes: Vec<&'static str>,
    /// The scopes that the token has now, sorted.
    provided_scopes: Vec<&'static str>,
}

/// The challenge of a refusal (RFC 6750 §3).
fn challenge(fault: TokenFault) -> HeaderValue {
    HeaderValue::from_static(match fault {
        TokenFault::Missing => "Bearer error=\"invalid_request\"",
        TokenFault::Invalid => "Bearer error=\"invalid_token\"",
        TokenFault::InsufficientScope => "Bearer error=\"insufficient_scope\"",
    })
}

/// A request that cannot be answered as it wishes.
#[derive(Debug, Error)]
pub enum ApiError {
    /// Malformed HTTP: the connection cannot be trusted any more.
    #[error("{0}")]
    BadRequest(&'static str),
    /// No such route.
    #[error("There is nothing at this path.")]
    NotFound,
    /// The route exists, for other methods.
    #[error("This path does not know that method; see the Allow header.")]
    MethodNotAllowed,
    /// The client took too long.
    #[error("The request did not arrive in time.")]
    RequestTimeout,
    /// More than the server takes in.
    #[error("The request body is larger than {limit} bytes.")]
    PayloadTooLarge {
        /// What it takes in, in bytes.
        limit: usize,
    },
    /// Malformed or wrongly typed; the text names the field and the reason.
    #[error("{0}")]
    Invalid(String),
    /// A rule of accounts is broken.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// More passwords wait to be checked than the robot can check soon.
    #[error("Too many passwords are being checked; try again in {RETRY_AFTER} s.")]
    Busy,
    /// Our own fault; the cause is in the log.
    #[error("The server failed to answer this request.")]
    Internal,
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            // That the password was replaced five times meanwhile is a matter of load.
            ServiceError::Rule(RuleError::PasswordReplacedMeanwhile)
            | ServiceError::Hash(HashError::Busy) => Self::Busy,
            ServiceError::Rule(rule) => Self::Rule(rule),
            error => {
                log::error!("{}", logging::chain(&error));
                Self::Internal
            }
        }
    }
}

const INTERNAL: (StatusCode, &str) = (StatusCode::INTERNAL_SERVER_ERROR, "internalError");

/// Status and id of a broken rule.
fn rule(error: &RuleError) -> (StatusCode, &'static str) {
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
        RuleError::UserNotFound { .. } => return (StatusCode::NOT_FOUND, "userNotFound"),
        RuleError::LastAdmin => return (StatusCode::CONFLICT, "lastAdmin"),
        RuleError::TooManyAttempts { .. } => {
            return (StatusCode::TOO_MANY_REQUESTS, "tooManyAttempts")
        }
        RuleError::Several(rules) => return rules.first().map_or(INTERNAL, rule),
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
    fn id(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::Invalid(_) => "invalidRequest",
            Self::NotFound => "notFound",
            Self::MethodNotAllowed => "methodNotAllowed",
            Self::RequestTimeout => "requestTimeout",
            Self::PayloadTooLarge { .. } => "payloadTooLarge",
            Self::Rule(error) => rule(error).1,
            Self::Busy => "busy",
            Self::Internal => "internalError",
        }
    }

    /// Seconds after which it is worth to try again.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy => Some(RETRY_AFTER),
            Self::Rule(RuleError::TooManyAttempts { seconds }) => Some(*seconds),
            _ => None,
        }
    }

    /// The error that stands for a bare `status`, such as actix-web answers by itself.
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

    /// One sentence for people.
    fn detail(&self) -> String {
        match self {
            Self::Rule(rule) => detail(rule),
            error => error.to_string(),
        }
    }

    fn body(&self) -> ErrorBody {
        let errors = match self {
            Self::Rule(RuleError::Several(rules)) => rules.iter().map(entry).collect(),
            Self::Rule(rule) => vec![entry(rule)],
            error => vec![ErrorEntry {
                id: error.id(),
                detail: error.to_string(),
                meta: None,
            }],
        };
        ErrorBody {
            errors,
            detail: self.detail(),
        }
    }
}

/// What a broken rule says, with the path of the field that breaks it.
fn detail(rule: &RuleError) -> String {
    match rule {
        RuleError::TooLong { .. } | RuleError::OutOfRange { .. } => format!("data.{rule}"),
        RuleError::AccessControlAlreadyEnabled | RuleError::AccessControlCannotBeDisabled => {
            format!("data.accessControlEnabled: {rule}")
        }
        RuleError::Several(rules) => rules.first().map(detail).unwrap_or_default(),
        rule => rule.to_string(),
    }
}

fn entry(error: &RuleError) -> ErrorEntry {
    let meta = match error {
        RuleError::PasswordTooShort { required, actual } => {
            Some(json!({"requiredLength": required, "actualLength": actual}))
        }
        _ => None,
    };
    ErrorEntry {
        id: rule(error).1,
        detail: detail(error),
        meta,
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
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Rule(error) => rule(error).0,
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

/// Answers every path that no route has.
pub async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound)
}

/// A whole answer, 408, for a connection on which no request has come together.
pub fn raw_request_timeout() -> Vec<u8> {
    let body = serde_json::to_string(&ApiError::RequestTimeout.body())
        .expect("an error's body is made of strings");
    format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\n\
         content-length: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
