//! `backup` and `restore`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde_json::json;

use super::error::{io_error, ConsoleError, Done};
use super::failure::{Kind, Refusal};
use super::prompt::confirm;
use super::protocol::{ConsoleRequest, ConsoleResponse, NotedAction};
use super::{absolute, unexpected, Console};
use crate::cli::console::Sure;
use crate::domain::text::plural;
use crate::os::owner;
use crate::store::{self, StoreError};

/// File name that stands for standard output or standard input.
const STANDARD: &str = "-";

impl Console<'_> {
    pub(super) fn backup(&self, file: &Path) -> Done {
        if file == Path::new(STANDARD) {
            return self.back_up_to_standard_output();
        }
        self.enter_for(file)?;
        // Asked for first, so that no backup is left without a row in the audit log.
        let reason = owner::as_owner(self.directory(), || self.reason())
            .map_err(io_error("act as the owner of the state directory"))??;
        store::backup(self.directory(), file).map_err(|error| about_target(error, file))?;
        let path = absolute(file);
        self.enter()?;
        self.note_backup(&format!("{path:?}"), reason)?;
        let said = format!("wrote {}; keep it secret\n", path.display());
        self.print_either(&json!({ "file": path }), &said)
    }

    /// Writes a backup to standard output, for a serial line or a pipe.
    fn back_up_to_standard_output(&self) -> Done {
        if io::stdout().is_terminal() {
            let detail = "a backup is not text: redirect standard output, for example to base64";
            return Err(Refusal::new(Kind::Failed, "isTerminal", detail).into());
        }
        self.enter()?;
        let reason = self.reason()?;
        let mut snapshot = store::snapshot(self.directory())?;
        // Recorded first: whoever reads a part of it has that part.
        self.note_backup("standard output", reason)?;
        let mut out = io::stdout().lock();
        io::copy(&mut snapshot, &mut out)
            .and_then(|_| out.flush())
            .map_err(io_error("write to standard output"))?;
        eprintln!("wrote a backup to standard output; keep it secret");
        Ok(())
    }

    fn note_backup(&self, target: &str, reason: Option<String>) -> Done {
        let note = ConsoleRequest::Note {
            action: NotedAction::Backup,
            message: format!("Backed up all accounts to {target}."),
        };
        self.carry_out(note, reason, false)?;
        Ok(())
    }

    pub(super) fn restore(&self, file: &Path, sure: &Sure) -> Done {
        let backup = if file == Path::new(STANDARD) {
            backup_of_standard_input(sure)?
        } else {
            self.enter_for(file)?;
            store::Backup::open(file)
                .map_err(|error| ConsoleError::from(error).about_named_file())?
        };
        self.enter()?;
        // The service has another working directory.
        let staged = backup.stage(&absolute(self.directory()))?;
        confirm(
            sure,
            "Replace all accounts and settings with those of the backup? All sessions end.",
        )?;
        let reason = self.reason()?;
        let path = staged.path().to_owned();
        let restored = self.carry_out(ConsoleRequest::Restore(path), reason, true);
        drop(staged);
        let ConsoleResponse::Restored(users, with_log) = restored? else {
            return Err(unexpected());
        };
        let log = if with_log {
            "was restored too"
        } else {
            "was kept"
        };
        let said = format!(
            "restored {users} user{}; the audit log {log}\n",
            plural(users == 1)
        );
        let value = json!({ "users": users, "withAuditLog": with_log });
        self.print_either(&value, &said)
    }
}

/// Converts the error of a backup to the new file `target`: says whether it exists, or its directory does
/// not.
fn about_target(error: StoreError, target: &Path) -> ConsoleError {
    let StoreError::Io { path, source, .. } = &error else {
        return error.into();
    };
    let shown = target.display();
    let (kind, id, detail) = match source.kind() {
        io::ErrorKind::AlreadyExists if path == target => (
            Kind::Refused,
            "fileExists",
            format!("{shown} already exists: name a new file"),
        ),
        io::ErrorKind::NotFound if path == target => (
            Kind::Failed,
            "directoryNotFound",
            format!("cannot create {shown}: its directory does not exist"),
        ),
        _ => return error.into(),
    };
    Refusal::new(kind, id, detail).into()
}

/// Reads the beginning of the backup that standard input contains, which therefore cannot confirm.
///
/// # Errors
/// - [`ConsoleError::Refused`]: `--yes` was not given, or standard input is a terminal.
/// - [`ConsoleError::Store`]: it is no backup, or cannot be read.
fn backup_of_standard_input(sure: &Sure) -> Done<store::Backup> {
    if !sure.yes {
        let detail = "standard input is the backup and cannot confirm: pass --yes";
        return Err(Refusal::new(Kind::Failed, "notConfirmed", detail).into());
    }
    if io::stdin().is_terminal() {
        let detail = "a backup is not text: redirect standard input, for example from base64 -d";
        return Err(Refusal::new(Kind::Failed, "isTerminal", detail).into());
    }
    Ok(store::Backup::read(io::stdin(), "standard input")?)
}
