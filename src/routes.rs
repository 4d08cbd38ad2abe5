//! The table of routes: every URL, its methods and its handlers.

use actix_web::dev::HttpServiceFactory;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Handler, Responder};

use crate::http::{docs, error, health, hello};

/// Adds every route of the server. Handlers find their state as `app_data`.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(readable("/auth/hello", hello::get))
        .service(readable("/auth/health", health::get))
        .service(readable("/auth/openapi.json", docs::openapi))
        .service(readable("/auth/redoc", docs::page))
        .default_service(web::to(error::not_found));
}

/// A resource that can only be read: GET and HEAD, whose body actix-http leaves out.
fn readable<F, Args>(path: &str, handler: F) -> impl HttpServiceFactory
where
    F: Handler<Args> + Clone,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
}
