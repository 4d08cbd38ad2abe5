//! The value of the header `Opentrons-User-Notes`.

#![no_main]

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use auth_server::http::notes;
use libfuzzer_sys::fuzz_target;

fn decode(value: &[u8]) -> Option<Result<Option<String>, ()>> {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static("opentrons-user-notes"),
        HeaderValue::from_bytes(value).ok()?,
    );
    Some(notes::from_headers(&headers).map_err(|_| ()))
}

fuzz_target!(|value: &[u8]| {
    let Some(Ok(Some(notes))) = decode(value) else {
        return;
    };
    assert_eq!(notes.trim(), notes);
    assert!(!notes.is_empty() && notes.chars().count() <= 2_000);
    // What an app would send for these notes means the same.
    let encoded: String = notes.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(decode(encoded.as_bytes()), Some(Ok(Some(notes))));
});
