//! Authorization: the credential that a request presents, the scope it requires, and the caller it
//! resolves to.
//!
//! A request is authorized in the same transaction that decides on it. A user who was deleted,
//! locked, logged out or given another account type while the request waited can change nothing.

use std::net::{IpAddr, Ipv6Addr};

use super::audit::{Actor, Event, Origin};
use super::error::{TokenFault, Unauthorized};
use super::scopes::{Scope, Scopes};
use super::state::State;
use super::time::Moment;
use super::tokens::{SessionId, TokenDigest};
use super::users::UserId;

/// Credential that a request presents.
#[derive(Clone, Debug)]
pub enum Credential {
    /// No credential.
    None,
    /// Digest of a bearer token (RFC 6750 §2.1).
    Token(TokenDigest),
    /// `Authorization` header that does not contain exactly one bearer token.
    Malformed,
    /// Connection from the robot's console, with the name of the system user there.
    Console(String),
}

/// Authorization that a request requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No authorization: anybody may make the request.
    Nothing,
    /// Access token with this scope. While access control is off, a request without a token is
    /// allowed, too.
    Scope(Scope),
    /// Access token with this scope, even while access control is off, because the request concerns
    /// the authenticated user.
    OwnScope(Scope),
}

/// Network that a request came from ([`network`]), if known. Requests from one source share one quota
/// of the hashing queue.
pub type Source = Option<IpAddr>;

/// Returns the network that stands for a client: its IPv4 address, or the first 64 bits of its IPv6
/// address, since a client chooses the rest at will (RFC 4291 §2.5.1, RFC 8981).
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(
            || IpAddr::V6(Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64))),
            IpAddr::V4,
        ),
    }
}

/// Authorization context of a request, not resolved yet.
#[derive(Clone, Debug)]
pub struct Request {
    /// Credential that the request presents.
    pub credential: Credential,
    /// Authorization that the request requires.
    pub need: Need,
    /// Reason given by the user, for the audit log.
    pub reason: Option<String>,
    /// Source of the request.
    pub source: Source,
}

/// Identifiers of an authenticated user and of the user's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrincipalId {
    /// Authenticated user.
    pub user: UserId,
    /// Session that the access token belongs to.
    pub session: SessionId,
}

/// Caller of an authorized request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Actor that the audit log names.
    pub actor: Actor,
    /// Interface that the request came in through.
    pub origin: Origin,
    /// Reason given by the user, for the audit log.
    pub reason: Option<String>,
    /// Authenticated user and session; `None` for a request without a token.
    pub principal: Option<PrincipalId>,
}

impl Caller {
    /// Creates a caller without a user: the server itself, or an unauthenticated client.
    pub fn anonymous(origin: Origin, reason: Option<String>) -> Self {
        Self {
            actor: Actor::server(),
            origin,
            reason,
            principal: None,
        }
    }

    /// Creates an audit event attributed to this caller.
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
    /// Creates an HTTP request that requires no authorization.
    pub fn open(reason: Option<String>, source: Source) -> Self {
        Self {
            credential: Credential::None,
            need: Need::Nothing,
            reason,
            source,
        }
    }

    /// Creates a request from the console, made by the system user `user`.
    pub fn console(user: String, reason: Option<String>) -> Self {
        Self {
            credential: Credential::Console(user),
            need: Need::Nothing,
            reason,
            source: None,
        }
    }

    /// Authorizes the request at the time `now`, and returns its caller.
    ///
    /// # Errors
    /// [`Unauthorized`] with one of these faults:
    /// - [`TokenFault::Missing`] if a token is required and there is none, or the header is
    ///   malformed.
    /// - [`TokenFault::Invalid`] if the token is unknown, expired or revoked.
    /// - [`TokenFault::InsufficientScope`] if the token lacks the required scope.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_is_its_ipv4_address_or_the_first_half_of_its_ipv6_address() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(network(address).to_string(), expected);
        }
    }
}
