//! What comes in and goes out over HTTP: one file per resource, and what they share.

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

/// Longest request body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// What handlers share.
pub struct AppState {
    started: Instant,
    service: Service,
}

impl AppState {
    /// What handlers of a server that starts now share.
    pub fn new(service: Service) -> Self {
        Self {
            started: Instant::now(),
            service,
        }
    }
}

/// The envelope of an answer or a request with one resource in it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Data<T> {
    /// The resource.
    pub data: T,
}

/// The envelope of an answer that has nothing to say.
#[derive(Debug, Serialize, ToSchema)]
pub struct Empty {}

/// 200 with `{"data": ...}`.
fn ok<T: Serialize>(data: T) -> HttpResponse {
    HttpResponse::Ok().json(Data { data })
}

/// 200 with `{}`.
fn nothing() -> HttpResponse {
    HttpResponse::Ok().json(Empty {})
}
