//! Reasons why a server did not do what it was asked.

use thiserror::Error;

use super::message::{code, Outcome};

/// Reason why a server did not do what it was asked, in words for the people who look after it.
#[derive(Debug, Error)]
pub enum Fault {
    /// The server could not be asked now. Another may be.
    #[error("{0}")]
    Unavailable(String),
    /// The server could not be trusted, so that it was not asked. Another may be.
    #[error("{0}")]
    Untrusted(String),
    /// The server did not answer when it was given a person's password, or could not verify it now. It may
    /// have counted the password as wrong. Another would count it again, so that the directory locks the
    /// account although the robot has passed on few enough wrong passwords: none is asked.
    #[error("{0}")]
    Unanswered(String),
    /// The server was asked, and the configuration is wrong.
    #[error("{0}")]
    Misconfigured(String),
}

impl Fault {
    /// Returns the fault of a server that broke the protocol.
    pub fn malformed() -> Self {
        Self::Unavailable("its answer is not LDAP".into())
    }

    /// Returns the fault of an operation that ended unsuccessfully. `what`: what could not be done.
    pub fn of(outcome: &Outcome, what: &str) -> Self {
        let mut why = format!("{what}: {}", name(outcome.code));
        if !outcome.text.is_empty() {
            why = format!("{why}: {}", outcome.text);
        }
        match outcome.code {
            code::TIME_LIMIT_EXCEEDED | code::BUSY | code::UNAVAILABLE | code::OTHER => {
                Self::Unavailable(why)
            }
            _ => Self::Misconfigured(why),
        }
    }
}

/// Returns the name of a result code (RFC 4511 appendix A).
fn name(code: u32) -> String {
    let name = match code {
        1 => "operationsError",
        2 => "protocolError",
        code::TIME_LIMIT_EXCEEDED => "timeLimitExceeded",
        8 => "strongerAuthRequired",
        code::REFERRAL => "another server has it, and referrals are not followed",
        11 => "adminLimitExceeded",
        13 => "confidentialityRequired",
        code::INVALID_DN_SYNTAX => "invalidDNSyntax",
        48 => "inappropriateAuthentication",
        code::INSUFFICIENT_ACCESS_RIGHTS => "insufficientAccessRights",
        code::BUSY => "busy",
        code::UNAVAILABLE => "unavailable",
        code::UNWILLING_TO_PERFORM => "unwillingToPerform",
        code::OTHER => "other",
        _ => return format!("result code {code}"),
    };
    format!("{name} (result code {code})")
}
