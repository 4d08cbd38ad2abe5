//! The robot's console, for the day nobody can log in: accounts, access control, backups, audit log.
//!
//! What changes something is done by whoever holds the database: a request to the running service,
//! or, when none runs, the same code here. What only reads, reads the database beside it.

mod import;
pub mod journal;
pub mod protocol;
pub mod remote_access;
pub mod socket;

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
use self::protocol::{carry_out, ConsoleRequest, ConsoleResponse, Envelope, NotedAction};
use crate::cli::console::{
    AccessControlCommand, AuditCommand, Common, ConsoleCommand, ExportFormat, GivePassword, Sure,
    UserCommand,
};
use crate::domain::audit::{hex, ChainedRow, Origin};
use crate::http::views::{ResetPasswordReason, UserView};
use crate::logging::{self, AuditLine};
use crate::os::files;
use crate::os::state_dir::{StateDir, StateDirError};
use crate::service::hashing::Hasher;
use crate::service::Service;
use crate::store::{self, AuditLog, DeliveryStatus, Store, StoreError, Verified};

/// How long to wait for a service that starts or stops.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait between two tries.
const RETRY: Duration = Duration::from_millis(20);

/// Why a command failed.
#[derive(Debug, Error)]
pub enum ConsoleError {
    /// The state directory.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was asked is refused; the text says why.
    #[error("{0}")]
    Refused(String),
    /// The service does not answer.
    #[error("the service that works in {} does not answer", directory.display())]
    Service {
        /// The state directory.
        directory: PathBuf,
        /// Why, as far as is known.
        source: Option<io::Error>,
    },
    /// The audit log is not as it was written.
    #[error("the audit log is not whole: row {seq} {what}")]
    Broken {
        /// The first such row.
        seq: i64,
        /// What is wrong.
        what: &'static str,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal has no line of the audit log.
    #[error("the journal has no line of any of the audit log's {rows} rows (chain {chain})")]
    NotInJournal {
        /// How many rows there are.
        rows: i64,
        /// Which chain they are.
        chain: String,
    },
    /// A file, the terminal, or standard input or output.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: Box<dyn StdError + Send + Sync>,
    },
}

fn io_error<E: StdError + Send + Sync + 'static>(
    doing: &'static str,
) -> impl Fn(E) -> ConsoleError {
    move |source| ConsoleError::Io {
        doing,
        source: source.into(),
    }
}

type Done<T = ()> = Result<T, ConsoleError>;

/// Carries a command out, and prints what came of it.
///
/// # Errors
/// [`ConsoleError`], for standard error.
pub fn run(command: &ConsoleCommand) -> Done {
    let console = Console {
        common: command.common(),
    };
    match command {
        ConsoleCommand::User(command) => console.user(command),
        ConsoleCommand::AccessControl(command) => console.access_control(command),
        ConsoleCommand::Backup { file, .. } => console.backup(file),
        ConsoleCommand::Restore { file, sure, .. } => console.restore(file, sure),
        ConsoleCommand::Import {
            directory,
            dry_run,
            force,
            again,
            sure,
            ..
        } => console.import(&import::Import {
            directory: directory.as_ref(),
            dry_run: *dry_run,
            force: *force,
            again: *again,
            sure,
        }),
        ConsoleCommand::Audit(AuditCommand::Verify { journal, .. }) => match journal {
            None => console.verify(),
            Some(file) => console.verify_by_journal(file.as_deref()),
        },
        ConsoleCommand::Audit(AuditCommand::Status { .. }) => console.audit_status(),
        ConsoleCommand::Audit(AuditCommand::Resend { .. }) => console.resend(),
        ConsoleCommand::Audit(AuditCommand::Export { format, .. }) => console.export(*format),
    }
}

struct Console<'a> {
    common: &'a Common,
}

impl Console<'_> {
    fn directory(&self) -> &Path {
        &self.common.persistence_directory
    }

    fn user(&self, command: &UserCommand) -> Done {
        match command {
            UserCommand::List { .. } => match self.request(ConsoleRequest::ListUsers)? {
                ConsoleResponse::Users(users) if self.common.json => self.print_json(&json!(users)),
                ConsoleResponse::Users(users) => self.print(&table(&users)),
                _ => Err(unexpected()),
            },
            UserCommand::Add {
                username,
                full_name,
                account_type,
                password,
                ..
            } => {
                let request = ConsoleRequest::AddUser {
                    username: username.clone(),
                    full_name: full_name.clone(),
                    account_type: (*account_type).into(),
                    password: given(password)?,
                };
                self.tell_user("created", request)
            }
            UserCommand::ResetPassword {
                username, password, ..
            } => {
                let request = ConsoleRequest::ResetPassword {
                    username: username.clone(),
                    password: given(password)?,
                };
                self.tell_user("gave a new password to", request)
            }
            UserCommand::Unlock { username, .. } => {
                let username = username.clone();
                self.tell_user("unlocked", ConsoleRequest::Unlock { username })
            }
            UserCommand::Delete { username, sure, .. } => {
                confirm(sure, &format!("Delete the user {username:?}?"))?;
                let username = username.clone();
                let said = format!("deleted {}\n", printable(&username));
                self.request(ConsoleRequest::DeleteUser { username })?;
                self.print_either(&json!({}), &said)
            }
        }
    }

    fn tell_user(&self, done: &str, request: ConsoleRequest) -> Done {
        let ConsoleResponse::User(user, temporary) = self.request(request)? else {
            return Err(unexpected());
        };
        let mut value = json!(user);
        let mut said = format!("{done} {}\n", printable(&user.username));
        if let Some(password) = temporary {
            said += &format!("temporary password: {password}\n");
            value["temporaryPassword"] = password.into();
        }
        self.print_either(&value, &said)
    }

    fn access_control(&self, command: &AccessControlCommand) -> Done {
        let request = match command {
            AccessControlCommand::Status { .. } => ConsoleRequest::AccessControl,
            AccessControlCommand::Enable { .. } => ConsoleRequest::SetAccessControl(true),
            AccessControlCommand::Disable { sure, .. } => {
                confirm(
                    sure,
                    "Turn access control off? Whoever reaches the robot may then do everything.",
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

    fn backup(&self, file: &Path) -> Done {
        store::backup(self.directory(), file)?;
        let path = absolute(file);
        self.request(ConsoleRequest::Note {
            action: NotedAction::Backup,
            message: format!("Copied all accounts to {path:?}."),
        })?;
        let said = format!("wrote {}; keep it secret\n", path.display());
        self.print_either(&json!({ "file": path }), &said)
    }

    fn restore(&self, file: &Path, sure: &Sure) -> Done {
        store::check_backup(file)?;
        confirm(
            sure,
            "Replace all accounts and settings by the backup's? Every login ends.",
        )?;
        let copy = self
            .directory()
            .join(format!("restore-{}", std::process::id()));
        store::copy(file, &copy)?;
        let restored = files::own_as_directory(&copy)
            .map_err(io_error("give the copy of the backup to the service"))
            .and_then(|()| self.carry_out(ConsoleRequest::Restore(copy.clone()), true));
        for suffix in ["", "-wal", "-shm"] {
            let mut left = copy.clone().into_os_string();
            left.push(suffix);
            // Not there as a rule; a copy that stays is closed to others and does no harm.
            let _kept = std::fs::remove_file(left);
        }
        let ConsoleResponse::Restored(users, with_log) = restored? else {
            return Err(unexpected());
        };
        let log = if with_log { "came along" } else { "stays" };
        let said = format!("restored {users} users; the audit log {log}\n");
        let value = json!({ "users": users, "withAuditLog": with_log });
        self.print_either(&value, &said)
    }

    fn verify(&self) -> Done {
        let (value, said) = self.whole(&AuditLog::open(self.directory())?)?;
        self.print_either(&value, &said)
    }

    /// Checks the chain; returns what to print when it is whole.
    fn whole(&self, log: &AuditLog) -> Done<(Value, String)> {
        match log.verify()? {
            Verified::Whole { rows, hash } => {
                let hash = hex(&hash);
                let said = format!("the audit log is whole: {rows} rows, the last is {hash}\n");
                let value = json!({ "whole": true, "rows": rows, "hash": hash });
                Ok((value, said))
            }
            Verified::Broken { seq, what } => self.broken(seq, what),
        }
    }

    fn broken<T>(&self, seq: i64, what: &'static str) -> Done<T> {
        if self.common.json {
            self.print_json(&json!({ "whole": false, "row": seq, "what": what }))?;
        }
        Err(ConsoleError::Broken { seq, what })
    }

    fn verify_by_journal(&self, file: Option<&Path>) -> Done {
        // A row is in the table before its line is in the journal: so the journal is read first.
        let mut journal = journal::read(file)?;
        let log = AuditLog::open(self.directory())?;
        let (mut value, mut said) = self.whole(&log)?;
        let chain = log.chain()?;
        let told = journal.remove(&chain).unwrap_or_default();
        let mut vouched: Vec<i64> = Vec::new();
        let mut left = told.iter().peekable();
        let mut rows = 0;
        let compared = log.each(|ChainedRow { row, hash }| {
            rows = row.seq;
            while let Some((seq, told)) = left.next_if(|(seq, _)| *seq <= row.seq) {
                if *seq < row.seq {
                    return Err((*seq, "is in the journal and not in the table"));
                }
                if *told != hash {
                    return Err((*seq, "has another hash in the journal"));
                }
                vouched.push(*seq);
            }
            Ok(())
        })?;
        if let Err((seq, what)) = compared {
            return self.broken(seq, what);
        }
        if let Some((seq, _)) = left.next() {
            return self.broken(*seq, "is in the journal and not in the table");
        }
        if vouched.is_empty() && rows > 0 {
            if self.common.json {
                let what = "the journal has no line of any row";
                self.print_json(&json!({ "whole": false, "what": what }))?;
            }
            return Err(ConsoleError::NotInJournal { rows, chain });
        }
        let (first, last) = (vouched.first(), vouched.last());
        value["journal"] = json!({ "vouchedFor": vouched.len(), "first": first, "last": last });
        said += &match (first, last) {
            (Some(first), Some(last)) => format!(
                "the journal vouches for {} of them, from row {first} to row {last}\n",
                vouched.len()
            ),
            _ => "the journal has nothing to vouch for\n".to_owned(),
        };
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
             waiting: {waiting}\n\
             set aside after the audit server refused them: {}\n\
             of these to be sent again: {}\n",
            counted(&numbers),
            counted(&again)
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
            1 => "1 event waits to be sent again\n".to_owned(),
            _ => format!("{number} events wait to be sent again\n"),
        };
        self.print_either(&json!({ "sentAgain": number }), &said)
    }

    fn export(&self, format: ExportFormat) -> Done {
        let log = AuditLog::open(self.directory())?;
        let out = io::BufWriter::new(io::stdout().lock());
        let rows = match format {
            ExportFormat::Jsonl => export_jsonl(&log, out)?,
            ExportFormat::Csv => export_csv(&log, out)?,
        };
        drop(log);
        self.request(ConsoleRequest::Note {
            action: NotedAction::Export,
            message: format!("Wrote out {rows} rows of the audit log."),
        })?;
        Ok(())
    }

    fn request(&self, request: ConsoleRequest) -> Done<ConsoleResponse> {
        self.carry_out(request, false)
    }

    /// Has a request carried out. `replaces`: what the database holds now is about to be replaced, so
    /// a damaged one is moved out of the way.
    fn carry_out(&self, request: ConsoleRequest, replaces: bool) -> Done<ConsoleResponse> {
        let directory = self.directory();
        let envelope = Envelope {
            user: invoking_user(),
            request,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(state_dir) = StateDir::open_if_free(directory)? {
                return here(&state_dir, envelope, replaces);
            }
            let service = |source| ConsoleError::Service {
                directory: directory.to_owned(),
                source,
            };
            match socket::request(directory, &envelope) {
                Ok(Some(answer)) => return answer.map_err(ConsoleError::Refused),
                // It starts or stops just now.
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
        self.print(&format!("{value:#}\n"))
    }

    fn print(&self, text: &str) -> Done {
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(io_error("write to standard output"))
    }
}

/// Carries a request out in this process, for no service runs.
fn here(state_dir: &StateDir, envelope: Envelope, replaces: bool) -> Done<ConsoleResponse> {
    let opened = if replaces {
        Store::open(state_dir.path(), logging::audit)
    } else {
        Store::open_or_take_over(state_dir.path(), logging::audit)
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
        .map_err(io_error("start"))?;
    runtime
        .block_on(carry_out(&accounts, envelope))
        .map_err(ConsoleError::Refused)
}

fn unexpected() -> ConsoleError {
    ConsoleError::Refused("the service is of another version: restart it".into())
}

/// Who is at the console: who became root to be, if anybody.
fn invoking_user() -> String {
    let uid = getuid();
    let behind = std::env::var("SUDO_USER").ok();
    behind
        .filter(|name| uid.is_root() && !name.is_empty())
        .or_else(|| User::from_uid(uid).ok().flatten().map(|user| user.name))
        .unwrap_or_else(|| format!("uid {uid}"))
}

/// Asks whether to go on.
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

/// The password that the user was told to give, if any: typed twice at a terminal, else a line of
/// standard input.
fn given(give: &GivePassword) -> Done<Option<String>> {
    if !give.password {
        return Ok(None);
    }
    let read = io_error("read a password");
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(&read)?;
        return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
    }
    let password = rpassword::prompt_password("New password: ").map_err(&read)?;
    if rpassword::prompt_password("Again: ").map_err(&read)? == password {
        return Ok(Some(password));
    }
    Err(ConsoleError::Refused("the passwords differ".into()))
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// How many rows, and their numbers: `4 (rows 2, 5 to 7)`.
fn counted(numbers: &[i64]) -> String {
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

/// A text without control characters, which a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn table(users: &[UserView]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "USERNAME",
        "FULL NAME",
        "TYPE",
        "LOCKED",
        "NEW PASSWORD",
    ]);
    for user in users {
        table.add_row([
            printable(&user.username),
            printable(&user.full_name),
            crate::domain::users::AccountType::from(user.account_type)
                .name()
                .to_owned(),
            if user.locked { "yes" } else { "no" }.to_owned(),
            reason(user),
        ]);
    }
    table
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect()
}

/// Why a user must set a new password, in words.
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

fn export_jsonl(log: &AuditLog, mut out: impl Write) -> Done<i64> {
    let mut rows = 0;
    log.each(|row| {
        rows = row.row.seq;
        serde_json::to_writer(&mut out, &AuditLine::new(&row, None))?;
        writeln!(out)
    })?
    .and_then(|()| out.flush())
    .map_err(io_error("write to standard output"))?;
    Ok(rows)
}

fn export_csv(log: &AuditLog, out: impl Write) -> Done<i64> {
    let mut rows = 0;
    let mut csv = csv::Writer::from_writer(out);
    let written = csv
        .write_record([
            "seq",
            "time",
            "action",
            "accountName",
            "legalName",
            "message",
            "reason",
            "hash",
            "origin",
        ])
        .map_err(io_error("write to standard output"));
    written?;
    log.each(|found| {
        rows = found.row.seq;
        csv.write_record(record(found))
    })?
    .map_err(io_error("write to standard output"))?;
    csv.flush().map_err(io_error("write to standard output"))?;
    Ok(rows)
}

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
