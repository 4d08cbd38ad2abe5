//! Sessions: logging in, refreshing tokens and logging out (RFC 6749 §4.3 and §6, RFC 7009).

pub mod by_directory;
pub mod end;

use std::time::Duration;

use super::audit::{Actor, RefusalKind, LOGIN_FAILED, LOGIN_SUCCEEDED, SESSION_ENDED};
use super::authority::Caller;
use super::change::Change;
use super::decision::{Context, Decision};
use super::issue::{issue, make_room, Issued};
use super::passwords::PasswordHash;
use super::scopes::Scopes;
use super::state::State;
use super::time::Moment;
use super::tokens::{Handle, Presented, RefreshToken, Session};
use super::users::{Failed, LockPolicy, User, UserId};

/// Age of the last look-up from which on a user of the directory is looked up again beside a refresh.
const LOOK_UP_AFTER: Duration = Duration::from_secs(15 * 60);

/// Login attempt with a password, together with the result of the password check.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Local user to log in; `None` if the username is unknown.
    pub user: Option<UserId>,
    /// Hash that the password was checked against.
    pub checked: PasswordHash,
    /// Whether the password matched that hash.
    pub right: bool,
    /// Hash of the same password with the server's current parameters; present if the password was
    /// right and its stored hash uses other parameters.
    pub rehashed: Option<PasswordHash>,
}

impl Attempt {
    /// Returns the user, and whether the password is right for the hash that the user has now;
    /// `None` if there is no such local user.
    fn outcome<'a>(&self, state: &'a State) -> Option<(&'a User, bool)> {
        let user = state.user(self.user?)?;
        if user.directory.is_some() {
            return None; // whose hash counts only while the directory cannot be asked
        }
        Some((user, self.right && user.password == self.checked))
    }
}

/// Result of a login attempt with a password.
#[derive(Debug)]
pub enum LoginOutcome {
    /// The user is logged in.
    Granted(Issued),
    /// The user is unknown, the password is wrong, or the account is locked.
    Refused {
        /// Number of further failed logins that lock the account; `None` if there is no limit or no
        /// such user.
        attempts_remaining: Option<u32>,
        /// Whether the account is locked.
        locked: bool,
    },
    /// The request asked for scopes that the account may not have.
    ExcessiveScope,
    /// The account is throttled and must wait before the next attempt.
    MustWait {
        /// Time to wait, in seconds.
        seconds: u64,
    },
}

/// Logs a local user in with a password (RFC 6749 §4.3). `failed` are the failed logins in a row to the
/// account from the source of this attempt. `asked` is the ceiling of the scopes that the session may
/// ever use; `None` sets no ceiling.
pub fn log_in(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    attempt: &Attempt,
    failed: Failed,
    asked: Option<Scopes>,
) -> Decision<LoginOutcome> {
    let Some((user, right)) = attempt.outcome(state) else {
        // The username is not logged, because people type passwords into the wrong field.
        return refused(
            caller,
            RefusalKind::UnknownUser,
            "there is no such user",
            LoginOutcome::Refused {
                attempts_remaining: None,
                locked: false,
            },
        );
    };
    let caller = &as_user(caller, user);
    let policy = state.lock_policy();
    if let Some(seconds) = policy.must_wait(user, failed, context.now) {
        return must_wait(caller, seconds);
    }
    if policy.is_locked(user) {
        // A right and a wrong password get the same response, and neither is counted.
        return refused_as_locked(&policy, caller, user);
    }
    if !right {
        let counted = with_failed_login(user, context.now);
        let policy = state.lock_policy_after(&counted);
        let attempts_remaining = policy.attempts_remaining(&counted);
        let locked = policy.is_locked(&counted);
        let reason = match attempts_remaining {
            _ if locked => "wrong password; the account is now locked".into(),
            Some(left) => format!("wrong password; attempts left: {left}"),
            None => "wrong password".to_owned(),
        };
        let reply = LoginOutcome::Refused {
            attempts_remaining,
            locked,
        };
        let mut decision = refused(caller, RefusalKind::WrongPassword, &reason, reply);
        decision.changes.push(Change::PutUser(counted));
        if locked {
            // Locking is a change, so its event must not be dropped by the limit on refusals.
            decision.events[0].refusal = None;
        }
        return decision;
    }
    let message = format!("{user} logged in.");
    let mut decision = begin(state, context, caller, user, asked, message);
    let is_granted = matches!(decision.reply, LoginOutcome::Granted(_));
    if is_granted && (user.failed_logins > 0 || attempt.rehashed.is_some()) {
        decision.changes.push(Change::PutUser(User {
            failed_logins: 0,
            last_failed_login: None,
            password: attempt
                .rehashed
                .clone()
                .unwrap_or_else(|| user.password.clone()),
            ..user.clone()
        }));
    }
    decision
}

/// Begins a session of a user, unless it asks for scopes that the account may not have. `message`: of the
/// event that records the login.
fn begin(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    user: &User,
    asked: Option<Scopes>,
    message: String,
) -> Decision<LoginOutcome> {
    let requestable = requestable_scopes(state, user, context.now);
    if asked.is_some_and(|asked| !asked.is_subset(requestable)) {
        return refused(
            caller,
            RefusalKind::ExcessiveScope,
            "it requested scopes that the account may not have",
            LoginOutcome::ExcessiveScope,
        );
    }
    let grant = asked.unwrap_or(Scopes::UNBOUNDED);
    let session = Session {
        id: state.next_session(),
        user: user.id,
        grant,
        expires: context.now,
    };
    let handle = Handle::generate(context.random);
    let (changes, issued) = issue(state, context, user, session, grant, &handle);
    Decision {
        changes,
        events: vec![caller.event(LOGIN_SUCCEEDED, message)],
        reply: LoginOutcome::Granted(issued),
    }
}

/// Returns the refusal of a login for a reason, which is a clause.
fn refused(
    caller: &Caller,
    kind: RefusalKind,
    reason: &str,
    reply: LoginOutcome,
) -> Decision<LoginOutcome> {
    let message = format!("A login was refused: {reason}.");
    Decision {
        changes: Vec::new(),
        events: vec![caller.event(LOGIN_FAILED, message).refused(kind)],
        reply,
    }
}

/// Returns the refusal of a login to an account that must wait after wrong passwords.
fn must_wait(caller: &Caller, seconds: u64) -> Decision<LoginOutcome> {
    let reason = "too many wrong passwords in a row";
    let reply = LoginOutcome::MustWait { seconds };
    refused(caller, RefusalKind::SlowedAccount, reason, reply)
}

/// Returns the refusal of a login to a locked account.
fn refused_as_locked(policy: &LockPolicy, caller: &Caller, user: &User) -> Decision<LoginOutcome> {
    let reply = LoginOutcome::Refused {
        attempts_remaining: policy.attempts_remaining(user),
        locked: true,
    };
    let reason = "the account is locked";
    refused(caller, RefusalKind::LockedAccount, reason, reply)
}

/// Returns the scopes that a user may request: all scopes of the account type, even if the user
/// must set a new password before using them.
fn requestable_scopes(state: &State, user: &User, now: Moment) -> Scopes {
    let settings = state.settings();
    user.account_type
        .scopes(settings)
        .or(user.scopes(settings, now))
}

/// Result of a refresh request.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// A new pair of tokens was issued.
    Granted {
        /// The tokens.
        issued: Issued,
        /// User of the lab's directory to look up again, because the last look-up is old.
        due: Option<UserId>,
    },
    /// The refresh token is unknown, expired or revoked, or was reused, which ended its session.
    Refused,
    /// The request asked for scopes beyond the session's ceiling or the account's scopes.
    ExcessiveScope,
}

/// Exchanges a refresh token for a new pair of tokens (RFC 6749 §6). `asked` narrows the scopes of
/// the new access token, but not those of the session.
///
/// If the refresh token was first used [`REFRESH_GRACE`] or longer ago, or names a session that does
/// not keep it, then it or its successor may have been stolen, so the session ends (RFC 9700
/// §4.14.2).
pub fn refresh(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    presented: &Presented,
    asked: Option<Scopes>,
) -> Decision<RefreshOutcome> {
    let token = state.refresh_token(&presented.digest);
    let found = match token {
        Some(token) => state.session(token.session),
        None => state.session_named(&presented.handle),
    }
    .and_then(|session| Some((session, state.user(session.user)?)));
    let Some((session, user)) = found else {
        return Decision::reply(RefreshOutcome::Refused);
    };
    let usable = token.filter(|token| !token.is_used_up(context.now));
    let Some(token) = usable else {
        let message = format!("A refresh token of {user} was reused: its session was ended.");
        return Decision {
            changes: vec![Change::EndSession(session.id)],
            events: vec![as_user(caller, user)
                .event(SESSION_ENDED, message)
                .refused(RefusalKind::ReusedRefreshToken)],
            reply: RefreshOutcome::Refused,
        };
    };
    // Nobody can say any more whether a person of the directory may use the robot.
    let is_orphan = user.directory.is_some() && state.directory().is_none();
    if token.expires <= context.now || user.locked_by_admin || is_orphan {
        return Decision::reply(RefreshOutcome::Refused);
    }
    let requestable = session
        .grant
        .and(requestable_scopes(state, user, context.now));
    if asked.is_some_and(|asked| !asked.is_subset(requestable)) {
        return Decision::reply(RefreshOutcome::ExcessiveScope);
    }
    let scopes = asked.unwrap_or(session.grant);
    let mut changes = make_room(state, session.id, &presented.digest, context.now);
    if token.superseded.is_none() {
        let used = RefreshToken {
            superseded: Some(context.now),
            ..*token
        };
        changes.push(Change::PutRefreshToken(presented.digest, used));
    }
    let session = session.clone();
    let (issuing, issued) = issue(state, context, user, session, scopes, &presented.next);
    changes.extend(issuing);
    Decision {
        changes,
        events: Vec::new(),
        reply: RefreshOutcome::Granted {
            issued,
            due: user
                .is_due_for_look_up(LOOK_UP_AFTER, context.now)
                .then_some(user.id),
        },
    }
}

/// Ends the session of an access or refresh token, used or not (RFC 7009 §2.1). Does nothing if the
/// token is unknown.
pub fn revoke(state: &State, caller: &Caller, presented: &Presented) -> Decision<()> {
    let found = state
        .access_token(&presented.digest)
        .map(|token| token.session)
        .or_else(|| {
            let token = state.refresh_token(&presented.digest);
            token.map(|token| token.session)
        })
        .and_then(|session| state.session(session))
        .or_else(|| state.session_named(&presented.handle))
        .and_then(|session| Some((session, state.user(session.user)?)));
    let Some((session, user)) = found else {
        return Decision::reply(());
    };
    let message = format!("{user} logged out.");
    Decision {
        changes: vec![Change::EndSession(session.id)],
        events: vec![as_user(caller, user).event("logout", message)],
        reply: (),
    }
}

/// Returns the caller with `user` as the actor named in the audit log.
fn as_user(caller: &Caller, user: &User) -> Caller {
    Caller {
        actor: Actor::of(user),
        ..caller.clone()
    }
}

/// Returns the user with one more failed login, at `now`.
fn with_failed_login(user: &User, now: Moment) -> User {
    User {
        failed_logins: user.failed_logins.saturating_add(1),
        last_failed_login: Some(now),
        ..user.clone()
    }
}
