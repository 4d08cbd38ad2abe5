//! Changes to the state.

use std::sync::Arc;

use super::directory::Directory;
use super::settings::Settings;
use super::tokens::{AccessToken, HandleDigest, RefreshToken, Session, SessionId, TokenDigest};
use super::users::{FormerUsername, User, UserId};

/// A single change to the state. The store commits it to disk before the state applies it.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds a user, or replaces the user with the same id.
    PutUser(User),
    /// Deletes a user and all of the user's sessions.
    DeleteUser(UserId),
    /// Replaces all settings.
    PutSettings(Settings),
    /// Replaces the configuration of the lab's directory, or removes it.
    PutDirectory(Option<Arc<Directory>>),
    /// Turns access control on or off.
    SetAccessControl(bool),
    /// Adds a session, or replaces the session with the same id.
    PutSession(Session),
    /// Ends a session and thereby all of its tokens.
    EndSession(SessionId),
    /// Ends all sessions of a user, except optionally one.
    EndSessionsOf {
        /// User whose sessions end.
        user: UserId,
        /// Session to keep.
        except: Option<SessionId>,
    },
    /// Ends the sessions of all users, except optionally one session.
    EndAllSessions {
        /// Session to keep.
        except: Option<SessionId>,
    },
    /// Records who held a username that is no longer in use.
    PutFormerUsername(FormerUsername),
    /// Adds a handle of a session; does nothing if it is known.
    PutHandle(HandleDigest, SessionId),
    /// Adds an access token.
    PutAccessToken(TokenDigest, AccessToken),
    /// Adds a refresh token, or replaces the one with the same digest.
    PutRefreshToken(TokenDigest, RefreshToken),
    /// Removes access tokens that have expired, whose session has ended, or that are too many.
    ForgetAccessTokens(Vec<TokenDigest>),
    /// Removes refresh tokens that were used, whose session has expired or ended, or that are too
    /// many.
    ForgetRefreshTokens(Vec<TokenDigest>),
}
