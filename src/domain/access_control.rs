//! Turning access control on and off.

use super::audit::ENABLE_ACCESS_CONTROL;
use super::authority::Caller;
use super::change::Change;
use super::decision::Decision;
use super::error::RuleError;
use super::state::State;
use super::users::AccountType;

/// Turns access control on. All sessions except the caller's end, so that sessions prepared while
/// the robot was open cannot be used afterwards.
///
/// # Errors
/// - [`RuleError::AccessControlAlreadyEnabled`] if access control is already on.
/// - [`RuleError::LastAdmin`] if no administrator can log in.
pub fn enable(state: &State, caller: &Caller) -> Result<Decision<()>, RuleError> {
    if state.access_control() {
        return Err(RuleError::AccessControlAlreadyEnabled);
    }
    if !state.has_able_admin(None) {
        return Err(RuleError::LastAdmin);
    }
    let message = format!(
        "Turned access control on. Administrators: {}. Service accounts: {}.",
        accounts_of(state, AccountType::Admin),
        accounts_of(state, AccountType::Service)
    );
    Ok(Decision {
        changes: vec![
            Change::SetAccessControl(true),
            Change::EndAllSessions {
                except: caller.principal.map(|principal| principal.session),
            },
        ],
        events: vec![caller.event(ENABLE_ACCESS_CONTROL, message)],
        reply: (),
    })
}

/// Turns access control off. Only the console offers this.
///
/// # Errors
/// [`RuleError::AccessControlAlreadyDisabled`] if access control is already off.
pub fn disable(state: &State, caller: &Caller) -> Result<Decision<()>, RuleError> {
    if !state.access_control() {
        return Err(RuleError::AccessControlAlreadyDisabled);
    }
    let message = "Turned access control off.".into();
    Ok(Decision {
        changes: vec![Change::SetAccessControl(false)],
        events: vec![caller.event("disable CRS", message)],
        reply: (),
    })
}

/// Lists all accounts of a type for the audit log, such as `"ada" ("Ada Lovelace"), …`.
fn accounts_of(state: &State, account_type: AccountType) -> String {
    let all: Vec<_> = state
        .users()
        .filter(|user| user.account_type == account_type)
        .map(ToString::to_string)
        .collect();
    if all.is_empty() {
        return "none".into();
    }
    all.join(", ")
}
