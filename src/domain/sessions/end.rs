//! Ending sessions on behalf of an administrator.

use crate::domain::authority::Caller;
use crate::domain::change::Change;
use crate::domain::decision::Decision;
use crate::domain::error::RuleError;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::tokens::SessionId;
use crate::domain::users::rules::named;

/// Sessions to end.
#[derive(Clone, Debug)]
pub enum Which {
    /// Session with this id.
    One(SessionId),
    /// All sessions of the user with this username.
    Of(String),
    /// All sessions.
    All,
}

/// Ends sessions, and thereby makes all of their tokens inactive. Replies with the number of sessions
/// that ended; nothing is recorded if there were none.
///
/// # Errors
/// - [`RuleError::SessionNotFound`] if there is no session with the id, or it has expired.
/// - [`RuleError::UserNotFound`] if there is no such user.
pub fn end(
    state: &State,
    now: Moment,
    caller: &Caller,
    which: &Which,
) -> Result<Decision<usize>, RuleError> {
    let (change, ended, message) = match which {
        Which::One(id) => {
            let user = state
                .session(*id)
                .filter(|session| session.expires > now)
                .and_then(|session| state.user(session.user))
                .ok_or(RuleError::SessionNotFound { id: id.0 })?;
            let message = format!("Ended the session {} of {user}.", id.0);
            (Change::EndSession(*id), 1, message)
        }
        Which::Of(username) => {
            let user = named(state, username)?;
            let ended = state.session_count(user.id, now);
            let change = Change::EndSessionsOf {
                user: user.id,
                except: None,
            };
            let message = format!("Ended all sessions of {user}: {ended}.");
            (change, ended, message)
        }
        Which::All => {
            let ended = state.sessions(now).count();
            let message = format!("Ended all sessions of all users: {ended}.");
            (Change::EndAllSessions { except: None }, ended, message)
        }
    };
    if ended == 0 {
        return Ok(Decision::reply(0));
    }
    Ok(Decision {
        changes: vec![change],
        events: vec![caller.event("end sessions", message)],
        reply: ended,
    })
}
