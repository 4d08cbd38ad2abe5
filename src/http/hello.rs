//! `/auth/hello`: is anybody there?

use actix_web::{web, Responder};
use serde::Serialize;
use utoipa::ToSchema;

/// A greeting.
#[derive(Debug, Serialize, ToSchema)]
pub struct Greeting {
    /// Always `hello world`.
    #[schema(example = "hello world")]
    message: &'static str,
}

/// Answers with a greeting.
#[utoipa::path(
    method(get, head),
    path = "/auth/hello",
    tag = "Service",
    responses((status = 200, description = "The server answers.", body = Greeting))
)]
pub async fn get() -> impl Responder {
    web::Json(Greeting {
        message: "hello world",
    })
}
