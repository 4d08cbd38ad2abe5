//! The console's part of the command line.

// What stands above a field is the help; one that takes in others' fields has none.
#![allow(missing_docs)]

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::domain::users::AccountType;

/// Where state is when nothing says otherwise: where the unit keeps it.
const STATE: &str = "/var/lib/opentrons-auth-server";

/// What all commands take.
#[derive(Debug, Args)]
pub struct Common {
    /// Directory that keeps the server's state.
    #[arg(
        long,
        value_name = "PATH",
        env = "OT_AUTH_SERVER_persistence_directory",
        default_value = STATE
    )]
    pub persistence_directory: PathBuf,

    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// What commands take that destroy something.
#[derive(Debug, Args)]
pub struct Sure {
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// Administers the robot from its console, whether the service runs or not.
#[derive(Debug, Subcommand)]
pub enum ConsoleCommand {
    /// Administer user accounts.
    #[command(subcommand)]
    User(UserCommand),

    /// Tell whether access control is on, or turn it on or off.
    #[command(subcommand)]
    AccessControl(AccessControlCommand),

    /// Copy all accounts, settings and the audit log to a new file, which is secret.
    Backup {
        /// The file; it must not exist.
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },

    /// Put a backup's accounts and settings in the place of those there are. Every login ends. The
    /// audit log stays; an empty one becomes the backup's.
    Restore {
        /// The backup.
        file: PathBuf,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        common: Common,
    },

    /// Take over what the Python server left: accounts with their passwords, settings, and whether
    /// access control is on. Its files stay as they are. Without options all or nothing, and only
    /// where there are no accounts yet, as at the first start.
    Import {
        /// Directory of the Python server's state; without it the one that keeps ours.
        directory: Option<PathBuf>,
        /// Tell what would be taken over and what stands in the way, and change nothing.
        #[arg(long, conflicts_with_all = ["again", "yes"])]
        dry_run: bool,
        /// Take over what can be, and list what cannot. Access control is on then unless it is
        /// certain that it was off.
        #[arg(long)]
        force: bool,
        /// Replace the accounts and settings that there are. Every login ends; the audit log stays;
        /// access control stays on if it is.
        #[arg(long)]
        again: bool,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        common: Common,
    },

    /// Check the audit log, or write it out.
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// `user ...`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List all users.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Create a user, with a temporary password unless one is given.
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
        #[command(flatten)]
        common: Common,
    },
    /// Give a user a new temporary password, or the one that is given, and unlock the account.
    ResetPassword {
        /// Username of the account.
        username: String,
        #[command(flatten)]
        password: GivePassword,
        #[command(flatten)]
        common: Common,
    },
    /// Unlock an account, and forget its failed logins.
    Unlock {
        /// Username of the account.
        username: String,
        #[command(flatten)]
        common: Common,
    },
    /// Delete a user.
    Delete {
        /// Username of the account.
        username: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        common: Common,
    },
}

/// Whether a password is given.
#[derive(Debug, Args)]
pub struct GivePassword {
    /// Ask for a password; from standard input when that is no terminal.
    #[arg(long)]
    pub password: bool,
}

/// `access-control ...`
#[derive(Debug, Subcommand)]
pub enum AccessControlCommand {
    /// Tell whether it is on.
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Turn it on: protected requests need a token from then on.
    Enable {
        #[command(flatten)]
        common: Common,
    },
    /// Turn it off: whoever reaches the robot may do everything.
    Disable {
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        common: Common,
    },
}

/// `audit ...`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no row of the audit log is missing or was changed.
    Verify {
        /// Compare with the lines that the journal has of the rows; with FILE, with those lines in
        /// it, - is standard input.
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
        journal: Option<Option<PathBuf>>,
        #[command(flatten)]
        common: Common,
    },
    /// Tell how many events wait for the audit server, and which it has refused.
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Send the events again that the audit server has refused.
    Resend {
        #[command(flatten)]
        common: Common,
    },
    /// Write the whole audit log to standard output.
    Export {
        /// How.
        #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
        format: ExportFormat,
        #[command(flatten)]
        common: Common,
    },
}

/// How the audit log is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values with a header (RFC 4180).
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

impl ConsoleCommand {
    /// What every command takes.
    pub fn common(&self) -> &Common {
        match self {
            Self::Backup { common, .. }
            | Self::Restore { common, .. }
            | Self::Import { common, .. }
            | Self::User(
                UserCommand::List { common }
                | UserCommand::Add { common, .. }
                | UserCommand::ResetPassword { common, .. }
                | UserCommand::Unlock { common, .. }
                | UserCommand::Delete { common, .. },
            )
            | Self::AccessControl(
                AccessControlCommand::Status { common }
                | AccessControlCommand::Enable { common }
                | AccessControlCommand::Disable { common, .. },
            )
            | Self::Audit(
                AuditCommand::Verify { common, .. }
                | AuditCommand::Status { common }
                | AuditCommand::Resend { common }
                | AuditCommand::Export { common, .. },
            ) => common,
        }
    }
}
