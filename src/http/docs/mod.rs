//! `/auth/openapi.json` and `/auth/redoc`: the documentation of the API.
//!
//! The page is rendered here from the OpenAPI document. It contains no scripts and loads nothing: a
//! robot has no internet access, and a page without scripts needs no trust.

pub mod document;
mod errors;
mod examples;

use std::fmt::Write as _;
use std::sync::OnceLock;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, Responder};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The OpenAPI document, written by `make generate`: the code that generates it is larger than all
/// handlers together, and is not part of the program. Compressed (RFC 1951), as flash is scarce.
const DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.deflate"));
/// Style sheet of the page.
const STYLE: &str = include_str!("page.css");

/// Returns the OpenAPI document as JSON. It is inflated once: many clients may ask at the same time.
fn document_json() -> Bytes {
    static JSON: OnceLock<Bytes> = OnceLock::new();
    let inflate = || miniz_oxide::inflate::decompress_to_vec(DOCUMENT).map(Bytes::from);
    JSON.get_or_init(|| inflate().expect("the build script compressed the document"))
        .clone()
}

/// Returns the page's content security policy: only its own style sheet, identified by its hash, is
/// allowed (CSP level 3 §2.3.1).
fn page_policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
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
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document_json())
}

/// Returns an HTML page that shows the OpenAPI document.
#[utoipa::path(
    get,
    path = "/auth/redoc",
    operation_id = "getApiPage",
    tag = "Health and documents",
    responses((status = 200, description = "The documentation page.", body = String, content_type = "text/html"))
)]
pub async fn page() -> impl Responder {
    static PAGE: OnceLock<(Bytes, String)> = OnceLock::new();
    let (html, policy) = PAGE.get_or_init(|| {
        let document =
            serde_json::from_slice(&document_json()).expect("the OpenAPI document is valid JSON");
        (Bytes::from(render(&document)), page_policy())
    });
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy.as_str()))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(html.clone())
}

/// Renders the whole page as HTML.
fn render(document: &Value) -> String {
    let mut page = Html::default();
    let title = text(document, "/info/title");
    let _ = write!(
        page.0,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><header>",
        title = escape(title)
    );
    page.element("h1", title);
    page.element(
        "p",
        &format!(
            "{} Version {}.",
            text(document, "/info/description"),
            text(document, "/info/version")
        ),
    );
    page.0
        .push_str("<p><a href=\"openapi.json\">OpenAPI document</a></p></header><main>");
    for (path, operations) in members(document, "/paths") {
        for (method, operation) in members(operations, "") {
            page.operation(path, method, operation);
        }
    }
    page.element("h2", "Schemas");
    for (name, schema) in members(document, "/components/schemas") {
        let _ = write!(page.0, "<section id=\"schema-{}\">", escape(name));
        page.element("h3", name);
        page.element("p", text(schema, "/description"));
        page.json(schema);
        page.0.push_str("</section>");
    }
    page.0.push_str("</main></body></html>");
    page.0
}

/// HTML under construction.
#[derive(Default)]
struct Html(String);

impl Html {
    /// Appends an element with escaped text content, or nothing if the content is empty.
    fn element(&mut self, name: &str, content: &str) {
        if !content.is_empty() {
            let _ = write!(self.0, "<{name}>{}</{name}>", escape(content));
        }
    }

    /// Appends a JSON value as preformatted text.
    fn json(&mut self, value: &Value) {
        self.element("pre", &format!("{value:#}"));
    }

    /// Appends the section of one operation.
    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        let method = method.to_uppercase();
        let _ = write!(
            self.0,
            "<section><h2><span class=\"method\">{}</span> {}</h2>",
            escape(&method),
            escape(path)
        );
        self.element("p", text(operation, "/summary"));
        self.element("p", text(operation, "/description"));
        for key in ["security", "parameters", "requestBody"] {
            if let Some(part) = operation.get(key) {
                self.element("h3", key);
                self.json(part);
            }
        }
        for (status, response) in members(operation, "/responses") {
            self.element(
                "h3",
                &format!("{status} {}", text(response, "/description")),
            );
            for (kind, content) in members(response, "/content") {
                self.element("p", kind);
                self.json(content.get("schema").unwrap_or(&Value::Null));
            }
        }
        self.0.push_str("</section>");
    }
}

/// Returns the string at a JSON pointer (RFC 6901), or an empty one.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns the members of the object at a JSON pointer (RFC 6901), or none.
fn members<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

/// Escapes text for HTML content and attribute values.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
