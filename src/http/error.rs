//! What goes wrong, and the one place that maps it to an answer.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use utoipa::ToSchema;

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

impl ErrorBody {
    fn new(id: &'static str, detail: String) -> Self {
        Self {
            errors: vec![ErrorEntry {
                id,
                detail: detail.clone(),
                meta: None,
            }],
            detail,
        }
    }
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
    /// Our own fault; the cause is in the log.
    #[error("The server failed to answer this request.")]
    Internal,
}

impl ApiError {
    fn id(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::Invalid(_) => "invalidRequest",
            Self::NotFound => "notFound",
            Self::MethodNotAllowed => "methodNotAllowed",
            Self::RequestTimeout => "requestTimeout",
            Self::PayloadTooLarge { .. } => "payloadTooLarge",
            Self::Internal => "internalError",
        }
    }

    /// The error that stands for a bare `status`, such as actix-web answers by itself.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge {
                limit: super::guard::MAX_BODY_BYTES,
            },
            status if status.is_client_error() => Self::Invalid("The request is malformed.".into()),
            _ => Self::Internal,
        }
    }

    fn body(&self) -> ErrorBody {
        ErrorBody::new(self.id(), self.to_string())
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
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(self.body())
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
