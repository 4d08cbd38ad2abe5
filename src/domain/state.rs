//! All accounts, sessions and tokens, in memory: what every request is answered from.

use std::collections::{BTreeMap, HashMap};

use super::change::Change;
use super::scopes::Scopes;
use super::settings::Settings;
use super::time::Moment;
use super::tokens::{AccessToken, RefreshToken, Session, SessionId, TokenDigest};
use super::users::fold;
use super::users::{AccountType, FormerUsername, LockPolicy, User, UserId};

/// A user, by an access token that is active.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a> {
    /// The user.
    pub user: &'a User,
    /// The token.
    pub token: &'a AccessToken,
    /// What it may do now: its scopes less what the user may not have now.
    pub scopes: Scopes,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct State {
    settings: Settings,
    access_control: bool,
    users: HashMap<UserId, User>,
    /// Sorted, as lists are.
    usernames: BTreeMap<String, UserId>,
    /// By [`fold`].
    former_usernames: HashMap<String, FormerUsername>,
    sessions: HashMap<SessionId, Session>,
    access_tokens: HashMap<TokenDigest, AccessToken>,
    refresh_tokens: HashMap<TokenDigest, RefreshToken>,
    last_user: i64,
    last_session: i64,
}

impl State {
    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether access control is on.
    pub fn access_control(&self) -> bool {
        self.access_control
    }

    /// How many users there are.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// All users, sorted by username.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.usernames.values().filter_map(|id| self.users.get(id))
    }

    /// The user of an id.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    /// The user of a name.
    pub fn user_named(&self, username: &str) -> Option<&User> {
        self.usernames
            .get(username)
            .and_then(|id| self.users.get(id))
    }

    /// The session of an id, unless it has ended.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// The access token of a digest, active or not.
    pub fn access_token(&self, digest: &TokenDigest) -> Option<&AccessToken> {
        self.access_tokens.get(digest)
    }

    /// The refresh token of a digest, usable or not.
    pub fn refresh_token(&self, digest: &TokenDigest) -> Option<&RefreshToken> {
        self.refresh_tokens.get(digest)
    }

    /// How many tokens of both kinds are kept.
    pub fn token_count(&self) -> usize {
        self.access_tokens.len() + self.refresh_tokens.len()
    }

    /// An id that no user has had in this process.
    pub fn next_user(&self) -> UserId {
        UserId(self.last_user + 1)
    }

    /// An id that no session has had in this process.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.last_session + 1)
    }

    /// Who presents the access token of a digest; `None` when it is unknown, expired or revoked.
    pub fn authenticate(&self, digest: &TokenDigest, now: Moment) -> Option<Principal<'_>> {
        let token = self.access_tokens.get(digest)?;
        if token.expires <= now {
            return None;
        }
        let session = self.sessions.get(&token.session)?;
        // A lock by failed logins keeps strangers out and not the owner (NIST SP 800-63B §5.2.2).
        let user = self
            .users
            .get(&session.user)
            .filter(|user| !user.locked_by_admin)?;
        Some(Principal {
            user,
            token,
            scopes: token.scopes.and(user.scopes(&self.settings, now)),
        })
    }

    /// Who had a username that nobody has now.
    pub fn former_username(&self, username: &str) -> Option<&FormerUsername> {
        self.former_usernames.get(&fold(username))
    }

    /// Whether a user other than `except` has the name, in capitals or not.
    pub fn is_taken(&self, username: &str, except: Option<UserId>) -> bool {
        let folded = fold(username);
        self.users
            .values()
            .any(|user| Some(user.id) != except && fold(&user.username) == folded)
    }

    /// Which accounts failed logins lock.
    pub fn lock_policy(&self) -> LockPolicy {
        self.lock_policy_with(None)
    }

    /// Returns the lock policy as it is once `changed` replaces the user of that id: a failed login
    /// may change which administrator is spared.
    pub fn lock_policy_after(&self, changed: &User) -> LockPolicy {
        self.lock_policy_with(Some(changed))
    }

    fn lock_policy_with(&self, changed: Option<&User>) -> LockPolicy {
        let mut policy = LockPolicy {
            most: self.settings.max_login_attempts,
            spared: None,
        };
        if self.access_control {
            let admins = || {
                self.users
                    .values()
                    .map(|user| changed.filter(|new| new.id == user.id).unwrap_or(user))
                    .filter(|user| user.account_type == AccountType::Admin && !user.locked_by_admin)
            };
            let mut able = admins().filter(|user| !policy.is_locked(user));
            policy.spared = match (able.next(), able.next()) {
                (Some(last), None) => Some(last.id),
                (Some(_), Some(_)) => None,
                // Failures of a locked account are not counted: the one whose last failure is the
                // latest was the last who could log in, and stays it.
                (None, _) => admins()
                    .max_by_key(|user| (user.last_failed_login, std::cmp::Reverse(user.id)))
                    .map(|user| user.id),
            };
        }
        policy
    }

    /// Whether an administrator other than `except` can log in.
    pub fn has_able_admin(&self, except: Option<UserId>) -> bool {
        let policy = self.lock_policy();
        self.users
            .values()
            .any(|user| Some(user.id) != except && policy.is_able_admin(user))
    }

    /// Takes a change over.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::PutUser(user) => {
                if let Some(before) = self.users.get(&user.id) {
                    self.usernames.remove(&before.username);
                }
                self.last_user = self.last_user.max(user.id.0);
                self.usernames.insert(user.username.clone(), user.id);
                self.users.insert(user.id, user);
            }
            Change::DeleteUser(id) => {
                if let Some(user) = self.users.remove(&id) {
                    self.usernames.remove(&user.username);
                }
                self.end_sessions(|session| session.user == id);
            }
            Change::PutSettings(settings) => self.settings = settings,
            Change::SetAccessControl(on) => self.access_control = on,
            Change::PutSession(session) => {
                self.last_session = self.last_session.max(session.id.0);
                self.sessions.insert(session.id, session);
            }
            Change::EndSession(id) => {
                self.sessions.remove(&id);
            }
            Change::EndSessionsOf { user, except } => {
                self.end_sessions(|session| session.user == user && Some(session.id) != except);
            }
            Change::EndAllSessions { except } => {
                self.end_sessions(|session| Some(session.id) != except)
            }
            Change::PutFormerUsername(former) => {
                self.former_usernames.insert(former.key.clone(), former);
            }
            Change::PutAccessToken(digest, token) => {
                self.access_tokens.insert(digest, token);
            }
            Change::PutRefreshToken(digest, token) => {
                self.refresh_tokens.insert(digest, token);
            }
            Change::ForgetAccessTokens(digests) => {
                for digest in digests {
                    self.access_tokens.remove(&digest);
                }
            }
            Change::ForgetRefreshTokens(digests) => {
                for digest in digests {
                    self.refresh_tokens.remove(&digest);
                }
            }
        }
    }

    /// Ends sessions. Their tokens are inactive by that, and are forgotten by housekeeping.
    fn end_sessions(&mut self, ends: impl Fn(&Session) -> bool) {
        self.sessions.retain(|_, session| !ends(session));
    }

    /// Changes that forget what is of no use at `now`, at most `most` items in each: sessions that
    /// have expired, and tokens that have or whose session has ended.
    ///
    /// Used refresh tokens are kept as long as their session, for a second use of one ends it.
    pub fn expired(&self, now: Moment, most: usize) -> Vec<Vec<Change>> {
        let sessions: Vec<_> = self
            .sessions
            .values()
            .filter(|session| session.expires <= now)
            .map(|session| session.id)
            .collect();
        let ended = |session: &SessionId| {
            self.sessions
                .get(session)
                .map_or(true, |session| session.expires <= now)
        };
        let access: Vec<_> = self
            .access_tokens
            .iter()
            .filter(|(_, token)| token.expires <= now || ended(&token.session))
            .map(|(digest, _)| *digest)
            .collect();
        let refresh: Vec<_> = self
            .refresh_tokens
            .iter()
            .filter(|(_, token)| ended(&token.session))
            .map(|(digest, _)| *digest)
            .collect();
        let mut steps = Vec::new();
        for digests in access.chunks(most) {
            steps.push(vec![Change::ForgetAccessTokens(digests.to_vec())]);
        }
        for digests in refresh.chunks(most) {
            steps.push(vec![Change::ForgetRefreshTokens(digests.to_vec())]);
        }
        for ids in sessions.chunks(most) {
            steps.push(ids.iter().copied().map(Change::EndSession).collect());
        }
        steps
    }

    /// Whether both hold the same. Ids that were given before do not count, nor tokens whose session
    /// has ended: they are inactive by that.
    pub fn holds_the_same_as(&self, other: &Self) -> bool {
        fn live<T: Copy>(
            state: &State,
            tokens: &HashMap<TokenDigest, T>,
            session: impl Fn(&T) -> SessionId,
        ) -> HashMap<TokenDigest, T> {
            tokens
                .iter()
                .filter(|(_, token)| state.sessions.contains_key(&session(token)))
                .map(|(digest, token)| (*digest, *token))
                .collect()
        }
        let access = |state: &Self| live(state, &state.access_tokens, |token| token.session);
        let refresh = |state: &Self| live(state, &state.refresh_tokens, |token| token.session);
        self.settings == other.settings
            && self.access_control == other.access_control
            && self.users == other.users
            && self.usernames == other.usernames
            && self.former_usernames == other.former_usernames
            && self.sessions == other.sessions
            && access(self) == access(other)
            && refresh(self) == refresh(other)
    }

    /// Gives no id that `before` has given: requests that began before it was replaced know its.
    pub fn skip_ids_of(&mut self, before: &Self) {
        self.last_user = self.last_user.max(before.last_user);
        self.last_session = self.last_session.max(before.last_session);
    }

    /// Gives memory back that expired tokens have left.
    pub fn shrink(&mut self) {
        fn shrink<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>) {
            if map.capacity() > 1024 && map.len() < map.capacity() / 4 {
                map.shrink_to(map.len() * 2);
            }
        }
        shrink(&mut self.sessions);
        shrink(&mut self.access_tokens);
        shrink(&mut self.refresh_tokens);
    }
}
