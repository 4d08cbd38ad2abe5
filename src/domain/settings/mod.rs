//! The settings that an administrator may change.
//!
//! [`SETTINGS`] describes each of them once: what clients call it, what it means and which values it
//! takes. Patches, views, the document and the database's columns follow from it.

pub mod rules;

use std::fmt;
use std::time::Duration;

use super::error::{Field, RuleError};

/// Longest password, in characters.
pub const MAX_PASSWORD_LENGTH: u32 = 1024;
/// Fewest characters of a password while no other number is set.
pub const DEFAULT_MINIMUM_LENGTH: u32 = 8;

/// All settings but the switch of access control.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Failed logins before an account locks; `None`: never.
    pub max_login_attempts: Option<u32>,
    /// Age at which a password expires; `None`: never.
    pub password_reset_time: Option<Duration>,
    /// Fewest characters of a password; `None` is [`DEFAULT_MINIMUM_LENGTH`].
    pub password_minimum_length: Option<u32>,
    /// Whether a password needs a punctuation character.
    pub password_special_characters: Option<bool>,
    /// Lifetime of a token.
    pub idle_logout: Duration,
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
    /// No value, where that means something.
    Null,
    /// A number.
    Integer(u32),
    /// A span of time.
    Duration(Duration),
    /// Yes or no.
    Boolean(bool),
}

impl fmt::Display for Value {
    /// As JSON has it; a span of time in seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Duration(duration) => write!(f, "{:?}", duration.as_secs_f64()),
            Self::Boolean(on) => write!(f, "{on}"),
        }
    }
}

/// Values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A number in a range, both ends included.
    Integer(u32, u32),
    /// A span of time in a range of seconds, both ends included.
    Seconds(f64, f64),
    /// Yes or no.
    Boolean,
}

/// Description of a setting.
pub struct Setting {
    /// Name of the field, as clients spell it.
    pub name: &'static str,
    /// Name of the database's column.
    pub column: &'static str,
    /// Meaning, for people.
    pub meaning: &'static str,
    /// Values that it takes.
    pub kind: Kind,
    /// Whether it takes null.
    pub nullable: bool,
    get: fn(&Settings) -> Value,
    set: fn(&mut Settings, Value),
}

/// Description of a field of [`Settings`]; `nullable` for one that is an `Option`.
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

/// All settings, in the order in which clients see them.
pub static SETTINGS: [Setting; 8] = [
    setting!(
        "maxNumberOfLoginAttempts",
        max_login_attempts,
        "Failed logins before an account locks; null: never.",
        Kind::Integer(1, 1_000_000),
        nullable Integer
    ),
    setting!(
        "passwordResetTime",
        password_reset_time,
        "Age at which a password expires, in seconds; null: never.",
        Kind::Seconds(86_400.0, 3_155_760_000.0), // a day to a hundred years
        nullable Duration
    ),
    setting!(
        "passwordComplexityMinimumLength",
        password_minimum_length,
        "Fewest characters of a password; null means 8. A change makes every user set a new \
         password, and ends every session.",
        Kind::Integer(1, MAX_PASSWORD_LENGTH),
        nullable Integer
    ),
    setting!(
        "passwordComplexitySpecialCharacters",
        password_special_characters,
        "Whether a password needs a punctuation character. A change makes every user set a new \
         password, and ends every session.",
        Kind::Boolean,
        nullable Boolean
    ),
    setting!(
        "idleLogout",
        idle_logout,
        "Lifetime of a token, in seconds.",
        Kind::Seconds(1.0, 604_800.0), // up to a week
        Duration
    ),
    setting!(
        "requireAdminCredsWhenUpdatingRobotSoftware",
        admin_for_software_updates,
        "Whether a user lacks the scope `updates.write`.",
        Kind::Boolean,
        Boolean
    ),
    setting!(
        "requireAdminCredsWhenSendingProtocolToRobot",
        admin_for_protocols,
        "Whether a user lacks the scope `protocols.write`.",
        Kind::Boolean,
        Boolean
    ),
    setting!(
        "requireAdminCredsForSignoffProtocol",
        admin_for_signoff,
        "Whether a user lacks the scope `run_signoff.write`.",
        Kind::Boolean,
        Boolean
    ),
];

impl Setting {
    /// The setting that clients call `name`, or `None` when there is none.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Its value.
    pub fn value(&self, settings: &Settings) -> Value {
        (self.get)(settings)
    }

    /// Gives it a value of its kind.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`] names the setting and the range; nothing has changed.
    pub fn put(&self, settings: &mut Settings, value: Value) -> Result<(), RuleError> {
        if self.accepts(value) {
            (self.set)(settings, value);
            return Ok(());
        }
        Err(RuleError::OutOfRange {
            field: Field::Setting(self.name),
            rule: self.rule(),
        })
    }

    /// The nearest value to `value` that it takes, if that is of its kind.
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

    /// The values that it takes, in words.
    fn rule(&self) -> String {
        let rule = match self.kind {
            Kind::Integer(least, most) => format!("must be from {least} to {most}"),
            Kind::Seconds(least, most) => format!("must be from {least:.0} to {most:.0} seconds"),
            Kind::Boolean => "must be true or false".into(),
        };
        if self.nullable {
            format!("{rule}, or null")
        } else {
            rule
        }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.name)
    }
}

/// Settings to change, with their new values.
#[derive(Clone, Debug, Default)]
pub struct SettingsPatch(Vec<(&'static Setting, Value)>);

impl SettingsPatch {
    /// Changes one more setting.
    pub fn add(&mut self, setting: &'static Setting, value: Value) {
        self.0.push((setting, value));
    }

    /// `settings` with these changed.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`] for the first value that is.
    pub fn applied_to(&self, settings: &Settings) -> Result<Settings, RuleError> {
        let mut settings = settings.clone();
        for (setting, value) in &self.0 {
            setting.put(&mut settings, *value)?;
        }
        Ok(settings)
    }
}

impl Settings {
    /// Whether the two ask for other passwords.
    pub fn password_policy_differs(&self, other: &Self) -> bool {
        self.password_minimum_length != other.password_minimum_length
            || self.password_special_characters != other.password_special_characters
    }

    /// What differs in `new`, in words for the audit log: `idleLogout 180.0 → 60.0`.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        SETTINGS
            .iter()
            .map(|setting| (setting.name, setting.value(self), setting.value(new)))
            .filter(|(_, old, new)| old != new)
            .map(|(name, old, new)| format!("{name} {old} → {new}"))
            .collect()
    }
}
