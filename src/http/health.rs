//! `/auth/health`: which version runs here, and since when.

use actix_web::{web, Responder};
use serde::Serialize;
use utoipa::ToSchema;

use super::{AppState, Data};
use crate::{GIT_SHA, VERSION};

/// The server's state of health.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok` while requests are answered.
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of the server.
    #[schema(example = "1.0.0")]
    version: &'static str,
    /// Commit that the server was built from, or `unknown`.
    git_sha: &'static str,
    /// Seconds since the server started.
    #[schema(example = 1.5)]
    uptime_seconds: f64,
}

/// Answers with version and time since start.
#[utoipa::path(
    method(get, head),
    path = "/auth/health",
    tag = "Service",
    responses((status = 200, description = "The server answers.", body = Data<Health>))
)]
pub async fn get(state: web::Data<AppState>) -> impl Responder {
    web::Json(Data {
        data: Health {
            status: "ok",
            version: VERSION,
            git_sha: GIT_SHA,
            uptime_seconds: state.started.elapsed().as_secs_f64(),
        },
    })
}
