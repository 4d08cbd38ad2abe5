//! `backup` and `restore`.

use std::path::Path;

use serde_json::json;

use super::error::{io_error, ConsoleError, Done};
use super::prompt::confirm;
use super::protocol::{ConsoleRequest, ConsoleResponse, NotedAction};
use super::{absolute, unexpected, Console};
use crate::cli::console::Sure;
use crate::os::owner;
use crate::store;

impl Console<'_> {
    pub(super) fn backup(&self, file: &Path) -> Done {
        self.enter_for(file)?;
        // Asked for first, so that no backup is left without a row in the audit log.
        let reason = owner::as_owner(self.directory(), || self.reason())
            .map_err(io_error("act as the owner of the state directory"))??;
        store::backup(self.directory(), file)?;
        let path = absolute(file);
        self.enter()?;
        let note = ConsoleRequest::Note {
            action: NotedAction::Backup,
            message: format!("Backed up all accounts to {path:?}."),
        };
        self.carry_out(note, reason, false)?;
        let said = format!("wrote {}; keep it secret\n", path.display());
        self.print_either(&json!({ "file": path }), &said)
    }

    pub(super) fn restore(&self, file: &Path, sure: &Sure) -> Done {
        self.enter_for(file)?;
        let backup = store::Backup::open(file)
            .map_err(|error| ConsoleError::from(error).about_named_file())?;
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
        let said = format!("restored {users} users; the audit log {log}\n");
        let value = json!({ "users": users, "withAuditLog": with_log });
        self.print_either(&value, &said)
    }
}
