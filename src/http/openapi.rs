//! The OpenAPI document of all routes, as utoipa gathers it from the handlers.

use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{docs, error, health, hello, oauth2, settings, users};
use crate::domain::scope::Scope;

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Opentrons auth server",
        description = "Who may do what on this robot. While access control is off, a request without a token may do everything; one with a token may do what its token may.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/")),
    paths(
        hello::get,
        health::get,
        docs::openapi,
        docs::page,
        oauth2::token::post,
        oauth2::introspect::post,
        oauth2::revoke::post,
        oauth2::metadata::get,
        oauth2::metadata::get_at_root,
        settings::get,
        settings::patch,
        settings::delete,
        settings::get_access_control,
        settings::patch_access_control,
        users::list,
        users::create,
        users::get,
        users::patch,
        users::delete,
        users::reset_password,
        users::login_status,
        users::get_self,
        users::patch_self,
        users::validate_password,
    ),
    components(schemas(error::ErrorBody)),
    modifiers(&Security),
    tags(
        (name = "OAuth 2", description = "Logging in, and what tokens may do."),
        (name = "Users", description = "User accounts."),
        (name = "Settings", description = "What logins and passwords must be like."),
        (name = "Service", description = "The server itself."),
        (name = "Documents", description = "This description.")
    )
)]
pub struct Document;

/// Adds how requests are let in, with all scopes.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scopes = Scopes::from_iter(Scope::ALL.map(|scope| (scope.name(), "")));
        let flow = Flow::Password(Password::with_refresh_url(
            "/auth/oauth2/token",
            scopes,
            "/auth/oauth2/token",
        ));
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("oauth2", SecurityScheme::OAuth2(OAuth2::new([flow])));
    }
}
