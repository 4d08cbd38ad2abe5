//! Arguments of `user`.

// The doc comment of a field is its help text; a flattened field has none.
#![allow(missing_docs)]

use clap::builder::PossibleValue;
use clap::{ArgGroup, Args, Subcommand, ValueEnum, ValueHint};

use super::{GiveReason, Sure};
use crate::domain::users::AccountType;

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
        #[command(flatten)]
        why: GiveReason,
    },
    /// Show everything that is known about a user.
    Show {
        /// Username of the account.
        #[arg(value_hint = ValueHint::Username)]
        username: String,
    },
    /// Change a user.
    ///
    /// A new username, type or password ends the user's sessions.
    #[command(group(ArgGroup::new("change").required(true).multiple(true).arg("password")))]
    Set {
        /// Username of the account.
        #[arg(value_hint = ValueHint::Username)]
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
        #[command(flatten)]
        why: GiveReason,
    },
    /// Set a new password and unlock the account.
    ///
    /// Without --password, generates a temporary password, which must be changed at the next login.
    ResetPassword {
        /// Username of the account.
        #[arg(value_hint = ValueHint::Username)]
        username: String,
        #[command(flatten)]
        password: GivePassword,
        #[command(flatten)]
        why: GiveReason,
    },
    /// Lock an account, and end the user's sessions.
    Lock {
        /// Username of the account.
        #[arg(value_hint = ValueHint::Username)]
        username: String,
        #[command(flatten)]
        why: GiveReason,
    },
    /// Unlock an account and clear its failed logins.
    Unlock {
        /// Username of the account.
        #[arg(value_hint = ValueHint::Username)]
        username: String,
        #[command(flatten)]
        why: GiveReason,
    },
    /// Delete a user.
    Delete {
        /// Username of the account.
        #[arg(value_hint = ValueHint::Username)]
        username: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        why: GiveReason,
    },
}

impl UserCommand {
    /// Returns the option with the reason for the audit log; `None` if the command changes nothing.
    pub(super) fn why(&self) -> Option<&GiveReason> {
        match self {
            Self::Add { why, .. }
            | Self::Set { why, .. }
            | Self::ResetPassword { why, .. }
            | Self::Lock { why, .. }
            | Self::Unlock { why, .. }
            | Self::Delete { why, .. } => Some(why),
            Self::List { .. } | Self::Show { .. } => None,
        }
    }
}

/// Option of the commands that set a password.
#[derive(Debug, Args)]
pub struct GivePassword {
    /// Prompt for the password, or read it from standard input if that is not a terminal.
    #[arg(long)]
    pub password: bool,
}

impl ValueEnum for AccountType {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
