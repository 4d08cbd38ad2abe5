//! The table of routes: every URL with its methods and handlers.

use actix_web::web::{self, ServiceConfig};
use actix_web::{Handler, Resource, Responder};

use crate::http::{directory, docs, error, health, hello, oauth2, settings, users};

/// Registers every route of the server. The handlers expect a `web::Data<AppState>` in `app_data`.
pub fn configure(config: &mut ServiceConfig) {
    config
        // What the robot's other servers ask for each protected request: routes are tried in order.
        .service(web::resource("/auth/oauth2/introspect").post(oauth2::introspect::post))
        .service(
            readable(
                "/auth/settings/accessControlEnabled",
                settings::get_access_control,
            )
            .patch(settings::patch_access_control),
        )
        .service(readable("/auth/hello", hello::get))
        .service(readable("/auth/health", health::get))
        .service(readable("/auth/openapi.json", docs::openapi))
        .service(readable("/auth/redoc", docs::page))
        .service(readable(
            "/auth/.well-known/oauth-authorization-server",
            oauth2::metadata::get,
        ))
        .service(readable(
            "/.well-known/oauth-authorization-server/auth",
            oauth2::metadata::get_at_root,
        ))
        .service(web::resource("/auth/oauth2/token").post(oauth2::token::post))
        .service(web::resource("/auth/oauth2/revoke").post(oauth2::revoke::post))
        .service(
            readable("/auth/settings", settings::get)
                .patch(settings::patch)
                .delete(settings::delete),
        )
        .service(
            readable("/auth/directory", directory::get)
                .put(directory::put)
                .delete(directory::delete),
        )
        .service(web::resource("/auth/directory/test").post(directory::test))
        .service(readable("/auth/users", users::list).post(users::create))
        .service(readable("/auth/users/self", users::get_self).patch(users::patch_self))
        .service(web::resource("/auth/users/self/validatePassword").post(users::validate_password))
        .service(
            readable("/auth/users/byUsername/{username}", users::get)
                .patch(users::patch)
                .delete(users::delete),
        )
        .service(
            web::resource("/auth/users/byUsername/{username}/resetPassword")
                .post(users::reset_password),
        )
        .service(readable(
            "/auth/users/byUsername/{username}/loginStatus",
            users::login_status,
        ))
        .default_service(web::to(error::not_found));
}

/// Creates a resource with GET and HEAD. actix-http omits the body of the response to HEAD.
fn readable<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args> + Clone,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
}
