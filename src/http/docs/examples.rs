//! The examples of the OpenAPI document, from `examples.json`: requests with their responses, in an
//! order in which a client can send them to a new robot. The documentation page has the same order,
//! and tests send each request and compare the response.

use serde_json::{json, Value};

use super::document::operations;

/// Adds the examples of requests, parameters and responses to the document.
pub fn add(document: &mut Value) {
    let examples: Vec<Value> =
        serde_json::from_str(include_str!("examples.json")).expect("examples.json is valid");
    for example in &examples {
        for (_, operation) in operations(document) {
            if example["operation"] == operation["operationId"] {
                add_to(operation, example);
            }
        }
        if let Some(name) = example["name"].as_str() {
            for part in ["request", "response"] {
                document["components"]["examples"][key(name, part)] =
                    json!({ "summary": example["summary"], "value": example[part] });
            }
        }
    }
}

/// Adds an example to its operation.
fn add_to(operation: &mut Value, example: &Value) {
    let parameters = operation.get_mut("parameters");
    let parameters = parameters.and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let value = &example["parameters"][name];
        if !value.is_null() {
            parameter["example"] = value.clone();
        }
    }
    if let Some(body) = operation.get_mut("requestBody") {
        add_part(body, example, "request");
    }
    let status = example["status"].to_string();
    add_part(&mut operation["responses"][status], example, "response");
}

/// Adds the request or the response of an example to each media type of a body. An operation with
/// several examples refers to them: not all generators read named examples in a response.
fn add_part(body: &mut Value, example: &Value, part: &str) {
    for (_, media) in body["content"].as_object_mut().into_iter().flatten() {
        match example["name"].as_str() {
            Some(name) => {
                let path = format!("#/components/examples/{}", key(name, part));
                media["examples"][name] = json!({ "$ref": path });
            }
            None => media["example"] = example[part].clone(),
        }
    }
}

/// Returns the key of the request or the response of an example among the components.
fn key(name: &str, part: &str) -> String {
    format!("{name}.{part}")
}
