//! Failed logins by source. An account that failed logins slow down instead of locking it is slowed
//! down only for the sources that failed: a stranger's wrong passwords keep nobody else out.

use std::collections::HashMap;

use super::authority::Source;
use super::time::Moment;
use super::users::{Failed, UserId};

/// Maximum number of entries; a new one replaces the one whose last failure is oldest.
const MAX_ENTRIES: usize = 1024;

/// Failed logins in a row to each account from each source.
#[derive(Debug, Default)]
pub struct Failures(HashMap<(UserId, Source), Failed>);

impl Failures {
    /// Returns the failed logins to an account from a source.
    pub fn of(&self, user: UserId, source: Source) -> Failed {
        self.0.get(&(user, source)).copied().unwrap_or_default()
    }

    /// Counts a failed login.
    pub fn count(&mut self, user: UserId, source: Source, now: Moment) {
        let key = (user, source);
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, failed)| failed.last);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.0.remove(&oldest);
            }
        }
        let failed = self.0.entry(key).or_default();
        failed.count = failed.count.saturating_add(1);
        failed.last = Some(now);
    }

    /// Forgets the failed logins to an account from a source, after a login that succeeded.
    pub fn forget(&mut self, user: UserId, source: Source) {
        self.0.remove(&(user, source));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn source(number: u32) -> Source {
        Some(IpAddr::V4(Ipv4Addr::from(number)))
    }

    #[test]
    fn failures_count_for_their_source_and_account_until_a_login_succeeds() {
        let mut failures = Failures::default();
        failures.count(UserId(1), source(1), Moment(10));
        failures.count(UserId(1), source(1), Moment(20));
        let failed = Failed {
            count: 2,
            last: Some(Moment(20)),
        };
        assert_eq!(failures.of(UserId(1), source(1)), failed);
        for (user, other) in [(1, source(2)), (1, None), (2, source(1))] {
            failures.forget(UserId(user), other);
            assert_eq!(failures.of(UserId(user), other), Failed::default());
        }
        assert_eq!(failures.of(UserId(1), source(1)), failed);
        failures.forget(UserId(1), source(1));
        assert_eq!(failures.of(UserId(1), source(1)), Failed::default());
    }

    #[test]
    fn table_is_bounded_and_the_oldest_goes() {
        let mut failures = Failures::default();
        for number in 0..2000 {
            failures.count(UserId(1), source(number), Moment(i64::from(number)));
            failures.count(UserId(1), None, Moment(i64::from(number)));
            assert!(failures.0.len() <= MAX_ENTRIES);
        }
        assert_eq!(failures.of(UserId(1), source(0)).count, 0);
        assert_eq!(failures.of(UserId(1), source(1999)).count, 1);
        assert_eq!(failures.of(UserId(1), None).count, 2000);
    }
}
