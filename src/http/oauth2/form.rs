//! Parameters of OAuth 2 requests: `application/x-www-form-urlencoded` (RFC 6749 appendix B).

use std::borrow::Cow;

use actix_web::http::header;
use actix_web::HttpRequest;
use serde::Deserialize;
use utoipa::ToSchema;

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
        if form.required("client_id")? != CLIENT {
            return Err(OAuthError::InvalidClient);
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
