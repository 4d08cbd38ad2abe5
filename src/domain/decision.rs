//! What a rule is given and what it gives.

use super::audit::Event;
use super::change::Change;
use super::random::Random;
use super::time::Moment;

/// What is needed to decide, beside the state.
pub struct Context<'a> {
    /// The time of the decision.
    pub now: Moment,
    /// Where tokens come from.
    pub random: &'a mut dyn Random,
}

/// What is to be written, all of it or nothing, and what to answer then.
#[derive(Debug)]
pub struct Decision<T> {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// What the audit log says of them.
    pub events: Vec<Event>,
    /// The answer.
    pub reply: T,
}

impl<T> Decision<T> {
    /// Nothing to write.
    pub fn reply(reply: T) -> Self {
        Self {
            changes: Vec::new(),
            events: Vec::new(),
            reply,
        }
    }
}
