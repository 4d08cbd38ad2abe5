//! The OpenAPI document of all routes, which utoipa generates from the handlers. `make generate`
//! writes it to `openapi.json`, the file that is served.

use serde_json::{json, Value};
use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::super::{directory, docs, error, health, hello, oauth2, settings, users};
use super::{errors, examples};
use crate::domain::scopes::Scope;
use crate::domain::settings::Settings;
use crate::domain::users::AccountType;

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
        directory::put,
        directory::get,
        directory::test,
        directory::delete,
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
    components(schemas(error::ErrorBody, error::UnauthorizedBody)),
    modifiers(&Security),
    tags(
        (name = "Log in", description = "Issues and revokes the tokens of a session (OAuth 2.0), and tells the login screen what a user has to do."),
        (name = "Users", description = "User accounts, managed by administrators and by the users themselves."),
        (name = "Settings", description = "Rules for logins and passwords, and the switch of access control."),
        (name = "Directory", description = "The lab's directory: LDAP, mostly Active Directory. While one is configured, the people in its groups can log in with their username and password of the directory; an account is created for each at the first login. On the robot, the package `opentrons-auth-directory` must be installed, which asks the directory."),
        (name = "Other servers", description = "What the robot's other servers ask for each request of theirs, and how a client finds this one. A server first asks whether access control is enabled; if it is, it introspects the access token and compares its scopes with those that the request requires."),
        (name = "Health and documents", description = "Whether the server is running, and the description of this API.")
    )
)]
struct Document;

/// Ids of the operations that take the username of a user created by `createUser`.
const ABOUT_A_NEW_USER: [&str; 5] = [
    "getUser",
    "updateUser",
    "deleteUser",
    "resetUserPassword",
    "getLoginStatus",
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
    // utoipa describes an optional body as one that may be null, which it may not.
    document["paths"]["/auth/directory/test"]["post"]["requestBody"]["required"] = json!(false);
    for (_, operation) in operations(&mut document) {
        // Without the field, readers would have to assume that the operation may need a token.
        if operation["security"].is_null() {
            operation["security"] = json!([]);
        }
    }
    name_contents(&mut document);
    errors::add(&mut document);
    examples::add(&mut document);
    document
}

/// Lets each envelope refer to the schema of its content. utoipa repeats that schema in the envelope.
fn name_contents(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut();
    for (name, schema) in schemas.into_iter().flatten() {
        if let Some(content) = name.strip_prefix("Data_") {
            let path = format!("#/components/schemas/{content}");
            schema["properties"]["data"] = json!({ "$ref": path });
        }
    }
}

/// Returns all operations of the document, each with its HTTP method in lower case.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(_, item)| item.as_object_mut().into_iter().flatten())
}

/// Adds the security scheme, with all scopes.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scopes = Scopes::from_iter(Scope::ALL.map(|scope| {
            let text = format!(
                "{} Account types: {}.",
                meaning(scope),
                account_types(scope)
            );
            (scope.name().to_owned(), text)
        }));
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

/// Returns the account types that have a scope under the default settings.
fn account_types(scope: Scope) -> String {
    use AccountType::{Admin, Auditor, Service, User};
    let settings = Settings::default();
    let has = |of: &AccountType| of.scopes(&settings).contains(scope);
    let types: Vec<&str> = [Admin, Service, User, Auditor]
        .into_iter()
        .filter(has)
        .map(AccountType::name)
        .collect();
    types.join(", ")
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
