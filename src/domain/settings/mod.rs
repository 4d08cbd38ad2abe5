//! Settings that an administrator can change.
//!
//! [`SETTINGS`] describes each setting once: its name for clients, its meaning and its valid
//! values. Patches, views, the OpenAPI document and the database columns are derived from it.

pub mod rules;

use std::fmt;
use std::time::Duration;

use super::error::{Field, RuleError};

/// Maximum length of a password, in characters.
pub const MAX_PASSWORD_LENGTH: u32 = 1024;
/// Default minimum length of a password, in characters.
pub const DEFAULT_MINIMUM_LENGTH: u32 = 8;

/// All settings, except whether access control is on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Number of failed logins that locks an account; `None` if accounts are never locked.
    pub max_login_attempts: Option<u32>,
    /// Age at which a password expires; `None` if passwords never expire.
    pub password_reset_time: Option<Duration>,
    /// Minimum length of a password, in characters; `None` means [`DEFAULT_MINIMUM_LENGTH`].
    pub password_minimum_length: Option<u32>,
    /// Whether a password must contain a punctuation character; `None` means no.
    pub password_special_characters: Option<bool>,
    /// Lifetime of access and refresh tokens.
    pub idle_logout: Duration,
    /// Whether only administrators may update the robot's software; if not, users may as well.
    pub admin_for_software_updates: bool,
    /// Whether only administrators may send protocols to the robot; if not, users may as well.
    pub admin_for_protocols: bool,
    /// Whether only administrators may sign off runs; if not, users may as well.
    pub admin_for_signoff: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_login_attempts: Some(5),
            password_reset_time: None,
            password_minimum_length: None,
            password_special_characters: None,
            idle_logout: Duration::from_secs(180),
            admin_for_software_updates: true,
            admin_for_protocols: true,
            admin_for_signoff: false,
        }
    }
}

/// Value of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Null, for a nullable setting.
    Null,
    /// Non-negative integer.
    Integer(u32),
    /// Duration, which clients see in seconds.
    Duration(Duration),
    /// True or false.
    Boolean(bool),
}

impl fmt::Display for Value {
    /// Writes the value as JSON; a duration as seconds with a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Duration(duration) => write!(f, "{:?}", duration.as_secs_f64()),
            Self::Boolean(on) => write!(f, "{on}"),
        }
    }
}

/// Type and range of the values that a setting accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Whole number from the first bound to the second, inclusive.
    Integer(u32, u32),
    /// Duration from the first bound to the second, inclusive, in seconds.
    Seconds(f64, f64),
    /// True or false.
    Boolean,
}

/// Description of a setting.
pub struct Setting {
    /// Name of the JSON field.
    pub name: &'static str,
    /// Name of the database column.
    pub column: &'static str,
    /// Description for the OpenAPI document.
    pub meaning: &'static str,
    /// Type and range of the accepted values, other than null.
    pub kind: Kind,
    /// Whether the setting accepts null.
    pub nullable: bool,
    get: fn(&Settings) -> Value,
    set: fn(&mut Settings, Value),
}

/// Builds the [`Setting`] for a field of [`Settings`]. `nullable` marks fields of type `Option`.
macro_rules! setting {
    ($name:literal, $field:ident, $meaning:literal, $kind:expr, nullable $variant:ident) => {
        Setting {
            name: $name,
            column: stringify!($field),
            meaning: $meaning,
            kind: $kind,
            nullable: true,
            get: |settings| settings.$field.map_or(Value::Null, Value::$variant),
            set: |settings, value| {
                settings.$field = match value {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            },
        }
    };
    ($name:literal, $field:ident, $meaning:literal, $kind:expr, $variant:ident) => {
        Setting {
            name: $name,
            column: stringify!($field),
            meaning: $meaning,
            kind: $kind,
            nullable: false,
            get: |settings| Value::$variant(settings.$field),
            set: |settings, value| {
                if let Value::$variant(value) = value {
                    settings.$field = value;
                }
            },
        }
    };
}

/// Descriptions of all settings, in the order in which clients see them.
pub static SETTINGS: [Setting; 8] = [
    setting!(
        "maxNumberOfLoginAttempts",
        max_login_attempts,
        "Number of failed logins that locks an account; null means never.",
        Kind::Integer(1, 1_000_000),
        nullable Integer
    ),
    setting!(
        "passwordResetTime",
        password_reset_time,
        "Age at which a password expires, in seconds; null means never.",
        Kind::Seconds(86_400.0, 3_155_760_000.0), // one day to one hundred years
        nullable Duration
    ),
    setting!(
        "passwordComplexityMinimumLength",
        password_minimum_length,
        "Minimum length of a password, in characters; null means 8. Changing it requires a new \
         password from every user and ends all sessions.",
        Kind::Integer(1, MAX_PASSWORD_LENGTH),
        nullable Integer
    ),
    setting!(
        "passwordComplexitySpecialCharacters",
        password_special_characters,
        "Whether a password must contain a punctuation character. Changing it requires a new \
         password from every user and ends all sessions.",
        Kind::Boolean,
        nullable Boolean
    ),
    setting!(
        "idleLogout",
        idle_logout,
        "Lifetime of access and refresh tokens, in seconds.",
        Kind::Seconds(1.0, 604_800.0), // one second to one week
        Duration
    ),
    setting!(
        "requireAdminCredsWhenUpdatingRobotSoftware",
        admin_for_software_updates,
        "Whether accounts of type `user` lack the scope `updates.write`.",
        Kind::Boolean,
        Boolean
    ),
    setting!(
        "requireAdminCredsWhenSendingProtocolToRobot",
        admin_for_protocols,
        "Whether accounts of type `user` lack the scope `protocols.write`.",
        Kind::Boolean,
        Boolean
    ),
    setting!(
        "requireAdminCredsForSignoffProtocol",
        admin_for_signoff,
        "Whether accounts of type `user` lack the scope `run_signoff.write`.",
        Kind::Boolean,
        Boolean
    ),
];

impl Setting {
    /// Returns the setting with this JSON name, or `None` if there is none.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Returns the setting with this JSON name.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`], with the names of all settings, if there is none.
    pub fn required(name: &str) -> Result<&'static Self, RuleError> {
        Self::named(name).ok_or_else(|| {
            let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
            RuleError::OutOfRange {
                field: Field::Setting("NAME"),
                rule: format!("{name:?} is none of {}", names.join(", ")),
            }
        })
    }

    /// Returns the value of this setting in `settings`.
    pub fn value(&self, settings: &Settings) -> Value {
        (self.get)(settings)
    }

    /// Sets this setting in `settings` to `value`.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`] if the setting does not accept the value; `settings` is unchanged.
    pub fn put(&self, settings: &mut Settings, value: Value) -> Result<(), RuleError> {
        if self.accepts(value) {
            (self.set)(settings, value);
            return Ok(());
        }
        Err(self.refuse())
    }

    /// Parses a value from its JSON text, such as `null`, `true`, `5` or `180.0`.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`] if the text is malformed or the setting does not accept the value.
    pub fn parse(&self, text: &str) -> Result<Value, RuleError> {
        let value = match self.kind {
            _ if text == "null" => Some(Value::Null),
            Kind::Integer(..) => text.parse().ok().map(Value::Integer),
            Kind::Boolean => text.parse().ok().map(Value::Boolean),
            Kind::Seconds(..) => {
                let seconds = text.parse().ok();
                let duration = seconds.and_then(|each| Duration::try_from_secs_f64(each).ok());
                duration.map(Value::Duration)
            }
        };
        value
            .filter(|value| self.accepts(*value))
            .ok_or_else(|| self.refuse())
    }

    /// Returns the error for a value that the setting does not accept.
    fn refuse(&self) -> RuleError {
        RuleError::OutOfRange {
            field: Field::Setting(self.name),
            rule: format!("must be {}", self.accepted()),
        }
    }

    /// Returns the accepted value nearest to `value`. Returns `value` itself if it is of another
    /// type.
    pub fn nearest(&self, value: Value) -> Value {
        match (self.kind, value) {
            (Kind::Integer(least, most), Value::Integer(number)) => {
                Value::Integer(number.clamp(least, most))
            }
            (Kind::Seconds(least, most), Value::Duration(duration)) => {
                Value::Duration(duration.clamp(
                    Duration::from_secs_f64(least),
                    Duration::from_secs_f64(most),
                ))
            }
            (_, value) => value,
        }
    }

    fn accepts(&self, value: Value) -> bool {
        match (self.kind, value) {
            (_, Value::Null) => self.nullable,
            (Kind::Integer(least, most), Value::Integer(number)) => {
                (least..=most).contains(&number)
            }
            (Kind::Seconds(least, most), Value::Duration(duration)) => {
                (least..=most).contains(&duration.as_secs_f64())
            }
            (Kind::Boolean, Value::Boolean(_)) => true,
            _ => false,
        }
    }

    /// Describes the accepted values, such as `between 1 and 604800 seconds`.
    pub fn accepted(&self) -> String {
        let values = match self.kind {
            Kind::Integer(least, most) => format!("between {least} and {most}"),
            Kind::Seconds(least, most) => format!("between {least:.0} and {most:.0} seconds"),
            Kind::Boolean => "true or false".into(),
        };
        if self.nullable {
            format!("{values}, or null")
        } else {
            values
        }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.name)
    }
}

/// Settings to change, each with its new value.
#[derive(Clone, Debug, Default)]
pub struct SettingsPatch(Vec<(&'static Setting, Value)>);

impl SettingsPatch {
    /// Adds a setting to change.
    pub fn add(&mut self, setting: &'static Setting, value: Value) {
        self.0.push((setting, value));
    }

    /// Parses settings to change, each a JSON name and the JSON text of the new value.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`] for the first name that is unknown or given twice, or whose setting
    /// does not accept the value.
    pub fn parse(texts: &[(String, String)]) -> Result<Self, RuleError> {
        let mut patch = Self::default();
        for (name, text) in texts {
            let setting = Setting::required(name)?;
            if patch.0.iter().any(|(each, _)| each.name == setting.name) {
                return Err(RuleError::OutOfRange {
                    field: Field::Setting(setting.name),
                    rule: "must not be given more than once".into(),
                });
            }
            patch.add(setting, setting.parse(text)?);
        }
        Ok(patch)
    }

    /// Returns a copy of `settings` with the changes applied.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`] for the first value that its setting does not accept.
    pub fn applied_to(&self, settings: &Settings) -> Result<Settings, RuleError> {
        let mut settings = settings.clone();
        for (setting, value) in &self.0 {
            setting.put(&mut settings, *value)?;
        }
        Ok(settings)
    }
}

impl Settings {
    /// Returns whether the password complexity rules of two settings differ.
    pub fn password_policy_differs(&self, other: &Self) -> bool {
        self.password_minimum_length != other.password_minimum_length
            || self.password_special_characters != other.password_special_characters
    }

    /// Describes the differences in `new` for the audit log, such as `idleLogout 180.0 → 60.0`.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        SETTINGS
            .iter()
            .map(|setting| (setting.name, setting.value(self), setting.value(new)))
            .filter(|(_, old, new)| old != new)
            .map(|(name, old, new)| format!("{name} {old} → {new}"))
            .collect()
    }
}
