//! Rules for configuring and removing the directory.

use std::sync::Arc;

use super::draft::differences;
use super::Directory;
use crate::domain::authority::Caller;
use crate::domain::change::Change;
use crate::domain::decision::Decision;
use crate::domain::error::RuleError;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::users::User;

/// Returns the configuration.
///
/// # Errors
/// [`RuleError::DirectoryNotConfigured`] if there is none.
pub fn configured(state: &State) -> Result<&Arc<Directory>, RuleError> {
    state.directory().ok_or(RuleError::DirectoryNotConfigured)
}

/// Configures the directory, in place of any other. `tested`: it was tried before. Sessions go on, and
/// end when a look-up finds that a person may not use the robot: all people are due for one at once. What
/// the old configuration confirmed is forgotten if it may be of another directory or of people who may not
/// use the robot any more, or if nobody may log in offline any more.
pub fn put(
    state: &State,
    caller: &Caller,
    directory: Arc<Directory>,
    tested: bool,
) -> Decision<Arc<Directory>> {
    let old = state.directory();
    let differences = differences(old.map(Arc::as_ref), &directory);
    if differences.is_empty() {
        return Decision::reply(directory);
    }
    let mut changes = vec![Change::PutDirectory(Some(Arc::clone(&directory)))];
    let is_same = old.is_some_and(|old| {
        let mut servers = directory.servers.iter();
        old.kind == directory.kind
            && old.base == directory.base
            && old.names == directory.names
            && old.groups == directory.groups
            && old.ca == directory.ca
            && servers.any(|server| old.servers.contains(server))
    });
    let forgets = !is_same || directory.offline_days == 0;
    for user in people(state) {
        let mut user = match forgets {
            true => user.without_verifier(),
            false => user.clone(),
        };
        if let Some(of) = &mut user.directory {
            of.looked_up = Moment(0);
        }
        changes.push(Change::PutUser(user));
    }
    let message = format!(
        "{} the directory{}: {}.",
        if old.is_some() {
            "Changed"
        } else {
            "Configured"
        },
        if tested { "" } else { " without a test" },
        differences.join(", ")
    );
    Decision {
        changes,
        events: vec![caller.event("edit directory", message)],
        reply: directory,
    }
}

/// Removes the configuration. The people of the directory stay in the list of users, but their sessions
/// end, and they cannot log in any more. Replies with their number.
///
/// # Errors
/// [`RuleError::DirectoryNotConfigured`] if there is none.
pub fn remove(state: &State, caller: &Caller) -> Result<Decision<usize>, RuleError> {
    configured(state)?;
    let mut changes = vec![Change::PutDirectory(None)];
    let mut users = 0;
    for user in people(state) {
        users += 1;
        changes.push(Change::EndSessionsOf {
            user: user.id,
            except: None,
        });
        if user.has_verifier() {
            changes.push(Change::PutUser(user.without_verifier()));
        }
    }
    let message = format!("Removed the directory. Its users, who cannot log in any more: {users}.");
    Ok(Decision {
        changes,
        events: vec![caller.event("remove directory", message)],
        reply: users,
    })
}

/// Records a test of a configuration, and how it ended.
pub fn tested(
    caller: &Caller,
    directory: &Directory,
    result: Result<Vec<String>, String>,
) -> Decision<Result<Vec<String>, String>> {
    let servers = directory.servers.join(", ");
    let (how, why) = match &result {
        Ok(_) => ("it works.", ""),
        Err(why) => ("it failed: ", why.as_str()),
    };
    let message = format!("Tested the directory at {servers}: {how}{why}");
    Decision {
        changes: Vec::new(),
        events: vec![caller.event("test directory", message)],
        reply: result,
    }
}

/// Returns the users who come from the directory.
fn people(state: &State) -> impl Iterator<Item = &User> {
    state.users().filter(|user| user.directory.is_some())
}
