//! The HTTP API: one file per resource, and what they share.
//!
//! The doc comment of a handler is the description of its operation in the OpenAPI document.
//! Therefore a handler has no `# Errors` section: the `responses` of its `#[utoipa::path]` name its
//! errors, status by status. Any route can also respond with 400 for malformed HTTP, 408, 413 and
//! 500, and with 405 to other methods ([`error::ApiError`]).

pub mod auth;
pub mod docs;
pub mod error;
pub mod health;
pub mod hello;
pub mod json;
pub mod notes;
pub mod oauth2;
pub mod routes;
pub mod settings;
pub mod users;
pub mod views;

use std::time::Instant;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::Service;

/// Maximum size of a request body, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// State shared by all handlers.
pub struct AppState {
    started: Instant,
    service: Service,
}

impl AppState {
    /// Creates the state of a server that starts now.
    pub fn new(service: Service) -> Self {
        Self {
            started: Instant::now(),
            service,
        }
    }
}

/// Envelope of a request or a response with one resource.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Data<T> {
    /// Resource in the envelope.
    pub data: T,
}

/// Empty object: body of a successful response without a resource.
#[derive(Debug, Serialize, ToSchema)]
pub struct Empty {}

/// Responds with 200 and `{"data": …}`.
fn ok<T: Serialize>(data: T) -> HttpResponse {
    HttpResponse::Ok().json(Data { data })
}

/// Responds with 200 and `{}`.
fn nothing() -> HttpResponse {
    HttpResponse::Ok().json(Empty {})
}
