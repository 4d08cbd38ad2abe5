//! `audit`: the export of the audit log and its delivery to the audit server.

use std::io;

use serde_json::json;

use super::error::Done;
use super::protocol::{ConsoleRequest, ConsoleResponse, NotedAction};
use super::{export, unexpected, Console};
use crate::cli::console::{ExportFilter, ExportFormat};
use crate::domain::text::plural;
use crate::store::{AuditLog, DeliveryStatus};

impl Console<'_> {
    pub(super) fn audit_status(&self) -> Done {
        let status = AuditLog::open(self.directory())?.delivery_status()?;
        let DeliveryStatus {
            rows,
            configured,
            delivered,
            waiting,
            set_aside,
        } = status;
        let numbers: Vec<i64> = set_aside.iter().map(|(seq, _)| *seq).collect();
        let again: Vec<i64> = set_aside
            .iter()
            .filter(|(_, again)| *again)
            .map(|(seq, _)| *seq)
            .collect();
        let configured_said = if configured { "yes" } else { "no" };
        let said = format!(
            "rows in the audit log: {rows}\n\
             audit server configured: {configured_said}\n\
             delivered up to row: {delivered}\n\
             waiting for delivery: {waiting}\n\
             set aside after the audit server refused them: {}\n\
             of these, to be sent again: {}\n",
            count_and_rows(&numbers),
            count_and_rows(&again)
        );
        let value = json!({
            "rows": rows,
            "deliveryConfigured": configured,
            "deliveredUpTo": delivered,
            "waiting": waiting,
            "setAside": numbers,
            "toBeSentAgain": again,
        });
        self.print_either(&value, &said)
    }

    pub(super) fn resend(&self) -> Done {
        let ConsoleResponse::Resent(number) = self.change(ConsoleRequest::Resend)? else {
            return Err(unexpected());
        };
        let said = match number {
            0 => "no event is set aside\n".to_owned(),
            1 => "1 event will be sent again\n".to_owned(),
            _ => format!("{number} events will be sent again\n"),
        };
        self.print_either(&json!({ "sentAgain": number }), &said)
    }

    pub(super) fn export(&self, format: ExportFormat, filter: &ExportFilter) -> Done {
        let log = AuditLog::open(self.directory())?;
        // Asked for first, so that no export is left without a row in the audit log.
        let reason = self.reason()?;
        let out = io::BufWriter::new(io::stdout().lock());
        let rows = export::write(&log, format, filter, out)?;
        drop(log);
        let filtered = export::describe(filter);
        let note = ConsoleRequest::Note {
            action: NotedAction::Export,
            message: format!(
                "Exported {rows} row{} of the audit log{filtered}.",
                plural(rows == 1)
            ),
        };
        self.carry_out(note, reason, false)?;
        Ok(())
    }
}

/// Formats the number of rows and their numbers: `4 (rows 2, 5 to 7)`.
fn count_and_rows(numbers: &[i64]) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    if runs.is_empty() {
        return "0".into();
    }
    let runs: Vec<_> = runs
        .into_iter()
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first} to {last}"),
        })
        .collect();
    format!("{} (rows {})", numbers.len(), runs.join(", "))
}
