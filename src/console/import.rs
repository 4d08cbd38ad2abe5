//! `import`: taking over the Python server's state at the console.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use super::protocol::{ConsoleRequest, ConsoleResponse};
use super::{absolute, confirm, invoking_user, io_error, unexpected, Console, ConsoleError, Done};
use super::{PATIENCE, RETRY};
use crate::cli::console::Sure;
use crate::domain::audit::{Actor, Origin};
use crate::domain::authority::Caller;
use crate::logging;
use crate::os::clock::Clock;
use crate::os::state_dir::StateDir;
use crate::store::{self, Strictness, Summary, Survey, Takeover, DATABASE};

/// What `import` was told.
pub struct Import<'a> {
    pub directory: Option<&'a PathBuf>,
    pub dry_run: bool,
    pub force: bool,
    pub again: bool,
    pub sure: &'a Sure,
}

impl Import<'_> {
    fn strictness(&self) -> Strictness {
        if self.force {
            Strictness::Force
        } else {
            Strictness::All
        }
    }

    fn survey(&self, ours: &Path, into: &Path) -> Done<Survey> {
        let directory = absolute(self.directory.map_or(ours, PathBuf::as_path));
        Survey::of(&directory, into).ok_or_else(|| {
            let directory = directory.display();
            ConsoleError::Refused(format!(
                "there is no state of the Python server in {directory}"
            ))
        })
    }
}

impl Console<'_> {
    pub(super) fn import(&self, import: &Import) -> Done {
        let has_accounts = self.directory().join(DATABASE).exists();
        if import.dry_run {
            return self.try_out(import);
        }
        if has_accounts && !import.again {
            return Err(already_there(self.directory()));
        }
        let summary = if has_accounts {
            self.replace(import)?
        } else {
            self.take_over_first(import)?
        };
        self.print_summary("took over", "left out", &summary)
    }

    /// Says what would be taken over.
    fn try_out(&self, import: &Import) -> Done {
        let stage = tempfile::Builder::new()
            .prefix("opentrons-auth-server-")
            .tempdir()
            .map_err(io_error("make a temporary directory"))?;
        let survey = import.survey(self.directory(), stage.path())?;
        let takeover = Takeover::read(&survey, Clock::resume(None).1);
        let in_the_way = match import.strictness() {
            Strictness::All => "in the way",
            Strictness::Force => "would leave out",
        };
        self.print_summary("would take over", in_the_way, &takeover.summary())?;
        Ok(takeover.check(import.strictness())?)
    }

    /// Does what the first start would, in a directory without a database of ours.
    fn take_over_first(&self, import: &Import) -> Done<Summary> {
        let directory = self.directory();
        let deadline = Instant::now() + PATIENCE;
        // A service that cannot take the state over starts again and again.
        let state_dir = loop {
            match StateDir::open_if_free(directory)? {
                Some(state_dir) => break state_dir,
                None if Instant::now() < deadline => std::thread::sleep(RETRY),
                None => return Err(already_there(directory)),
            }
        };
        if directory.join(DATABASE).exists() {
            return Err(already_there(directory));
        }
        let stage = store::clean_stage_directory(state_dir.path())?;
        let survey = import.survey(directory, stage.path())?;
        let takeover = Takeover::read(&survey, Clock::resume(None).1);
        takeover.check(import.strictness())?;
        drop(stage);
        let caller = Caller {
            actor: Actor::console(&invoking_user()),
            ..Caller::anonymous(Origin::Console, None)
        };
        Ok(takeover.make_database(state_dir.path(), &caller, logging::audit)?)
    }

    /// Replaces the accounts that there are.
    fn replace(&self, import: &Import) -> Done<Summary> {
        // The service, which works elsewhere, is told where the copy is.
        let directory = absolute(self.directory());
        let stage = store::stage_directory(&directory)?;
        let survey = import.survey(&directory, stage.path())?;
        let takeover = Takeover::read(&survey, Clock::resume(None).1);
        takeover.check(import.strictness())?;
        confirm(
            import.sure,
            &format!(
                "Replace all accounts and settings by the Python server's ({})? Every login ends.",
                takeover.summary()
            ),
        )?;
        let strictness = import.strictness();
        match self.request(ConsoleRequest::Import { survey, strictness })? {
            ConsoleResponse::Imported(summary) => Ok(summary),
            _ => Err(unexpected()),
        }
    }

    fn print_summary(&self, done: &str, left_out: &str, summary: &Summary) -> Done {
        let mut said = format!("{done} from {}: {summary}\n", summary.file.display());
        for note in &summary.notes {
            said += &format!("note: {note}\n");
        }
        for fault in &summary.faults {
            said += &format!("{left_out}: {fault}\n");
        }
        if summary.access_control && summary.administrators == 0 {
            said += "note: there is no administrator: create one with `opentrons-auth-server user \
                     add`\n";
        }
        self.print_either(&json!(summary), &said)
    }
}

fn already_there(directory: &Path) -> ConsoleError {
    ConsoleError::Refused(format!(
        "there are accounts in {} already: to replace them, say --again",
        directory.display()
    ))
}
