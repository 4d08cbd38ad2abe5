//! `/auth/hello`: the simplest check that the server is running.

use actix_web::{web, Responder};
use serde::Serialize;
use utoipa::ToSchema;

/// Greeting that shows that the server is running.
#[derive(Debug, Serialize, ToSchema)]
pub struct Greeting {
    /// Text of the greeting: always `hello world`.
    #[schema(example = "hello world")]
    message: &'static str,
}

/// Returns a greeting.
#[utoipa::path(
    get,
    path = "/auth/hello",
    operation_id = "getGreeting",
    tag = "Health and documents",
    responses((status = 200, description = "The server is running.", body = Greeting))
)]
pub async fn get() -> impl Responder {
    web::Json(Greeting {
        message: "hello world",
    })
}
