//! Sessions of people in the lab's directory: logging in through it, and what follows when they are
//! looked up again.
//!
//! A person is the user with the same [`DirectoryId`](crate::domain::directory::DirectoryId), whatever
//! their name is. Names and account type are the directory's. A name that another account of the robot
//! has, or that belonged to somebody else (21 CFR 11.100(a)), keeps the person out until an
//! administrator has settled it here or there: nobody is given another's account, and no account gets a
//! name that the directory does not know.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{as_user, refused_as_locked, LoginOutcome};
use crate::domain::audit::{Event, RefusalKind};
use crate::domain::authority::Caller;
use crate::domain::change::Change;
use crate::domain::decision::{Context, Decision};
use crate::domain::directory::{Directory, Person, Verdict};
use crate::domain::error::RuleError;
use crate::domain::passwords::{Password, PasswordHash};
use crate::domain::scopes::Scopes;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::users::history::{CREATED, UPDATED};
use crate::domain::users::rules::check_is_free;
use crate::domain::users::source::OfDirectory;
use crate::domain::users::{
    check_username, readable_full_name, AccountType, FormerUsername, ResetPasswordReason, User,
    UserId, MAX_USERNAME_LENGTH,
};

/// Length of a day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum length of what the directory says in an audit event, in characters.
const MAX_SAID: usize = 300;

/// Returns the directory that a login has to ask, with the user of the directory who has the username,
/// ignoring case as the directory does. `None` if the login is up to the robot alone: no directory is
/// configured, a local user has the name, or nobody can have such a name or password.
///
/// Only names that can be usernames here are passed on. They consist of characters that no directory
/// takes for others, so each person has one name to try passwords for.
pub fn asks<'a>(
    state: &'a State,
    username: &str,
    password: &Password,
) -> Option<(&'a Arc<Directory>, Option<&'a User>)> {
    let directory = state.directory()?;
    if check_username(username).is_err() || password.check().is_err() {
        return None;
    }
    let user = state.user_ignoring_case(username);
    let is_local = user.is_some_and(|user| user.directory.is_none());
    (!is_local).then_some((directory, user))
}

/// Login attempt of somebody who is not a local user, together with what the directory says.
#[derive(Clone, Debug)]
pub struct DirectoryAttempt {
    /// Configuration by which the directory was asked.
    pub directory: Arc<Directory>,
    /// User of the directory who had the username at the beginning of the attempt.
    pub known: Option<UserId>,
    /// Hash that the password was checked against.
    pub checked: PasswordHash,
    /// Whether the password matched that hash.
    pub right: bool,
    /// What the directory says.
    pub verdict: Verdict,
    /// New hash of the password, if the directory confirms it and logins are possible without the
    /// directory.
    pub verifier: Option<PasswordHash>,
}

/// Logs somebody in who is not a local user. A person whom the directory confirms becomes a user at the
/// first login; later ones take over their names and type. While the directory cannot be asked, the
/// password is compared with the one that it confirmed last. `asked` is the ceiling of the session's
/// scopes; `None` sets no ceiling.
pub fn log_in(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    attempt: &DirectoryAttempt,
    asked: Option<Scopes>,
) -> Decision<LoginOutcome> {
    let directory = &attempt.directory;
    let known = attempt.known.and_then(|id| state.user(id));
    let is_deleted = known.is_none() && attempt.known.is_some();
    if !is_current(state, directory) || is_deleted {
        return changed_meanwhile(caller);
    }
    let by_known = known.map_or_else(|| caller.clone(), |user| as_user(caller, user));
    if let Some(user) = known.filter(|user| user.locked_by_admin) {
        return locked(state, &by_known, user);
    }
    let reason = match &attempt.verdict {
        Verdict::Found(person) => return found(state, context, caller, attempt, person, asked),
        Verdict::Away(why) => {
            return offline(state, context, &by_known, attempt, known, why, asked)
        }
        // The username is not logged, because people type passwords into the wrong field.
        Verdict::WrongPassword => "wrong password, says the directory".into(),
        Verdict::Nobody => "there is no such user, here or in the directory".into(),
        Verdict::Several => {
            "several people in the directory have the username, or the person has several usernames"
                .into()
        }
        Verdict::Barred(barred) => format!("the account {}", barred.in_words()),
    };
    let mut decision = refused(&by_known, &reason);
    if let (Verdict::WrongPassword, Some(user)) = (&attempt.verdict, known) {
        // The password that it confirmed last is not valid any more.
        if attempt.right && user.password == attempt.checked && user.has_verifier() {
            let forgotten = Change::PutUser(user.without_verifier());
            decision.changes.push(forgotten);
        }
    }
    decision
}

/// Decides on a login as a user of the directory whom an administrator of the robot locked, about which
/// the directory was not asked.
pub fn log_in_locked(state: &State, caller: &Caller, known: UserId) -> Decision<LoginOutcome> {
    match state.user(known).filter(|user| user.locked_by_admin) {
        Some(user) => locked(state, caller, user),
        None => changed_meanwhile(caller),
    }
}

/// Returns the refusal of a login that was begun in another state of the robot.
fn changed_meanwhile(caller: &Caller) -> Decision<LoginOutcome> {
    let message = "the directory's configuration or the account was changed meanwhile";
    Decision {
        reply: LoginOutcome::MustWait { seconds: 1 },
        ..refused(caller, message)
    }
}

/// Returns the refusal of a login because of the directory.
fn refused(caller: &Caller, reason: &str) -> Decision<LoginOutcome> {
    let reply = LoginOutcome::Refused {
        attempts_remaining: None,
        locked: false,
    };
    super::refused(caller, RefusalKind::Directory, reason, reply)
}

/// Refuses a login, because too many wrong passwords were passed on to the directory for the name, or too
/// many are on their way. `known`: user of the directory who has the name.
pub fn must_wait(caller: &Caller, known: Option<&User>, seconds: u64) -> Decision<LoginOutcome> {
    let caller = known.map_or_else(|| caller.clone(), |user| as_user(caller, user));
    super::must_wait(&caller, seconds)
}

/// Returns the refusal of a login to an account that an administrator of the robot locked.
fn locked(state: &State, caller: &Caller, user: &User) -> Decision<LoginOutcome> {
    refused_as_locked(&state.lock_policy(), &as_user(caller, user), user)
}

/// Logs in a person whose password the directory confirms.
fn found(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    attempt: &DirectoryAttempt,
    person: &Person,
    asked: Option<Scopes>,
) -> Decision<LoginOutcome> {
    let old = state.user_of_directory(&person.id);
    if let Some(user) = old.filter(|user| user.locked_by_admin) {
        return locked(state, caller, user);
    }
    let mut user = match user_of(state, context.now, person, old) {
        Ok(user) => user,
        Err(reason) => {
            let name: String = person.username.chars().take(MAX_USERNAME_LENGTH).collect();
            let mut decision = refused(caller, &format!("{name:?} of the directory {reason}"));
            if let Some(old) = old {
                let out = exclude(state, context.now, caller, old, &reason);
                decision.changes = out.changes;
                decision.events.extend(out.events);
            }
            return decision;
        }
    };
    user.password = attempt
        .verifier
        .clone()
        .unwrap_or_else(PasswordHash::of_no_password);
    if let Some(of) = &mut user.directory {
        of.confirmed = attempt.verifier.as_ref().map(|_| context.now);
    }
    let before = take_over(caller, old, &user);
    let message = format!("{user} logged in through the lab's directory.");
    begin(state, context, caller, &user, asked, message, before)
}

/// Logs in a user while the directory cannot be asked, if the password is the one that it confirmed last.
fn offline(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    attempt: &DirectoryAttempt,
    known: Option<&User>,
    why: &str,
    asked: Option<Scopes>,
) -> Decision<LoginOutcome> {
    let days = attempt.directory.offline_days;
    let why: String = why.chars().take(MAX_SAID).collect();
    let confirmed = known
        .and_then(|user| user.directory.as_ref())
        .and_then(|of| of.confirmed);
    let reason = match (known, confirmed) {
        (Some(user), Some(confirmed)) if is_recent(confirmed, days, context.now) => {
            if attempt.right && user.password == attempt.checked {
                let message = format!(
                    "{user} logged in without the lab's directory, which cannot be asked, with the \
                     password that it confirmed last: {why}."
                );
                let nothing = (Vec::new(), Vec::new());
                return begin(state, context, caller, user, asked, message, nothing);
            }
            "this is not the password that it confirmed last".into()
        }
        (_, Some(_)) => format!("it confirmed no password in the last {days} days"),
        (_, None) => "it has confirmed no password here".to_owned(),
    };
    let reason = format!("the directory cannot be asked, and {reason}: {why}");
    refused(caller, &reason)
}

/// Returns whether a password that the directory confirmed at `confirmed` is taken without it.
fn is_recent(confirmed: Moment, days: u32, now: Moment) -> bool {
    now.since(confirmed) <= DAY * days && days > 0
}

/// Begins a session of a user, after the changes and events `before`.
fn begin(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    user: &User,
    asked: Option<Scopes>,
    message: String,
    (mut changes, mut events): (Vec<Change>, Vec<Event>),
) -> Decision<LoginOutcome> {
    let session = super::begin(state, context, &as_user(caller, user), user, asked, message);
    let is_granted = matches!(session.reply, LoginOutcome::Granted(_));
    if !is_granted && state.user(user.id).is_none() {
        // A refused login makes no user.
        return session;
    }
    changes.extend(session.changes);
    events.extend(session.events);
    Decision {
        changes,
        events,
        reply: session.reply,
    }
}

/// Returns the user that a person is: `old`, if they have logged in before, with their present names and
/// type.
///
/// # Errors
/// The reason why the person may not log in, which completes a sentence about the person.
fn user_of(
    state: &State,
    now: Moment,
    person: &Person,
    old: Option<&User>,
) -> Result<User, String> {
    let account_type = person
        .account_type
        .filter(|account_type| *account_type != AccountType::Service)
        .ok_or("is in no group that may use the robot")?;
    let username = &person.username;
    if check_username(username).is_err() {
        return Err("has a name that cannot be a username here".into());
    }
    let full_name = person.full_name.as_deref().unwrap_or_default();
    let full_name = readable_full_name(full_name)
        .map_err(|_| "has no full name that the audit log could show")?;
    if old.map_or(true, |old| old.username != *username) {
        let id = old.map(|old| old.id);
        check_is_free(state, username, &full_name, id).map_err(|error| match error {
            RuleError::UsernameBelongsToAnother { .. } => {
                "has the username of a former user with a different full name"
            }
            _ => "has the username of another account of the robot",
        })?;
    }
    let user = match old {
        Some(old) => old.clone(),
        None => User {
            id: state.next_user(),
            username: String::new(),
            full_name: String::new(),
            account_type,
            password: PasswordHash::of_no_password(),
            password_set_at: now,
            temporary_password: false,
            stored_reason: ResetPasswordReason::None,
            locked_by_admin: false,
            failed_logins: 0,
            last_failed_login: None,
            directory: None,
        },
    };
    let confirmed = user.directory.as_ref().and_then(|of| of.confirmed);
    Ok(User {
        username: username.clone(),
        full_name,
        account_type,
        directory: Some(OfDirectory {
            id: person.id.clone(),
            looked_up: now,
            confirmed,
        }),
        ..user
    })
}

/// Returns the changes and events that make the user `old`, or nobody, the user `new`. Sessions end with
/// another username or type, as when an administrator changes these.
fn take_over(caller: &Caller, old: Option<&User>, new: &User) -> (Vec<Change>, Vec<Event>) {
    let put = Change::PutUser(new.clone());
    let Some(old) = old else {
        let message = format!(
            "Created the {} {new}, who is a person of the lab's directory.",
            new.account_type.name()
        );
        return (vec![put], vec![caller.event(CREATED, message)]);
    };
    let mut described = Vec::new();
    let mut changes = Vec::new();
    if new.full_name != old.full_name {
        described.push(format!(
            "full name {:?} → {:?}",
            old.full_name, new.full_name
        ));
    }
    if new.username != old.username {
        described.push(format!("username {:?} → {:?}", old.username, new.username));
        changes.push(Change::PutFormerUsername(FormerUsername::of(old)));
    }
    if new.account_type != old.account_type {
        described.push(format!(
            "account type {} → {}",
            old.account_type.name(),
            new.account_type.name()
        ));
    }
    changes.push(put);
    if new.username != old.username || new.account_type != old.account_type {
        changes.push(Change::EndSessionsOf {
            user: old.id,
            except: None,
        });
    }
    if described.is_empty() {
        return (changes, Vec::new());
    }
    let message = format!(
        "Changed the {} {old}, as the lab's directory says: {}.",
        old.account_type.name(),
        described.join(", ")
    );
    (changes, vec![caller.event(UPDATED, message)])
}

/// Ends the sessions of a user who may not use the robot any more, and forgets the password that the
/// directory confirmed last. `reason` completes a sentence about the person.
fn exclude(state: &State, now: Moment, caller: &Caller, user: &User, reason: &str) -> Decision<()> {
    let ended = state.session_count(user.id, now);
    let mut events = Vec::new();
    if ended > 0 || user.has_verifier() {
        let message =
            format!("Ended all sessions of {user}: {ended}, because the person {reason}.");
        events.push(caller.event("end sessions", message));
    }
    Decision {
        changes: vec![
            Change::PutUser(looked_up(&user.without_verifier(), now)),
            Change::EndSessionsOf {
                user: user.id,
                except: None,
            },
        ],
        events,
        reply: (),
    }
}

/// Returns the user with a last look-up at `now`.
fn looked_up(user: &User, now: Moment) -> User {
    User {
        directory: user.directory.clone().map(|of| OfDirectory {
            looked_up: now,
            ..of
        }),
        ..user.clone()
    }
}

/// Acts on what the directory says of a user who was looked up again by the configuration `directory`:
/// takes over names and type, or ends the sessions. Nothing changes if the directory could not be asked,
/// or the configuration was replaced meanwhile.
pub fn look_up(
    state: &State,
    now: Moment,
    caller: &Caller,
    directory: &Arc<Directory>,
    user: UserId,
    verdict: &Verdict,
) -> Decision<()> {
    let is_of_directory = |user: &&User| user.directory.is_some();
    let user = match state.user(user).filter(is_of_directory) {
        Some(user) if is_current(state, directory) => user,
        _ => return Decision::reply(()),
    };
    let exclude = |reason: &str| exclude(state, now, caller, user, reason);
    match verdict {
        // Not what was asked: a user never becomes another person.
        Verdict::Found(person) if state.user_of_directory(&person.id) != Some(user) => {
            Decision::reply(())
        }
        Verdict::Found(person) => match user_of(state, now, person, Some(user)) {
            Ok(new) => {
                let (changes, events) = take_over(caller, Some(user), &new);
                Decision {
                    changes,
                    events,
                    reply: (),
                }
            }
            Err(reason) => exclude(&reason),
        },
        Verdict::Nobody => exclude("is not in the directory any more"),
        Verdict::Barred(barred) if barred.ends_sessions() => {
            exclude(&format!("has an account that {}", barred.in_words()))
        }
        Verdict::Barred(_) => Decision {
            changes: vec![Change::PutUser(looked_up(user, now))],
            ..Decision::reply(())
        },
        // The last two answer a login, and say nothing of the user's account.
        Verdict::Away(_) | Verdict::WrongPassword | Verdict::Several => Decision::reply(()),
    }
}

/// Returns whether `directory` is the configuration still.
fn is_current(state: &State, directory: &Arc<Directory>) -> bool {
    let current = state.directory();
    current.is_some_and(|current| Arc::ptr_eq(current, directory))
}

/// Returns the users with sessions, or who may be able to log in without the directory, whose last
/// look-up is at least `age` ago.
pub fn due(state: &State, age: Duration, now: Moment) -> BTreeSet<UserId> {
    let with_sessions = state
        .sessions(now)
        .filter_map(|session| state.user(session.user));
    let with_verifiers = state.users().filter(|user| user.has_verifier());
    with_sessions
        .chain(with_verifiers)
        .filter(|user| user.is_due_for_look_up(age, now))
        .map(|user| user.id)
        .collect()
}

/// Forgets the passwords that the directory confirmed so long ago that nobody may log in with them any
/// more.
pub fn forget_old(state: &State, now: Moment) -> Decision<()> {
    let directory = state.directory();
    let days = directory.map_or(0, |directory| directory.offline_days);
    let is_old = |user: &&User| {
        let of = user.directory.as_ref();
        let confirmed = of.and_then(|of| of.confirmed);
        confirmed.is_some_and(|confirmed| !is_recent(confirmed, days, now))
    };
    Decision {
        changes: state
            .users()
            .filter(is_old)
            .map(|user| Change::PutUser(user.without_verifier()))
            .collect(),
        ..Decision::reply(())
    }
}

/// Number of failed look-ups in a row after which no more are tried for a while.
const MAX_FAILURES: u32 = 2;

/// Order in which users are looked up. One for whom that fails does not keep it from the others.
#[derive(Debug, Default)]
pub struct Turns {
    /// User who was looked up last.
    last: Option<UserId>,
    /// Number of look-ups that failed in a row.
    failures: u32,
}

impl Turns {
    /// Returns the users in the order of their turns: first those after the one who was looked up last.
    pub fn order(&self, mut due: BTreeSet<UserId>) -> impl Iterator<Item = UserId> {
        let after = match self.last {
            Some(last) => due.split_off(&UserId(last.0.saturating_add(1))),
            None => BTreeSet::new(),
        };
        after.into_iter().chain(due)
    }

    /// Takes note of a look-up, and returns whether no more are to be tried for a while, because it
    /// failed as did the one before.
    pub fn gives_up_after(&mut self, user: UserId, is_answered: bool) -> bool {
        self.last = Some(user);
        self.failures = if is_answered { 0 } else { self.failures + 1 };
        let gives_up = self.failures >= MAX_FAILURES;
        if gives_up {
            self.failures = 0;
        }
        gives_up
    }
}
