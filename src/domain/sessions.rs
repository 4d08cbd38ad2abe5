//! Logging in, going on and logging out: which tokens there are, and when a login ends.

use std::time::Duration;

use super::audit::{Actor, RefusalKind, LOGIN_FAILED, SESSION_ENDED};
use super::authority::Caller;
use super::change::Change;
use super::decision::{Context, Decision};
use super::passwords::PasswordHash;
use super::scopes::Scopes;
use super::state::State;
use super::time::Moment;
use super::tokens::{AccessToken, RefreshToken, Session, SessionId, Token, TokenDigest};
use super::users::{User, UserId};

/// How long a refresh token works after its first use: two windows of an app may refresh at once.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);

const SUCCEEDED: &str = "login succeeded";

/// A new pair of tokens.
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub access: Token,
    /// The refresh token.
    pub refresh: Token,
    /// What the access token may do now.
    pub scopes: Scopes,
    /// How long both live.
    pub lifetime: Duration,
}

/// A password that was presented for a user, and what the check of it said.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Whose; `None` when nobody has the name.
    pub user: Option<UserId>,
    /// The hash that the password was checked against.
    pub checked: PasswordHash,
    /// Whether it was right.
    pub right: bool,
    /// A hash with our parameters of a right password whose hash has others.
    pub rehashed: Option<PasswordHash>,
}

impl Attempt {
    /// The user, if it was a right password for the one that the user has now.
    fn outcome<'a>(&self, state: &'a State) -> Option<(&'a User, bool)> {
        let user = state.user(self.user?)?;
        Some((user, self.right && user.password == self.checked))
    }
}

/// What becomes of a login with a password.
#[derive(Debug)]
pub enum LoginOutcome {
    /// The user is in.
    Granted(Issued),
    /// Unknown user, wrong password, or a locked account.
    Refused {
        /// Failed logins that are left before the account locks.
        attempts_remaining: Option<u32>,
        /// Whether it is locked.
        locked: bool,
    },
    /// The user may not have what was asked for.
    ExcessiveScope,
    /// An account that is slowed down has to wait.
    MustWait {
        /// How long, in seconds.
        seconds: u64,
    },
}

/// Logs a user in by a password. `asked`: the scopes that bound the session for its life; `None`
/// bounds it by nothing.
pub fn log_in(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    attempt: &Attempt,
    asked: Option<Scopes>,
) -> Decision<LoginOutcome> {
    let Some((user, right)) = attempt.outcome(state) else {
        // The name is not told: people type passwords into the wrong field.
        let message = "A login was refused: there is no such user.".into();
        return Decision {
            changes: Vec::new(),
            events: vec![caller
                .event(LOGIN_FAILED, message)
                .refused(RefusalKind::UnknownUser)],
            reply: LoginOutcome::Refused {
                attempts_remaining: None,
                locked: false,
            },
        };
    };
    let caller = &as_user(caller, user);
    let policy = state.lock_policy();
    let refused = |kind, changes, message: String, reply| Decision {
        changes,
        events: vec![caller.event(LOGIN_FAILED, message).refused(kind)],
        reply,
    };
    if let Some(seconds) = policy.must_wait(user, context.now) {
        let message = "A login was refused: too many wrong passwords before.".into();
        let reply = LoginOutcome::MustWait { seconds };
        return refused(RefusalKind::SlowedAccount, Vec::new(), message, reply);
    }
    if policy.is_locked(user) {
        // A right and a wrong password get the same answer, and neither is counted.
        let message = "A login was refused: the account is locked.".into();
        let reply = LoginOutcome::Refused {
            attempts_remaining: policy.attempts_remaining(user),
            locked: true,
        };
        return refused(RefusalKind::LockedAccount, Vec::new(), message, reply);
    }
    if !right {
        let failed = with_failure(user, context.now);
        let policy = state.lock_policy_after(&failed);
        let attempts_remaining = policy.attempts_remaining(&failed);
        let locked = policy.is_locked(&failed);
        let message = match attempts_remaining {
            _ if locked => "A login was refused: wrong password; it locked the account.".into(),
            Some(left) => format!("A login was refused: wrong password; attempts left: {left}."),
            None => "A login was refused: wrong password.".into(),
        };
        let reply = LoginOutcome::Refused {
            attempts_remaining,
            locked,
        };
        let changes = vec![Change::PutUser(failed)];
        if locked {
            // A change of its own: no storm of refusals may hide it.
            return Decision {
                changes,
                events: vec![caller.event(LOGIN_FAILED, message)],
                reply,
            };
        }
        return refused(RefusalKind::WrongPassword, changes, message, reply);
    }
    let may_ever = may_ask_for(state, user, context.now);
    if asked.is_some_and(|asked| !asked.is_subset(may_ever)) {
        let message = "A login was refused: it asked for scopes beyond the account's.".into();
        let reply = LoginOutcome::ExcessiveScope;
        return refused(RefusalKind::ExcessiveScope, Vec::new(), message, reply);
    }
    let grant = asked.unwrap_or(Scopes::UNBOUNDED);
    let session = Session {
        id: state.next_session(),
        user: user.id,
        grant,
        expires: context.now,
    };
    let (mut changes, issued) = issue(state, context, user, session, grant);
    if user.failed_logins > 0 || attempt.rehashed.is_some() {
        changes.push(Change::PutUser(User {
            failed_logins: 0,
            last_failed_login: None,
            password: attempt
                .rehashed
                .clone()
                .unwrap_or_else(|| user.password.clone()),
            ..user.clone()
        }));
    }
    Decision {
        changes,
        events: vec![caller.event(SUCCEEDED, format!("{user} logged in."))],
        reply: LoginOutcome::Granted(issued),
    }
}

/// The scopes that a user may ask for: all that the account may have, whether it must set a new
/// password first or not.
fn may_ask_for(state: &State, user: &User, now: Moment) -> Scopes {
    let settings = state.settings();
    user.account_type
        .scopes(settings)
        .or(user.scopes(settings, now))
}

/// What becomes of a refresh.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// A new pair.
    Granted(Issued),
    /// The token is unknown, expired or revoked, or was used before and has ended its session now.
    Refused,
    /// More than the session was granted.
    ExcessiveScope,
}

/// Gives a new pair of tokens for a refresh token (RFC 6749 §6). `asked` may narrow the new access
/// token, not the session.
///
/// A token that was used before, longer than [`REFRESH_GRACE`] ago, was stolen or has been: its
/// session ends (RFC 9700 §4.14.2).
pub fn refresh(
    state: &State,
    context: &mut Context,
    caller: &Caller,
    digest: &TokenDigest,
    asked: Option<Scopes>,
) -> Decision<RefreshOutcome> {
    let found = state.refresh_token(digest).and_then(|token| {
        let session = state.session(token.session)?;
        Some((token, session, state.user(session.user)?))
    });
    let Some((token, session, user)) = found else {
        return Decision::reply(RefreshOutcome::Refused);
    };
    if token
        .superseded
        .is_some_and(|used| used + REFRESH_GRACE <= context.now)
    {
        let message =
            format!("A refresh token of {user} was used a second time: the session has ended.");
        return Decision {
            changes: vec![Change::EndSession(session.id)],
            events: vec![as_user(caller, user)
                .event(SESSION_ENDED, message)
                .refused(RefusalKind::ReusedRefreshToken)],
            reply: RefreshOutcome::Refused,
        };
    }
    if token.expires <= context.now || user.locked_by_admin {
        return Decision::reply(RefreshOutcome::Refused);
    }
    let may_ask = session.grant.and(may_ask_for(state, user, context.now));
    if asked.is_some_and(|asked| !asked.is_subset(may_ask)) {
        return Decision::reply(RefreshOutcome::ExcessiveScope);
    }
    let scopes = asked.unwrap_or(session.grant);
    let (mut changes, issued) = issue(state, context, user, session.clone(), scopes);
    if token.superseded.is_none() {
        let superseded = RefreshToken {
            superseded: Some(context.now),
            ..*token
        };
        changes.push(Change::PutRefreshToken(*digest, superseded));
    }
    Decision {
        changes,
        events: Vec::new(),
        reply: RefreshOutcome::Granted(issued),
    }
}

/// Ends the session that a token of either kind belongs to (RFC 7009 §2.1).
pub fn revoke(state: &State, caller: &Caller, digest: &TokenDigest) -> Decision<()> {
    let found = state
        .access_token(digest)
        .map(|token| token.session)
        .or_else(|| state.refresh_token(digest).map(|token| token.session))
        .and_then(|session| state.session(session))
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

/// The caller, as this user.
fn as_user(caller: &Caller, user: &User) -> Caller {
    Caller {
        actor: Actor::of(user),
        ..caller.clone()
    }
}

fn with_failure(user: &User, now: Moment) -> User {
    User {
        failed_logins: user.failed_logins.saturating_add(1),
        last_failed_login: Some(now),
        ..user.clone()
    }
}

/// A new pair of tokens of `session`, whose access token has `scopes`.
fn issue(
    state: &State,
    context: &mut Context,
    user: &User,
    session: Session,
    scopes: Scopes,
) -> (Vec<Change>, Issued) {
    let settings = state.settings();
    let expires = context.now + settings.idle_logout;
    let access = Token::generate(context.random);
    let refresh = Token::generate(context.random);
    let id: SessionId = session.id;
    let changes = vec![
        Change::PutSession(Session {
            expires: session.expires.max(expires),
            ..session
        }),
        Change::PutAccessToken(
            access.digest(),
            AccessToken {
                session: id,
                scopes,
                issued: context.now,
                expires,
            },
        ),
        Change::PutRefreshToken(
            refresh.digest(),
            RefreshToken {
                session: id,
                expires,
                superseded: None,
            },
        ),
    ];
    let issued = Issued {
        access,
        refresh,
        scopes: scopes.and(user.scopes(settings, context.now)),
        lifetime: settings.idle_logout,
    };
    (changes, issued)
}
