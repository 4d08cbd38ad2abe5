//! Limit on the wrong passwords that are passed on to the lab's directory. It locks an account after a
//! few of them, for the whole lab, so the robot stops before.

use std::collections::HashMap;
use std::time::Duration;

use super::time::{whole_seconds, Moment};

/// Period in which the wrong passwords of a name are counted.
pub const PERIOD: Duration = Duration::from_secs(30 * 60);
/// Maximum number of names, besides those of users. A new name replaces one that nobody has in the
/// directory, or whose passwords were not passed on: those of others are never forgotten.
const MAX_NAMES: usize = 1024;

/// What became of a password that was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The directory accepted it.
    Right,
    /// The directory did not accept it, or may not have.
    Wrong,
    /// Nobody in the directory has the name, or it was not given the password.
    Nobody,
    /// The directory did not answer, but the password is the one that it confirmed last.
    Unanswered,
}

/// Passwords passed on for a name.
#[derive(Debug, Default)]
struct Name {
    /// Times of the wrong ones, in order.
    wrong: Vec<Moment>,
    /// Number of those that the directory has not yet answered.
    asking: u32,
    /// Whether somebody has the name, or may have.
    somebody: bool,
}

/// Wrong passwords passed on recently, by the name that was typed, in lower case.
#[derive(Debug, Default)]
pub struct PassedOn(HashMap<String, Name>);

impl PassedOn {
    /// Begins to pass on a password for a name. Call [`PassedOn::end`] when the directory has answered.
    /// `most`: maximum number of wrong passwords of a name in [`PERIOD`]; each that is not yet answered
    /// counts as one. `is_user`: whether a user of the robot has the name.
    ///
    /// # Errors
    /// The number of seconds, rounded up, after which the next password may be passed on, if it would be
    /// one too many. Also if there are too many names, and this is not a user's.
    pub fn begin(&mut self, name: &str, is_user: bool, most: u32, now: Moment) -> Result<(), u64> {
        if self.0.len() >= MAX_NAMES && !self.0.contains_key(name) {
            let made = self.make_room(now);
            if !is_user {
                made?; // there are only so many users
            }
        }
        let most = most as usize;
        let entry = self.0.entry(name.to_owned()).or_default();
        entry.wrong.retain(|time| now.since(*time) < PERIOD);
        if let Some(over) = entry.wrong.len().checked_sub(most) {
            // When this one is forgotten, fewer than `most` are left.
            let blocks = entry.wrong.get(over).map(|time| *time + PERIOD);
            return Err(blocks.map_or(1, |end| whole_seconds(end.since(now))));
        }
        if entry.wrong.len() + entry.asking as usize >= most {
            return Err(1);
        }
        entry.asking += 1;
        entry.somebody |= is_user;
        Ok(())
    }

    /// Takes note of what became of a password that [`PassedOn::begin`] let through.
    pub fn end(&mut self, name: &str, passed: Passed, now: Moment) {
        let Some(entry) = self.0.get_mut(name) else {
            return;
        };
        entry.asking = entry.asking.saturating_sub(1);
        match passed {
            // The directory, too, forgets the wrong passwords before a right one.
            Passed::Right => {
                entry.wrong.clear();
                entry.somebody = true;
            }
            Passed::Wrong => {
                entry.wrong.push(now);
                entry.somebody = true;
            }
            Passed::Nobody => entry.wrong.push(now),
            Passed::Unanswered => {}
        }
        if entry.wrong.is_empty() && entry.asking == 0 {
            self.0.remove(name);
        }
    }

    /// Removes names whose period is over, or else one that nobody has.
    ///
    /// # Errors
    /// The number of seconds to wait, if none can be removed: the wrong passwords of a person must not be
    /// forgotten because of those of others.
    fn make_room(&mut self, now: Moment) -> Result<(), u64> {
        self.0.retain(|_, entry| {
            let last = entry.wrong.last();
            entry.asking > 0 || last.is_some_and(|last| now.since(*last) < PERIOD)
        });
        if self.0.len() < MAX_NAMES {
            return Ok(());
        }
        let nobodys = self
            .0
            .iter()
            .filter(|(_, entry)| entry.asking == 0 && !entry.somebody)
            .min_by_key(|(_, entry)| entry.wrong.last().copied())
            .map(|(name, _)| name.clone());
        match nobodys {
            Some(name) => {
                self.0.remove(&name);
                Ok(())
            }
            None => Err(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One minute, in milliseconds.
    const MINUTE: i64 = 60_000;

    fn wrong(passed: &mut PassedOn, name: &str, most: u32, now: i64) -> Result<(), u64> {
        passed.begin(name, false, most, Moment(now))?;
        passed.end(name, Passed::Wrong, Moment(now));
        Ok(())
    }

    #[test]
    fn as_many_as_allowed_are_passed_on_in_any_half_hour() {
        for most in 1..=3 {
            let mut passed = PassedOn::default();
            for number in 0..i64::from(most) {
                assert_eq!(wrong(&mut passed, "ada", most, number * MINUTE), Ok(()));
            }
            let wait = |passed: &mut PassedOn, now| passed.begin("ada", false, most, Moment(now));
            assert_eq!(wait(&mut passed, 10 * MINUTE), Err(20 * 60));
            assert_eq!(wait(&mut passed, 30 * MINUTE - 1), Err(1));
            assert_eq!(wrong(&mut passed, "bea", most, 10 * MINUTE), Ok(()));
            // The first is over; the second is not.
            assert_eq!(wrong(&mut passed, "ada", most, 30 * MINUTE), Ok(()));
            assert!(wait(&mut passed, 30 * MINUTE).is_err());
        }
    }

    #[test]
    fn a_smaller_limit_counts_what_was_passed_on_before() {
        let mut passed = PassedOn::default();
        for number in 0..3 {
            assert_eq!(wrong(&mut passed, "ada", 3, number * MINUTE), Ok(()));
        }
        let now = Moment(10 * MINUTE);
        assert_eq!(passed.begin("ada", false, 1, now), Err(22 * 60));
        assert_eq!(passed.begin("ada", false, 2, now), Err(21 * 60));
    }

    #[test]
    fn unanswered_ones_count_and_a_right_one_clears_the_count() {
        let mut passed = PassedOn::default();
        assert_eq!(wrong(&mut passed, "ada", 3, 0), Ok(()));
        for _ in 0..2 {
            assert_eq!(passed.begin("ada", false, 3, Moment(1)), Ok(()));
        }
        assert_eq!(passed.begin("ada", false, 3, Moment(1)), Err(1));
        passed.end("ada", Passed::Right, Moment(2));
        passed.end("ada", Passed::Right, Moment(2));
        assert!(passed.0.is_empty());
        for _ in 0..9 {
            assert_eq!(passed.begin("ada", false, 1, Moment(2)), Ok(()));
            passed.end("ada", Passed::Unanswered, Moment(2));
        }
        for _ in 0..3 {
            assert_eq!(wrong(&mut passed, "ada", 3, 3), Ok(()));
            assert_eq!(passed.begin("bea", false, 1, Moment(3)), Ok(()));
            passed.end("bea", Passed::Unanswered, Moment(3));
        }
        assert!(wrong(&mut passed, "ada", 3, 3).is_err());
    }

    #[test]
    fn names_of_users_are_never_refused_nor_forgotten_for_others() {
        let mut passed = PassedOn::default();
        for number in 0..MAX_NAMES {
            assert_eq!(wrong(&mut passed, &format!("person{number}"), 1, 0), Ok(()));
        }
        assert_eq!(wrong(&mut passed, "eve", 1, 1), Err(60));
        for (name, told) in [("ada", Passed::Wrong), ("bea", Passed::Nobody)] {
            assert_eq!(passed.begin(name, true, 1, Moment(1)), Ok(()));
            passed.end(name, told, Moment(1));
            assert!(passed.begin(name, true, 1, Moment(2)).is_err());
        }
        assert_eq!(passed.begin("eve", false, 1, Moment(2)), Err(60));
    }

    #[test]
    fn names_of_nobody_make_room_and_those_of_people_do_not() {
        let mut passed = PassedOn::default();
        assert_eq!(wrong(&mut passed, "ada", 1, 0), Ok(()));
        for number in 0..3000 {
            let name = format!("nobody{number}");
            assert_eq!(passed.begin(&name, false, 1, Moment(1)), Ok(()));
            passed.end(&name, Passed::Nobody, Moment(1));
            assert!(passed.begin(&name, false, 1, Moment(1)).is_err());
            assert!(passed.0.len() <= MAX_NAMES);
        }
        assert!(passed.begin("ada", false, 1, Moment(2)).is_err());
        for number in 0..1023 {
            assert_eq!(wrong(&mut passed, &format!("person{number}"), 1, 3), Ok(()));
        }
        assert_eq!(wrong(&mut passed, "eve", 1, 4), Err(60));
        assert!(passed.begin("ada", false, 1, Moment(4)).is_err());
        let later = 3 + 30 * MINUTE;
        assert_eq!(wrong(&mut passed, "eve", 1, later), Ok(()));
        assert_eq!(passed.0.len(), 1);
    }
}
