//! `settings`: showing, changing and resetting the settings.

use serde_json::Value;

use super::error::Done;
use super::prompt::confirm;
use super::protocol::{ConsoleRequest, ConsoleResponse};
use super::table::lines;
use super::{unexpected, Console};
use crate::cli::console::SettingsCommand;
use crate::domain::settings::SETTINGS;

impl Console<'_> {
    pub(super) fn settings(&self, command: &SettingsCommand) -> Done {
        let response = match command {
            SettingsCommand::Show => self.request(ConsoleRequest::Settings)?,
            SettingsCommand::Set { settings, .. } => {
                let settings = settings.iter();
                let texts = settings.map(|given| (given.setting.name.into(), given.text.clone()));
                self.change(ConsoleRequest::PatchSettings(texts.collect()))?
            }
            SettingsCommand::Reset { sure, .. } => {
                confirm(sure, "Reset all settings to their defaults?")?;
                self.change(ConsoleRequest::ResetSettings)?
            }
        };
        let ConsoleResponse::Settings(settings) = response else {
            return Err(unexpected());
        };
        self.print_either(&settings, &table(&settings))
    }
}

/// Formats settings as a table, one per line below a header.
fn table(settings: &Value) -> String {
    lines(
        ["SETTING", "VALUE", "ACCEPTS"],
        SETTINGS.iter().map(|setting| {
            let value = settings[setting.name].to_string();
            [setting.name.to_owned(), value, setting.accepted()]
        }),
    )
}
