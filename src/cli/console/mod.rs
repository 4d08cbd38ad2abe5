//! Arguments of the console commands.

// The doc comment of a field is its help text; a flattened field has none.
#![allow(missing_docs)]

mod audit;
mod directory;
mod settings;
pub mod time;
mod users;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueHint};

pub use self::audit::{AuditCommand, ExportFilter, ExportFormat, NotedRow};
pub use self::directory::{DirectoryCommand, NewDirectory, NewField};
pub use self::settings::{NewValue, SettingsCommand};
pub use self::users::{GivePassword, UserCommand};

/// Default state directory: the `StateDirectory=` of the service's unit.
pub const STATE: &str = "/var/lib/opentrons-auth-server";

/// Options of every console command.
#[derive(Debug)]
pub struct Common {
    /// State directory of the server.
    pub persistence_directory: PathBuf,
    /// Unix socket of the process that asks the lab's directory.
    pub directory_uds: PathBuf,
    /// Print the result as JSON.
    pub json: bool,
}

/// Options of the commands that delete or replace data.
#[derive(Debug, Args)]
pub struct Sure {
    /// Do not ask for confirmation.
    #[arg(long)]
    pub yes: bool,
}

impl ConsoleCommand {
    /// Returns the reason given for the audit log, if any.
    pub fn reason(&self) -> Option<&str> {
        let why = match self {
            Self::User(command) => command.why(),
            Self::Directory(command) => command.why(),
            Self::Session(SessionCommand::End { why, .. })
            | Self::Settings(
                SettingsCommand::Set { why, .. } | SettingsCommand::Reset { why, .. },
            )
            | Self::AccessControl(
                AccessControlCommand::Enable { why, .. }
                | AccessControlCommand::Disable { why, .. },
            )
            | Self::Backup { why, .. }
            | Self::Restore { why, .. }
            | Self::Import { why, .. }
            | Self::Audit(AuditCommand::Resend { why } | AuditCommand::Export { why, .. }) => {
                Some(why)
            }
            Self::Session(SessionCommand::List { .. })
            | Self::Settings(SettingsCommand::Show)
            | Self::AccessControl(AccessControlCommand::Status)
            | Self::Audit(AuditCommand::Verify { .. } | AuditCommand::Status) => None,
        };
        why.and_then(|why| why.reason.as_deref())
    }

    /// Returns what in the arguments contradicts itself or is given twice. `json`: `--json` is given.
    pub(super) fn contradiction(&self, json: bool) -> Option<String> {
        match self {
            Self::Audit(AuditCommand::Export {
                format: ExportFormat::Csv,
                ..
            }) if json => Some("--json cannot be used with --format csv".into()),
            Self::Backup { file, .. } if json && file.as_os_str() == "-" => {
                Some("--json cannot be used with a backup to standard output".into())
            }
            Self::Audit(AuditCommand::Export { filter, .. }) => {
                let (since, until) = filter.since.as_ref().zip(filter.until.as_ref())?;
                let is_empty = since.first > until.last;
                is_empty.then(|| "--since must not be after --until".into())
            }
            Self::Settings(SettingsCommand::Set { settings, .. }) => settings::repeated(settings)
                .map(|name| format!("{name}: must not be given more than once")),
            _ => None,
        }
    }
}

/// Option of the commands that are recorded in the audit log.
#[derive(Debug, Args)]
pub struct GiveReason {
    /// Reason to record in the audit log.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Commands that administer the robot from its console, whether or not the service is running.
#[derive(Debug, Subcommand)]
pub enum ConsoleCommand {
    /// Manage user accounts.
    #[command(subcommand)]
    User(UserCommand),

    /// List the sessions of users, or end them.
    #[command(subcommand)]
    Session(SessionCommand),

    /// Show, change or reset the settings.
    #[command(subcommand)]
    Settings(SettingsCommand),

    /// Show, enable or disable access control.
    #[command(subcommand)]
    AccessControl(AccessControlCommand),

    /// Show, change, try or remove the configuration of the lab's directory (LDAP, Active Directory).
    #[command(subcommand)]
    Directory(DirectoryCommand),

    /// Back up all accounts, settings and the audit log to a new file.
    ///
    /// The file contains the hashes of all passwords: keep it secret.
    Backup {
        /// Backup file to create, which must not exist yet; - is standard output.
        file: PathBuf,
        #[command(flatten)]
        why: GiveReason,
    },

    /// Replace all accounts and settings with those of a backup.
    ///
    /// Ends all sessions. The audit log is kept; only if it is empty is it restored from the backup.
    Restore {
        /// Backup file to restore; - is standard input, and needs --yes.
        file: PathBuf,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        why: GiveReason,
    },

    /// Import the state of the Python server.
    ///
    /// Imports accounts with their passwords, settings, and whether access control is on. The files
    /// of the Python server are not changed. Without options, imports either everything or nothing,
    /// and only if this server has no accounts yet, as at the first start.
    Import {
        /// State directory of the Python server [default: the state directory of this server].
        #[arg(value_hint = ValueHint::DirPath)]
        directory: Option<PathBuf>,
        /// Show what would be imported and what prevents the import, without changing anything.
        #[arg(long, conflicts_with_all = ["again", "yes", "reason"])]
        dry_run: bool,
        /// Import whatever is valid and list what is skipped. Access control is turned on unless it
        /// was certainly off.
        #[arg(long)]
        force: bool,
        /// Replace existing accounts and settings. Ends all sessions; keeps the audit log; leaves
        /// access control on if it is on.
        #[arg(long)]
        again: bool,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        why: GiveReason,
    },

    /// Verify or export the audit log, and manage its delivery.
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// Subcommands of `session`.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List the sessions that have not ended, with the time of the login or last refresh of each.
    List {
        /// Username of the account [default: all accounts].
        #[arg(value_hint = ValueHint::Username)]
        username: Option<String>,
    },
    /// End sessions: their tokens are refused from then on.
    #[command(group(ArgGroup::new("which").required(true)))]
    End {
        /// Number of the session, as listed.
        #[arg(group = "which")]
        id: Option<i64>,
        /// End all sessions of this user.
        #[arg(long, value_name = "USERNAME", value_hint = ValueHint::Username, group = "which")]
        user: Option<String>,
        /// End all sessions of all users.
        #[arg(long, group = "which")]
        all: bool,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        why: GiveReason,
    },
}

/// Subcommands of `access-control`.
#[derive(Debug, Subcommand)]
pub enum AccessControlCommand {
    /// Show whether access control is on.
    Status,
    /// Turn access control on: protected requests need a token.
    ///
    /// Ends all sessions. Lists all accounts first, because each of them can be used afterwards, and
    /// asks for confirmation.
    Enable {
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        why: GiveReason,
    },
    /// Turn access control off: anyone who can reach the robot may do everything.
    Disable {
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        why: GiveReason,
    },
}
