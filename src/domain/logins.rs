//! Logging in, going on and logging out: which tokens there are, and when a login ends.

use super::audit::Actor;
use super::clock::Moment;
use super::error::RuleError;
use super::password::PasswordHash;
use super::plan::{Context, Plan, Request};
use super::scope::Scopes;
use super::state::{Change, State};
use super::token::{AccessToken, Login, LoginId, RefreshToken, Token, TokenDigest};
use super::user::{User, UserId};

/// How long a refresh token works after its first use, in milliseconds: two windows of an app may
/// refresh at once.
pub const REFRESH_GRACE: i64 = 10_000;

const SUCCEEDED: &str = "login succeeded";
const FAILED: &str = "login failed";

/// A new pair of tokens.
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub access: Token,
    /// The refresh token.
    pub refresh: Token,
    /// What the access token may do now.
    pub scopes: Scopes,
    /// How long both live, in seconds.
    pub lifetime: f64,
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
    /// A service account has to wait.
    MustWait {
        /// How long, in seconds.
        seconds: u64,
    },
}

/// Logs a user in by a password. `asked`: scopes; `None` is all that the account may have.
pub fn log_in(
    state: &State,
    context: &mut Context,
    request: &Request,
    attempt: &Attempt,
    asked: Option<Scopes>,
) -> Plan<LoginOutcome> {
    let Some((user, right)) = attempt.outcome(state) else {
        // The name is not told: people type passwords into the wrong field.
        let message = "A login was refused: there is no such user.".into();
        return Plan {
            changes: Vec::new(),
            events: vec![request.event(FAILED, message)],
            reply: LoginOutcome::Refused {
                attempts_remaining: None,
                locked: false,
            },
        };
    };
    let request = &by_user(request, user);
    if let Some(seconds) = user.must_wait(context.now) {
        let message = "A login was refused: too many wrong passwords before.".into();
        return Plan {
            changes: Vec::new(),
            events: vec![request.event(FAILED, message)],
            reply: LoginOutcome::MustWait { seconds },
        };
    }
    let settings = state.settings();
    if !right || user.is_locked(settings) {
        let (changes, user) = count_failure(state, user, right, context.now);
        let locked = user.is_locked(settings);
        let attempts_remaining = user.attempts_remaining(settings);
        let message = if locked {
            "A login was refused: the account is locked.".into()
        } else {
            refusal("A login was refused: wrong password", attempts_remaining)
        };
        return Plan {
            changes,
            events: vec![request.event(FAILED, message)],
            reply: LoginOutcome::Refused {
                attempts_remaining,
                locked,
            },
        };
    }
    let own = Scopes::of_account(user.account_type, settings);
    let grant = match asked {
        Some(asked) if !asked.is_subset(own.or(user.scopes(settings, context.now))) => {
            let message = "A login was refused: it asked for scopes beyond the account's.".into();
            return Plan {
                changes: Vec::new(),
                events: vec![request.event(FAILED, message)],
                reply: LoginOutcome::ExcessiveScope,
            };
        }
        Some(asked) => asked,
        // What every user has who must set a new password; an account that has it at no other
        // time does not get it by this.
        None => own.or(Scopes::SELF_ONLY),
    };
    let login = Login {
        id: state.next_login(),
        user: user.id,
        grant,
        expires: context.now,
    };
    let (mut changes, issued) = issue(state, context, user, login, grant);
    if user.failed_logins > 0 {
        changes.push(Change::PutUser(without_failures(user)));
    }
    Plan {
        changes,
        events: vec![request.event(SUCCEEDED, format!("{:?} logged in.", user.username))],
        reply: LoginOutcome::Granted(issued),
    }
}

/// What becomes of a refresh.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// A new pair.
    Granted(Issued),
    /// The token is unknown, expired or revoked, or was used before and has ended its login now.
    Refused,
    /// More than the login was granted.
    ExcessiveScope,
}

/// Gives a new pair of tokens for a refresh token (RFC 6749 §6). `asked` may narrow the new access
/// token, not the login.
///
/// A token that was used before, longer than [`REFRESH_GRACE`] ago, was stolen or has been: its
/// login ends (RFC 9700 §4.14.2).
pub fn refresh(
    state: &State,
    context: &mut Context,
    request: &Request,
    digest: &TokenDigest,
    asked: Option<Scopes>,
) -> Plan<RefreshOutcome> {
    let found = state.refresh_token(digest).and_then(|token| {
        let login = state.login(token.login)?;
        Some((token, login, state.user(login.user)?))
    });
    let Some((token, login, user)) = found else {
        return Plan::reply(RefreshOutcome::Refused);
    };
    if token
        .superseded
        .is_some_and(|used| used + REFRESH_GRACE <= context.now)
    {
        let message = format!(
            "A refresh token of {:?} was used a second time: the login has ended.",
            user.username
        );
        return Plan {
            changes: vec![Change::EndLogin(login.id)],
            events: vec![by_user(request, user).event("login ended", message)],
            reply: RefreshOutcome::Refused,
        };
    }
    if token.expires <= context.now || user.is_locked(state.settings()) {
        return Plan::reply(RefreshOutcome::Refused);
    }
    let scopes = asked.unwrap_or(login.grant);
    if !scopes.is_subset(login.grant) {
        return Plan::reply(RefreshOutcome::ExcessiveScope);
    }
    let (mut changes, issued) = issue(state, context, user, login.clone(), scopes);
    if token.superseded.is_none() {
        let superseded = RefreshToken {
            superseded: Some(context.now),
            ..*token
        };
        changes.push(Change::PutRefreshToken(*digest, superseded));
    }
    Plan {
        changes,
        events: Vec::new(),
        reply: RefreshOutcome::Granted(issued),
    }
}

/// Ends the login that a token of either kind belongs to (RFC 7009 §2.1).
pub fn revoke(state: &State, request: &Request, digest: &TokenDigest) -> Plan<()> {
    let login = state
        .access_token(digest)
        .map(|token| token.login)
        .or_else(|| state.refresh_token(digest).map(|token| token.login))
        .and_then(|login| state.login(login));
    let Some(login) = login else {
        return Plan::reply(());
    };
    let (request, message) = match state.user(login.user) {
        Some(user) => (
            by_user(request, user),
            format!("{:?} logged out.", user.username),
        ),
        None => (request.clone(), "A login was ended.".into()),
    };
    Plan {
        changes: vec![Change::EndLogin(login.id)],
        events: vec![request.event("logout", message)],
        reply: (),
    }
}

/// Whether a user who is logged in gave the right password again, as for a signature. A wrong one
/// counts as a failed login.
pub fn reauthenticate(
    state: &State,
    context: &mut Context,
    request: &Request,
    attempt: &Attempt,
) -> Plan<Result<(), RuleError>> {
    let Some((user, right)) = attempt.outcome(state) else {
        return Plan::reply(Err(RuleError::PasswordIncorrect));
    };
    if let Some(seconds) = user.must_wait(context.now) {
        return Plan::reply(Err(RuleError::TooManyAttempts { seconds }));
    }
    if !right || user.is_locked(state.settings()) {
        let (changes, counted) = count_failure(state, user, right, context.now);
        let left = counted.attempts_remaining(state.settings());
        let message = refusal("A password was not confirmed: it was wrong", left);
        return Plan {
            changes,
            events: vec![request.event("password validation failed", message)],
            reply: Err(RuleError::PasswordIncorrect),
        };
    }
    let mut changes = Vec::new();
    if user.failed_logins > 0 {
        changes.push(Change::PutUser(without_failures(user)));
    }
    let message = format!("{:?} confirmed their password.", user.username);
    Plan {
        changes,
        events: vec![request.event("password validated", message)],
        reply: Ok(()),
    }
}

/// The request, as one of this user.
fn by_user(request: &Request, user: &User) -> Request {
    Request {
        actor: Actor {
            account_name: user.username.clone(),
            legal_name: user.full_name.clone(),
        },
        reason: request.reason.clone(),
        origin: request.origin,
    }
}

fn refusal(what: &str, attempts_remaining: Option<u32>) -> String {
    match attempts_remaining {
        Some(left) => format!("{what}; attempts left: {left}."),
        None => format!("{what}."),
    }
}

/// Counts a failed login, and ends the user's logins when that locks the account. A right password
/// for an account that is locked changes nothing.
fn count_failure(state: &State, user: &User, right: bool, now: Moment) -> (Vec<Change>, User) {
    let mut counted = user.clone();
    if right {
        return (Vec::new(), counted);
    }
    counted.failed_logins = user.failed_logins.saturating_add(1);
    counted.last_failed_login = Some(now);
    let mut changes = vec![Change::PutUser(counted.clone())];
    if counted.is_locked(state.settings()) {
        changes.push(Change::EndLoginsOf {
            user: user.id,
            except: None,
        });
    }
    (changes, counted)
}

fn without_failures(user: &User) -> User {
    User {
        failed_logins: 0,
        last_failed_login: None,
        ..user.clone()
    }
}

/// A new pair of tokens of `login`, whose access token has `scopes`.
fn issue(
    state: &State,
    context: &mut Context,
    user: &User,
    login: Login,
    scopes: Scopes,
) -> (Vec<Change>, Issued) {
    let settings = state.settings();
    let expires = context.now.after_seconds(settings.idle_logout);
    let access = Token::generate(context.random);
    let refresh = Token::generate(context.random);
    let id: LoginId = login.id;
    let changes = vec![
        Change::PutLogin(Login {
            expires: login.expires.max(expires),
            ..login
        }),
        Change::PutAccessToken(
            access.digest(),
            AccessToken {
                login: id,
                scopes,
                issued: context.now,
                expires,
            },
        ),
        Change::PutRefreshToken(
            refresh.digest(),
            RefreshToken {
                login: id,
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
