//! The system's clocks, and the server's timeline on them.

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

/// Which boot this is, where /proc cannot be read, as in the service's sandbox: the unit passes `%b`
/// (`systemd.unit(5)`).
const BOOT_ID_VARIABLE: &str = "OT_AUTH_SERVER_boot_id";
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";
/// A wall clock that moved by less against the uptime was not set, but slewed, in milliseconds.
const SET: i64 = 1000;

/// What the clocks show now.
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

/// Milliseconds since boot, those asleep included (`clock_gettime(2)`).
fn uptime() -> i64 {
    let now =
        clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had this clock since 2.6.39");
    now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000
}

/// Milliseconds since 1970 by the wall clock.
fn wall() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

/// RFC 3339, with milliseconds.
const RFC_3339: EncodedConfig = Config::DEFAULT
    .set_time_precision(TimePrecision::Second {
        decimal_digits: std::num::NonZeroU8::new(3),
    })
    .encode();

/// The wall clock's time, UTC, as RFC 3339 writes it.
pub fn rfc_3339() -> String {
    OffsetDateTime::now_utc()
        .format(&Iso8601::<RFC_3339>)
        .unwrap_or_default()
}

/// The clock that lifetimes are counted on.
#[derive(Debug)]
pub struct Clock {
    boot: String,
    timeline: Timeline,
    /// The wall clock less the timeline, in milliseconds, as it was when last looked at.
    wall_offset: AtomicI64,
}

impl Clock {
    /// A clock that goes on from the last mark, and the mark to write down now.
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

    /// This moment.
    pub fn now(&self) -> Moment {
        self.timeline.moment(uptime())
    }

    /// A mark of this moment.
    pub fn mark(&self) -> Mark {
        self.timeline.mark(Reading {
            boot: self.boot.clone(),
            uptime: uptime(),
            wall: wall(),
        })
    }

    /// What the wall clock shows at a moment, in seconds since 1970, as `exp` and `iat` want it.
    pub fn unix_seconds(&self, moment: Moment) -> i64 {
        (moment.0 + self.wall_offset.load(Ordering::Relaxed)).div_euclid(1000)
    }

    /// A mark to write down, when the wall clock was set since the last look; else `None`.
    pub fn look_at_wall(&self) -> Option<Mark> {
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

/// A time that no timer reaches, in seconds since 1970.
const NEVER: i64 = 1 << 40;

/// Starts a thread that tells whenever somebody sets the wall clock (`timerfd_create(2)`,
/// `TFD_TIMER_CANCEL_ON_SET`).
///
/// # Errors
/// As `timerfd_create(2)` and `timerfd_settime(2)`; or no thread could be started.
pub fn watch_wall() -> io::Result<Arc<Notify>> {
    let timer = TimerFd::new(timerfd::ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC)?;
    arm(&timer)?;
    let was_set = Arc::new(Notify::new());
    let notify = Arc::clone(&was_set);
    std::thread::Builder::new()
        .name("wall-clock".into())
        .spawn(move || loop {
            // Fails with ECANCELED when the clock is set, which is the news.
            if timer.wait() == Err(Errno::EINTR) {
                continue;
            }
            if let Err(error) = arm(&timer) {
                log::error!("cannot watch the wall clock, looks at it each minute: {error}");
                return;
            }
            notify.notify_one();
        })?;
    Ok(was_set)
}

fn arm(timer: &TimerFd) -> io::Result<()> {
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    let never = Expiration::OneShot(TimeSpec::new(NEVER, 0));
    Ok(timer.set(never, flags)?)
}
