//! Limit on repeated warnings and errors, so that whatever causes them cannot fill the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use log::{Level, Log, Metadata, Record};

use crate::domain::refusals::{MOST, PERIOD};

/// Maximum length of the message that a summary quotes, in characters.
const MAX_QUOTED: usize = 200;

/// Logger that, once the limit is set, writes at most [`MOST`] warnings or errors of the same
/// statement in each [`PERIOD`], and counts further ones.
pub struct Limited {
    inner: env_logger::Logger,
    limits: AtomicBool,
    periods: Mutex<BTreeMap<Statement, Period>>,
}

/// Statement in the source: its module and line.
type Statement = (String, Option<u32>);

/// Counting period of one statement.
struct Period {
    /// Time of the first message.
    since: Instant,
    /// Messages that were written.
    written: u32,
    /// Further messages, which were only counted.
    counted: u64,
    level: Level,
    target: String,
    /// Last message that was written.
    last: String,
}

impl Limited {
    /// Wraps a logger, without a limit for now.
    pub fn new(inner: env_logger::Logger) -> Self {
        Self {
            inner,
            limits: AtomicBool::new(false),
            periods: Mutex::new(BTreeMap::new()),
        }
    }

    /// Sets the limit.
    pub fn limit(&self) {
        self.limits.store(true, Ordering::Relaxed);
    }

    /// Ends the periods that are over, or all of them, and logs a summary of each that counted
    /// messages.
    pub fn sum_up(&self, all: bool) {
        let now = Instant::now();
        self.periods().retain(|_, period| {
            let over = all || period.is_over(now);
            if over {
                self.summarize(period);
            }
            !over
        });
    }

    /// Counts a message, and returns whether it is to be written.
    fn count(&self, record: &Record<'_>) -> bool {
        let now = Instant::now();
        let statement = (
            record.module_path().unwrap_or_default().to_owned(),
            record.line(),
        );
        let mut periods = self.periods();
        if let Some(period) = periods.get(&statement) {
            if period.is_over(now) {
                self.summarize(period);
                periods.remove(&statement);
            }
        }
        let period = periods.entry(statement).or_insert_with(|| Period {
            since: now,
            written: 0,
            counted: 0,
            level: record.level(),
            target: record.target().to_owned(),
            last: String::new(),
        });
        if period.written < MOST {
            period.written += 1;
            if period.written == MOST {
                let message = record.args().to_string();
                period.last = message.chars().take(MAX_QUOTED).collect();
            }
            return true;
        }
        period.counted += 1;
        false
    }

    /// Logs how many messages a period counted, if any.
    fn summarize(&self, period: &Period) {
        if period.counted > 0 {
            let message = match period.counted {
                1 => "1 further message".into(),
                counted => format!("{counted} further messages"),
            };
            self.inner.log(
                &Record::builder()
                    .level(period.level)
                    .target(&period.target)
                    .args(format_args!(
                        "{message} within a minute like: {}",
                        period.last
                    ))
                    .build(),
            );
        }
    }

    fn periods(&self) -> MutexGuard<'_, BTreeMap<Statement, Period>> {
        self.periods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Limited {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let limited = record.level() <= Level::Warn
            && self.limits.load(Ordering::Relaxed)
            && self.inner.enabled(record.metadata());
        if !limited || self.count(record) {
            self.inner.log(record);
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

impl Period {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= PERIOD
    }
}
