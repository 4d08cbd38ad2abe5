//! `/auth/settings` and the switch of access control.

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::admit;
use super::error::{ApiError, ErrorBody, UnauthorizedBody};
use super::json::{self, present, Integer, Number};
use super::{ok, AppState, Data};
use crate::domain::authority::Need;
use crate::domain::error::RuleError;
use crate::domain::scopes::Scope;
use crate::domain::settings::{Settings, SettingsPatch};

/// All settings.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
pub struct SettingsBody {
    /// Failed logins before an account locks; null: never.
    #[schema(minimum = 1, required)]
    max_number_of_login_attempts: Option<u32>,
    /// Age at which a password expires, in seconds; null: never.
    #[schema(minimum = 86400, required)]
    password_reset_time: Option<f64>,
    /// Fewest characters of a password; null means 8.
    #[schema(minimum = 1, required)]
    password_complexity_minimum_length: Option<u32>,
    /// Whether a password needs a punctuation character.
    #[schema(required)]
    password_complexity_special_characters: Option<bool>,
    /// Lifetime of a token, in seconds.
    #[schema(minimum = 1, maximum = 604800, example = 180.0)]
    idle_logout: f64,
    /// Whether a user lacks the scope `updates.write`.
    require_admin_creds_when_updating_robot_software: bool,
    /// Whether a user lacks the scope `protocols.write`.
    require_admin_creds_when_sending_protocol_to_robot: bool,
    /// Whether a user lacks the scope `run_signoff.write`.
    require_admin_creds_for_signoff_protocol: bool,
}

impl From<&Settings> for SettingsBody {
    fn from(settings: &Settings) -> Self {
        Self {
            max_number_of_login_attempts: settings.max_login_attempts,
            password_reset_time: settings.password_reset_time,
            password_complexity_minimum_length: settings.password_minimum_length,
            password_complexity_special_characters: settings.password_special_characters,
            idle_logout: settings.idle_logout,
            require_admin_creds_when_updating_robot_software: settings.admin_for_software_updates,
            require_admin_creds_when_sending_protocol_to_robot: settings.admin_for_protocols,
            require_admin_creds_for_signoff_protocol: settings.admin_for_signoff,
        }
    }
}

/// Settings to change; one that is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SettingsPatch)]
pub struct SettingsPatchBody {
    /// Failed logins before an account locks; null: never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    max_number_of_login_attempts: Option<Option<Integer>>,
    /// Age at which a password expires, in seconds; null: never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<f64>, minimum = 86400, maximum = 3_155_760_000_u32)]
    password_reset_time: Option<Option<Number>>,
    /// Fewest characters of a password; null means 8. A change makes every user set a new password,
    /// and ends every login.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1024)]
    password_complexity_minimum_length: Option<Option<Integer>>,
    /// Whether a password needs a punctuation character. A change makes every user set a new
    /// password, and ends every login.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    password_complexity_special_characters: Option<Option<bool>>,
    /// Lifetime of a token, in seconds.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = f64, required = false, minimum = 1, maximum = 604800)]
    idle_logout: Option<Number>,
    /// Whether a user lacks the scope `updates.write`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    require_admin_creds_when_updating_robot_software: Option<bool>,
    /// Whether a user lacks the scope `protocols.write`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    require_admin_creds_when_sending_protocol_to_robot: Option<bool>,
    /// Whether a user lacks the scope `run_signoff.write`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    require_admin_creds_for_signoff_protocol: Option<bool>,
}

impl From<SettingsPatchBody> for SettingsPatch {
    fn from(body: SettingsPatchBody) -> Self {
        Self {
            max_login_attempts: body
                .max_number_of_login_attempts
                .map(|n| n.map(Integer::get)),
            password_reset_time: body.password_reset_time.map(|n| n.map(Number::get)),
            password_minimum_length: body
                .password_complexity_minimum_length
                .map(|n| n.map(Integer::get)),
            password_special_characters: body.password_complexity_special_characters,
            idle_logout: body.idle_logout.map(Number::get),
            admin_for_software_updates: body.require_admin_creds_when_updating_robot_software,
            admin_for_protocols: body.require_admin_creds_when_sending_protocol_to_robot,
            admin_for_signoff: body.require_admin_creds_for_signoff_protocol,
        }
    }
}

/// The switch of access control.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessControl {
    /// Whether protected routes need a token.
    access_control_enabled: bool,
}

/// Tells the settings.
#[utoipa::path(
    method(get, head),
    path = "/auth/settings",
    tag = "Settings",
    responses((status = 200, description = "The settings.", body = Data<SettingsBody>))
)]
pub async fn get(app: web::Data<AppState>) -> impl Responder {
    ok(SettingsBody::from(&app.service.settings()))
}

/// Changes settings. Only given fields change.
#[utoipa::path(
    patch,
    path = "/auth/settings",
    tag = "Settings",
    request_body = Data<SettingsPatchBody>,
    responses(
        (status = 200, description = "The settings as they are now.", body = Data<SettingsBody>),
        (status = 401, description = "No token, or none that is active.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 422, description = "`invalidRequest`: nothing has changed.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn patch(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let patch: SettingsPatchBody = json::data(&request, &body)?;
    let settings = app.service.patch_settings(by, patch.into()).await?;
    Ok(ok(SettingsBody::from(&settings)))
}

/// Puts the settings back to their defaults. Access control stays as it is.
#[utoipa::path(
    delete,
    path = "/auth/settings",
    tag = "Settings",
    responses(
        (status = 200, description = "The settings as they are now.", body = Data<SettingsBody>),
        (status = 401, description = "No token, or none that is active.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn delete(
    app: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let settings = app.service.reset_settings(by).await?;
    Ok(ok(SettingsBody::from(&settings)))
}

/// Tells whether access control is on.
#[utoipa::path(
    method(get, head),
    path = "/auth/settings/accessControlEnabled",
    tag = "Settings",
    responses((status = 200, description = "Whether it is on.", body = Data<AccessControl>))
)]
pub async fn get_access_control(app: web::Data<AppState>) -> impl Responder {
    let access_control_enabled = app.service.access_control();
    ok(AccessControl {
        access_control_enabled,
    })
}

/// Turns access control on, for good: only the robot's console turns it off.
#[utoipa::path(
    patch,
    path = "/auth/settings/accessControlEnabled",
    tag = "Settings",
    request_body = Data<AccessControl>,
    responses(
        (status = 200, description = "It is on.", body = Data<AccessControl>),
        (status = 401, description = "No token, or none that is active.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 409, description = "`lastAdmin`: no administrator can log in.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: not true, or it is on already.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["auth_settings.write"]))
)]
pub async fn patch_access_control(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::AuthSettingsWrite))?;
    let wanted: AccessControl = json::data(&request, &body)?;
    if !wanted.access_control_enabled {
        return Err(RuleError::AccessControlCannotBeDisabled.into());
    }
    app.service.enable_access_control(by).await?;
    Ok(ok(wanted))
}
