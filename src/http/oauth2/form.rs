//! Parsing of OAuth 2.0 request parameters: `application/x-www-form-urlencoded` (RFC 6749 appendix
//! B).

use std::borrow::Cow;

use actix_web::http::header;
use actix_web::HttpRequest;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use secrecy::zeroize::Zeroizing;
use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::error::OAuthError;
use crate::http::has_type;

/// Identifier of the only registered client, which is a public client (RFC 6749 §2.1).
pub const CLIENT: &str = "opentrons_app";

const FORM: &str = "application/x-www-form-urlencoded";

/// Parses the parameters of a request and checks its client. A parameter without a value is treated
/// as omitted (RFC 6749 §3.2).
///
/// # Errors
/// - [`OAuthError::InvalidRequest`] if the body is not form-encoded, a parameter is missing or
///   given more than once, or the client in the body differs from the one in the header
///   `Authorization`.
/// - [`OAuthError::InvalidClient`] if the client is unknown, or its HTTP Basic credentials are
///   malformed or contain a secret.
pub fn parameters<T: DeserializeOwned>(
    request: &HttpRequest,
    body: &[u8],
) -> Result<T, OAuthError> {
    if !has_type(request, FORM) {
        return Err(OAuthError::InvalidRequest(format!(
            "Content-Type must be {FORM}."
        )));
    }
    let mut pairs: Vec<(Cow<str>, Cow<str>)> = Vec::with_capacity(6);
    for (name, value) in form_urlencoded::parse(body) {
        if pairs.iter().any(|(seen, _)| *seen == name) {
            return Err(OAuthError::InvalidRequest(
                "A parameter is given more than once.".into(),
            ));
        }
        pairs.push((name, value));
    }
    pairs.retain(|(_, value)| !value.is_empty());
    check_client(request, &pairs)?;
    let pairs = pairs
        .iter()
        .map(|(name, value)| (&**name, Parameter(value)));
    T::deserialize(MapDeserializer::<_, Error>::new(pairs))
        .map_err(|error| OAuthError::InvalidRequest(reason(&error)))
}

/// Value of a parameter. It deserializes into a string, or an `Option` of one.
struct Parameter<'a>(&'a str);

impl<'de> IntoDeserializer<'de, Error> for Parameter<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Parameter<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Describes a deserialization error. Since all parameters are strings, it can only be that one is
/// missing.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    match text.split('`').nth(1) {
        Some(name) => missing(name),
        None => text,
    }
}

/// Returns the error description for a missing parameter.
pub fn missing(name: &str) -> String {
    format!("The parameter {name} is missing.")
}

/// Checks that the request names the known client, by `client_id` or by HTTP Basic.
fn check_client(request: &HttpRequest, pairs: &[(Cow<str>, Cow<str>)]) -> Result<(), OAuthError> {
    let named = pairs.iter().find(|(name, _)| name == "client_id");
    let named = named.map(|(_, value)| &**value);
    match (basic_client(request)?.as_deref(), named) {
        (Some(one), Some(other)) if one != other => Err(OAuthError::InvalidRequest(
            "The parameter client_id differs from the client in the Authorization header.".into(),
        )),
        (Some(CLIENT), _) | (None, Some(CLIENT)) => Ok(()),
        (None, None) => Err(OAuthError::InvalidRequest(missing("client_id"))),
        _ => Err(OAuthError::InvalidClient),
    }
}

/// Returns the client identifier given by HTTP Basic (RFC 6749 §2.3.1), if any. The public client
/// has an empty secret.
///
/// # Errors
/// [`OAuthError::InvalidClient`] if the credentials are malformed, given more than once, or contain
/// a secret.
fn basic_client(request: &HttpRequest) -> Result<Option<String>, OAuthError> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let (Some(value), second) = (values.next(), values.next()) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| OAuthError::InvalidClient)?;
    let (scheme, credentials) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Ok(None);
    }
    let named = || {
        let decoded = Zeroizing::new(STANDARD.decode(credentials.trim_matches(' ')).ok()?);
        let id = decoded
            .strip_suffix(b":")
            .filter(|id| !id.contains(&b':'))?;
        // The identifier is itself form-encoded: parsed as a form, it is a name without a value.
        let (id, rest) = form_urlencoded::parse(id).next()?;
        (rest.is_empty() && second.is_none()).then(|| id.into_owned())
    };
    named().map(Some).ok_or(OAuthError::InvalidClient)
}
