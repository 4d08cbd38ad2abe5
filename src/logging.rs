//! Log lines for two readers: the journal, which wants a priority it can filter by and stamps the
//! time itself, and a person at a terminal.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use env_logger::{Builder, Env};
use log::{Level, LevelFilter};
use serde::Serialize;

use crate::config::LogLevel;
use crate::domain::audit::{hex, ChainedRow, Origin};
use crate::os::clock::rfc_3339;

/// Target of the lines that are audit events.
const AUDIT: &str = "audit";

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warn,
            LogLevel::Error => Self::Error,
        }
    }
}

/// Starts logging to standard error, at `level` and as `RUST_LOG` refines it.
///
/// Under the journal each line begins with its priority, `<N>` (`sd-daemon(3)`). Elsewhere it
/// begins with time (RFC 3339, UTC), level and target. Panics are logged like all else.
pub fn init(level: LogLevel) {
    let level = LevelFilter::from(level);
    let mut builder = Builder::new();
    builder
        .filter_level(level.min(LevelFilter::Warn))
        .filter_module("auth_server", level)
        .parse_env(Env::default())
        // Whatever is filtered, audit events are not.
        .filter_module(AUDIT, LevelFilter::Info);
    if stderr_is_journal() {
        builder.format(|out, record| {
            writeln!(
                out,
                "<{}>{}",
                priority(record.level()),
                one_line(&record.args().to_string())
            )
        });
    } else {
        builder.format(|out, record| {
            let style = out.default_level_style(record.level());
            writeln!(
                out,
                "{} {style}{:<5}{style:#} {} {}",
                rfc_3339(),
                record.level(),
                record.target(),
                one_line(&record.args().to_string())
            )
        });
    }
    builder.init();
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
}

/// A row of the audit log, as the journal and an export have it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine<'a> {
    seq: i64,
    time: &'a str,
    action: &'a str,
    account_name: &'a str,
    legal_name: &'a str,
    message: &'a str,
    reason: Option<&'a str>,
    origin: Option<&'static str>,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<&'a str>,
}

impl<'a> AuditLine<'a> {
    /// The line of a row; `chain`: which chain it is of, where that is told.
    pub fn new(ChainedRow { row, hash }: &'a ChainedRow, chain: Option<&'a str>) -> Self {
        let event = &row.event;
        Self {
            seq: row.seq,
            time: &row.time,
            action: &event.action,
            account_name: &event.account_name,
            legal_name: &event.legal_name,
            message: &event.message,
            reason: event.reason.as_deref(),
            origin: event.origin.map(Origin::name),
            hash: hex(hash),
            chain,
        }
    }
}

/// Logs an audit event: one line, `audit` and the row as JSON, with its hash and the chain that it
/// is of, so that a log that was rewritten whole does not fit the journal.
pub fn audit(row: &ChainedRow, chain: &str) {
    log::info!(target: AUDIT, "{}", audit_message(row, chain));
}

/// What [`audit`] logs.
pub(crate) fn audit_message(row: &ChainedRow, chain: &str) -> String {
    let json = serde_json::to_string(&AuditLine::new(row, Some(chain)))
        .expect("an audit row is made of strings");
    let message = format!("audit {json}");
    if !message.contains(char::is_control) {
        return message;
    }
    // JSON leaves DEL and the C1 controls as they are (RFC 8259 §7), and `one_line` would escape
    // them as JSON does not.
    message
        .chars()
        .map(|c| match c {
            c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

/// An error and its causes, in one line: `outer: inner: innermost`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("writing to a string does not fail");
        cause = error.source();
    }
    text
}

/// Whether standard error is the journal stream that systemd names in `JOURNAL_STREAM`
/// (`systemd.exec(5)`: device and inode, in decimal).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = || -> io::Result<String> {
        let file = std::fs::File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let metadata = file.metadata()?;
        Ok(format!("{}:{}", metadata.dev(), metadata.ino()))
    };
    stderr().is_ok_and(|id| id == stream)
}

/// The syslog priority of a level (RFC 5424 §6.2.1).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// A message with its control characters escaped: one message is one line, and nothing that a
/// client sent can look like a line of ours.
fn one_line(message: &str) -> String {
    if !message.contains(char::is_control) {
        return message.to_owned();
    }
    message
        .chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}
