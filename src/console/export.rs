//! Export of the audit log, in a form that programs or spreadsheets read.

use std::io::Write;

use super::error::{io_error, Done};
use crate::cli::console::{ExportFilter, ExportFormat};
use crate::domain::audit::{hex, AuditRow, ChainedRow, Origin};
use crate::domain::text::is_misleading;
use crate::logging::json_line;
use crate::store::AuditLog;

/// Names of the CSV fields, in the order of [`record`].
const HEADER: [&str; 9] = [
    "seq",
    "time",
    "action",
    "accountName",
    "legalName",
    "message",
    "reason",
    "hash",
    "origin",
];

/// Writes the rows of the log that `filter` selects to `out`; returns their number.
///
/// # Errors
/// - [`super::ConsoleError::Store`]: the log cannot be read.
/// - [`super::ConsoleError::Io`]: `out` cannot be written.
pub fn write(
    log: &AuditLog,
    format: ExportFormat,
    filter: &ExportFilter,
    out: impl Write,
) -> Done<usize> {
    match format {
        ExportFormat::Jsonl => write_jsonl(log, filter, out),
        ExportFormat::Csv => write_csv(log, filter, out),
    }
}

/// Writes one JSON object per line, with all values exactly as they were recorded.
fn write_jsonl(log: &AuditLog, filter: &ExportFilter, mut out: impl Write) -> Done<usize> {
    let mut rows = 0;
    log.each(|found| {
        if !selects(filter, &found) {
            return Ok(());
        }
        rows += 1;
        writeln!(out, "{}", json_line(&found, None))
    })?
    .and_then(|()| out.flush())
    .map_err(io_error("write to standard output"))?;
    Ok(rows)
}

/// Writes CSV with a header line (RFC 4180), for spreadsheets.
fn write_csv(log: &AuditLog, filter: &ExportFilter, out: impl Write) -> Done<usize> {
    let failed = io_error("write to standard output");
    let mut rows = 0;
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(HEADER).map_err(&failed)?;
    log.each(|found| {
        if !selects(filter, &found) {
            return Ok(());
        }
        rows += 1;
        csv.write_record(record(found).map(|field| cell(&field)))
    })?
    .map_err(&failed)?;
    csv.flush().map_err(io_error("write to standard output"))?;
    Ok(rows)
}

/// Returns whether a row matches all filters. Times compare like their texts; letter case does not
/// matter in usernames.
fn selects(filter: &ExportFilter, found: &ChainedRow) -> bool {
    let ExportFilter {
        since,
        until,
        user,
        action,
    } = filter;
    let AuditRow { time, event, .. } = &found.row;
    let is_of = |user: &String| user.eq_ignore_ascii_case(&event.account_name);
    since.as_ref().map_or(true, |since| *time >= since.first)
        && until.as_ref().map_or(true, |until| *time <= until.last)
        && user.as_ref().map_or(true, is_of)
        && action
            .as_ref()
            .map_or(true, |action| *action == event.action)
}

/// Describes the filters for the audit log, as the end of a sentence.
pub fn describe(filter: &ExportFilter) -> String {
    let parts = [
        filter
            .since
            .as_ref()
            .map(|since| format!(" since {}", since.first)),
        filter
            .until
            .as_ref()
            .map(|until| format!(" until {}", until.last)),
        filter
            .user
            .as_ref()
            .map(|user| format!(" by user {user:?}")),
        filter
            .action
            .as_ref()
            .map(|action| format!(" with action {action:?}")),
    ];
    parts.into_iter().flatten().collect()
}

/// Returns the CSV fields of a row.
fn record(ChainedRow { row, hash }: ChainedRow) -> [String; 9] {
    let event = row.event;
    [
        row.seq.to_string(),
        row.time,
        event.action,
        event.account_name,
        event.legal_name,
        event.message,
        event.reason.unwrap_or_default(),
        hex(&hash),
        event.origin.map(Origin::name).unwrap_or_default().into(),
    ]
}

/// Makes a text harmless as a cell of a spreadsheet, which would calculate one that begins like a
/// formula: such a text gets a leading apostrophe (OWASP, "CSV Injection"). Misleading characters
/// are escaped, except line breaks (`\n`, `\r\n`).
fn cell(text: &str) -> String {
    let formula = text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    let mut cell = String::with_capacity(text.len() + 1);
    if formula {
        cell.push('\'');
    }
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let breaks = c == '\n' || (c == '\r' && rest.peek() == Some(&'\n'));
        if is_misleading(c) && !breaks {
            cell.extend(c.escape_default());
        } else {
            cell.push(c);
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text() {
        for start in "=+-@\t\r\n\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".chars() {
            let cell = cell(&format!("{start}1+1"));
            assert!(cell.starts_with('\''), "{cell:?}");
        }
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        for text in [
            "",
            "1+1=2",
            "a@b",
            "Größe: 5 µl",
            "two\nlines",
            "two\r\nlines",
            "'quoted'",
        ] {
            assert_eq!(cell(text), text);
        }
    }

    #[test]
    fn misleading_characters_are_visible() {
        assert_eq!(
            cell("a\tb\u{1b}[2J\u{85}\u{202e}c\rd"),
            "a\\tb\\u{1b}[2J\\u{85}\\u{202e}c\\rd"
        );
    }
}
