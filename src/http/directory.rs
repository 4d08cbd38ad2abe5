//! `/auth/directory`: the configuration of the lab's directory.

use std::borrow::Cow;
use std::fmt;

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::auth::{admit, reader};
use super::body::Body;
use super::error::{ApiError, ErrorBody};
use super::json::{self, Integer, Members, PasswordText};
use super::{ok, AppState, Data};
use crate::domain::authority::Need;
use crate::domain::directory::draft::{Accepts, Draft, Field, Slot, FIELDS, KINDS};
use crate::domain::directory::{Directory, MAX_TEXT};
use crate::domain::scopes::Scope;

/// Configuration of the directory, without the password, in the order of [`FIELDS`].
#[derive(Debug)]
pub struct DirectoryView(Draft);

impl From<&Directory> for DirectoryView {
    fn from(directory: &Directory) -> Self {
        Self(directory.into())
    }
}

impl Serialize for DirectoryView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut draft = self.0.clone();
        let mut map = serializer.serialize_map(None)?;
        for field in &FIELDS {
            match field.slot(&mut draft) {
                Slot::Text(text) if text.is_empty() => {}
                Slot::Text(text) => map.serialize_entry(field.name, text)?,
                Slot::List(texts) => map.serialize_entry(field.name, texts)?,
                Slot::Number(number) => map.serialize_entry(field.name, number)?,
                Slot::Password(_) => {}
            }
        }
        map.end()
    }
}

/// Configuration of the directory, as a client gives it. Its values are not checked yet.
#[derive(Debug, Default)]
pub struct DirectoryBody(pub Draft);

impl<'de> Deserialize<'de> for DirectoryBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::members(deserializer)
    }
}

impl Members for DirectoryBody {
    type Row = Field;

    fn row(name: &str) -> Option<(&'static Field, &'static str)> {
        Field::named(name).map(|field| (field, field.name))
    }

    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        field: &'static Field,
        value: D,
    ) -> Result<(), D::Error> {
        match field.slot(&mut self.0) {
            Slot::Text(text) => *text = String::deserialize(value)?,
            Slot::List(texts) => *texts = value.deserialize_seq(Texts)?,
            Slot::Number(number) => *number = Some(Integer::deserialize(value)?.get()),
            Slot::Password(password) => *password = Some(PasswordText::deserialize(value)?.0),
        }
        Ok(())
    }
}

/// Visitor of a list of texts; its error states what was expected in the terms of JSON.
struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(texts)
    }
}

/// Returns the schema of a configuration: as a client gives it, or as it is returned, without the
/// password and with every value that has a default.
fn schema(description: &str, is_given: bool) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new().description(Some(description));
    for field in &FIELDS {
        let meaning = Some(field.meaning);
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let property: RefOr<Schema> = match field.accepts {
            Accepts::Kind => text().description(meaning).enum_values(Some(KINDS)).into(),
            Accepts::Text(most) => text()
                .description(meaning)
                .min_length(field.required.then_some(1))
                .max_length(Some(most))
                .into(),
            Accepts::List(most) => ArrayBuilder::new()
                .min_items(field.required.then_some(1))
                .description(meaning)
                .items(text().min_length(Some(1)).max_length(Some(MAX_TEXT)))
                .max_items(Some(most))
                .into(),
            Accepts::Number(least, most) => ObjectBuilder::new()
                .schema_type(Type::Integer)
                .description(meaning)
                .minimum(Some(least))
                .maximum(Some(most))
                .into(),
            Accepts::Password if is_given => text()
                .description(meaning)
                .min_length(Some(1))
                .max_length(Some(MAX_TEXT))
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
                .into(),
            Accepts::Password => continue,
        };
        object = object.property(field.name, property);
        // Of these two, a configuration has only one. Every other field has a default.
        let is_either = ["userFilter", "upnSuffix"].contains(&field.name);
        if field.required || !is_given && !is_either {
            object = object.required(field.name);
        }
    }
    Schema::from(object).into()
}

impl PartialSchema for DirectoryView {
    fn schema() -> RefOr<Schema> {
        schema("Configuration of the directory.", false)
    }
}

impl ToSchema for DirectoryView {
    fn name() -> Cow<'static, str> {
        "Directory".into()
    }
}

impl PartialSchema for DirectoryBody {
    fn schema() -> RefOr<Schema> {
        schema("Configuration of the directory, with the password.", true)
    }
}

impl ToSchema for DirectoryBody {
    fn name() -> Cow<'static, str> {
        "NewDirectory".into()
    }
}

/// Result of a test of the directory.
#[derive(Debug, Serialize, ToSchema)]
pub struct DirectoryTest {
    /// What was found, in a sentence for each server.
    found: Vec<String>,
}

/// Envelope of a response with a new configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfiguredDirectory {
    /// Configuration.
    data: DirectoryView,
    /// Result of the test; empty without one.
    meta: DirectoryTest,
}

/// What the removal of the directory concerns.
#[derive(Debug, Serialize, ToSchema)]
pub struct DirectoryRemoval {
    /// Number of users of the directory, who stay in the list of users but cannot log in any more.
    users: usize,
}

/// Query parameters of a new configuration.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// Whether to try the configuration first, and to take it only if it works; `true` if omitted.
    #[param(required = false)]
    test: bool,
}

impl Options {
    /// Parses a query string. Unknown parameters are ignored.
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut test = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name != "test" {
                continue;
            }
            let given = match &*value {
                "true" => true,
                "false" => false,
                _ => {
                    return Err(ApiError::Invalid(
                        "query.test: must be true or false".into(),
                    ))
                }
            };
            if test.replace(given).is_some() {
                let text = "query.test: must not be given more than once";
                return Err(ApiError::Invalid(text.into()));
            }
        }
        Ok(Self {
            test: test.unwrap_or(true),
        })
    }
}

/// Returns the configuration of the directory, without the password.
#[utoipa::path(
    get,
    path = "/auth/directory",
    operation_id = "getDirectory",
    tag = "Directory",
    responses(
        (status = 200, description = "The configuration.", body = Data<DirectoryView>),
        (status = 404, description = "`directoryNotConfigured`: no directory is configured.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn get(app: web::Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let reader = reader(&request, Need::Scope(Scope::AuthSettingsWrite));
    let directory = app.service.directory(&reader)?;
    Ok(ok(DirectoryView::from(&*directory)))
}

/// Configures the directory, in place of any other.
///
/// The configuration is tried first, and taken only if it works; this may take some seconds. Sessions go
/// on: those of users who are not found any more, or in no group, end as soon as the directory says so.
#[utoipa::path(
    put,
    path = "/auth/directory",
    operation_id = "configureDirectory",
    tag = "Directory",
    params(Options),
    request_body = Data<DirectoryBody>,
    responses(
        (status = 200, description = "The configuration, and what the test found.", body = ConfiguredDirectory),
        (status = 400, description = "`directoryTestFailed`: the configuration does not work; nothing was changed.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the request is malformed, a value is invalid, or the header `Opentrons-User-Notes` is longer than 2,000 characters; nothing was changed.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn put(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let options = Options::parse(request.query_string())?;
    let body: DirectoryBody = json::data(&request, &body)?;
    let (directory, found) = app.service.put_directory(by, body.0, options.test).await?;
    Ok(HttpResponse::Ok().json(ConfiguredDirectory {
        data: DirectoryView::from(&*directory),
        meta: DirectoryTest { found },
    }))
}

/// Removes the configuration of the directory.
///
/// The users of the directory stay in the list of users, and nothing that refers to them is lost. Their
/// sessions end, and they cannot log in until the directory is configured again.
#[utoipa::path(
    delete,
    path = "/auth/directory",
    operation_id = "removeDirectory",
    tag = "Directory",
    responses(
        (status = 200, description = "The configuration was removed.", body = Data<DirectoryRemoval>),
        (status = 404, description = "`directoryNotConfigured`: no directory is configured.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn delete(
    app: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let users = app.service.remove_directory(by).await?;
    Ok(ok(DirectoryRemoval { users }))
}

/// Tries out a configuration of the directory, without taking it.
///
/// Without a body, the present configuration is tried. This may take some seconds.
#[utoipa::path(
    post,
    path = "/auth/directory/test",
    operation_id = "testDirectory",
    tag = "Directory",
    request_body = Data<DirectoryBody>,
    responses(
        (status = 200, description = "The configuration works.", body = Data<DirectoryTest>),
        (status = 400, description = "`directoryTestFailed`: the configuration does not work.", body = ErrorBody),
        (status = 404, description = "`directoryNotConfigured`: there is no body, and no directory is configured.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the request is malformed, a value is invalid, or the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn test(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let draft = if body.is_empty() {
        None
    } else {
        Some(json::data::<DirectoryBody>(&request, &body)?.0)
    };
    let found = app.service.test_directory(by, draft).await?;
    Ok(ok(DirectoryTest { found }))
}
