//! The OpenAPI document of all routes, as utoipa gathers it from the handlers. `make generate`
//! writes it to `openapi.json`, which is what is served.

use serde_json::{json, Value};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::super::{docs, error, health, hello, oauth2, settings, users};
use crate::domain::scopes::Scope;

/// What utoipa gathers.
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
    modifiers(&Security, &OperationIds),
    tags(
        (name = "OAuth 2", description = "Logging in, and what tokens may do."),
        (name = "Users", description = "User accounts."),
        (name = "Settings", description = "What logins and passwords must be like."),
        (name = "Service", description = "The server itself."),
        (name = "Documents", description = "This description.")
    )
)]
struct Document;

/// Routes about the user that `POST /auth/users` has made, by their operation ids.
const ABOUT_A_NEW_USER: [&str; 5] = [
    "getUsersByUsername",
    "patchUsersByUsername",
    "deleteUsersByUsername",
    "postUsersByUsernameResetPassword",
    "getUsersByUsernameLoginStatus",
];

/// The document.
pub fn document() -> Value {
    let mut document =
        serde_json::to_value(Document::openapi()).expect("the document is plain JSON");
    // utoipa 5.5 spells `operationId` of a link wrongly.
    let links: Value = ABOUT_A_NEW_USER
        .map(|id| {
            let username = json!({ "username": "$response.body#/data/username" });
            let link = json!({ "operationId": id, "parameters": username });
            (id.to_owned(), link)
        })
        .into_iter()
        .collect();
    document["paths"]["/auth/users"]["post"]["responses"]["201"]["links"] = links;
    document
}

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

/// Names each operation by its method and path, such as `patchUsersSelf`: handlers of different
/// files have the same names, and one serves GET and HEAD.
struct OperationIds;

impl Modify for OperationIds {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let name = |operation: &mut Option<Operation>, method: &str| {
                if let Some(operation) = operation {
                    operation.operation_id = Some(operation_id(method, path));
                }
            };
            name(&mut item.get, "get");
            name(&mut item.head, "head");
            name(&mut item.post, "post");
            name(&mut item.patch, "patch");
            name(&mut item.delete, "delete");
        }
    }
}

fn operation_id(method: &str, path: &str) -> String {
    let words = path
        .split('/')
        .filter(|part| *part != "auth" && !part.starts_with('{'))
        .flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
    let mut id = method.to_owned();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        id += &first.to_ascii_uppercase();
        id += rest;
    }
    // RFC 8414 gives one document two paths.
    if path.ends_with("/auth") {
        id += "AtRoot";
    }
    id
}
