//! `import`: imports the state of the Python server at the console.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use super::error::{io_error, ConsoleError, Done};
use super::failure::{Kind, Refusal};
use super::prompt::confirm;
use super::protocol::{ConsoleRequest, ConsoleResponse};
use super::{absolute, unexpected, Console};
use super::{PATIENCE, RETRY};
use crate::cli::console::Sure;
use crate::domain::audit::{Actor, Origin};
use crate::domain::authority::Caller;
use crate::logging;
use crate::os::clock::Clock;
use crate::os::state_dir::{StateDir, StateDirError};
use crate::store::{self, Carried, Strictness, Summary, Survey, DATABASE};

/// Arguments of `import`.
pub struct Arguments<'a> {
    pub directory: Option<&'a PathBuf>,
    pub dry_run: bool,
    pub force: bool,
    pub again: bool,
    pub sure: &'a Sure,
}

impl Arguments<'_> {
    fn strictness(&self) -> Strictness {
        if self.force {
            Strictness::Force
        } else {
            Strictness::All
        }
    }

    /// Reads the state in the directory that the user named, if any. That needs the user's own
    /// rights, because the Python server's state may be readable for root alone.
    fn carry(&self) -> Done<Option<Carried>> {
        let Some(directory) = self.directory else {
            return Ok(None);
        };
        let directory = absolute(directory);
        if let Ok(false) = directory.try_exists() {
            return Err(nothing_in(&directory));
        }
        Carried::of(&directory)
            .map_err(io_error("copy the Python server's state"))?
            .map(Some)
            .ok_or_else(|| nothing_in(&directory))
    }
}

/// Copies the Python server's state into the directory `into`: the one that was `carried`, or that in
/// our state directory, `ours`.
fn survey(carried: Option<Carried>, ours: &Path, into: &Path) -> Done<Survey> {
    match carried {
        Some(carried) => carried
            .stage(into)
            .map_err(io_error("copy the Python server's state")),
        None => {
            let directory = absolute(ours);
            // The survey would report it as a fault of the Python server's state.
            fs::read_dir(&directory).map_err(|source| StateDirError::Io {
                path: directory.clone(),
                source,
            })?;
            Survey::of(&directory, into).ok_or_else(|| nothing_in(&directory))
        }
    }
}

fn nothing_in(directory: &Path) -> ConsoleError {
    let directory = directory.display();
    let detail = format!("no state of the Python server found in {directory}");
    Refusal::new(Kind::NotFound, "fileNotFound", detail).into()
}

impl Console<'_> {
    pub(super) fn import(&self, arguments: &Arguments) -> Done {
        if let Some(directory) = arguments.directory {
            self.enter_for(directory)?;
        }
        let carried = arguments.carry();
        self.enter()?;
        let has_accounts = self.directory().join(DATABASE).exists();
        if arguments.dry_run {
            return self.dry_run(arguments, carried?);
        }
        if has_accounts && !arguments.again {
            return Err(accounts_exist(self.directory()));
        }
        let summary = if has_accounts {
            self.replace(arguments, carried?)?
        } else {
            self.import_first(arguments, carried?)?
        };
        self.print_summary("imported", "skipped", &summary)
    }

    /// Prints what would be imported.
    fn dry_run(&self, arguments: &Arguments, carried: Option<Carried>) -> Done {
        let stage = tempfile::Builder::new()
            .prefix("opentrons-auth-server-")
            .tempdir()
            .map_err(io_error("create a temporary directory"))?;
        let survey = survey(carried, self.directory(), stage.path())?;
        let import = store::Import::read(&survey, Clock::resume(None).1);
        let label = match arguments.strictness() {
            Strictness::All => "prevents the import",
            Strictness::Force => "would skip",
        };
        self.print_summary("would import", label, &import.summary())?;
        Ok(import.check(arguments.strictness())?)
    }

    /// Imports as the first start of the service would, into a directory without a database of ours.
    fn import_first(&self, arguments: &Arguments, carried: Option<Carried>) -> Done<Summary> {
        let directory = self.directory();
        let deadline = Instant::now() + PATIENCE;
        // A service that cannot import the state is restarted again and again, and locks the directory
        // each time.
        let state_dir = loop {
            match StateDir::open_if_free(directory)? {
                Some(state_dir) => break state_dir,
                None if Instant::now() < deadline => std::thread::sleep(RETRY),
                None => return Err(accounts_exist(directory)),
            }
        };
        if directory.join(DATABASE).exists() {
            return Err(accounts_exist(directory));
        }
        let stage = store::clean_stage_directory(state_dir.path())?;
        let survey = survey(carried, directory, stage.path())?;
        let import = store::Import::read(&survey, Clock::resume(None).1);
        import.check(arguments.strictness())?;
        drop(stage);
        let reason = self.reason.clone().flatten();
        let caller = Caller {
            actor: Actor::console(&self.user),
            ..Caller::anonymous(Origin::Console, reason)
        };
        Ok(import.make_database(state_dir.path(), &caller, logging::audit)?)
    }

    /// Replaces existing accounts and settings.
    fn replace(&self, arguments: &Arguments, carried: Option<Carried>) -> Done<Summary> {
        // The service has another working directory.
        let directory = absolute(self.directory());
        let stage = store::stage_directory(&directory)?;
        let survey = survey(carried, &directory, stage.path())?;
        let import = store::Import::read(&survey, Clock::resume(None).1);
        import.check(arguments.strictness())?;
        confirm(
            arguments.sure,
            &format!(
                "Replace all accounts and settings with the Python server's ({})? All sessions end.",
                import.summary()
            ),
        )?;
        let strictness = arguments.strictness();
        match self.change(ConsoleRequest::Import { survey, strictness })? {
            ConsoleResponse::Imported(summary) => Ok(summary),
            _ => Err(unexpected()),
        }
    }

    /// Prints a summary. `done`: what was done with the state; `fault_label`: what comes of each fault.
    fn print_summary(&self, done: &str, fault_label: &str, summary: &Summary) -> Done {
        let mut said = format!("{done} from {}: {summary}\n", summary.file.display());
        for note in &summary.notes {
            said += &format!("note: {note}\n");
        }
        for fault in &summary.faults {
            said += &format!("{fault_label}: {fault}\n");
        }
        if summary.access_control && summary.administrators == 0 {
            said += "note: there is no administrator: create one with `opentrons-auth-server user add`\n";
        }
        self.print_either(&json!(summary), &said)
    }
}

fn accounts_exist(directory: &Path) -> ConsoleError {
    let detail = format!(
        "{} already contains accounts; pass --again to replace them",
        directory.display()
    );
    Refusal::new(Kind::Refused, "accountsExist", detail).into()
}
