//! Parameters of OAuth 2 requests: `application/x-www-form-urlencoded` (RFC 6749 appendix B).

use std::borrow::Cow;

use actix_web::http::header;
use actix_web::HttpRequest;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::error::OAuthError;

/// The only client: a public one.
pub const CLIENT: &str = "opentrons_app";
/// The same, for the document.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code)]
pub enum ClientId {
    /// The apps.
    #[serde(rename = "opentrons_app")]
    OpentronsApp,
}

const FORM: &str = "application/x-www-form-urlencoded";

/// A request's parameters. One without a value counts as left out (RFC 6749 §3.2).
pub struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// Reads the parameters of a request by the known client.
    ///
    /// # Errors
    /// It is no form, a parameter is given twice, or the client is missing or unknown.
    pub fn of_client(request: &HttpRequest, body: &'a [u8]) -> Result<Self, OAuthError> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_form = kind.is_some_and(|kind| {
            kind.to_str().is_ok_and(|kind| {
                let kind = kind.split(';').next().unwrap_or_default().trim();
                kind.eq_ignore_ascii_case(FORM)
            })
        });
        if !is_form {
            return Err(OAuthError::InvalidRequest(format!(
                "Content-Type must be {FORM}."
            )));
        }
        let mut form = Self(Vec::with_capacity(6));
        for (name, value) in form_urlencoded::parse(body) {
            if form.0.iter().any(|(seen, _)| *seen == name) {
                return Err(OAuthError::InvalidRequest(
                    "A parameter is given twice.".into(),
                ));
            }
            form.0.push((name, value));
        }
        match basic_client(request)? {
            Some(client) if form.optional("client_id").unwrap_or(&client) != client => {
                return Err(OAuthError::InvalidRequest(
                    "The client is named twice, by different names.".into(),
                ));
            }
            Some(client) if client == CLIENT => {}
            None if form.required("client_id")? == CLIENT => {}
            _ => return Err(OAuthError::InvalidClient),
        }
        Ok(form)
    }

    /// A parameter, or `None` when it is left out.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// A parameter.
    ///
    /// # Errors
    /// It is left out.
    pub fn required(&self, name: &str) -> Result<&str, OAuthError> {
        self.optional(name)
            .ok_or_else(|| OAuthError::InvalidRequest(format!("The parameter {name} is missing.")))
    }
}

/// The client that names itself by HTTP Basic (RFC 6749 §2.3.1): the public one has an empty secret.
///
/// # Errors
/// [`OAuthError::InvalidClient`]: the credentials are malformed, or have a secret.
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
        // The id is form-encoded itself: as a lone name it decodes to itself.
        let (id, rest) = form_urlencoded::parse(id).next()?;
        (rest.is_empty() && second.is_none()).then(|| id.into_owned())
    };
    named().map(Some).ok_or(OAuthError::InvalidClient)
}
