//! Arguments of `audit`.

// The doc comment of a field is its help text; a flattened field has none.
#![allow(missing_docs)]

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::time::TimeSpan;
use super::GiveReason;
use crate::domain::audit::{from_hex, ChainHash};

/// Subcommands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Verify that no row of the audit log was removed or changed.
    Verify {
        /// Also compare the rows with their lines in the system's journal, or with those in FILE;
        /// - is standard input.
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
        journal: Option<Option<PathBuf>>,
        /// Also check that a row still has the hash that an earlier verification printed for it.
        #[arg(long, value_name = "ROW:HASH")]
        noted: Vec<NotedRow>,
    },
    /// Show how many events are waiting for the audit server, and which ones it refused.
    Status,
    /// Resend the events that the audit server refused.
    Resend {
        #[command(flatten)]
        why: GiveReason,
    },
    /// Export the audit log to standard output.
    ///
    /// Exports all rows, or those that match all given filters. A date or time is in UTC unless it has
    /// an offset.
    Export {
        /// Output format.
        #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
        format: ExportFormat,
        #[command(flatten)]
        filter: ExportFilter,
        #[command(flatten)]
        why: GiveReason,
    },
}

/// Filters of an export.
#[derive(Debug, Args)]
pub struct ExportFilter {
    /// Only rows from this date (2026-11-27) or time (2026-11-27T09:30:00Z) on.
    #[arg(long, value_name = "TIME")]
    pub since: Option<TimeSpan>,
    /// Only rows up to this time, or to the end of this date.
    #[arg(long, value_name = "TIME")]
    pub until: Option<TimeSpan>,
    /// Only what this user did: a username, or the name of a system user at the console.
    #[arg(long, value_name = "USERNAME", value_hint = ValueHint::Username)]
    pub user: Option<String>,
    /// Only rows with this action, such as 'delete user'.
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
}

/// Row of the audit log as noted at an earlier verification.
#[derive(Clone, Debug)]
pub struct NotedRow {
    /// Number of the row.
    pub seq: i64,
    /// Hash of the row.
    pub hash: ChainHash,
}

impl FromStr for NotedRow {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once(':')
            .and_then(|(seq, hash)| {
                Some(Self {
                    seq: seq.parse().ok()?,
                    hash: from_hex(hash)?,
                })
            })
            .ok_or("must be a row number, a colon and the 64 hexadecimal digits of its hash")
    }
}

/// Format of an exported audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values with a header line, as in RFC 4180.
    Csv,
}
