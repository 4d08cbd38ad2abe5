//! The OpenAPI document in the source tree is the one that is generated from the handlers.

use std::{env, fs};

use auth_server::http::docs::document;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/docs/openapi.json");

#[test]
fn served_document_is_current() {
    let document = generated();
    if env::var_os("GENERATE").is_some() {
        fs::write(PATH, &document).unwrap();
    }
    let served = fs::read(PATH).unwrap();
    assert!(
        served == document,
        "src/http/docs/openapi.json is out of date: run `make generate`"
    );
}

/// Returns the generated document as JSON: one member per line, for readable diffs, but without
/// indentation, because the document is part of the binary.
fn generated() -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b""));
    document::document().serialize(&mut serializer).unwrap();
    text.push(b'\n');
    text
}
