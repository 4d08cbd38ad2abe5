//! The OpenAPI document in the sources is the one that the handlers give.

use std::{env, fs};

use auth_server::http::docs::document;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/docs/openapi.json");

#[test]
fn served_document_is_what_the_handlers_give() {
    let document = written();
    if env::var_os("GENERATE").is_some() {
        fs::write(PATH, &document).unwrap();
    }
    let served = fs::read(PATH).unwrap();
    assert!(
        served == document,
        "src/http/docs/openapi.json is not current: make generate"
    );
}

/// The document, a member a line for `git diff`; not indented, for it goes into the binary.
fn written() -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b""));
    document::document().serialize(&mut serializer).unwrap();
    text.push(b'\n');
    text
}
