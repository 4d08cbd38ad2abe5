//! The OpenAPI document of all routes, which utoipa generates from the handlers. `make generate`
//! writes it to `openapi.json`, the file that is served.

use serde_json::{json, Value};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::super::{docs, error, health, hello, oauth2, settings, users};
use crate::domain::scopes::Scope;

/// Routes, schemas and general information from which utoipa generates the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Opentrons auth server",
        description = "User accounts, sessions and access control of the robot. While access control is off, a request without an access token may do anything, and a request with one may do what its scopes allow.",
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
        (name = "OAuth 2", description = "Logging in and out; tokens and their scopes."),
        (name = "Users", description = "User accounts."),
        (name = "Settings", description = "Rules for logins and passwords; access control."),
        (name = "Service", description = "Health of the server."),
        (name = "Documents", description = "Description of this API.")
    )
)]
struct Document;

/// Operation ids of the routes that take the username of a user created by `POST /auth/users`.
const ABOUT_A_NEW_USER: [&str; 5] = [
    "getUsersByUsername",
    "patchUsersByUsername",
    "deleteUsersByUsername",
    "postUsersByUsernameResetPassword",
    "getUsersByUsernameLoginStatus",
];

/// Returns the OpenAPI document.
pub fn document() -> Value {
    let mut document =
        serde_json::to_value(Document::openapi()).expect("the document can be serialized");
    // Added as JSON: utoipa 5.5 serializes the `operationId` of a link under a wrong name.
    let links: Value = ABOUT_A_NEW_USER
        .map(|id| {
            let username = json!({ "username": "$response.body#/data/username" });
            let link = json!({ "operationId": id, "parameters": username });
            (id.to_owned(), link)
        })
        .into_iter()
        .collect();
    document["paths"]["/auth/users"]["post"]["responses"]["201"]["links"] = links;
    add_unsupported_media_type(&mut document);
    document
}

/// Adds the response 415 to each operation that reads JSON.
fn add_unsupported_media_type(document: &mut Value) {
    let response = json!({
        "description": "`unsupportedMediaType`: the `Content-Type` is not `application/json`.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/ErrorBody" } } }
    });
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, item) in paths {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            if operation["requestBody"]["content"]["application/json"].is_object() {
                operation["responses"]["415"] = response.clone();
            }
        }
    }
}

/// Adds the security scheme, with all scopes.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scopes = Scopes::from_iter(Scope::ALL.map(|scope| (scope.name(), meaning(scope))));
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

/// Returns what a scope allows.
fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::AuditLogWrite => "Add notes to the audit log.",
        Scope::AuthSettingsWrite => "Change the settings of the auth server.",
        Scope::ProtocolAnalysesWrite => "Start protocol analyses.",
        Scope::ProtocolsWrite => "Upload and delete protocols.",
        Scope::RestartWrite => "Restart the robot.",
        Scope::RobotControlWrite => "Move hardware: runs, pipettes and modules.",
        Scope::RobotSettingsWrite => "Change robot settings that have no narrower scope.",
        Scope::RunDataWrite => "Change the input and output data of runs.",
        Scope::RunSignoffWrite => "Sign off runs.",
        Scope::ShutdownWrite => "Shut the robot down.",
        Scope::SshKeysWrite => "Edit the authorized SSH keys.",
        Scope::SystemTimeWrite => "Set the clock.",
        Scope::UpdatesWrite => "Update the robot's software.",
        Scope::UsersReadOthers => "List users and read any of them.",
        Scope::UsersReadSelf => "Read the authenticated user.",
        Scope::UsersWrite => "Create, change and delete users.",
        Scope::UsersWriteSelf => "Change the authenticated user, including the password.",
    }
}

/// Sets the id of each operation from its method and path, such as `patchUsersSelf`. The names of
/// the handlers are not unique, and one handler serves both GET and HEAD.
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

/// Returns the id of the operation with a method and path.
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
    // The metadata of RFC 8414 has two paths.
    if path.ends_with("/auth") {
        id += "AtRoot";
    }
    id
}
