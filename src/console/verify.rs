//! Verification of the audit log: its hash chain, the lines in the journal, and hashes that were noted
//! elsewhere.

use std::path::Path;

use serde_json::{json, Value};

use super::error::{ConsoleError, Done};
use super::journal::{self, Rows};
use super::Console;
use crate::cli::console::NotedRow;
use crate::domain::audit::{hex, ChainedRow};
use crate::domain::text::plural;
use crate::store::{AuditLog, Verified};

impl Console<'_> {
    /// Verifies the audit log. `journal`: compare with the journal, or with the lines in a file;
    /// `noted`: compare with these rows.
    pub(super) fn verify(&self, journal: Option<Option<&Path>>, noted: &[NotedRow]) -> Done {
        if let Some(Some(file)) = journal {
            self.enter_for(file)?;
        }
        // A row is written to the table before its line to the journal, so the journal is read first.
        let lines = journal.map(journal::read).transpose()?;
        self.enter()?;
        let log = AuditLog::open(self.directory())?;
        let (mut value, mut said) = self.verify_chain(&log)?;
        self.compare_with_noted(&log, noted)?;
        if let Some(mut lines) = lines {
            let lines = lines.remove(&log.chain()?).unwrap_or_default();
            said += &self.compare_with_journal(&log, &lines, &mut value)?;
        }
        self.print_either(&value, &said)
    }

    /// Verifies the hash chain; returns the result to print if it is intact, as JSON and as text.
    fn verify_chain(&self, log: &AuditLog) -> Done<(Value, String)> {
        match log.verify()? {
            Verified::Whole { rows, hash } => {
                let hash = hex(&hash);
                let said = format!(
                    "the audit log is intact: {rows} row{}, hash of the last row: {hash}\n",
                    plural(rows == 1)
                );
                let value = json!({ "whole": true, "rows": rows, "hash": hash });
                Ok((value, said))
            }
            Verified::Broken { seq, what } => self.broken(seq, what),
        }
    }

    /// Compares rows that were noted at earlier verifications with the log.
    fn compare_with_noted(&self, log: &AuditLog, noted: &[NotedRow]) -> Done {
        for NotedRow { seq, hash } in noted {
            match log.hash_of(*seq)? {
                Some(found) if found == *hash => {}
                Some(_) => return self.broken(*seq, "has a different hash than noted"),
                None => return self.broken(*seq, "is missing"),
            }
        }
        Ok(())
    }

    /// Compares the `lines` of the journal with the log; adds the result to `value`, and returns it
    /// as text.
    fn compare_with_journal(
        &self,
        log: &AuditLog,
        lines: &Rows,
        value: &mut Value,
    ) -> Done<String> {
        let mut confirmed: Vec<i64> = Vec::new();
        let mut left = lines.iter().peekable();
        let mut rows = 0;
        let compared = log.each(|ChainedRow { row, hash }| {
            rows = row.seq;
            while let Some((seq, journal_hash)) = left.next_if(|(seq, _)| *seq <= row.seq) {
                if *seq < row.seq {
                    return Err((*seq, "is in the journal but not in the table"));
                }
                if *journal_hash != hash {
                    return Err((*seq, "has a different hash in the journal"));
                }
                confirmed.push(*seq);
            }
            Ok(())
        })?;
        if let Err((seq, what)) = compared {
            return self.broken(seq, what);
        }
        if let Some((seq, _)) = left.next() {
            return self.broken(*seq, "is in the journal but not in the table");
        }
        if confirmed.is_empty() && rows > 0 {
            if self.common.json {
                let what = "the journal has no line for any row";
                self.print_json(&json!({ "whole": false, "what": what }))?;
            }
            let chain = log.chain()?;
            return Err(ConsoleError::NotInJournal { rows, chain });
        }
        let (first, last) = (confirmed.first(), confirmed.last());
        value["journal"] = json!({ "vouchedFor": confirmed.len(), "first": first, "last": last });
        Ok(match (first, last) {
            (Some(first), Some(last)) => format!(
                "the journal confirms {} of them, from row {first} to row {last}\n",
                confirmed.len()
            ),
            _ => "there are no rows for the journal to confirm\n".to_owned(),
        })
    }

    /// Reports the first faulty row.
    fn broken<T>(&self, seq: i64, what: &'static str) -> Done<T> {
        if self.common.json {
            self.print_json(&json!({ "whole": false, "row": seq, "what": what }))?;
        }
        Err(ConsoleError::Broken { seq, what })
    }
}
