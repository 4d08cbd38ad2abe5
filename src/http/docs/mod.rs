//! `/auth/openapi.json` and `/auth/redoc`: the documentation of the API, written by `make generate`.
//!
//! `document` generates the OpenAPI document, and `.ci/api-page` renders the page from it. The page
//! contains no scripts and loads nothing: a robot has no internet access, and a page without scripts
//! needs no trust.

pub mod document;
mod errors;
mod examples;

use std::sync::OnceLock;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, Responder};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use sha2::{Digest, Sha256};

/// The OpenAPI document: the code that generates it is larger than all handlers together, and is not
/// part of the program. Compressed (RFC 1951), as flash is scarce.
const DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.deflate"));
/// The page, compressed in the same way.
const PAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.deflate"));

/// Inflates a file that the build script compressed.
fn inflate(compressed: &[u8]) -> Bytes {
    miniz_oxide::inflate::decompress_to_vec(compressed)
        .map(Bytes::from)
        .expect("the build script compressed the file")
}

/// Returns the content security policy of a page: only its own style sheet, identified by its hash, is
/// allowed (CSP level 3 §2.3.1).
fn policy(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let (_, style) = page.split_once("<style>").unwrap_or_default();
    let (style, _) = style.split_once("</style>").unwrap_or_default();
    let hash = STANDARD.encode(Sha256::digest(style));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// Returns the OpenAPI 3.1 document.
#[utoipa::path(
    get,
    path = "/auth/openapi.json",
    operation_id = "getOpenApiDocument",
    tag = "Health and documents",
    responses((status = 200, description = "The OpenAPI document.", body = Object))
)]
pub async fn openapi() -> impl Responder {
    // Inflated once: many clients may ask at the same time.
    static JSON: OnceLock<Bytes> = OnceLock::new();
    HttpResponse::Ok()
        .content_type("application/json")
        .body(JSON.get_or_init(|| inflate(DOCUMENT)).clone())
}

/// Returns this page: the routes of the API, with examples.
#[utoipa::path(
    get,
    path = "/auth/redoc",
    operation_id = "getApiPage",
    tag = "Health and documents",
    responses((status = 200, description = "The documentation page.", body = String, content_type = "text/html"))
)]
pub async fn page() -> impl Responder {
    static HTML: OnceLock<(Bytes, String)> = OnceLock::new();
    let (html, policy) = HTML.get_or_init(|| {
        let html = inflate(PAGE);
        let policy = policy(&html);
        (html, policy)
    });
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy.as_str()))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(html.clone())
}
