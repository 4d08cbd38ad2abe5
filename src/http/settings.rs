//! `/auth/settings`: the settings, and the switch of access control.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::auth::admit;
use super::body::Body;
use super::error::{ApiError, ErrorBody};
use super::json::{self, Integer, Members, Number};
use super::{ok, AppState, Data};
use crate::domain::authority::Need;
use crate::domain::error::RuleError;
use crate::domain::scopes::Scope;
use crate::domain::settings::{Kind, Setting, Settings, SettingsPatch, Value, SETTINGS};

/// Values of all settings, in the order of [`SETTINGS`].
#[derive(Debug)]
pub struct SettingsView(pub Settings);

impl Serialize for SettingsView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(SETTINGS.len()))?;
        for setting in &SETTINGS {
            match setting.value(&self.0) {
                Value::Null => map.serialize_entry(setting.name, &())?,
                Value::Integer(number) => map.serialize_entry(setting.name, &number)?,
                Value::Boolean(on) => map.serialize_entry(setting.name, &on)?,
                Value::Duration(duration) => {
                    map.serialize_entry(setting.name, &duration.as_secs_f64())?;
                }
            }
        }
        map.end()
    }
}

/// Settings to change; an omitted setting stays unchanged.
#[derive(Debug, Default)]
pub struct SettingsPatchBody(SettingsPatch);

impl<'de> Deserialize<'de> for SettingsPatchBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::members(deserializer)
    }
}

impl Members for SettingsPatchBody {
    type Row = Setting;

    fn row(name: &str) -> Option<(&'static Setting, &'static str)> {
        Setting::named(name).map(|setting| (setting, setting.name))
    }

    /// The range is not checked here: that is a rule.
    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        setting: &'static Setting,
        value: D,
    ) -> Result<(), D::Error> {
        let value = match setting.kind {
            Kind::Integer(..) => {
                nullable::<Integer, D>(setting, value)?.map(|number| Value::Integer(number.get()))
            }
            Kind::Boolean => nullable::<bool, D>(setting, value)?.map(Value::Boolean),
            Kind::Seconds(..) => nullable::<Number, D>(setting, value)?.map(|number| {
                let nearest = if number.get() < 0.0 {
                    Duration::ZERO
                } else {
                    Duration::MAX
                };
                Value::Duration(Duration::try_from_secs_f64(number.get()).unwrap_or(nearest))
            }),
        };
        self.0.add(setting, value.unwrap_or(Value::Null));
        Ok(())
    }
}

/// Deserializes a value of type `T`, or null as `None` if the setting is nullable.
fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    setting: &Setting,
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    if setting.nullable {
        Option::deserialize(deserializer)
    } else {
        T::deserialize(deserializer).map(Some)
    }
}

/// Returns the schema of an object with all settings. If `required` is true, none may be omitted.
fn schema(description: &str, required: bool) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new().description(Some(description));
    for setting in &SETTINGS {
        let mut property = ObjectBuilder::new().description(Some(setting.meaning));
        let of = match setting.kind {
            Kind::Integer(least, most) => {
                property = property.minimum(Some(least)).maximum(Some(most));
                Type::Integer
            }
            Kind::Seconds(least, most) => {
                property = property.minimum(Some(least)).maximum(Some(most));
                Type::Number
            }
            Kind::Boolean => Type::Boolean,
        };
        property = if setting.nullable {
            property.schema_type(SchemaType::from_iter([of, Type::Null]))
        } else {
            property.schema_type(of)
        };
        object = object.property(setting.name, property);
        if required {
            object = object.required(setting.name);
        }
    }
    Schema::from(object).into()
}

impl PartialSchema for SettingsView {
    fn schema() -> RefOr<Schema> {
        schema("Values of all settings.", true)
    }
}

impl ToSchema for SettingsView {
    fn name() -> Cow<'static, str> {
        "Settings".into()
    }
}

impl PartialSchema for SettingsPatchBody {
    fn schema() -> RefOr<Schema> {
        schema(
            "Settings to change; an omitted setting stays unchanged.",
            false,
        )
    }
}

impl ToSchema for SettingsPatchBody {
    fn name() -> Cow<'static, str> {
        "SettingsPatch".into()
    }
}

/// State of access control.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessControl {
    /// Whether access control is enabled: protected routes then require an access token.
    access_control_enabled: bool,
}

/// Returns the values of all settings.
#[utoipa::path(
    get,
    path = "/auth/settings",
    operation_id = "getSettings",
    tag = "Settings",
    responses((status = 200, description = "The settings.", body = Data<SettingsView>))
)]
pub async fn get(app: web::Data<AppState>) -> impl Responder {
    ok(SettingsView(app.service.settings()))
}

/// Changes settings. An omitted setting stays unchanged.
#[utoipa::path(
    patch,
    path = "/auth/settings",
    operation_id = "updateSettings",
    tag = "Settings",
    request_body = Data<SettingsPatchBody>,
    responses(
        (status = 200, description = "The settings after the change.", body = Data<SettingsView>),
        (status = 422, description = "`invalidRequest`: the request is malformed, a value is invalid, or the header `Opentrons-User-Notes` is longer than 2,000 characters; no setting was changed.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn patch(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let patch: SettingsPatchBody = json::data(&request, &body)?;
    let settings = app.service.patch_settings(by, patch.0).await?;
    Ok(ok(SettingsView(settings)))
}

/// Resets all settings to their defaults. Access control stays as it is.
#[utoipa::path(
    delete,
    path = "/auth/settings",
    operation_id = "resetSettings",
    tag = "Settings",
    responses(
        (status = 200, description = "The settings after the change.", body = Data<SettingsView>),
        (status = 422, description = "`invalidRequest`: the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn delete(
    app: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let settings = app.service.reset_settings(by).await?;
    Ok(ok(SettingsView(settings)))
}

/// Returns whether access control is enabled.
#[utoipa::path(
    get,
    path = "/auth/settings/accessControlEnabled",
    operation_id = "getAccessControl",
    tag = "Other servers",
    responses((status = 200, description = "The state of access control.", body = Data<AccessControl>))
)]
pub async fn get_access_control(app: web::Data<AppState>) -> impl Responder {
    let access_control_enabled = app.service.access_control();
    ok(AccessControl {
        access_control_enabled,
    })
}

/// Enables access control and ends all other sessions.
///
/// It cannot be disabled over HTTP, only at the robot's console.
#[utoipa::path(
    patch,
    path = "/auth/settings/accessControlEnabled",
    operation_id = "enableAccessControl",
    tag = "Settings",
    request_body = Data<AccessControl>,
    responses(
        (status = 200, description = "Access control is enabled.", body = Data<AccessControl>),
        (status = 409, description = "`lastAdmin`: no administrator is able to log in.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the value is not `true`, access control is already enabled, the request is malformed, or the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn patch_access_control(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let wanted: AccessControl = json::data(&request, &body)?;
    if !wanted.access_control_enabled {
        return Err(RuleError::AccessControlCannotBeDisabled.into());
    }
    app.service.enable_access_control(by).await?;
    Ok(ok(wanted))
}
