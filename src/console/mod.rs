//! Console commands: accounts, access control, backups and the audit log, even when nobody can log in.
//!
//! A command that changes something is carried out by the process that holds the lock of the state
//! directory: the running service, which is sent a request, or, if none is running, this process.
//! A command that only reads the audit log opens the database beside the service.

mod accounts;
mod export;
mod import;
pub mod journal;
pub mod protocol;
pub mod remote_access;
mod sessions;
mod settings;
pub mod socket;
mod verify;

use std::error::Error as StdError;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use comfy_table::{presets, Table};
use nix::unistd::{getuid, User};
use serde_json::{json, Value};
use thiserror::Error;

use self::journal::JournalError;
use self::protocol::{
    carry_out, ConsoleRequest, ConsoleResponse, Envelope, NotedAction, UserChange,
};
use crate::cli::console::{
    AccessControlCommand, AuditCommand, Common, ConsoleCommand, ExportFormat, GivePassword, Sure,
    UserCommand,
};
use crate::domain::text::escape;
use crate::domain::users::AccountType;
use crate::http::views::{ResetPasswordReason, UserView};
use crate::logging::{self, escape_json};
use crate::os::state_dir::{StateDir, StateDirError};
use crate::os::{files, lock, owner};
use crate::service::hashing::Hasher;
use crate::service::Service;
use crate::store::{self, AuditLog, DeliveryStatus, Store, StoreError};

/// Maximum time to wait for a service that is starting or stopping.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two attempts.
const RETRY: Duration = Duration::from_millis(20);

/// Why a command failed.
#[derive(Debug, Error)]
pub enum ConsoleError {
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command was refused; the text gives the reason.
    #[error("{0}")]
    Refused(String),
    /// The service does not answer.
    #[error(
        "the service with the state directory {} does not answer: {}",
        directory.display(),
        holder.as_ref().map_or("another process".into(), |holder| escape(holder))
            + " holds the lock of the directory"
    )]
    Service {
        /// State directory of the service.
        directory: PathBuf,
        /// Number and name of the process that holds its lock, if known.
        holder: Option<String>,
        /// Error of the connection; `None` if the service accepts none.
        source: Option<io::Error>,
    },
    /// The audit log was changed.
    #[error("the audit log was tampered with or damaged: row {seq} {what}")]
    Broken {
        /// Number of the first row with a fault.
        seq: i64,
        /// Description of the fault, as a predicate of the row.
        what: &'static str,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal contains no line of the audit log's chain.
    #[error("the journal has no line for any of the audit log's {rows} rows (chain {chain})")]
    NotInJournal {
        /// Number of rows of the audit log.
        rows: i64,
        /// Identifier of the audit log's chain.
        chain: String,
    },
    /// An operation on a file, the terminal, standard input or standard output failed.
    #[error("cannot {doing}")]
    Io {
        /// Operation that failed, as a verb phrase.
        doing: &'static str,
        /// Error of the operation.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// Returns a function that converts an error of the operation `doing`.
fn io_error<E: StdError + Send + Sync + 'static>(
    doing: &'static str,
) -> impl Fn(E) -> ConsoleError {
    move |source| ConsoleError::Io {
        doing,
        source: source.into(),
    }
}

type Done<T = ()> = Result<T, ConsoleError>;

/// Carries out a command and prints its result to standard output.
///
/// # Errors
/// - [`ConsoleError::StateDir`]: the state directory does not exist or cannot be used.
/// - [`ConsoleError::Store`]: the database, or the backup or import file, cannot be read or written.
/// - [`ConsoleError::Refused`]: the command breaks a rule, was not confirmed, or there is nothing to
///   import.
/// - [`ConsoleError::Service`]: the running service does not answer.
/// - [`ConsoleError::Broken`], [`ConsoleError::NotInJournal`]: the audit log fails its verification.
/// - [`ConsoleError::Journal`]: the journal cannot be read.
/// - [`ConsoleError::Io`]: a file, the terminal, standard input or standard output failed.
pub fn run(command: &ConsoleCommand, common: &Common) -> Done {
    let console = Console {
        common,
        user: invoking_user(),
    };
    match command {
        // These first open or create what the user names, which the owner may have no access to.
        ConsoleCommand::Backup { .. }
        | ConsoleCommand::Restore { .. }
        | ConsoleCommand::Import { .. }
        | ConsoleCommand::Audit(AuditCommand::Verify { .. }) => {}
        _ => console.enter()?,
    }
    match command {
        ConsoleCommand::User(command) => console.user(command),
        ConsoleCommand::Session(command) => console.session(command),
        ConsoleCommand::Settings(command) => console.settings(command),
        ConsoleCommand::AccessControl(command) => console.access_control(command),
        ConsoleCommand::Backup { file } => console.backup(file),
        ConsoleCommand::Restore { file, sure } => console.restore(file, sure),
        ConsoleCommand::Import {
            directory,
            dry_run,
            force,
            again,
            sure,
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
        ConsoleCommand::Audit(AuditCommand::Resend) => console.resend(),
        ConsoleCommand::Audit(AuditCommand::Export { format }) => console.export(*format),
    }
}

/// Console of the robot, with the options common to all commands.
struct Console<'a> {
    common: &'a Common,
    /// Name of the user at the console.
    user: String,
}

impl Console<'_> {
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

    fn user(&self, command: &UserCommand) -> Done {
        match command {
            UserCommand::List { long: true } => self.list_long(),
            UserCommand::List { long: false } => match self.request(ConsoleRequest::ListUsers)? {
                ConsoleResponse::Users(users) => self.print_either(&json!(users), &table(&users)),
                _ => Err(unexpected()),
            },
            UserCommand::Add {
                username,
                full_name,
                account_type,
                password,
            } => {
                let request = ConsoleRequest::AddUser {
                    username: username.clone(),
                    full_name: full_name.clone(),
                    account_type: (*account_type).into(),
                    password: read_password(password)?,
                };
                self.print_user("created", request)
            }
            UserCommand::Show { username } => self.show_user(username.clone()),
            UserCommand::Set {
                username,
                new_username,
                full_name,
                account_type,
                require_new_password,
                password,
            } => {
                let change = UserChange {
                    username: new_username.clone(),
                    full_name: full_name.clone(),
                    account_type: account_type.map(Into::into),
                    password: read_password(password)?,
                    locked: None,
                    reset_password: *require_new_password,
                };
                self.update("changed", username, change)
            }
            UserCommand::ResetPassword { username, password } => {
                let request = ConsoleRequest::ResetPassword {
                    username: username.clone(),
                    password: read_password(password)?,
                };
                self.print_user("set a new password for", request)
            }
            UserCommand::Unlock { username } => {
                self.update("unlocked", username, UserChange::lock(false))
            }
            UserCommand::Lock { username } => {
                self.update("locked", username, UserChange::lock(true))
            }
            UserCommand::Delete { username, sure } => {
                confirm(sure, &format!("Delete the user {username:?}?"))?;
                let username = username.clone();
                let said = format!("deleted {}\n", escape(&username));
                self.request(ConsoleRequest::DeleteUser { username })?;
                self.print_either(&json!({}), &said)
            }
        }
    }

    /// Changes a user, and prints what was `done` and the user.
    fn update(&self, done: &str, username: &str, change: UserChange) -> Done {
        let username = username.to_owned();
        self.print_user(done, ConsoleRequest::UpdateUser { username, change })
    }

    /// Sends a request about a user, and prints what was `done` and the user.
    fn print_user(&self, done: &str, request: ConsoleRequest) -> Done {
        let ConsoleResponse::User(user, temporary) = self.request(request)? else {
            return Err(unexpected());
        };
        let mut value = json!(user);
        let mut said = format!("{done} {}\n", escape(&user.username));
        if let Some(password) = temporary {
            said += &format!("temporary password: {password}\n");
            value["temporaryPassword"] = password.into();
        }
        self.print_either(&value, &said)
    }

    fn access_control(&self, command: &AccessControlCommand) -> Done {
        let request = match command {
            AccessControlCommand::Status => ConsoleRequest::AccessControl,
            AccessControlCommand::Enable { sure } => {
                self.warn_of_accounts()?;
                confirm(sure, "Turn access control on?")?;
                ConsoleRequest::SetAccessControl(true)
            }
            AccessControlCommand::Disable { sure } => {
                confirm(
                    sure,
                    "Turn access control off? Anyone who can reach the robot may then do everything.",
                )?;
                ConsoleRequest::SetAccessControl(false)
            }
        };
        let ConsoleResponse::AccessControl(on) = self.request(request)? else {
            return Err(unexpected());
        };
        let said = format!("access control is {}\n", if on { "on" } else { "off" });
        self.print_either(&json!({ "accessControlEnabled": on }), &said)
    }

    /// Lists what was prepared while anyone could do everything: accounts, which stay, and their
    /// sessions, which end.
    fn warn_of_accounts(&self) -> Done {
        let ConsoleResponse::Accounts(accounts) = self.request(ConsoleRequest::ListAccounts)?
        else {
            return Err(unexpected());
        };
        let sessions: usize = accounts.iter().map(|(_, sessions)| sessions).sum();
        eprint!("{}", account_table(&accounts));
        eprintln!(
            "While access control is off, anyone can create accounts. Each account above can be used \
             after it is turned on: delete those that nobody knows first. All sessions end \
             ({sessions} now)."
        );
        Ok(())
    }

    fn backup(&self, file: &Path) -> Done {
        self.enter_for(file)?;
        store::backup(self.directory(), file)?;
        let path = absolute(file);
        self.enter()?;
        self.request(ConsoleRequest::Note {
            action: NotedAction::Backup,
            message: format!("Backed up all accounts to {path:?}."),
        })?;
        let said = format!("wrote {}; keep it secret\n", path.display());
        self.print_either(&json!({ "file": path }), &said)
    }

    fn restore(&self, file: &Path, sure: &Sure) -> Done {
        self.enter_for(file)?;
        let backup = store::Backup::open(file)?;
        self.enter()?;
        // The service has another working directory.
        let staged = backup.stage(&absolute(self.directory()))?;
        confirm(
            sure,
            "Replace all accounts and settings with those of the backup? All sessions end.",
        )?;
        let path = staged.path().to_owned();
        let restored = self.carry_out(ConsoleRequest::Restore(path), true);
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

    fn audit_status(&self) -> Done {
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

    fn resend(&self) -> Done {
        let ConsoleResponse::Resent(number) = self.request(ConsoleRequest::Resend)? else {
            return Err(unexpected());
        };
        let said = match number {
            0 => "no event is set aside\n".to_owned(),
            1 => "1 event will be sent again\n".to_owned(),
            _ => format!("{number} events will be sent again\n"),
        };
        self.print_either(&json!({ "sentAgain": number }), &said)
    }

    fn export(&self, format: ExportFormat) -> Done {
        let log = AuditLog::open(self.directory())?;
        let rows = export::write(&log, format, io::BufWriter::new(io::stdout().lock()))?;
        drop(log);
        self.request(ConsoleRequest::Note {
            action: NotedAction::Export,
            message: format!("Exported {rows} rows of the audit log."),
        })?;
        Ok(())
    }

    /// Has a request carried out by the process that holds the state directory.
    fn request(&self, request: ConsoleRequest) -> Done<ConsoleResponse> {
        self.carry_out(request, false)
    }

    /// Has a request carried out by the running service or, if there is none, by this process.
    /// `replaces`: the request replaces the contents of the database, so a damaged one is moved aside.
    ///
    /// # Errors
    /// - [`ConsoleError::Refused`]: the request was refused.
    /// - [`ConsoleError::Service`]: the service does not answer, or neither accepts connections nor
    ///   releases the directory within [`PATIENCE`].
    /// - [`ConsoleError::StateDir`]: the state directory cannot be used.
    /// - [`ConsoleError::Store`]: the database cannot be opened by this process.
    /// - [`ConsoleError::Io`]: this process cannot start a thread or move a damaged database aside.
    fn carry_out(&self, request: ConsoleRequest, replaces: bool) -> Done<ConsoleResponse> {
        let directory = self.directory();
        let envelope = Envelope {
            user: self.user.clone(),
            request,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(state_dir) = StateDir::open_if_free(directory)? {
                return carry_out_here(&state_dir, envelope, replaces);
            }
            let service = |source| ConsoleError::Service {
                directory: directory.to_owned(),
                holder: lock::holder(directory),
                source,
            };
            match socket::request(directory, &envelope) {
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
    let accounts = Service::new(Arc::new(store), Arc::new(hasher));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(io_error("start the asynchronous runtime"))?;
    runtime
        .block_on(carry_out(&accounts, envelope))
        .map_err(ConsoleError::Refused)
}

/// Returns the error for a response that does not match its request.
fn unexpected() -> ConsoleError {
    ConsoleError::Refused("the running service has a different version: restart it".into())
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

/// Asks for confirmation, unless `--yes` was given.
///
/// # Errors
/// - [`ConsoleError::Refused`]: the answer is not yes, or standard input is not a terminal.
/// - [`ConsoleError::Io`]: the answer cannot be read.
fn confirm(sure: &Sure, question: &str) -> Done {
    if sure.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(ConsoleError::Refused(
            "standard input is not a terminal; pass --yes to confirm".into(),
        ));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(io_error("read the answer"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(ConsoleError::Refused("nothing was changed".into()))
}

/// Reads the password if `--password` was given: typed twice at a terminal, or one line of standard
/// input.
///
/// # Errors
/// - [`ConsoleError::Refused`]: the two passwords differ.
/// - [`ConsoleError::Io`]: the password cannot be read.
fn read_password(give: &GivePassword) -> Done<Option<String>> {
    if !give.password {
        return Ok(None);
    }
    let read = io_error("read the password");
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(&read)?;
        return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
    }
    let password = rpassword::prompt_password("New password: ").map_err(&read)?;
    if rpassword::prompt_password("Again: ").map_err(&read)? == password {
        return Ok(Some(password));
    }
    Err(ConsoleError::Refused("the passwords do not match".into()))
}

/// Returns the absolute path of an existing file, or the path as it is.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
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

/// Formats users as a table, one user per line below a header.
fn table(users: &[UserView]) -> String {
    lines(
        ["USERNAME", "FULL NAME", "TYPE", "LOCKED", "PASSWORD CHANGE"],
        users.iter().map(|user| {
            let [username, full_name, account_type] = identity(user);
            let locked = if user.locked { "yes" } else { "no" }.to_owned();
            [username, full_name, account_type, locked, reason(user)]
        }),
    )
}

/// Formats accounts and their numbers of sessions as a table, one account per line below a header.
fn account_table(accounts: &[(UserView, usize)]) -> String {
    lines(
        ["USERNAME", "FULL NAME", "TYPE", "SESSIONS"],
        accounts.iter().map(|(user, sessions)| {
            let [username, full_name, account_type] = identity(user);
            [username, full_name, account_type, sessions.to_string()]
        }),
    )
}

/// Formats a table without borders.
fn lines<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table.add_rows(rows);
    table
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect()
}

/// Returns the username, full name and account type of a user, for a table.
fn identity(user: &UserView) -> [String; 3] {
    [
        escape(&user.username).into_owned(),
        escape(&user.full_name).into_owned(),
        AccountType::from(user.account_type).name().to_owned(),
    ]
}

/// Returns whether and why a user must change the password, for the table.
fn reason(user: &UserView) -> String {
    use ResetPasswordReason as Reason;
    match user.reset_password_reason {
        Reason::None => "no",
        Reason::FirstTimeLogin => "at first login",
        Reason::AdminForced => "required",
        Reason::PasswordExpired => "expired",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_misleading_characters() {
        let user = serde_json::from_value(json!({
            "username": "ada\u{1b}[2J",
            "fullName": "A\u{202e}da\u{9b}",
            "accountType": "user",
            "locked": false,
            "resetPassword": false,
            "resetPasswordReason": "NONE",
        }));
        let table = table(&[user.expect("a user as the service sends it")]);
        assert!(table.contains("ada\\u{1b}[2J"), "{table}");
        assert!(table.contains("A\\u{202e}da\\u{9b}"), "{table}");
    }
}
