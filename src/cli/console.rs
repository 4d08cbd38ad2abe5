//! Arguments of the console commands.

// The doc comment of a field is its help text; a flattened field has none.
#![allow(missing_docs)]

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use crate::domain::audit::{from_hex, ChainHash};
use crate::domain::settings::Setting;
use crate::domain::users::AccountType;

/// Default state directory: the `StateDirectory=` of the service's unit.
pub(super) const STATE: &str = "/var/lib/opentrons-auth-server";

/// Options of every console command.
#[derive(Debug)]
pub struct Common {
    /// State directory of the server.
    pub persistence_directory: PathBuf,
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

    /// Back up all accounts, settings and the audit log to a new file.
    ///
    /// The file contains the hashes of all passwords: keep it secret.
    Backup {
        /// Backup file to create; it must not exist yet.
        file: PathBuf,
    },

    /// Replace all accounts and settings with those of a backup.
    ///
    /// Ends all sessions. The audit log is kept; only if it is empty is it restored from the backup.
    Restore {
        /// Backup file to restore.
        file: PathBuf,
        #[command(flatten)]
        sure: Sure,
    },

    /// Import the state of the Python server.
    ///
    /// Imports accounts with their passwords, settings, and whether access control is on. The files
    /// of the Python server are not changed. Without options, imports either everything or nothing,
    /// and only if this server has no accounts yet, as at the first start.
    Import {
        /// State directory of the Python server [default: the state directory of this server].
        directory: Option<PathBuf>,
        /// Show what would be imported and what prevents the import, without changing anything.
        #[arg(long, conflicts_with_all = ["again", "yes"])]
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
    },

    /// Verify or export the audit log, and manage its delivery.
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// Subcommands of `user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List all users.
    List {
        /// Also show the number of sessions, the creation and the last login, as far as the audit log
        /// tells.
        #[arg(long)]
        long: bool,
    },
    /// Create a user, with a temporary password unless --password is given.
    Add {
        /// Username of the account.
        username: String,
        /// Full name of the person.
        #[arg(long, value_name = "NAME")]
        full_name: String,
        /// Type of the account.
        #[arg(long, value_name = "TYPE", default_value = "user")]
        account_type: AccountType,
        #[command(flatten)]
        password: GivePassword,
    },
    /// Show everything that is known about a user.
    Show {
        /// Username of the account.
        username: String,
    },
    /// Change a user.
    ///
    /// A new username, type or password ends the user's sessions.
    #[command(group(ArgGroup::new("change").required(true).multiple(true).arg("password")))]
    Set {
        /// Username of the account.
        username: String,
        /// New username.
        #[arg(long = "username", value_name = "USERNAME", group = "change")]
        new_username: Option<String>,
        /// New full name of the person.
        #[arg(long, value_name = "NAME", group = "change")]
        full_name: Option<String>,
        /// New type of the account.
        #[arg(long, value_name = "TYPE", group = "change")]
        account_type: Option<AccountType>,
        /// Require a new password from the user, and end the user's sessions.
        #[arg(long, group = "change", conflicts_with = "password")]
        require_new_password: bool,
        #[command(flatten)]
        password: GivePassword,
    },
    /// Set a new password and unlock the account.
    ///
    /// Without --password, generates a temporary password, which must be changed at the next login.
    ResetPassword {
        /// Username of the account.
        username: String,
        #[command(flatten)]
        password: GivePassword,
    },
    /// Lock an account, and end the user's sessions.
    Lock {
        /// Username of the account.
        username: String,
    },
    /// Unlock an account and clear its failed logins.
    Unlock {
        /// Username of the account.
        username: String,
    },
    /// Delete a user.
    Delete {
        /// Username of the account.
        username: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Option of the commands that set a password.
#[derive(Debug, Args)]
pub struct GivePassword {
    /// Prompt for the password, or read it from standard input if that is not a terminal.
    #[arg(long)]
    pub password: bool,
}

/// Subcommands of `session`.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List the sessions that have not ended, with the time of the login or last refresh of each.
    List {
        /// Username of the account [default: all accounts].
        username: Option<String>,
    },
    /// End sessions: their tokens are refused from then on.
    #[command(group(ArgGroup::new("which").required(true)))]
    End {
        /// Number of the session, as listed.
        #[arg(group = "which")]
        id: Option<i64>,
        /// End all sessions of this user.
        #[arg(long, value_name = "USERNAME", group = "which")]
        user: Option<String>,
        /// End all sessions of all users.
        #[arg(long, group = "which")]
        all: bool,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Subcommands of `settings`.
#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Show the values of all settings, and which values each accepts.
    Show,
    /// Change settings.
    ///
    /// Changing passwordComplexityMinimumLength or passwordComplexitySpecialCharacters requires a new
    /// password from every user and ends all sessions.
    Set {
        /// Names of settings with their new values, such as idleLogout=600; durations are in seconds.
        #[arg(value_name = "NAME=VALUE", required = true)]
        settings: Vec<NewValue>,
    },
    /// Reset all settings to their defaults. Access control stays on or off.
    Reset {
        #[command(flatten)]
        sure: Sure,
    },
}

/// New value of a setting.
#[derive(Clone, Debug)]
pub struct NewValue {
    /// Setting to change.
    pub setting: &'static Setting,
    /// JSON text of the value, which the setting accepts.
    pub text: String,
}

impl FromStr for NewValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, text) = text.split_once('=').ok_or("must be NAME=VALUE")?;
        let setting = Setting::required(name).map_err(|error| error.to_string())?;
        setting.parse(text).map_err(|error| error.to_string())?;
        let text = text.into();
        Ok(Self { setting, text })
    }
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
    },
    /// Turn access control off: anyone who can reach the robot may do everything.
    Disable {
        #[command(flatten)]
        sure: Sure,
    },
}

/// Subcommands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Verify that no row of the audit log was removed or changed.
    Verify {
        /// Also compare the rows with their lines in the system's journal, or with those in FILE;
        /// - is standard input.
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
        journal: Option<Option<PathBuf>>,
        /// Also check that a row still has the hash that an earlier verification printed for it.
        #[arg(long, value_name = "ROW:HASH")]
        noted: Vec<NotedRow>,
    },
    /// Show how many events are waiting for the audit server, and which ones it refused.
    Status,
    /// Resend the events that the audit server refused.
    Resend,
    /// Export the whole audit log to standard output.
    Export {
        /// Output format.
        #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
        format: ExportFormat,
    },
}

/// Row of the audit log as noted at an earlier verification.
#[derive(Clone, Debug)]
pub struct NotedRow {
    /// Number of the row.
    pub seq: i64,
    /// Hash of the row.
    pub hash: ChainHash,
}

impl FromStr for NotedRow {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once(':')
            .and_then(|(seq, hash)| {
                Some(Self {
                    seq: seq.parse().ok()?,
                    hash: from_hex(hash)?,
                })
            })
            .ok_or("must be a row number, a colon and the 64 hexadecimal digits of its hash")
    }
}

/// Format of an exported audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
}

impl ValueEnum for AccountType {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}
