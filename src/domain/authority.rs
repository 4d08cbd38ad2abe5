//! Authority: what a request presents and needs, and who it turns out to be.
//!
//! A request is resolved in the transaction that decides on it, so that a user who was deleted,
//! locked, retyped or logged out while the request waited changes nothing.

use std::net::IpAddr;

use super::audit::{Actor, Event, Origin};
use super::error::{TokenFault, Unauthorized};
use super::scopes::{Scope, Scopes};
use super::state::State;
use super::time::Moment;
use super::tokens::{SessionId, TokenDigest};
use super::users::UserId;

/// What a request presents.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Nothing.
    None,
    /// A bearer token (RFC 6750).
    Token(TokenDigest),
    /// An `Authorization` field that holds no bearer token.
    Malformed,
    /// The robot's console, and the system's user who works there.
    Console(String),
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: anybody may ask.
    Nothing,
    /// A token with this scope; while access control is off, no token will do as well.
    Scope(Scope),
    /// A token with this scope, always: the request is about the user who asks.
    OwnScope(Scope),
}

/// Where a request came from, as far as is known: requests of one source share what is scarce.
pub type Source = Option<IpAddr>;

/// Who asks for something, by what right, and why.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it presents.
    pub credential: Credential,
    /// What it needs.
    pub need: Need,
    /// Why it is made, as the user said.
    pub reason: Option<String>,
    /// Where it came from.
    pub source: Source,
}

/// Who is logged in, and in which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrincipalId {
    /// The user.
    pub user: UserId,
    /// The session that the token belongs to.
    pub session: SessionId,
}

/// Who asks, resolved.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whom the audit log names.
    pub actor: Actor,
    /// Where the request came from.
    pub origin: Origin,
    /// Why it is made.
    pub reason: Option<String>,
    /// Who is logged in, if it has a token.
    pub principal: Option<PrincipalId>,
}

impl Caller {
    /// The server itself, or somebody who need not say who they are.
    pub fn anonymous(origin: Origin, reason: Option<String>) -> Self {
        Self {
            actor: Actor::server(),
            origin,
            reason,
            principal: None,
        }
    }

    /// An event of this caller's.
    pub fn event(&self, action: &str, message: String) -> Event {
        Event {
            action: action.into(),
            account_name: self.actor.account_name.clone(),
            legal_name: self.actor.legal_name.clone(),
            message,
            reason: self.reason.clone(),
            origin: Some(self.origin),
            refusal: None,
        }
    }
}

impl Request {
    /// A request over HTTP that anybody may make.
    pub fn open(reason: Option<String>, source: Source) -> Self {
        Self {
            credential: Credential::None,
            need: Need::Nothing,
            reason,
            source,
        }
    }

    /// A request of the console's, made by `user`.
    pub fn console(user: String, reason: Option<String>) -> Self {
        Self {
            credential: Credential::Console(user),
            need: Need::Nothing,
            reason,
            source: None,
        }
    }

    /// Who asks, if they may.
    ///
    /// # Errors
    /// [`Unauthorized`] says what is wrong with the token.
    pub fn resolve(&self, state: &State, now: Moment) -> Result<Caller, Unauthorized> {
        let scope = match (self.need, &self.credential) {
            (_, Credential::Console(user)) => {
                return Ok(Caller {
                    actor: Actor::console(user),
                    ..Caller::anonymous(Origin::Console, self.reason.clone())
                })
            }
            (Need::Nothing, _) => {
                return Ok(Caller::anonymous(Origin::Http, self.reason.clone()));
            }
            (Need::Scope(_), Credential::None) if !state.access_control() => {
                return Ok(Caller::anonymous(Origin::Http, self.reason.clone()));
            }
            (Need::Scope(scope) | Need::OwnScope(scope), _) => scope,
        };
        let refuse = |fault, provided| Unauthorized {
            fault,
            required: Scopes::of(&[scope]),
            provided,
        };
        let Credential::Token(digest) = &self.credential else {
            return Err(refuse(TokenFault::Missing, Scopes::NONE));
        };
        let principal = state
            .authenticate(digest, now)
            .ok_or_else(|| refuse(TokenFault::Invalid, Scopes::NONE))?;
        if !principal.scopes.contains(scope) {
            return Err(refuse(TokenFault::InsufficientScope, principal.scopes));
        }
        Ok(Caller {
            actor: Actor::of(principal.user),
            origin: Origin::Http,
            reason: self.reason.clone(),
            principal: Some(PrincipalId {
                user: principal.user.id,
                session: principal.token.session,
            }),
        })
    }
}
