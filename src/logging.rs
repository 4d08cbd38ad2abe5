//! Log output in two formats: for the journal, which needs a priority to filter by and records the
//! time itself, and for a person at a terminal.

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

/// Log target of audit events.
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

/// Starts logging to standard error, at `level` unless `RUST_LOG` overrides it.
///
/// If standard error is the journal, each line begins with its priority, `<N>` (`sd-daemon(3)`);
/// otherwise it begins with the time (RFC 3339, UTC), level and target. Panics are logged as errors.
pub fn init(level: LogLevel) {
    let level = LevelFilter::from(level);
    let mut builder = Builder::new();
    builder
        .filter_level(level.min(LevelFilter::Warn))
        .filter_module("auth_server", level)
        .parse_env(Env::default())
        // No filter applies to audit events.
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

/// Row of the audit log, as serialized in the journal and in an export.
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
    /// Creates the line of a row. `chain`: identifier of the row's chain, to include it.
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

/// Logs an audit event as one line: the word `audit`, then the row as JSON, including its hash and
/// the identifier of its chain. A log that was rewritten as a whole does not match these lines.
pub fn audit(row: &ChainedRow, chain: &str) {
    log::info!(target: AUDIT, "{}", audit_message(row, chain));
}

/// Formats the message that [`audit`] logs.
pub(crate) fn audit_message(row: &ChainedRow, chain: &str) -> String {
    let json = serde_json::to_string(&AuditLine::new(row, Some(chain)))
        .expect("an audit row has string keys only");
    let message = format!("audit {json}");
    if !message.contains(char::is_control) {
        return message;
    }
    // JSON does not escape DEL and the C1 controls (RFC 8259 §7); `one_line` would escape them in a
    // way that is not JSON.
    message
        .chars()
        .map(|c| match c {
            c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

/// Formats an error and its causes as one line: `outer: inner: innermost`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("writing to a string does not fail");
        cause = error.source();
    }
    text
}

/// Returns whether standard error is the journal stream that systemd identifies in `JOURNAL_STREAM`
/// (`systemd.exec(5)`: device and inode number, in decimal).
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

/// Returns the syslog severity of a level (RFC 5424 §6.2.1).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Escapes the control characters of a message, so that it stays one line and text sent by a client
/// cannot forge another.
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
