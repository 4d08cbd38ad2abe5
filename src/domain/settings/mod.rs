//! The settings that an administrator may change, and their bounds.

pub mod rules;

/// Longest password, in characters.
pub const MAX_PASSWORD_LENGTH: usize = 1024;
/// Bounds of the lifetime of a token, in seconds: up to a week.
pub const IDLE_LOGOUT: (f64, f64) = (1.0, 604_800.0);
/// Bounds of the age at which a password expires, in seconds: a day to a hundred years.
pub const PASSWORD_RESET_TIME: (f64, f64) = (86_400.0, 3_155_760_000.0);
/// Greatest number of login attempts that a setting takes.
pub const MAX_LOGIN_ATTEMPTS: u32 = 1_000_000;
/// Minimum length of a password while no other is set, in characters.
pub const DEFAULT_MINIMUM_LENGTH: u32 = 8;

/// All settings but the switch of access control.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Failed logins before an account locks; `None`: never.
    pub max_login_attempts: Option<u32>,
    /// Age at which a password expires, in seconds; `None`: never.
    pub password_reset_time: Option<f64>,
    /// Fewest characters of a password; `None` is [`DEFAULT_MINIMUM_LENGTH`].
    pub password_minimum_length: Option<u32>,
    /// Whether a password needs a punctuation character.
    pub password_special_characters: Option<bool>,
    /// Lifetime of a token, in seconds.
    pub idle_logout: f64,
    /// Whether only administrators update the robot's software.
    pub admin_for_software_updates: bool,
    /// Whether only administrators send protocols to the robot.
    pub admin_for_protocols: bool,
    /// Whether only administrators sign off runs.
    pub admin_for_signoff: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_login_attempts: Some(5),
            password_reset_time: None,
            password_minimum_length: None,
            password_special_characters: None,
            idle_logout: 180.0,
            admin_for_software_updates: true,
            admin_for_protocols: true,
            admin_for_signoff: false,
        }
    }
}

/// A setting to change: its value, or `None` to leave it as it is.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)] // the fields are those of `Settings`
pub struct SettingsPatch {
    pub max_login_attempts: Option<Option<u32>>,
    pub password_reset_time: Option<Option<f64>>,
    pub password_minimum_length: Option<Option<u32>>,
    pub password_special_characters: Option<Option<bool>>,
    pub idle_logout: Option<f64>,
    pub admin_for_software_updates: Option<bool>,
    pub admin_for_protocols: Option<bool>,
    pub admin_for_signoff: Option<bool>,
}

impl SettingsPatch {
    /// Refuses values out of range.
    ///
    /// # Errors
    /// A sentence that names the field, as clients spell it, and the rule.
    pub fn check(&self) -> Result<(), String> {
        let count = |value: Option<Option<u32>>, most: u32, name: &str| match value.flatten() {
            Some(value) if !(1..=most).contains(&value) => {
                Err(format!("data.{name}: must be from 1 to {most}, or null"))
            }
            _ => Ok(()),
        };
        let seconds = |value: Option<f64>, (least, most): (f64, f64), name, or_null| match value {
            Some(value) if !(least..=most).contains(&value) => Err(format!(
                "data.{name}: must be from {least:.0} to {most:.0} seconds{or_null}"
            )),
            _ => Ok(()),
        };
        count(
            self.max_login_attempts,
            MAX_LOGIN_ATTEMPTS,
            "maxNumberOfLoginAttempts",
        )?;
        count(
            self.password_minimum_length,
            MAX_PASSWORD_LENGTH as u32,
            "passwordComplexityMinimumLength",
        )?;
        seconds(
            self.password_reset_time.flatten(),
            PASSWORD_RESET_TIME,
            "passwordResetTime",
            ", or null",
        )?;
        seconds(self.idle_logout, IDLE_LOGOUT, "idleLogout", "")
    }

    /// `settings` with the given fields changed.
    pub fn applied_to(&self, settings: &Settings) -> Settings {
        Settings {
            max_login_attempts: self
                .max_login_attempts
                .unwrap_or(settings.max_login_attempts),
            password_reset_time: self
                .password_reset_time
                .unwrap_or(settings.password_reset_time),
            password_minimum_length: self
                .password_minimum_length
                .unwrap_or(settings.password_minimum_length),
            password_special_characters: self
                .password_special_characters
                .unwrap_or(settings.password_special_characters),
            idle_logout: self.idle_logout.unwrap_or(settings.idle_logout),
            admin_for_software_updates: self
                .admin_for_software_updates
                .unwrap_or(settings.admin_for_software_updates),
            admin_for_protocols: self
                .admin_for_protocols
                .unwrap_or(settings.admin_for_protocols),
            admin_for_signoff: self.admin_for_signoff.unwrap_or(settings.admin_for_signoff),
        }
    }
}

impl Settings {
    /// Whether the two ask for other passwords.
    pub fn password_policy_differs(&self, other: &Self) -> bool {
        self.password_minimum_length != other.password_minimum_length
            || self.password_special_characters != other.password_special_characters
    }

    /// What differs in `new`, in words for the audit log: `idleLogout 180 → 60`.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        fn text<T: std::fmt::Debug>(value: Option<T>) -> String {
            value.map_or_else(|| "null".into(), |value| format!("{value:?}"))
        }
        let all = [
            (
                "maxNumberOfLoginAttempts",
                text(self.max_login_attempts),
                text(new.max_login_attempts),
            ),
            (
                "passwordResetTime",
                text(self.password_reset_time),
                text(new.password_reset_time),
            ),
            (
                "passwordComplexityMinimumLength",
                text(self.password_minimum_length),
                text(new.password_minimum_length),
            ),
            (
                "passwordComplexitySpecialCharacters",
                text(self.password_special_characters),
                text(new.password_special_characters),
            ),
            (
                "idleLogout",
                text(Some(self.idle_logout)),
                text(Some(new.idle_logout)),
            ),
            (
                "requireAdminCredsWhenUpdatingRobotSoftware",
                text(Some(self.admin_for_software_updates)),
                text(Some(new.admin_for_software_updates)),
            ),
            (
                "requireAdminCredsWhenSendingProtocolToRobot",
                text(Some(self.admin_for_protocols)),
                text(Some(new.admin_for_protocols)),
            ),
            (
                "requireAdminCredsForSignoffProtocol",
                text(Some(self.admin_for_signoff)),
                text(Some(new.admin_for_signoff)),
            ),
        ];
        all.into_iter()
            .filter(|(_, old, new)| old != new)
            .map(|(name, old, new)| format!("{name} {old} → {new}"))
            .collect()
    }
}
