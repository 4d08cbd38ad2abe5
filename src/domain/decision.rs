//! Input and output of a rule: [`Context`] and [`Decision`].

use super::audit::Event;
use super::change::Change;
use super::random::Random;
use super::time::Moment;

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
}
