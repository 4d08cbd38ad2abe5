//! Changes of the state.

use super::settings::Settings;
use super::tokens::{AccessToken, RefreshToken, Session, SessionId, TokenDigest};
use super::users::{FormerUsername, User, UserId};

/// A change of the state. The store writes it down before the state takes it over.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds a user or replaces the one with its id.
    PutUser(User),
    /// Removes a user with all sessions.
    DeleteUser(UserId),
    /// Replaces the settings.
    PutSettings(Settings),
    /// Turns access control on or off.
    SetAccessControl(bool),
    /// Adds a session or replaces the one with its id.
    PutSession(Session),
    /// Ends a session with all its tokens.
    EndSession(SessionId),
    /// Ends a user's sessions but the one that is excepted.
    EndSessionsOf {
        /// Username of the account.
        user: UserId,
        /// Which goes on.
        except: Option<SessionId>,
    },
    /// Ends every session but the one that is excepted.
    EndAllSessions {
        /// Which goes on.
        except: Option<SessionId>,
    },
    /// Remembers who had a username that nobody has now.
    PutFormerUsername(FormerUsername),
    /// Adds an access token.
    PutAccessToken(TokenDigest, AccessToken),
    /// Adds a refresh token or replaces it.
    PutRefreshToken(TokenDigest, RefreshToken),
    /// Forgets access tokens that are of no use any more.
    ForgetAccessTokens(Vec<TokenDigest>),
    /// Forgets refresh tokens that are of no use any more.
    ForgetRefreshTokens(Vec<TokenDigest>),
}
