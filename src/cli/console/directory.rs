//! Arguments of `directory`.

// The doc comment of a field is its help text; a flattened field has none.
#![allow(missing_docs)]

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Subcommand};

use super::{GiveReason, Sure};
use crate::domain::directory::draft::{Accepts, Field, FIELDS};

/// Subcommands of `directory`.
#[derive(Debug, Subcommand)]
pub enum DirectoryCommand {
    /// Show the configuration, without the password.
    Show,
    /// Configure the lab's directory, or change its configuration.
    ///
    /// Tries the configuration first, and takes it only if it works.
    #[command(group(ArgGroup::new("new").required(true).multiple(true)
        .args(["fields", "file", "ca", "bind_password", "bind_password_file"])))]
    Set {
        #[command(flatten)]
        new: NewDirectory,
        /// Take the configuration without trying it.
        #[arg(long)]
        no_test: bool,
        #[command(flatten)]
        why: GiveReason,
    },
    /// Try the configuration, with changes if any are given, and change nothing.
    Test {
        #[command(flatten)]
        new: NewDirectory,
        #[command(flatten)]
        why: GiveReason,
    },
    /// Remove the configuration. The directory's users cannot log in any more, and their sessions end.
    Remove {
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        why: GiveReason,
    },
}

impl DirectoryCommand {
    /// Returns the option with the reason for the audit log; `None` if the command is not recorded.
    pub(super) fn why(&self) -> Option<&GiveReason> {
        match self {
            Self::Show => None,
            Self::Set { why, .. } | Self::Test { why, .. } | Self::Remove { why, .. } => Some(why),
        }
    }
}

/// New values of a configuration.
#[derive(Debug, Args)]
pub struct NewDirectory {
    /// Names of fields of the HTTP API with their new values, such as offlineDays=3. A name with several
    /// values is given for each of them; one without a value is reset to its default.
    #[arg(value_name = "FIELD=VALUE")]
    pub fields: Vec<NewField>,
    /// Begin with the configuration in this file, in the form that show --json prints, instead of the
    /// present one; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Read the certificates of the CA from this file in PEM; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Prompt for the password of the bind account, or read it from standard input if that is not a
    /// terminal.
    #[arg(long, conflicts_with = "bind_password_file")]
    pub bind_password: bool,
    /// Read the password of the bind account from the first line of this file.
    #[arg(long, value_name = "FILE")]
    pub bind_password_file: Option<PathBuf>,
}

impl NewDirectory {
    /// Returns whether no value is given.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && self.file.is_none()
            && self.ca.is_none()
            && !self.bind_password
            && self.bind_password_file.is_none()
    }
}

/// New value of a field.
#[derive(Clone, Debug)]
pub struct NewField {
    /// Field to change.
    pub field: &'static Field,
    /// Text of the value.
    pub text: String,
}

impl FromStr for NewField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, text) = text.split_once('=').ok_or("must be FIELD=VALUE")?;
        let Some(field) = Field::named(name).filter(|field| field.is_short()) else {
            let short = FIELDS.iter().filter(|field| field.is_short());
            let names: Vec<_> = short.map(|field| field.name).collect();
            return Err(format!("{name:?} is none of {}", names.join(", ")));
        };
        if let Accepts::Number(least, most) = field.accepts {
            if !text.is_empty() && text.parse::<u32>().is_err() {
                return Err(format!("{name}: must be between {least} and {most}"));
            }
        }
        let text = text.into();
        Ok(Self { field, text })
    }
}
