//! Console commands: accounts, access control, backups and the audit log, even when nobody can log in.
//!
//! A command that changes something is carried out by the process that holds the lock of the state
//! directory: the running service, which is sent a request, or, if none is running, this process.
//! A command that only reads the audit log opens the database beside the service.

mod access_control;
mod accounts;
mod audit;
mod backup;
mod carry_out;
mod completions;
mod directory;
mod error;
mod export;
pub mod failure;
mod import;
pub mod journal;
mod prompt;
pub mod protocol;
mod reason;
pub mod remote_access;
mod sessions;
mod settings;
pub mod socket;
mod table;
mod users;
mod verify;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::{geteuid, getuid, User};
use serde_json::Value;

use self::carry_out::carry_out;
pub use self::completions::completions;
pub use self::error::ConsoleError;
use self::error::{io_error, Done};
use self::failure::{Kind, Refusal};
use self::protocol::{ConsoleRequest, ConsoleResponse, Envelope};
use crate::cli::console::{AuditCommand, Common, ConsoleCommand};
use crate::directory::client::Client;
use crate::logging::{self, escape_json};
use crate::os::state_dir::StateDir;
use crate::os::{files, lock, owner};
use crate::service::hashing::Hasher;
use crate::service::Service;
use crate::store::{self, Store};

/// Maximum time to wait for a service that is starting or stopping.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two attempts.
const RETRY: Duration = Duration::from_millis(20);

/// Carries out a command and prints its result to standard output.
///
/// # Errors
/// - [`ConsoleError::StateDir`]: the state directory cannot be used.
/// - [`ConsoleError::Store`]: the database, or the backup or import file, cannot be read or written.
/// - [`ConsoleError::Refused`]: the command breaks a rule, names what does not exist, or was not
///   confirmed, or there is nothing to import.
/// - [`ConsoleError::Service`]: the running service does not answer.
/// - [`ConsoleError::Broken`], [`ConsoleError::NotInJournal`]: the audit log fails its verification.
/// - [`ConsoleError::Journal`]: the journal cannot be read.
/// - [`ConsoleError::Io`]: a file, the terminal, standard input or standard output failed.
pub fn run(command: &ConsoleCommand, common: &Common) -> Done {
    let console = Console {
        common,
        user: invoking_user(),
        reason: command.reason().map(reason::check).transpose()?,
    };
    let is_root = geteuid().is_root();
    let found = match command {
        // This needs nothing of this server.
        ConsoleCommand::Import {
            directory: Some(_),
            dry_run: true,
            ..
        } => Ok(()),
        _ => console.require_directory(),
    };
    let done = found.and_then(|()| dispatch(&console, command));
    done.map_err(|error| match is_root {
        true => error,
        false => error.advise_rights(&common.persistence_directory),
    })
}

fn dispatch(console: &Console, command: &ConsoleCommand) -> Done {
    match command {
        // These first open or create what the user names, which the owner may have no access to.
        ConsoleCommand::Backup { .. }
        | ConsoleCommand::Restore { .. }
        | ConsoleCommand::Import { .. }
        | ConsoleCommand::Directory(_)
        | ConsoleCommand::Audit(AuditCommand::Verify { .. }) => {}
        _ => console.enter()?,
    }
    match command {
        ConsoleCommand::User(command) => console.user(command),
        ConsoleCommand::Session(command) => console.session(command),
        ConsoleCommand::Settings(command) => console.settings(command),
        ConsoleCommand::AccessControl(command) => console.access_control(command),
        ConsoleCommand::Directory(command) => console.lab_directory(command),
        ConsoleCommand::Backup { file, .. } => console.backup(file),
        ConsoleCommand::Restore { file, sure, .. } => console.restore(file, sure),
        ConsoleCommand::Import {
            directory,
            dry_run,
            force,
            again,
            sure,
            ..
        } => console.import(&import::Arguments {
            directory: directory.as_ref(),
            dry_run: *dry_run,
            force: *force,
            again: *again,
            sure,
        }),
        ConsoleCommand::Audit(AuditCommand::Verify { journal, noted }) => {
            console.verify(journal.as_ref().map(Option::as_deref), noted)
        }
        ConsoleCommand::Audit(AuditCommand::Status) => console.audit_status(),
        ConsoleCommand::Audit(AuditCommand::Resend { .. }) => console.resend(),
        ConsoleCommand::Audit(AuditCommand::Export { format, filter, .. }) => {
            console.export(*format, filter)
        }
    }
}

/// Console of the robot, with the options common to all commands.
struct Console<'a> {
    common: &'a Common,
    /// Name of the user at the console.
    user: String,
    /// Reason given for the audit log, `Some(None)` if it is blank; `None` without `--reason`.
    reason: Option<Option<String>>,
}

impl Console<'_> {
    /// Checks that the state directory exists, because only the server creates it.
    fn require_directory(&self) -> Done {
        let directory = self.directory();
        let found = fs::metadata(directory).map_err(|error| error.kind());
        if found.is_err_and(|kind| kind == io::ErrorKind::NotFound) {
            let detail = format!(
                "the state directory {} does not exist: start the server, which creates it, or pass \
                 --persistence-directory",
                directory.display()
            );
            return Err(Refusal::new(Kind::Failed, "stateDirectoryNotFound", detail).into());
        }
        Ok(())
    }

    /// Becomes the owner of the state directory for good, if this process is root and another user
    /// owns it. Nothing in the directory may be opened or created before.
    fn enter(&self) -> Done {
        owner::become_owner(self.directory())
            .map_err(io_error("become the owner of the state directory"))
    }

    /// Enters now if the file or directory that the user named is in the state directory. Any other
    /// one is opened or created with the user's own rights, before [`Self::enter`].
    fn enter_for(&self, named: &Path) -> Done {
        if files::is_within(named, self.directory()) {
            self.enter()?;
        }
        Ok(())
    }

    fn directory(&self) -> &Path {
        &self.common.persistence_directory
    }

    /// Has a request that changes nothing carried out by the process that holds the state directory.
    fn request(&self, request: ConsoleRequest) -> Done<ConsoleResponse> {
        self.carry_out(request, None, false)
    }

    /// Has a change carried out by that process, for the reason given or asked for.
    fn change(&self, request: ConsoleRequest) -> Done<ConsoleResponse> {
        let reason = self.reason()?;
        self.carry_out(request, reason, false)
    }

    /// Has a request carried out by the running service or, if there is none, by this process.
    /// `reason`: reason for the audit log; `replaces`: the request replaces the contents of the database,
    /// so a damaged one is moved aside.
    ///
    /// # Errors
    /// - [`ConsoleError::Refused`]: the request was refused.
    /// - [`ConsoleError::Service`]: the service does not answer within the request's patience, or
    ///   neither accepts connections nor releases the directory within [`PATIENCE`].
    /// - [`ConsoleError::StateDir`]: the state directory cannot be used.
    /// - [`ConsoleError::Store`]: the database cannot be opened by this process.
    /// - [`ConsoleError::Io`]: this process cannot start a thread or move a damaged database aside.
    fn carry_out(
        &self,
        request: ConsoleRequest,
        reason: Option<String>,
        replaces: bool,
    ) -> Done<ConsoleResponse> {
        let directory = self.directory();
        let envelope = Envelope {
            user: self.user.clone(),
            reason,
            request,
        };
        let within = socket::patience(&envelope.request);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(state_dir) = StateDir::open_if_free(directory)? {
                let directory_uds = &self.common.directory_uds;
                return carry_out_here(&state_dir, directory_uds, envelope, replaces);
            }
            let service = |source| ConsoleError::Service {
                directory: directory.to_owned(),
                holder: lock::holder(directory),
                source,
            };
            match socket::request(directory, &envelope, within) {
                Ok(Some(answer)) => return answer.map_err(ConsoleError::Refused),
                // The service is starting or stopping.
                Ok(None) if Instant::now() < deadline => std::thread::sleep(RETRY),
                Ok(None) => return Err(service(None)),
                Err(error) => return Err(service(Some(error))),
            }
        }
    }

    fn print_either(&self, value: &Value, said: &str) -> Done {
        if self.common.json {
            self.print_json(value)
        } else {
            self.print(said)
        }
    }

    fn print_json(&self, value: &Value) -> Done {
        self.print(&format!("{}\n", escape_json(format!("{value:#}"))))
    }

    fn print(&self, text: &str) -> Done {
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(io_error("write to standard output"))
    }
}

/// Carries out a request in this process, because no service is running.
fn carry_out_here(
    state_dir: &StateDir,
    directory_uds: &Path,
    envelope: Envelope,
    replaces: bool,
) -> Done<ConsoleResponse> {
    let opened = if replaces {
        Store::open(state_dir.path(), logging::audit)
    } else {
        Store::open_or_import(state_dir.path(), logging::audit)
    };
    let store = match opened {
        Err(error) if replaces && store::is_damaged(&error) => {
            let aside = store::move_aside(state_dir.path())
                .map_err(io_error("move the damaged database aside"))?;
            eprintln!("moved the damaged database to {}", aside.display());
            Store::open(state_dir.path(), logging::audit)?
        }
        opened => opened?,
    };
    let hasher = Hasher::start().map_err(io_error("start a thread"))?;
    let directory = Client::new(directory_uds.to_owned());
    let service = Service::new(Arc::new(store), Arc::new(hasher)).with_directory(directory);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io_error("start the asynchronous runtime"))?;
    runtime
        .block_on(carry_out(&service, envelope))
        .map_err(ConsoleError::Refused)
}

/// Returns the error for a response that does not match its request.
fn unexpected() -> ConsoleError {
    Refusal::other_version().into()
}

/// Returns the name of the user at the console: with sudo, the user who ran it (`sudo(8)`).
fn invoking_user() -> String {
    let uid = getuid();
    let sudo_user = std::env::var("SUDO_USER").ok();
    sudo_user
        .filter(|name| uid.is_root() && !name.is_empty())
        .or_else(|| User::from_uid(uid).ok().flatten().map(|user| user.name))
        .unwrap_or_else(|| format!("uid {uid}"))
}

/// Returns the absolute path of an existing file, or the path as it is.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
