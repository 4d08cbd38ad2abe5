//! Arguments of `settings`.

// The doc comment of a field is its help text; a flattened field has none.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::Subcommand;

use super::{GiveReason, Sure};
use crate::domain::settings::Setting;

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
        #[command(flatten)]
        why: GiveReason,
    },
    /// Reset all settings to their defaults. Access control stays on or off.
    Reset {
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        why: GiveReason,
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

/// Returns the name of the first setting that is given twice.
pub(super) fn repeated(settings: &[NewValue]) -> Option<&'static str> {
    let mut names = BTreeSet::new();
    let mut given = settings.iter().map(|each| each.setting.name);
    given.find(|name| !names.insert(*name))
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
