//! The errors in the OpenAPI document, from `errors.json`: what each means and what a client should
//! do. Each is an example in `components`, which the responses that can be that error refer to.

use serde::Deserialize;
use serde_json::{json, Map, Value};

use super::document::operations;

/// Error that a route responds with.
#[derive(Deserialize)]
struct Kind {
    /// The error's id; a part after a dot tells errors with the same id apart. `bearer.` precedes the
    /// error code of a challenge (RFC 6750 §3.1).
    name: String,
    status: u16,
    /// Whether any route can respond with it. Such errors are in the document's description.
    #[serde(default)]
    everywhere: bool,
    /// What went wrong.
    meaning: String,
    /// What a client should do.
    remedy: String,
    /// Example of the field `detail` in the error envelope.
    detail: Option<String>,
    /// Example of the field `meta` beside `detail`.
    meta: Option<Value>,
    /// Example of the whole body, if it is not the error envelope.
    body: Option<Value>,
}

impl Kind {
    /// Returns the id of the error, and what tells it apart from others with the same id.
    fn id(&self) -> (&str, &str) {
        self.name.split_once('.').unwrap_or((&self.name, ""))
    }

    /// Returns whether `operation` can respond with the error, as the description of the response says.
    fn concerns(&self, operation: &Value, description: &str) -> bool {
        let (id, variant) = self.id();
        let possible = match variant {
            "body" => operation["requestBody"]["content"]["application/json"].is_object(),
            "query" => parameters(operation).any(|parameter| parameter["in"] == "query"),
            "notes" => has_notes(operation),
            _ => true,
        };
        possible && !self.everywhere && description.contains(&format!("`{id}`"))
    }

    /// Returns an example of the body.
    fn body(&self) -> Value {
        let Some(detail) = &self.detail else {
            return self.body.clone().unwrap_or_default();
        };
        let mut error = json!({ "id": self.id().0, "detail": detail });
        if let Some(meta) = &self.meta {
            error["meta"] = meta.clone();
        }
        json!({ "errors": [error], "detail": detail })
    }
}

/// Adds the errors that concern many routes, and an example of each error.
pub fn add(document: &mut Value) {
    let kinds: Vec<Kind> =
        serde_json::from_str(include_str!("errors.json")).expect("errors.json is valid");
    describe_everywhere(document, &kinds);
    let examples: Map<String, Value> = kinds
        .iter()
        .filter(|kind| !kind.everywhere)
        .map(|kind| {
            let example = json!({
                "summary": kind.meaning, "description": kind.remedy, "value": kind.body(),
            });
            (kind.name.clone(), example)
        })
        .collect();
    let components = &mut document["components"];
    components["examples"] = Value::Object(examples);
    components["parameters"] = json!({ "Notes": {
        "name": "Opentrons-User-Notes",
        "in": "header",
        "description": "Reason for the change, for the audit log: percent-encoded UTF-8, at most 2,000 characters when decoded.",
        "schema": { "type": "string", "maxLength": 2000 },
        "example": "Left%20the%20lab"
    } });
    components["headers"] = json!({
        "Retry-After": {
            "description": "Time to wait before sending the request again, in seconds.",
            "schema": { "type": "integer", "minimum": 1 }
        },
        "WWW-Authenticate": {
            "description": "Challenge: for an access token, `Bearer` with the error code of RFC 6750 §3.1; for an unknown client, `Basic`.",
            "schema": { "type": "string" }
        }
    });
    for (method, operation) in operations(document) {
        add_common(method != "get", operation);
        add_references(operation, &kinds);
    }
}

/// Describes the errors that any route can respond with.
fn describe_everywhere(document: &mut Value, kinds: &[Kind]) {
    let about = document["info"]["description"].as_str().unwrap_or_default();
    let mut text = format!(
        "{about}\n\nAny route can also respond with these errors:\n\n\
         | status | id | meaning | what to do |\n| --- | --- | --- | --- |\n"
    );
    for kind in kinds.iter().filter(|kind| kind.everywhere) {
        let Kind {
            name,
            status,
            meaning,
            remedy,
            ..
        } = kind;
        text += &format!("| {status} | `{name}` | {meaning} | {remedy} |\n");
    }
    document["info"]["description"] = text.into();
}

/// Adds the responses and parameters that follow from the rest of an operation.
fn add_common(changes: bool, operation: &mut Value) {
    let scopes: Vec<String> = operation["security"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|each| each["oauth2"].as_array().into_iter().flatten())
        .map(|scope| format!("`{}`", scope.as_str().unwrap_or_default()))
        .collect();
    let scopes = scopes.join(", ");
    let protected = !scopes.is_empty();
    if protected {
        operation["responses"]["401"] = response(
            "The access token is missing, unknown, expired or revoked.",
            json!(reference("schemas", "UnauthorizedBody")),
        );
    }
    let lacks = format!("The access token lacks the scope {scopes}");
    let foreign = "`foreignOrigin`: the request comes from a web page of another host";
    let (description, schema) = match (protected, changes) {
        (true, true) => (
            format!("{lacks}; or {foreign}."),
            json!({ "oneOf": [
            reference("schemas", "UnauthorizedBody"), reference("schemas", "ErrorBody"),
        ] }),
        ),
        (true, false) => (
            format!("{lacks}."),
            reference("schemas", "UnauthorizedBody"),
        ),
        (false, true) => (format!("{foreign}."), reference("schemas", "ErrorBody")),
        (false, false) => (String::new(), Value::Null),
    };
    if !schema.is_null() {
        operation["responses"]["403"] = response(&description, schema);
    }
    if operation["requestBody"]["content"]["application/json"].is_object() {
        operation["responses"]["415"] = response(
            "`unsupportedMediaType`: the header `Content-Type` is not `application/json`.",
            reference("schemas", "ErrorBody"),
        );
    }
    if operation["responses"]["422"]["description"]
        .as_str()
        .is_some_and(|text| text.contains("Notes"))
    {
        let mut all: Vec<Value> = parameters(operation).cloned().collect();
        all.push(reference("parameters", "Notes"));
        operation["parameters"] = all.into();
    }
}

/// Refers to the examples of the errors and to the headers of each response.
fn add_references(operation: &mut Value, kinds: &[Kind]) {
    let described = operation.clone();
    let responses = operation["responses"].as_object_mut().into_iter().flatten();
    for (status, response) in responses {
        let description = response["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let about_token =
            |kind: &Kind| kind.id().0 == "bearer" && description.starts_with("The access token");
        let examples: Map<String, Value> = kinds
            .iter()
            .filter(|kind| kind.status.to_string() == *status)
            .filter(|kind| about_token(kind) || kind.concerns(&described, &description))
            .map(|kind| (kind.name.clone(), reference("examples", &kind.name)))
            .collect();
        if examples.is_empty() {
            continue;
        }
        response["content"]["application/json"]["examples"] = examples.into();
        let header = match status.as_str() {
            "401" => "WWW-Authenticate",
            "403" if description.starts_with("The access token") => "WWW-Authenticate",
            "429" | "503" => "Retry-After",
            _ => continue,
        };
        response["headers"][header] = reference("headers", header);
    }
}

/// Returns a response with a JSON body.
fn response(description: &str, schema: Value) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": schema } }
    })
}

/// Returns a reference to a component.
fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// Returns the parameters of an operation.
fn parameters(operation: &Value) -> impl Iterator<Item = &Value> {
    operation["parameters"].as_array().into_iter().flatten()
}

/// Returns whether an operation reads the header `Opentrons-User-Notes`.
fn has_notes(operation: &Value) -> bool {
    parameters(operation).any(|parameter| *parameter == reference("parameters", "Notes"))
}
