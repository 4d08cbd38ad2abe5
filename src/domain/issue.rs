//! Issuing tokens, and the bounds on what a session keeps of them, whatever its client does.

use std::time::Duration;

use super::change::Change;
use super::decision::Context;
use super::scopes::Scopes;
use super::state::State;
use super::time::Moment;
use super::tokens::{AccessToken, Handle, RefreshToken, Session, SessionId, Token, TokenDigest};
use super::users::User;

/// How long a refresh token stays valid after its first use, because two windows of an app may
/// refresh at the same time.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);
/// Maximum number of tokens of each kind that a session keeps: of access tokens, of unused refresh
/// tokens, and of used refresh tokens that are still valid. Beyond it the oldest end early.
pub const MAX_TOKENS: usize = 32;

/// Newly issued access and refresh token.
#[derive(Debug)]
pub struct Issued {
    /// Access token.
    pub access: Token,
    /// Refresh token.
    pub refresh: Token,
    /// Effective scopes of the access token at the time of issue.
    pub scopes: Scopes,
    /// Lifetime of both tokens.
    pub lifetime: Duration,
}

impl RefreshToken {
    /// Returns whether the token was first used [`REFRESH_GRACE`] or longer before `now`.
    pub fn is_used_up(&self, now: Moment) -> bool {
        self.superseded
            .is_some_and(|used| used + REFRESH_GRACE <= now)
    }
}

/// Issues a pair of tokens for `session`, with `scopes` for the access token and `handle` in the
/// refresh token, and extends the session to their lifetime.
pub fn issue(
    state: &State,
    context: &mut Context,
    user: &User,
    session: Session,
    scopes: Scopes,
    handle: &Handle,
) -> (Vec<Change>, Issued) {
    let settings = state.settings();
    let expires = context.now + settings.idle_logout;
    let access = Token::access(context.random);
    let refresh = Token::refresh(handle, context.random);
    let id: SessionId = session.id;
    let mut changes = vec![Change::PutSession(Session {
        expires: session.expires.max(expires),
        ..session
    })];
    if state.session_named(&handle.digest()).is_none() {
        changes.push(Change::PutHandle(handle.digest(), id));
    }
    changes.push(Change::PutAccessToken(
        access.digest(),
        AccessToken {
            session: id,
            scopes,
            issued: context.now,
            expires,
        },
    ));
    changes.push(Change::PutRefreshToken(
        refresh.digest(),
        RefreshToken {
            session: id,
            expires,
            superseded: None,
        },
    ));
    let issued = Issued {
        access,
        refresh,
        scopes: scopes.and(user.scopes(settings, context.now)),
        lifetime: settings.idle_logout,
    };
    (changes, issued)
}

/// Returns changes that remove from a session what it need not keep when `used`, one of its refresh
/// tokens, is exchanged for a new pair: tokens that can no longer be used, and the oldest of those
/// that would be more than [`MAX_TOKENS`].
pub fn make_room(
    state: &State,
    session: SessionId,
    used: &TokenDigest,
    now: Moment,
) -> Vec<Change> {
    let (mut access, live): (Vec<_>, Vec<_>) = state
        .access_tokens_of(session)
        .partition(|(_, token)| token.expires <= now);
    access.extend(surplus(live));

    let others = state
        .refresh_tokens_of(session)
        .filter(|(digest, _)| digest != used);
    let (mut refresh, valid): (Vec<_>, Vec<_>) =
        others.partition(|(_, token)| token.is_used_up(now));
    let (unused, mut in_grace): (Vec<_>, Vec<_>) = valid
        .into_iter()
        .partition(|(_, token)| token.superseded.is_none());
    in_grace.sort_by_key(|(_, token)| token.superseded);
    refresh.extend(surplus(unused).chain(surplus(in_grace)));

    let access: Vec<_> = access.into_iter().map(|(digest, _)| digest).collect();
    let refresh: Vec<_> = refresh.into_iter().map(|(digest, _)| digest).collect();
    let mut changes = Vec::new();
    if !access.is_empty() {
        changes.push(Change::ForgetAccessTokens(access));
    }
    if !refresh.is_empty() {
        changes.push(Change::ForgetRefreshTokens(refresh));
    }
    changes
}

/// Returns the first of `tokens`, so that with one more there are at most [`MAX_TOKENS`] left.
fn surplus<T>(tokens: Vec<T>) -> impl Iterator<Item = T> {
    let surplus = (tokens.len() + 1).saturating_sub(MAX_TOKENS);
    tokens.into_iter().take(surplus)
}
