//! Timeline that is unaffected by setting the wall clock.
//!
//! The robot sets its wall clock over the network some time after boot, so lifetimes are measured
//! on a timeline of the server's own. While the system is up, the timeline advances like
//! `CLOCK_BOOTTIME` (`clock_gettime(2)`). Across a reboot, it advances by the difference between
//! the wall clock and its last stored reading ([`Mark`]). A mark is stored when the service starts
//! and whenever the wall clock was set, so that both readings compared after a reboot come from the
//! same clock, whether it is right or wrong.
//!
//! If the wall clock is behind the mark after a reboot, as without a battery for the real-time
//! clock, the time without power is not counted: sessions then last longer by that time, never
//! shorter.

use std::ops::Add;
use std::time::Duration;

/// Point in time on the server's timeline, in milliseconds since an arbitrary origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// Returns the duration from `earlier` to this moment, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        let milliseconds = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Returns the moment that is `duration` later, truncated to milliseconds.
    fn add(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }
}

/// Simultaneous reading of the system's clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Boot id (`/proc/sys/kernel/random/boot_id`, `random(4)`); empty if unknown.
    pub boot: String,
    /// Milliseconds since boot, including time suspended (`CLOCK_BOOTTIME`).
    pub uptime: i64,
    /// Milliseconds since 1970-01-01T00:00:00Z according to the wall clock, which may be wrong.
    pub wall: i64,
}

/// Moment together with the clock reading at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Moment on the server's timeline.
    pub moment: Moment,
    /// Clock reading at that moment.
    pub reading: Reading,
}

/// Mapping from the uptime of the current boot to moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Milliseconds to add to an uptime to get a moment.
    offset: i64,
}

impl Timeline {
    /// Continues the timeline from the last stored mark, or starts a new one if there is none.
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

    /// Returns the moment at `uptime`, in milliseconds since the current boot.
    pub fn moment(self, uptime: i64) -> Moment {
        Moment(self.offset + uptime)
    }

    /// Returns the mark for a clock reading from the current boot.
    pub fn mark(self, reading: Reading) -> Mark {
        Mark {
            moment: self.moment(reading.uptime),
            reading,
        }
    }
}

/// Returns whether `other` is from the same boot as `one`, and not earlier.
fn same_boot(one: &Reading, other: &Reading) -> bool {
    !one.boot.is_empty() && one.boot == other.boot && other.uptime >= one.uptime
}

/// Returns a delay in whole seconds, rounded up, as needed for `Retry-After` (RFC 9110 §10.2.3).
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
