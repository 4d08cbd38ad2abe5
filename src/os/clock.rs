//! The system's clocks, and the server's clock, which combines them.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{clock_gettime, ClockId};
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};
use time::format_description::well_known::Iso8601;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::domain::time::{Mark, Moment, Reading, Timeline};

/// Environment variable that contains the boot id, because the service's sandbox hides `/proc/sys`.
/// The unit sets it to `%b` (`systemd.unit(5)`).
const BOOT_ID_VARIABLE: &str = "OT_AUTH_SERVER_boot_id";
/// File that contains the boot id (`random(4)`), read if the variable is not set.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";
/// Minimum change of the wall clock relative to the uptime that counts as setting it, in
/// milliseconds. A smaller change is the result of slewing (`adjtime(3)`).
const SET: i64 = 1000;

/// Reads the clocks.
pub fn read() -> Reading {
    let boot = std::env::var(BOOT_ID_VARIABLE)
        .or_else(|_| std::fs::read_to_string(BOOT_ID_FILE))
        .unwrap_or_default();
    Reading {
        boot: boot.trim().replace('-', ""),
        uptime: uptime(),
        wall: wall(),
    }
}

/// Returns the milliseconds since boot, including time suspended (`clock_gettime(2)`).
fn uptime() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .expect("Linux has had CLOCK_BOOTTIME since version 2.6.39");
    now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000
}

/// Returns the milliseconds since 1970-01-01T00:00:00Z according to the wall clock.
fn wall() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

/// Format of RFC 3339, with milliseconds.
const RFC_3339: EncodedConfig = Config::DEFAULT
    .set_time_precision(TimePrecision::Second {
        decimal_digits: std::num::NonZeroU8::new(3),
    })
    .encode();

/// Returns the wall clock's time in UTC, in the format of RFC 3339.
pub fn rfc_3339() -> String {
    formatted(OffsetDateTime::now_utc())
}

fn formatted(time: OffsetDateTime) -> String {
    time.format(&Iso8601::<RFC_3339>).unwrap_or_default()
}

/// Clock by which lifetimes are measured. Setting the wall clock does not affect it.
#[derive(Debug)]
pub struct Clock {
    boot: String,
    timeline: Timeline,
    /// Difference between the wall clock and the timeline when last checked, in milliseconds.
    wall_offset: AtomicI64,
}

impl Clock {
    /// Creates a clock that continues from the last stored mark, and returns it with the mark to
    /// store now.
    pub fn resume(last: Option<&Mark>) -> (Self, Mark) {
        let reading = read();
        let timeline = Timeline::resume(last, &reading);
        let mark = timeline.mark(reading);
        let clock = Self {
            boot: mark.reading.boot.clone(),
            timeline,
            wall_offset: AtomicI64::new(mark.reading.wall - mark.moment.0),
        };
        (clock, mark)
    }

    /// Returns the current moment.
    pub fn now(&self) -> Moment {
        self.timeline.moment(uptime())
    }

    /// Returns a mark of the current moment.
    pub fn mark(&self) -> Mark {
        self.timeline.mark(Reading {
            boot: self.boot.clone(),
            uptime: uptime(),
            wall: wall(),
        })
    }

    /// Converts a moment to seconds since 1970-01-01T00:00:00Z by the wall clock, as needed for
    /// `exp` and `iat` (RFC 7662 §2.2).
    pub fn unix_seconds(&self, moment: Moment) -> i64 {
        (moment.0 + self.wall_offset.load(Ordering::Relaxed)).div_euclid(1000)
    }

    /// Converts a moment to the wall clock's time in UTC, in the format of RFC 3339.
    pub fn rfc_3339(&self, moment: Moment) -> String {
        let time = OffsetDateTime::from_unix_timestamp(self.unix_seconds(moment));
        time.map(formatted).unwrap_or_default()
    }

    /// Checks whether the wall clock was set since the last check. Returns the mark to store if it
    /// was, otherwise `None`.
    pub fn check_wall_clock(&self) -> Option<Mark> {
        let mark = self.mark();
        let offset = mark.reading.wall - mark.moment.0;
        let before = self.wall_offset.load(Ordering::Relaxed);
        if (offset - before).abs() < SET {
            return None;
        }
        self.wall_offset.store(offset, Ordering::Relaxed);
        Some(mark)
    }
}

/// Time that the timer never reaches, in seconds since 1970-01-01T00:00:00Z.
const NEVER: i64 = 1 << 40;

/// Starts a thread that sends a notification whenever the wall clock is set (`timerfd_create(2)`,
/// `TFD_TIMER_CANCEL_ON_SET`).
///
/// # Errors
/// The I/O error if the timer cannot be created or set (`timerfd_create(2)`,
/// `timerfd_settime(2)`), or the thread cannot be started.
pub fn watch_wall_clock() -> io::Result<Arc<Notify>> {
    let timer = TimerFd::new(timerfd::ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC)?;
    arm(&timer)?;
    let was_set = Arc::new(Notify::new());
    let notify = Arc::clone(&was_set);
    std::thread::Builder::new()
        .name("wall-clock".into())
        .spawn(move || loop {
            // The wait ends with ECANCELED when the clock is set.
            if timer.wait() == Err(Errno::EINTR) {
                continue;
            }
            if let Err(error) = arm(&timer) {
                log::error!(
                    "cannot watch the wall clock, checking it every minute instead: {error}"
                );
                return;
            }
            notify.notify_one();
        })?;
    Ok(was_set)
}

/// Arms the timer, so that setting the wall clock cancels it.
fn arm(timer: &TimerFd) -> io::Result<()> {
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    let never = Expiration::OneShot(TimeSpec::new(NEVER, 0));
    Ok(timer.set(never, flags)?)
}
