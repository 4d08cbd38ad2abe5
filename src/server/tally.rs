//! Numbers of requests that were refused before they reached a route. They are not logged one by one:
//! clients could fill the disk.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_http::error::{DispatchError, ParseError};

use crate::http::error::ApiError;

/// Why a request was refused or a connection was closed.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The request is not HTTP as the RFCs have it.
    Malformed,
    /// The head or the body is larger than the server accepts.
    TooLarge,
    /// The client took too long to send its request, or to read the response.
    TooSlow,
    /// The server was too busy to answer.
    Busy,
    /// The connection was idle, and all places were taken.
    Displaced,
}

/// Counters of refusals since the last summary, of all servers in the process.
static COUNTED: [AtomicU64; 5] = [
    AtomicU64::new(0),
    AtomicU64::new(0),
    AtomicU64::new(0),
    AtomicU64::new(0),
    AtomicU64::new(0),
];

impl Refusal {
    const ALL: [Self; 5] = [
        Self::Malformed,
        Self::TooLarge,
        Self::TooSlow,
        Self::Busy,
        Self::Displaced,
    ];

    /// Counts the refusal.
    pub fn count(self) {
        COUNTED[self as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that the guard did not admit.
    pub fn count_error(error: &ApiError) {
        match error {
            ApiError::PayloadTooLarge { .. } => Self::TooLarge.count(),
            ApiError::RequestTimeout => Self::TooSlow.count(),
            _ => Self::Malformed.count(),
        }
    }

    /// Counts what ended a connection, if the client sent what is not a request.
    pub fn count_end(error: &DispatchError) {
        match error {
            DispatchError::Parse(ParseError::TooLarge) => Self::TooLarge.count(),
            DispatchError::Parse(_) => Self::Malformed.count(),
            _ => {}
        }
    }

    fn describe(self, number: u64) -> String {
        let (one, many) = match self {
            Self::Malformed => ("malformed request", "malformed requests"),
            Self::TooLarge => ("request that was too large", "requests that were too large"),
            Self::TooSlow => (
                "client that was too slow to send or to read",
                "clients that were too slow to send or to read",
            ),
            Self::Busy => (
                "request that found the server too busy",
                "requests that found the server too busy",
            ),
            Self::Displaced => (
                "idle connection, closed to make room",
                "idle connections, closed to make room",
            ),
        };
        format!("{number} {}", if number == 1 { one } else { many })
    }
}

/// Returns how many refusals of each kind were counted since the last call; `None` if there were
/// none.
pub fn sum_up() -> Option<String> {
    let counted: Vec<String> = Refusal::ALL
        .into_iter()
        .filter_map(|kind| {
            let number = COUNTED[kind as usize].swap(0, Ordering::Relaxed);
            (number > 0).then(|| kind.describe(number))
        })
        .collect();
    (!counted.is_empty()).then(|| counted.join("; "))
}
