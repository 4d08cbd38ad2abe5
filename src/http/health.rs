//! `/auth/health`: version and uptime of the server.

use actix_web::{web, Responder};
use serde::Serialize;
use utoipa::ToSchema;

use super::{AppState, Data};
use crate::{GIT_SHA, VERSION};

/// Health of the server.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Always `ok`: the server answers this request.
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of the server.
    #[schema(example = "1.0.0")]
    version: &'static str,
    /// Git commit that the server was built from, or `unknown`.
    git_sha: &'static str,
    /// Time since the server started, in seconds.
    #[schema(example = 1.5)]
    uptime_seconds: f64,
}

/// Returns the server's version and uptime.
#[utoipa::path(
    get,
    path = "/auth/health",
    operation_id = "getHealth",
    tag = "Health and documents",
    responses((status = 200, description = "The server is running.", body = Data<Health>))
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
