//! Input and output of a rule: [`Context`] and [`Decision`]; and its [`Priority`] on a full disk.

use super::audit::{Event, Origin, LOGIN_FAILED};
use super::authority::Caller;
use super::change::Change;
use super::random::Random;
use super::state::State;
use super::time::Moment;
use super::users::{AccountType, UserId};

/// Input of a rule in addition to the state.
pub struct Context<'a> {
    /// Time of the decision.
    pub now: Moment,
    /// Source of random bytes for new tokens.
    pub random: &'a mut dyn Random,
}

/// Result of a rule: changes and audit events to commit in one transaction, and the reply to give
/// once they are committed.
#[derive(Debug)]
pub struct Decision<T> {
    /// Changes to commit, in order.
    pub changes: Vec<Change>,
    /// Audit events to record along with the changes.
    pub events: Vec<Event>,
    /// Value to return to the caller after the commit.
    pub reply: T,
}

impl<T> Decision<T> {
    /// Creates a decision that changes nothing and records no event.
    pub fn reply(reply: T) -> Self {
        Self {
            changes: Vec::new(),
            events: Vec::new(),
            reply,
        }
    }

    /// Returns the decision with the reply that `reply` makes of its own.
    pub fn map<U>(self, reply: impl FnOnce(T) -> U) -> Decision<U> {
        Decision {
            changes: self.changes,
            events: self.events,
            reply: reply(self.reply),
        }
    }

    /// Adds to the reply whether the decision changes anything.
    pub fn and_whether_it_changes(self) -> Decision<(T, bool)> {
        let changes_anything = !self.changes.is_empty();
        self.map(|reply| (reply, changes_anything))
    }

    /// Returns whether the decision is the refusal of a login.
    pub fn is_refused_login(&self) -> bool {
        !self.events.is_empty() && self.events.iter().all(|event| event.action == LOGIN_FAILED)
    }
}

/// Priority of a decision when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Anything that a stranger or a user may cause: it must not take the last space.
    Ordinary,
    /// Administration, for which space is reserved.
    Administration,
}

impl Priority {
    /// Returns the priority of a decision on a request of `caller`. Administration is what comes from
    /// the console, what an administrator asks for, and a session for an administrator.
    pub fn of(state: &State, caller: &Caller, changes: &[Change]) -> Self {
        let is_admin = |id: UserId| {
            let user = state.user(id);
            user.is_some_and(|user| user.account_type == AccountType::Admin)
        };
        let gives_session = |change: &Change| match change {
            Change::PutSession(session) => is_admin(session.user),
            _ => false,
        };
        let by_admin = caller.principal.is_some_and(|by| is_admin(by.user));
        if caller.origin == Origin::Console || by_admin || changes.iter().any(gives_session) {
            Self::Administration
        } else {
            Self::Ordinary
        }
    }
}
