//! Lines of the audit log in the system's journal. The service logs one for every row, out of reach
//! of anyone who can change only the database.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::domain::audit::{from_hex, ChainHash};

/// Command that reads the journal (`journalctl(1)`).
const JOURNALCTL: [&str; 3] = ["journalctl", "--output=cat", "--unit=opentrons-auth-server"];
/// File name that stands for standard input.
const STANDARD_INPUT: &str = "-";
/// First character of a line of `journalctl --output=json-seq` (RFC 7464).
const RECORD_SEPARATOR: char = '\u{1e}';
/// Beginning of the log message of a row.
const PREFIX: &str = "audit ";

/// Why the journal could not be read.
#[derive(Debug, Error)]
pub enum JournalError {
    /// A file or standard input cannot be read.
    #[error("cannot read the journal's lines from {name}")]
    File {
        /// Path of the file, or `standard input`.
        name: String,
        /// Error of the system.
        source: io::Error,
    },
    /// `journalctl` cannot be run, or its output cannot be read.
    #[error("cannot run {}; --journal=FILE reads lines that were exported elsewhere", JOURNALCTL.join(" "))]
    Run(#[source] io::Error),
    /// `journalctl` failed.
    #[error("{} failed: {said}; --journal=FILE reads lines that were exported elsewhere", JOURNALCTL.join(" "))]
    Failed {
        /// Its standard error output or, if that is empty, its exit status.
        said: String,
    },
}

/// Number and hash of each row of one chain that has a line in the journal. A number has two hashes
/// if the log was reset to an earlier state and continued from there.
pub type Rows = BTreeSet<(i64, ChainHash)>;

/// Reads the lines of all rows; returns the rows by the identifier of their chain. `file`: file with
/// lines in any output format of `journalctl`, `-` for standard input; `None` reads the system's
/// journal.
///
/// # Errors
/// - [`JournalError::File`]: the file or standard input cannot be read.
/// - [`JournalError::Run`], [`JournalError::Failed`]: `journalctl` cannot be run, or it failed.
pub fn read(file: Option<&Path>) -> Result<HashMap<String, Rows>, JournalError> {
    let Some(path) = file else {
        return run_journalctl();
    };
    if path.as_os_str() == STANDARD_INPUT {
        return collect(io::stdin().lock()).map_err(|source| JournalError::File {
            name: "standard input".into(),
            source,
        });
    }
    File::open(path)
        .and_then(|file| collect(BufReader::new(file)))
        .map_err(|source| JournalError::File {
            name: path.display().to_string(),
            source,
        })
}

/// Reads the lines of all rows from the system's journal.
fn run_journalctl() -> Result<HashMap<String, Rows>, JournalError> {
    let [program, arguments @ ..] = JOURNALCTL;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(JournalError::Run)?;
    let errors = child.stderr.take();
    let errors =
        std::thread::spawn(move || errors.map_or_else(|| Ok(String::new()), io::read_to_string));
    let output = child.stdout.take().map(BufReader::new);
    let rows = output.map_or_else(|| Ok(HashMap::new()), collect);
    let status = child.wait().map_err(JournalError::Run)?;
    if !status.success() {
        let said = errors.join().ok().and_then(Result::ok).unwrap_or_default();
        let said = match said.trim() {
            "" => status.to_string(),
            said => said.replace('\n', "; "),
        };
        return Err(JournalError::Failed { said });
    }
    rows.map_err(JournalError::Run)
}

/// Collects the rows that `lines` contain, by chain.
fn collect(mut lines: impl BufRead) -> io::Result<HashMap<String, Rows>> {
    let mut chains: HashMap<String, Rows> = HashMap::new();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if let Some(found) =
            row_of(text.trim_matches(|c: char| c.is_whitespace() || c == RECORD_SEPARATOR))
        {
            chains.entry(found.chain).or_default().insert(found.row);
        }
        line.clear();
    }
    Ok(chains)
}

#[derive(Debug, PartialEq, Eq)]
/// Row that was found in a line.
struct Found {
    chain: String,
    row: (i64, ChainHash),
}

/// JSON that the service logs for a row. All fields are required: a shorter text may be a client's,
/// quoted in another line.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    seq: i64,
    #[serde(rename = "time")]
    _time: String,
    #[serde(rename = "action")]
    _action: String,
    #[serde(rename = "accountName")]
    _account_name: String,
    #[serde(rename = "legalName")]
    _legal_name: String,
    #[serde(rename = "message")]
    _message: String,
    hash: String,
    chain: String,
}

/// Parses a line: the message of a row, alone or after a time and other prefixes, or the journal's
/// JSON with the message in its field `MESSAGE`.
fn row_of(line: &str) -> Option<Found> {
    if line.starts_with('{') {
        return match serde_json::from_str::<Value>(line).ok()?.get("MESSAGE")? {
            Value::String(message) => row_of_message(message),
            // The journal writes a message that is not plain text as an array of bytes.
            Value::Array(bytes) => {
                let bytes: Option<Vec<u8>> = bytes
                    .iter()
                    .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
                    .collect();
                row_of_message(&String::from_utf8_lossy(&bytes?))
            }
            _ => None,
        };
    }
    let start = line.find(&format!("{PREFIX}{{"))?;
    // Preceded by nothing, by a priority (`<6>`) or by a word.
    if start > 0 && !line[..start].ends_with([' ', '\t', '>']) {
        return None;
    }
    row_of_message(&line[start..])
}

/// Parses the log message of a row.
fn row_of_message(message: &str) -> Option<Found> {
    let line: Line = serde_json::from_str(message.strip_prefix(PREFIX)?).ok()?;
    Some(Found {
        chain: line.chain,
        row: (line.seq, from_hex(&line.hash)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::audit::{hex, AuditRow, ChainedRow, Event, Origin};
    use crate::logging::audit_message;

    fn chained(reason: &str) -> ChainedRow {
        ChainedRow {
            row: AuditRow {
                seq: 7,
                time: "2026-01-01T00:00:00.000Z".into(),
                event: Event {
                    action: "update self".into(),
                    account_name: "ada".into(),
                    legal_name: "Ada".into(),
                    message: "m".into(),
                    reason: Some(reason.into()),
                    origin: Some(Origin::Http),
                    refusal: None,
                },
            },
            hash: [0xa5; 32],
        }
    }

    fn expected() -> Option<Found> {
        Some(Found {
            chain: "c0ffee".into(),
            row: (7, [0xa5; 32]),
        })
    }

    #[test]
    fn line_is_found_in_every_form() {
        let message = audit_message(&chained("because"), "c0ffee");
        let json = serde_json::json!({ "PRIORITY": "6", "MESSAGE": message }).to_string();
        let bytes = serde_json::json!({ "MESSAGE": message.as_bytes() }).to_string();
        for line in [
            message.clone(),
            format!("<6>{message}"),
            format!("Nov 25 16:00:00 robot opentrons-auth-server[12]: {message}"),
            format!("2026-11-25T16:00:00.000Z INFO  audit {message}"),
            json,
            bytes,
        ] {
            assert_eq!(row_of(&line), expected(), "{line}");
        }
    }

    #[test]
    fn every_character_comes_back() {
        let all: String = (0..0x3000).filter_map(char::from_u32).collect();
        let message = audit_message(&chained(&all), "c0ffee");
        assert!(!message.contains(char::is_control));
        assert_eq!(row_of(&message), expected());
        let read: Value = serde_json::from_str(message.strip_prefix(PREFIX).unwrap()).unwrap();
        assert_eq!(read["reason"], all);
    }

    #[test]
    fn other_lines_are_none() {
        let message = audit_message(&chained("because"), "c0ffee");
        let hash = hex(&[0xa5; 32]);
        for line in [
            "",
            "stopped",
            "audit {",
            "audit {\"seq\":7}",
            &format!("audit {{\"seq\":7,\"hash\":\"{hash}\",\"chain\":\"c0ffee\"}}"),
            &format!("ignoring unknown field: {message} and more"),
            &format!("xaudit {message}").replace("audit audit", "audit"),
            &message.replace("a5", "zz"),
            &message.replace(&hash, ""),
            "{\"MESSAGE\":null}",
            "{}",
        ] {
            assert_eq!(row_of(line), None, "{line}");
        }
    }

    #[test]
    fn chains_are_kept_apart() {
        let lines = [
            audit_message(&chained("x"), "one"),
            audit_message(&chained("x"), "two"),
            audit_message(&chained("x"), "two"),
            "nonsense \u{fffd}".into(),
        ]
        .join("\n");
        let chains = collect(lines.as_bytes()).unwrap();
        assert_eq!(chains["one"].len(), 1);
        assert_eq!(chains["two"].len(), 1);
        assert_eq!(chains.len(), 2);
    }
}
