//! What comes in and goes out over HTTP: one file per resource, and what they share.

pub mod docs;
pub mod error;
pub mod guard;
pub mod health;
pub mod hello;

use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

/// What handlers share.
pub struct AppState {
    started: Instant,
}

impl AppState {
    /// A server that starts now.
    #[allow(clippy::new_without_default)] // a default value would hide the time in it
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

/// The envelope of an answer with one resource in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Data<T> {
    /// The resource.
    pub data: T,
}
