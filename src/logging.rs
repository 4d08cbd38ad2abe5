//! Log output in two formats: for the journal, which needs a priority to filter by and records the
//! time itself, and for a person at a terminal.

mod limit;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use env_logger::{Builder, Env};
use log::{Level, LevelFilter};
use serde::Serialize;

use crate::config::LogLevel;
use crate::domain::audit::{hex, ChainedRow, Origin};
use crate::domain::text::{escape, is_misleading};
use crate::os::clock::rfc_3339;

use self::limit::Limited;

/// Log target of audit events.
const AUDIT: &str = "audit";
/// Module that logs an error for each malformed request; the server counts these instead.
const HTTP_1: &str = "actix_http::h1";

static LOGGER: OnceLock<Limited> = OnceLock::new();

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
        .filter_module(HTTP_1, LevelFilter::Off)
        .parse_env(Env::default())
        // No filter applies to audit events.
        .filter_module(AUDIT, LevelFilter::Info);
    if stderr_is_journal() {
        builder.format(|out, record| {
            writeln!(
                out,
                "<{}>{}",
                priority(record.level()),
                escape(&record.args().to_string())
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
                escape(&record.args().to_string())
            )
        });
    }
    let logger = builder.build();
    log::set_max_level(logger.filter());
    let logger = LOGGER.get_or_init(|| Limited::new(logger));
    log::set_logger(logger).expect("logging starts once");
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
}

/// From now on, writes only the first warnings and errors of the same statement in each minute, and
/// counts the rest. For a server, whose clients may cause them.
pub fn limit() {
    if let Some(logger) = LOGGER.get() {
        logger.limit();
    }
}

/// Logs how many warnings and errors were only counted: in the minutes that are over, or in `all`, for
/// use at shutdown.
pub fn sum_up(all: bool) {
    if let Some(logger) = LOGGER.get() {
        logger.sum_up(all);
    }
}

/// Row of the audit log, as serialized in the journal and in an export.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditLine<'a> {
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
    fn new(ChainedRow { row, hash }: &'a ChainedRow, chain: Option<&'a str>) -> Self {
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
    format!("audit {}", json_line(row, Some(chain)))
}

/// Formats a row of the audit log as one line of JSON. `chain`: identifier of the row's chain, to
/// include it.
pub fn json_line(row: &ChainedRow, chain: Option<&str>) -> String {
    let json = serde_json::to_string(&AuditLine::new(row, chain))
        .expect("an audit row has string keys only");
    escape_json(json)
}

/// Escapes the misleading characters in JSON that the serializer leaves as they are, such as DEL, the
/// C1 controls and bidirectional formatting (RFC 8259 §7). A parser reads the same values.
pub fn escape_json(json: String) -> String {
    let misleads = |c| c != '\n' && is_misleading(c);
    if !json.contains(misleads) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if misleads(c) {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("writing to a string does not fail");
        } else {
            escaped.push(c);
        }
    }
    escaped
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
