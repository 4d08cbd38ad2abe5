//! All accounts, sessions, tokens and settings in memory, from which every request is answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::change::Change;
use super::directory::{Directory, DirectoryId};
use super::scopes::Scopes;
use super::settings::Settings;
use super::time::Moment;
use super::tokens::{AccessToken, HandleDigest, RefreshToken, Session, SessionId, TokenDigest};
use super::users::fold;
use super::users::{AccountType, FormerUsername, LockPolicy, User, UserId};

/// Authenticated user, identified by an active access token.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a> {
    /// User that the token belongs to.
    pub user: &'a User,
    /// Access token that was presented.
    pub token: &'a AccessToken,
    /// Effective scopes: those of the token that the user also has now.
    pub scopes: Scopes,
}

/// What belongs to a session, in the order of issue.
#[derive(Debug, Default)]
struct Held {
    access: Vec<TokenDigest>,
    refresh: Vec<TokenDigest>,
    handles: Vec<HandleDigest>,
}

/// State of the server, without the audit log.
#[derive(Debug, Default)]
pub struct State {
    settings: Settings,
    access_control: bool,
    directory: Option<Arc<Directory>>,
    users: HashMap<UserId, User>,
    /// Users by username, in the order of lists.
    usernames: BTreeMap<String, UserId>,
    /// Former usernames by their key ([`fold`]).
    former_usernames: HashMap<String, FormerUsername>,
    sessions: HashMap<SessionId, Session>,
    /// What belongs to each session; derived from the fields below.
    held: HashMap<SessionId, Held>,
    handles: HashMap<HandleDigest, SessionId>,
    access_tokens: HashMap<TokenDigest, AccessToken>,
    refresh_tokens: HashMap<TokenDigest, RefreshToken>,
    last_user: i64,
    last_session: i64,
}

impl State {
    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns whether access control is on.
    pub fn access_control(&self) -> bool {
        self.access_control
    }

    /// Returns the configuration of the lab's directory; `None` if there is none.
    pub fn directory(&self) -> Option<&Arc<Directory>> {
        self.directory.as_ref()
    }

    /// Returns the number of users.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Returns all users, sorted by username.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.usernames.values().filter_map(|id| self.users.get(id))
    }

    /// Returns the user with this id.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    /// Returns the user with exactly this username.
    pub fn user_named(&self, username: &str) -> Option<&User> {
        self.usernames
            .get(username)
            .and_then(|id| self.users.get(id))
    }

    /// Returns the user with this username, ignoring case.
    pub fn user_ignoring_case(&self, username: &str) -> Option<&User> {
        let folded = fold(username);
        self.users
            .values()
            .find(|user| fold(&user.username) == folded)
    }

    /// Returns the user who is this person of the lab's directory.
    pub fn user_of_directory(&self, id: &DirectoryId) -> Option<&User> {
        let is_of = |user: &&User| user.directory.as_ref().is_some_and(|of| of.id == *id);
        self.users.values().find(is_of)
    }

    /// Returns the session with this id, unless it has ended.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Returns the access token with this digest, active or not.
    pub fn access_token(&self, digest: &TokenDigest) -> Option<&AccessToken> {
        self.access_tokens.get(digest)
    }

    /// Returns the refresh token with this digest, usable or not.
    pub fn refresh_token(&self, digest: &TokenDigest) -> Option<&RefreshToken> {
        self.refresh_tokens.get(digest)
    }

    /// Returns the session that a handle names, unless it has ended.
    pub fn session_named(&self, handle: &HandleDigest) -> Option<&Session> {
        self.handles
            .get(handle)
            .and_then(|id| self.sessions.get(id))
    }

    /// Returns the access tokens of a session that has not ended, in the order of issue.
    pub fn access_tokens_of(
        &self,
        id: SessionId,
    ) -> impl Iterator<Item = (TokenDigest, &AccessToken)> {
        let digests = self.held.get(&id).into_iter().flat_map(|held| &held.access);
        digests.filter_map(|digest| Some((*digest, self.access_tokens.get(digest)?)))
    }

    /// Returns the refresh tokens of a session that has not ended, in the order of issue.
    pub fn refresh_tokens_of(
        &self,
        id: SessionId,
    ) -> impl Iterator<Item = (TokenDigest, &RefreshToken)> {
        let digests = self
            .held
            .get(&id)
            .into_iter()
            .flat_map(|held| &held.refresh);
        digests.filter_map(|digest| Some((*digest, self.refresh_tokens.get(digest)?)))
    }

    /// Returns the number of sessions of a user that have not expired.
    pub fn session_count(&self, user: UserId, now: Moment) -> usize {
        let sessions = self.sessions(now);
        sessions.filter(|session| session.user == user).count()
    }

    /// Returns the sessions that have not expired, in no particular order.
    pub fn sessions(&self, now: Moment) -> impl Iterator<Item = &Session> {
        let sessions = self.sessions.values();
        sessions.filter(move |session| session.expires > now)
    }

    /// Returns the number of stored tokens of both kinds.
    pub fn token_count(&self) -> usize {
        self.access_tokens.len() + self.refresh_tokens.len()
    }

    /// Returns an id that no user has had while this process has been running.
    pub fn next_user(&self) -> UserId {
        UserId(self.last_user + 1)
    }

    /// Returns an id that no session has had while this process has been running.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.last_session + 1)
    }

    /// Returns the user who presents the access token with this digest; `None` if the token is
    /// unknown, expired or revoked, or an administrator has locked the account.
    pub fn authenticate(&self, digest: &TokenDigest, now: Moment) -> Option<Principal<'_>> {
        let token = self.access_tokens.get(digest)?;
        if token.expires <= now {
            return None;
        }
        let session = self.sessions.get(&token.session)?;
        // A lock caused by failed logins keeps strangers out, but not the owner, who is logged in
        // (NIST SP 800-63B §5.2.2).
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

    /// Returns the record of a username that is no longer in use, ignoring case.
    pub fn former_username(&self, username: &str) -> Option<&FormerUsername> {
        self.former_usernames.get(&fold(username))
    }

    /// Returns whether a user other than `except` has the username, ignoring case.
    pub fn is_taken(&self, username: &str, except: Option<UserId>) -> bool {
        let folded = fold(username);
        self.users
            .values()
            .any(|user| Some(user.id) != except && fold(&user.username) == folded)
    }

    /// Returns the current policy for locking accounts after failed logins.
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
            max_attempts: self.settings.max_login_attempts,
            exempt: None,
        };
        if self.access_control {
            let admins = || {
                self.users
                    .values()
                    .map(|user| changed.filter(|new| new.id == user.id).unwrap_or(user))
                    .filter(|user| user.account_type == AccountType::Admin && !user.locked_by_admin)
                    // The directory may be away, or say no, whenever an administrator is needed.
                    .filter(|user| user.directory.is_none())
            };
            let mut able = admins().filter(|user| !policy.is_locked(user));
            policy.exempt = match (able.next(), able.next()) {
                (Some(last), None) => Some(last.id),
                (Some(_), Some(_)) => None,
                // Failed logins of a locked account are not counted, so the account with the most
                // recent failed login was the last one able to log in: it stays exempt.
                (None, _) => admins()
                    .max_by_key(|user| (user.last_failed_login, std::cmp::Reverse(user.id)))
                    .map(|user| user.id),
            };
        }
        policy
    }

    /// Returns whether a local administrator other than `except` can log in.
    pub fn has_able_admin(&self, except: Option<UserId>) -> bool {
        let policy = self.lock_policy();
        self.users
            .values()
            .any(|user| Some(user.id) != except && policy.is_able_admin(user))
    }

    /// Applies a change.
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
            Change::PutDirectory(directory) => self.directory = directory,
            Change::SetAccessControl(on) => self.access_control = on,
            Change::PutSession(session) => {
                self.last_session = self.last_session.max(session.id.0);
                self.sessions.insert(session.id, session);
            }
            Change::EndSession(id) => {
                self.sessions.remove(&id);
                self.release(id);
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
            Change::PutHandle(digest, id) => {
                if self.sessions.contains_key(&id) && !self.handles.contains_key(&digest) {
                    self.handles.insert(digest, id);
                    self.hold(id, |held| held.handles.push(digest));
                }
            }
            Change::PutAccessToken(digest, token) => {
                if self.access_tokens.insert(digest, token).is_none() {
                    self.hold(token.session, |held| held.access.push(digest));
                }
            }
            Change::PutRefreshToken(digest, token) => {
                if self.refresh_tokens.insert(digest, token).is_none() {
                    self.hold(token.session, |held| held.refresh.push(digest));
                }
            }
            Change::ForgetAccessTokens(digests) => {
                let sessions = forget(&mut self.access_tokens, &digests, |token| token.session);
                for id in sessions {
                    if let Some(held) = self.held.get_mut(&id) {
                        held.access
                            .retain(|digest| self.access_tokens.contains_key(digest));
                    }
                }
            }
            Change::ForgetRefreshTokens(digests) => {
                let sessions = forget(&mut self.refresh_tokens, &digests, |token| token.session);
                for id in sessions {
                    if let Some(held) = self.held.get_mut(&id) {
                        held.refresh
                            .retain(|digest| self.refresh_tokens.contains_key(digest));
                    }
                }
            }
        }
    }

    /// Adds to what a session holds, unless the session has ended.
    fn hold(&mut self, id: SessionId, add: impl FnOnce(&mut Held)) {
        if self.sessions.contains_key(&id) {
            add(self.held.entry(id).or_default());
        }
    }

    /// Removes what belongs to an ended session, except the tokens.
    fn release(&mut self, id: SessionId) {
        for handle in self.held.remove(&id).unwrap_or_default().handles {
            self.handles.remove(&handle);
        }
    }

    /// Ends sessions. That makes their tokens inactive; [`State::expired`] finds them for removal.
    fn end_sessions(&mut self, ends: impl Fn(&Session) -> bool) {
        let ending = self.sessions.values().filter(|session| ends(session));
        let ids: Vec<_> = ending.map(|session| session.id).collect();
        for id in ids {
            self.sessions.remove(&id);
            self.release(id);
        }
    }

    /// Returns batches of changes, with at most `most` items each, that remove expired sessions,
    /// expired access tokens and all tokens whose session has expired or ended.
    ///
    /// Expired refresh tokens of a session are kept, because one that is not is taken for a used one,
    /// which ends the session (RFC 9700 §4.14.2).
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

    /// Returns whether two states are equal, disregarding which ids were used before and tokens
    /// whose session has ended, as those are inactive.
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
            && self.directory == other.directory
            && self.users == other.users
            && self.usernames == other.usernames
            && self.former_usernames == other.former_usernames
            && self.sessions == other.sessions
            && self.handles == other.handles
            && access(self) == access(other)
            && refresh(self) == refresh(other)
    }

    /// Reserves all ids that `before`, the state replaced by this one, has used, as requests that
    /// began earlier may still refer to them.
    pub fn skip_ids_of(&mut self, before: &Self) {
        self.last_user = self.last_user.max(before.last_user);
        self.last_session = self.last_session.max(before.last_session);
    }

    /// Releases memory that removed sessions and tokens occupied.
    pub fn shrink(&mut self) {
        fn shrink<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>) {
            if map.capacity() > 1024 && map.len() < map.capacity() / 4 {
                map.shrink_to(map.len() * 2);
            }
        }
        shrink(&mut self.sessions);
        shrink(&mut self.held);
        shrink(&mut self.handles);
        shrink(&mut self.access_tokens);
        shrink(&mut self.refresh_tokens);
    }
}

/// Removes tokens, and returns the sessions that they belong to.
fn forget<T>(
    tokens: &mut HashMap<TokenDigest, T>,
    digests: &[TokenDigest],
    session: impl Fn(&T) -> SessionId,
) -> BTreeSet<SessionId> {
    let removed = digests.iter().filter_map(|digest| tokens.remove(digest));
    removed.map(|token| session(&token)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a state that had `most` sessions, of which `left` are left.
    fn with_sessions(most: i64, left: i64) -> State {
        let mut state = State::default();
        for id in 0..most {
            state.apply(Change::PutSession(Session {
                id: SessionId(id),
                user: UserId(1),
                grant: Scopes::NONE,
                expires: Moment(0),
            }));
        }
        for id in left..most {
            state.apply(Change::EndSession(SessionId(id)));
        }
        state
    }

    #[test]
    fn memory_is_released_when_little_of_much_is_used() {
        let mut state = with_sessions(10_000, 10);
        assert!(state.sessions.capacity() >= 10_000);
        state.shrink();
        // There is room for as many again.
        assert!((20..100).contains(&state.sessions.capacity()));
        assert_eq!(state.sessions.len(), 10);
    }

    #[test]
    fn memory_stays_when_much_of_it_is_used_or_it_is_not_much() {
        for (most, left) in [(2_000, 2_000), (2_000, 1_500), (500, 0), (500, 500)] {
            let mut state = with_sessions(most, left);
            let before = state.sessions.capacity();
            state.shrink();
            assert_eq!(state.sessions.capacity(), before, "{left} of {most}");
        }
    }
}
