//! How often something may be tried in a session.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::time::{whole_seconds, Moment};
use super::tokens::SessionId;

/// Tries that a session may make in a [`PERIOD`].
const MOST: usize = 10;
const PERIOD: Duration = Duration::from_secs(60);
/// Sessions that are remembered before those are forgotten that have not tried lately.
const REMEMBERED: usize = 64;

/// When sessions last tried.
#[derive(Debug, Default)]
pub struct Attempts(HashMap<SessionId, VecDeque<Moment>>);

impl Attempts {
    /// Counts a try, unless it is one too many.
    ///
    /// # Errors
    /// After how many seconds, rounded up, the session may try again.
    pub fn count(&mut self, session: SessionId, now: Moment) -> Result<(), u64> {
        if self.0.len() >= REMEMBERED {
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
            Some(first) if times.len() >= MOST => Err(whole_seconds((*first + PERIOD).since(now))),
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
        assert!(attempts.0.len() <= REMEMBERED);
    }
}
