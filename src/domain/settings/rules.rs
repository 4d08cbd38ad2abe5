//! Rules for changing and resetting the settings.

use super::{Settings, SettingsPatch};
use crate::domain::authority::Caller;
use crate::domain::change::Change;
use crate::domain::decision::Decision;
use crate::domain::error::RuleError;
use crate::domain::state::State;
use crate::domain::users::{ResetPasswordReason, User};

/// Changes settings. A change of the password complexity rules requires a new password from every
/// local user and ends all sessions.
///
/// # Errors
/// [`RuleError::OutOfRange`] for the first value that its setting does not accept; nothing changes.
pub fn patch(
    state: &State,
    caller: &Caller,
    patch: &SettingsPatch,
) -> Result<Decision<Settings>, RuleError> {
    let settings = patch.applied_to(state.settings())?;
    Ok(put(state, caller, "edit CRS settings", settings))
}

/// Resets all settings to their defaults. Access control stays on or off.
pub fn reset(state: &State, caller: &Caller) -> Decision<Settings> {
    put(state, caller, "reset CRS settings", Settings::default())
}

fn put(state: &State, caller: &Caller, action: &str, settings: Settings) -> Decision<Settings> {
    let before = state.settings();
    let differences = before.differences(&settings);
    if differences.is_empty() {
        return Decision::reply(settings);
    }
    let mut changes = vec![Change::PutSettings(settings.clone())];
    if before.password_policy_differs(&settings) {
        for user in state.users() {
            if user.stored_reason == ResetPasswordReason::None && user.directory.is_none() {
                changes.push(Change::PutUser(User {
                    stored_reason: ResetPasswordReason::AdminForced,
                    ..user.clone()
                }));
            }
        }
        changes.push(Change::EndAllSessions { except: None });
    }
    let message = format!("Changed settings: {}.", differences.join(", "));
    Decision {
        changes,
        events: vec![caller.event(action, message)],
        reply: settings,
    }
}
