//! Converts rows of the Python server's database to our users and settings, or to faults. Reading
//! and writing are left to others.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value as Json;
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use crate::domain::passwords::PasswordHash;
use crate::domain::settings::{Kind, Setting, Settings, Value};
use crate::domain::time::{Mark, Moment};
use crate::domain::users::{AccountType, ResetPasswordReason, User, UserId};
use crate::store::hash;
use crate::store::values::MAX_ID;

/// Maximum length of a username or full name, in characters; generous, as existing names stay
/// valid.
const MAX_NAME: usize = 1024;

/// Value of a column. As it may be a password hash, it does not implement `Debug`.
#[derive(Clone, PartialEq)]
pub enum Cell {
    /// SQL value NULL.
    Null,
    /// Signed 64-bit integer.
    Integer(i64),
    /// Text in UTF-8.
    Text(String),
    /// Floating-point number, blob, or text that is not UTF-8. No column should contain these.
    Other,
}

/// Row of table `user`.
pub struct UserRow {
    pub id: Cell,
    pub username: Cell,
    pub hashed_password: Cell,
    pub temporary_hashed_password: Cell,
    pub full_name: Cell,
    pub account_type: Cell,
    pub reset_password: Cell,
    pub password_set_at: Cell,
    pub deactivated: Cell,
}

/// Number of failed logins of a user, and the time of the last one.
#[derive(Clone, Copy, Default)]
struct Failures {
    count: u32,
    last: Moment,
}

/// State to import, built up row by row.
pub struct Plan {
    now: Mark,
    failures: HashMap<i64, Failures>,
    ids: HashSet<i64>,
    usernames: HashSet<String>,
    /// Converted users.
    pub users: Vec<User>,
    /// Number of failed logins of the converted users.
    pub failed_logins: u64,
    /// Converted settings; those without a row have their defaults.
    pub settings: Settings,
    /// Number of settings that had a row.
    pub settings_changed: usize,
    /// Whether access control is on; `None` if there is no row for it.
    pub access_control: Option<bool>,
    /// Notes on what was adapted, which are not faults.
    pub notes: Vec<String>,
}

/// Description of a faulty row: where it is and what is wrong, as in `table user, id 3, column
/// full_name: is empty`. It never contains a value from the database.
pub type Wrong = String;

impl Plan {
    /// Creates an empty plan. `now` maps wall-clock times to our timeline.
    pub fn new(now: Mark) -> Self {
        Self {
            now,
            failures: HashMap::new(),
            ids: HashSet::new(),
            usernames: HashSet::new(),
            users: Vec::new(),
            failed_logins: 0,
            settings: Settings::default(),
            settings_changed: 0,
            access_control: None,
            notes: Vec::new(),
        }
    }

    /// Adds a row of table `failed_login`. All of these rows must be added before the first user.
    ///
    /// # Errors
    /// If `user` is not an integer or `at` not a date and time. The row is ignored then.
    pub fn failed_login(&mut self, id: &Cell, user: &Cell, at: &Cell) -> Result<(), Wrong> {
        let wrong = |column: &str, what: &str| wrong("failed_login", id, column, what);
        let Cell::Integer(user) = *user else {
            return Err(wrong("user_id", "is not an integer"));
        };
        let at = self
            .moment(at)
            .map_err(|what| wrong("attempted_at", what))?;
        let failures = self.failures.entry(user).or_default();
        failures.count = failures.count.saturating_add(1);
        failures.last = failures.last.max(at);
        Ok(())
    }

    /// Adds a row of table `user`.
    ///
    /// # Errors
    /// If a column is missing or malformed, the account type is unknown, or the id or username
    /// belongs to an earlier row. The row is skipped then.
    pub fn user(&mut self, row: &UserRow) -> Result<(), Wrong> {
        let wrong = |column: &str, what: &str| wrong("user", &row.id, column, what);
        let id = match row.id {
            Cell::Integer(id) if (1..=MAX_ID).contains(&id) => id,
            _ => return Err(wrong("id", "is not a valid id")),
        };
        let username = name(&row.username).map_err(|what| wrong("username", what))?;
        let full_name = name(&row.full_name).map_err(|what| wrong("full_name", what))?;
        let account_type = match &row.account_type {
            Cell::Text(name) => AccountType::from_name(name),
            _ => None,
        }
        .ok_or_else(|| {
            wrong(
                "account_type",
                "is not one of admin, user, auditor, service",
            )
        })?;
        let own =
            stored_hash(&row.hashed_password).map_err(|what| wrong("hashed_password", what))?;
        let temporary = stored_hash(&row.temporary_hashed_password)
            .map_err(|what| wrong("temporary_hashed_password", what))?;
        let must_reset =
            boolean(&row.reset_password).map_err(|what| wrong("reset_password", what))?;
        let locked_by_admin =
            boolean(&row.deactivated).map_err(|what| wrong("deactivated", what))?;
        let password_set_at = self
            .moment(&row.password_set_at)
            .map_err(|what| wrong("password_set_at", what))?;
        let first_time = own.is_none();
        let (password, temporary_password) = match (temporary, own) {
            (Some(temporary), _) => (temporary, true),
            (None, Some(own)) => (own, false),
            (None, None) => return Err(wrong("hashed_password", "is missing")),
        };
        let stored_reason = match (temporary_password, first_time) {
            (true, true) => ResetPasswordReason::FirstTimeLogin,
            (true, false) => ResetPasswordReason::AdminForced,
            (false, _) if must_reset => ResetPasswordReason::AdminForced,
            (false, _) => ResetPasswordReason::None,
        };
        if self.ids.contains(&id) {
            return Err(wrong("id", "also belongs to another user"));
        }
        if !self.usernames.insert(username.to_owned()) {
            return Err(wrong("username", "also belongs to another user"));
        }
        self.ids.insert(id);
        let failures = self.failures.remove(&id);
        self.failed_logins += failures.map_or(0, |failures| u64::from(failures.count));
        self.users.push(User {
            id: UserId(id),
            username: username.to_owned(),
            full_name: full_name.to_owned(),
            account_type,
            password,
            password_set_at,
            temporary_password,
            stored_reason,
            locked_by_admin,
            failed_logins: failures.map_or(0, |failures| failures.count),
            last_failed_login: failures.map(|failures| failures.last),
            directory: None,
        });
        Ok(())
    }

    /// Adds a row of table `setting`. A value that the Python server accepted but we do not is
    /// replaced by the nearest valid one.
    ///
    /// # Errors
    /// If the key is unknown, or the value is not JSON or of the wrong type. The row is skipped
    /// then.
    pub fn setting(&mut self, key: &Cell, value: &Cell) -> Result<(), Wrong> {
        let Cell::Text(key) = key else {
            return Err("table setting, column key: is not text".into());
        };
        // An unknown key could contain anything, so it is not repeated in the message.
        let Some(setting) = Setting::named(key) else {
            return Err("table setting: contains an unknown key".into());
        };
        let key = setting.name;
        let wrong = |what: &str| format!("table setting, key {key}, column value: {what}");
        let Cell::Text(text) = value else {
            return Err(wrong("is not text"));
        };
        let json: Json = serde_json::from_str(text).map_err(|_| wrong("is not JSON"))?;
        let value = value_of(setting, &json).map_err(wrong)?;
        let nearest = setting.nearest(value);
        setting
            .put(&mut self.settings, nearest)
            .map_err(|error| wrong(&error.to_string()))?;
        if nearest != value {
            self.notes.push(format!(
                "{key} was changed from {value} to {nearest}, the nearest valid value"
            ));
        }
        self.settings_changed += 1;
        Ok(())
    }

    /// Sets whether access control is on, from the only row of table `access_control_enabled`,
    /// whose id is 1.
    ///
    /// # Errors
    /// If `id` is not 1, or `enabled` is neither 0, 1 nor NULL. It is unknown then whether access
    /// control was on.
    pub fn access_control(&mut self, id: &Cell, enabled: &Cell) -> Result<(), Wrong> {
        if *id != Cell::Integer(1) {
            return Err(wrong("access_control_enabled", id, "id", "is not 1"));
        }
        self.access_control = Some(match enabled {
            // Written by an early version of the Python server.
            Cell::Null => false,
            enabled => boolean(enabled)
                .map_err(|what| wrong("access_control_enabled", id, "enabled", what))?,
        });
        Ok(())
    }

    /// Completes the plan after the last row, and notes failed logins that belong to no user.
    pub fn finish(&mut self) {
        let orphaned: u64 = self
            .failures
            .drain()
            .map(|(_, failures)| u64::from(failures.count))
            .sum();
        if orphaned > 0 {
            self.notes.push(format!(
                "failed logins of users who do not exist were skipped: {orphaned}"
            ));
        }
    }

    /// Converts a date and time to a moment. A time in the future becomes the present.
    ///
    /// # Errors
    /// If the value is not a date and time in the form that [`wall_time`] accepts.
    fn moment(&self, cell: &Cell) -> Result<Moment, &'static str> {
        let Cell::Text(text) = cell else {
            return Err("is not a date and time");
        };
        let wall =
            wall_time(text).ok_or("is not a date and time of the form YYYY-MM-DD HH:MM:SS")?;
        let age = self.now.reading.wall.saturating_sub(wall).max(0);
        Ok(Moment(self.now.moment.0.saturating_sub(age)))
    }
}

/// Describes what is wrong with a column of a row.
fn wrong(table: &str, id: &Cell, column: &str, what: &str) -> Wrong {
    let id = match id {
        Cell::Integer(id) => id.to_string(),
        _ => "(not an integer)".into(),
    };
    format!("table {table}, id {id}, column {column}: {what}")
}

/// Returns a username or full name. It need not comply with the rules for new names, but must not
/// be empty, overlong or contain control characters.
fn name(cell: &Cell) -> Result<&str, &'static str> {
    let Cell::Text(text) = cell else {
        return Err("is not text");
    };
    if text.is_empty() {
        return Err("is empty");
    }
    if text.chars().count() > MAX_NAME {
        return Err("is too long");
    }
    if text.contains(char::is_control) {
        return Err("contains a control character");
    }
    Ok(text)
}

/// Returns a boolean, which is stored as 0 or 1.
fn boolean(cell: &Cell) -> Result<bool, &'static str> {
    match cell {
        Cell::Integer(0) => Ok(false),
        Cell::Integer(1) => Ok(true),
        _ => Err("is neither 0 nor 1"),
    }
}

/// Returns a password hash, if it can be verified within the server's limits on memory and time;
/// `None` for NULL.
fn stored_hash(cell: &Cell) -> Result<Option<PasswordHash>, &'static str> {
    let text = match cell {
        Cell::Null => return Ok(None),
        Cell::Text(text) => text,
        _ => return Err("is not text"),
    };
    hash::check(text)?;
    Ok(Some(PasswordHash::from_phc(text.clone())))
}

/// Converts a JSON value to a value of the setting's type.
fn value_of(setting: &Setting, json: &Json) -> Result<Value, &'static str> {
    match setting.kind {
        _ if json.is_null() && setting.nullable => Ok(Value::Null),
        Kind::Boolean => json
            .as_bool()
            .map(Value::Boolean)
            .ok_or("is neither true nor false"),
        Kind::Integer(..) => json
            .as_f64()
            .filter(|number| number.fract() == 0.0 && *number >= 1.0)
            .map(|number| Value::Integer(number as u32)) // saturates
            .ok_or("is not an integer of at least 1"),
        Kind::Seconds(..) => json
            .as_f64()
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| {
                Value::Duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
            })
            .ok_or("is not a number above 0"),
    }
}

/// Converts a date and time to milliseconds since 1970-01-01T00:00:00Z. The form is
/// `YYYY-MM-DD HH:MM:SS`, or with `T` as separator, followed by an optional fraction of up to six
/// digits and an optional offset from UTC (`Z` or `+HH:MM`); without an offset the time is UTC.
fn wall_time(text: &str) -> Option<i64> {
    // All accepted forms are ASCII, so that byte offsets are character offsets from here on.
    if !text.is_ascii() || text.len() < 19 {
        return None;
    }
    let (whole, rest) = text.split_at(19);
    let bytes = whole.as_bytes();
    let at = |position: usize, allowed: &[u8]| allowed.contains(&bytes[position]);
    if !(at(4, b"-") && at(7, b"-") && at(10, b" T") && at(13, b":") && at(16, b":")) {
        return None;
    }
    let number = |text: &str| -> Option<u32> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    let part = |from: usize, to: usize| number(&whole[from..to]);
    let small = |from: usize, to: usize| part(from, to).and_then(|value| u8::try_from(value).ok());
    let year = i32::try_from(part(0, 4)?).ok()?;
    let month = Month::try_from(small(5, 7)?).ok()?;
    let date = Date::from_calendar_date(year, month, small(8, 10)?).ok()?;

    let (fraction, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=6).contains(&digits) {
                return None;
            }
            let (digits, zone) = rest.split_at(digits);
            (number(&format!("{digits:0<6}"))?, zone)
        }
    };
    let time =
        Time::from_hms_micro(small(11, 13)?, small(14, 16)?, small(17, 19)?, fraction).ok()?;
    let offset = match zone.as_bytes() {
        [] | [b'Z'] => UtcOffset::UTC,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let hours = number(&zone[1..3]).filter(|hours| *hours < 24)?;
            let minutes = number(&zone[4..6]).filter(|minutes| *minutes < 60)?;
            let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
            let sign = if *sign == b'-' { -1 } else { 1 };
            UtcOffset::from_whole_seconds(sign * seconds).ok()?
        }
        _ => return None,
    };
    let at = PrimitiveDateTime::new(date, time).assume_offset(offset);
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}
