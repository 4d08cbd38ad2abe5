//! What a rule is given and what it gives.

use super::audit::{Actor, Event, Origin};
use super::clock::Moment;
use super::state::Change;

/// A source of random bytes.
pub trait Random {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Who asks for something, and why.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who.
    pub actor: Actor,
    /// Why, as they said.
    pub reason: Option<String>,
    /// Where the request came from.
    pub origin: Origin,
}

impl Request {
    /// A request's event.
    pub fn event(&self, action: &str, message: String) -> Event {
        Event {
            action: action.into(),
            account_name: self.actor.account_name.clone(),
            legal_name: self.actor.legal_name.clone(),
            message,
            reason: self.reason.clone(),
            origin: Some(self.origin),
        }
    }
}

/// What is needed to decide, beside the state.
pub struct Context<'a> {
    /// The time of the decision.
    pub now: Moment,
    /// Where tokens come from.
    pub random: &'a mut dyn Random,
}

/// What is to be written, all of it or nothing, and what to answer then.
#[derive(Debug)]
pub struct Plan<T> {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// What the audit log says of them.
    pub events: Vec<Event>,
    /// The answer.
    pub reply: T,
}

impl<T> Plan<T> {
    /// Nothing to write.
    pub fn reply(reply: T) -> Self {
        Self {
            changes: Vec::new(),
            events: Vec::new(),
            reply,
        }
    }
}
