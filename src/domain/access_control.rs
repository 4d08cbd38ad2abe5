//! The switch of access control.

use super::audit::ENABLE_ACCESS_CONTROL;
use super::authority::Caller;
use super::change::Change;
use super::decision::Decision;
use super::error::RuleError;
use super::state::State;
use super::users::AccountType;

/// Turns access control on. Every session but the caller's ends: what somebody prepared while
/// everything was open does not outlive it.
///
/// # Errors
/// It is on already, or no administrator can log in.
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

/// Turns access control off, which only the console may.
///
/// # Errors
/// It is off already.
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

/// All accounts of a type, for the audit log: `"ada" ("Ada Lovelace"), …`.
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
