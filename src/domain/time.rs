//! Time that no setting of the wall clock moves.
//!
//! The robot sets its clock over the network some time after boot, so lifetimes are not counted on
//! the wall clock but on a timeline of the server's own: it advances as `CLOCK_BOOTTIME` does while
//! a boot lasts, and across a reboot by what the wall clock says has passed since it was last
//! written down ([`Mark`]). A mark is written when the service starts and whenever the wall clock
//! was set, so that what a reboot compares is two readings of the same, right or wrong, clock.
//!
//! When the wall clock comes up behind the mark (no battery behind the clock chip), the time
//! without power counts as none: a session then lasts longer by that time, and never shorter.

use std::ops::Add;
use std::time::Duration;

/// Milliseconds on the server's timeline. Where it begins has no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// The time from an earlier moment to this one; none when it is later.
    pub fn since(self, earlier: Self) -> Duration {
        let milliseconds = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// The moment so much later; fractions of a millisecond are dropped.
    fn add(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }
}

/// What the system's clocks show, at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which boot this is; empty when nothing tells.
    pub boot: String,
    /// Milliseconds since that boot, those asleep included.
    pub uptime: i64,
    /// Milliseconds since 1970 by the wall clock, right or wrong.
    pub wall: i64,
}

/// A moment, and what the clocks showed at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The moment.
    pub moment: Moment,
    /// The clocks at it.
    pub reading: Reading,
}

/// Which moment an uptime is, in one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What to add to an uptime.
    offset: i64,
}

impl Timeline {
    /// The timeline that goes on from the last mark; a new one without.
    pub fn resume(last: Option<&Mark>, now: &Reading) -> Self {
        let moment = match last {
            None => now.wall,
            Some(last) if same_boot(&last.reading, now) => {
                last.moment.0 + (now.uptime - last.reading.uptime)
            }
            Some(last) => last.moment.0 + (now.wall - last.reading.wall).max(0),
        };
        Self {
            offset: moment - now.uptime,
        }
    }

    /// The moment at an uptime of this boot.
    pub fn moment(self, uptime: i64) -> Moment {
        Moment(self.offset + uptime)
    }

    /// The mark to write down at a reading of this boot.
    pub fn mark(self, reading: Reading) -> Mark {
        Mark {
            moment: self.moment(reading.uptime),
            reading,
        }
    }
}

fn same_boot(one: &Reading, other: &Reading) -> bool {
    !one.boot.is_empty() && one.boot == other.boot && other.uptime >= one.uptime
}

/// The seconds of a wait, rounded up, as `Retry-After` wants them (RFC 9110 §10.2.3).
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
