//! Limit on how often a session may try out passwords.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::time::{whole_seconds, Moment};
use super::tokens::SessionId;

/// Maximum number of attempts by a session in any [`PERIOD`].
const MAX_ATTEMPTS: usize = 10;
/// Length of the sliding window in which attempts are counted.
const PERIOD: Duration = Duration::from_secs(60);
/// Number of sessions from which on those without an attempt in the last [`PERIOD`] are removed.
const MAX_SESSIONS: usize = 64;

/// Times of the recent attempts of each session.
#[derive(Debug, Default)]
pub struct Attempts(HashMap<SessionId, VecDeque<Moment>>);

impl Attempts {
    /// Counts an attempt, unless it exceeds the limit.
    ///
    /// # Errors
    /// The number of seconds, rounded up, after which the session may try again, if it has made too
    /// many attempts.
    pub fn count(&mut self, session: SessionId, now: Moment) -> Result<(), u64> {
        if self.0.len() >= MAX_SESSIONS {
            self.0
                .retain(|_, times| times.back().is_some_and(|last| now.since(*last) < PERIOD));
        }
        let times = self.0.entry(session).or_default();
        while times
            .front()
            .is_some_and(|first| now.since(*first) >= PERIOD)
        {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= MAX_ATTEMPTS => {
                Err(whole_seconds((*first + PERIOD).since(now)))
            }
            _ => {
                times.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_in_a_minute_are_let_in_and_the_eleventh_waits() {
        let mut attempts = Attempts::default();
        let session = SessionId(1);
        for second in 0..10 {
            assert_eq!(attempts.count(session, Moment(second * 1000)), Ok(()));
        }
        assert_eq!(attempts.count(session, Moment(9_500)), Err(51));
        assert_eq!(attempts.count(SessionId(2), Moment(9_500)), Ok(()));
        assert_eq!(attempts.count(session, Moment(59_999)), Err(1));
        assert_eq!(attempts.count(session, Moment(60_000)), Ok(()));
        assert_eq!(attempts.count(session, Moment(60_001)), Err(1));
    }

    #[test]
    fn sessions_that_have_gone_quiet_are_forgotten() {
        let mut attempts = Attempts::default();
        for session in 0..1000 {
            assert_eq!(
                attempts.count(SessionId(session), Moment(session * 60_000)),
                Ok(())
            );
        }
        assert!(attempts.0.len() <= MAX_SESSIONS);
    }
}
