//! Reasons for which a directory lets nobody in by an account: what its answer to a bind says, and what
//! the account's entry says.

use super::fault::Fault;
use super::message::{code, quoted, Entry, Outcome, PolicyError};
use crate::domain::directory::{Barred, Kind};

/// Time in `pwdAccountLockedTime` of an account that an administrator has locked for good
/// (draft-behera-ldap-password-policy §5.3.3).
const LOCKED_FOR_GOOD: &[u8] = b"000001010000Z";
/// Flag of [`FLAGS`]: the account is disabled.
const ACCOUNT_DISABLE: u64 = 0x2;
/// Attribute with the flags of an account (MS-ADTS §2.2.16).
const FLAGS: &str = "userAccountControl";
/// Attribute with the flags that the server computes (MS-ADTS §3.1.1.4.5.17).
const COMPUTED: &str = "msDS-User-Account-Control-Computed";
/// Attribute of 389 Directory Server, and so of FreeIPA: `TRUE` for an account that was made inactive.
const NS_ACCOUNT_LOCK: &str = "nsAccountLock";
/// Flag of [`COMPUTED`]: the account is locked.
const LOCKOUT: u64 = 0x10;
/// Flag of [`COMPUTED`]: the password has expired, or must be changed.
const PASSWORD_EXPIRED: u64 = 0x80_0000;
/// Value of `accountExpires`, beside 0, of an account that never expires (MS-ADA1 §2.3).
const NEVER: u64 = i64::MAX as u64;
/// Difference between 1601-01-01, from which Active Directory counts, and 1970-01-01, in seconds.
const FROM_1601_TO_1970: u64 = 11_644_473_600;

/// Attributes of an entry that [`of_entry`] reads.
pub fn attributes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ActiveDirectory => &[FLAGS, COMPUTED, "accountExpires"],
        Kind::Ldap => &[
            "pwdAccountLockedTime",
            "pwdEndTime",
            "pwdStartTime",
            "pwdReset",
            NS_ACCOUNT_LOCK,
        ],
    }
}

/// Checks that the bind account can read whether an account is disabled. In LDAP, an attribute that is
/// not there says that it is not.
///
/// # Errors
/// [`Fault::Misconfigured`] if not.
pub fn check_readable(kind: Kind, entry: &Entry) -> Result<(), Fault> {
    if kind == Kind::Ldap || number(entry, FLAGS).is_some() {
        return Ok(());
    }
    Err(Fault::Misconfigured(format!(
        "{:?} has no {FLAGS} that the bind account may read: it needs the right to read account \
         restrictions",
        quoted(&entry.dn)
    )))
}

/// Returns the filter that finds accounts of which it can be read whether they are disabled.
pub fn readable(kind: Kind) -> Option<String> {
    (kind == Kind::ActiveDirectory).then(|| format!("({FLAGS}=*)"))
}

/// Returns the number in an attribute; `None` if there is none.
fn number(entry: &Entry, name: &str) -> Option<u64> {
    let text = entry.text(name)?;
    // Flags are signed.
    let signed = || text.parse().map(|number: i64| number as u64);
    text.parse().or_else(|_| signed()).ok()
}

/// What the answer to a bind says of a password and its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Right,
    /// The password is wrong.
    Wrong,
    /// Nobody may log in by the account.
    Barred(Barred),
    /// The answer is about something else.
    Unclear,
}

/// Returns what the answer to a bind says. `entry`: that of the account. `now`: milliseconds since 1970.
pub fn of_bind(kind: Kind, outcome: &Outcome, entry: &Entry, now: u64) -> Verdict {
    let barred = match (outcome.code, outcome.policy) {
        (code::SUCCESS, Some(PolicyError::ChangeAfterReset | PolicyError::PasswordExpired)) => {
            Some(Barred::PasswordExpired)
        }
        (code::SUCCESS, _) => return Verdict::Right,
        (code::INVALID_CREDENTIALS, policy) => match kind {
            Kind::ActiveDirectory => of_sub_code(&outcome.text),
            Kind::Ldap => match policy {
                Some(PolicyError::PasswordExpired | PolicyError::ChangeAfterReset) => {
                    Some(Barred::PasswordExpired)
                }
                Some(PolicyError::AccountLocked) => {
                    Some(of_entry(kind, entry, now).unwrap_or(Barred::Locked))
                }
                // Unless the directory is configured to tell of a lock, the entry alone does.
                _ => of_entry(kind, entry, now).filter(|barred| *barred != Barred::PasswordExpired),
            },
        },
        // 389 Directory Server, for an account that was made inactive, and after too many passwords.
        (code::UNWILLING_TO_PERFORM, _) if kind == Kind::Ldap => Some(Barred::Disabled),
        (code::CONSTRAINT_VIOLATION, _) if kind == Kind::Ldap => Some(Barred::Locked),
        _ => return Verdict::Unclear,
    };
    barred.map_or(Verdict::Wrong, Verdict::Barred)
}

/// Returns what the sub-code in Active Directory's text says (system error codes of Windows, in
/// hexadecimal): `80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 533, v4563`.
/// Of a wrong password, 52e, and whatever is not known here, nothing.
fn of_sub_code(text: &str) -> Option<Barred> {
    let (_, after) = text.split_once(", data ")?;
    let digits = after.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    Some(match u32::from_str_radix(digits, 16).ok()? {
        0x533 => Barred::Disabled,
        0x701 => Barred::AccountExpired,
        0x775 => Barred::Locked,
        0x532 | 0x773 => Barred::PasswordExpired,
        // Account restriction, hours, workstation, kind of logon.
        0x52f | 0x530 | 0x531 | 0x569 => Barred::NotHereOrNow,
        _ => return None,
    })
}

/// Returns why nobody may log in by the account of an entry, as far as the entry says. `now`:
/// milliseconds since 1970.
pub fn of_entry(kind: Kind, entry: &Entry, now: u64) -> Option<Barred> {
    match kind {
        Kind::ActiveDirectory => {
            let has = |name, flag| number(entry, name).is_some_and(|flags| flags & flag != 0);
            let expires = number(entry, "accountExpires").filter(|at| *at != 0 && *at < NEVER);
            // In units of 100 ns.
            let now = (now / 1000 + FROM_1601_TO_1970) * 10_000_000;
            if has(FLAGS, ACCOUNT_DISABLE) {
                Some(Barred::Disabled)
            } else if expires.is_some_and(|at| at <= now) {
                Some(Barred::AccountExpired)
            } else if has(COMPUTED, LOCKOUT) {
                Some(Barred::Locked)
            } else if has(COMPUTED, PASSWORD_EXPIRED) {
                Some(Barred::PasswordExpired)
            } else {
                None
            }
        }
        Kind::Ldap => {
            let time = |name| entry.text(name).and_then(seconds);
            let now = now / 1000;
            let locked = entry.value("pwdAccountLockedTime");
            let inactive = entry.text(NS_ACCOUNT_LOCK);
            if locked == Some(LOCKED_FOR_GOOD)
                || inactive.is_some_and(|text| text.eq_ignore_ascii_case("true"))
            {
                Some(Barred::Disabled)
            } else if time("pwdEndTime").is_some_and(|end| end <= now) {
                Some(Barred::AccountExpired)
            } else if time("pwdStartTime").is_some_and(|start| start > now) {
                Some(Barred::NotHereOrNow)
            } else if locked.is_some() {
                Some(Barred::Locked)
            } else if entry.value("pwdReset") == Some(b"TRUE") {
                Some(Barred::PasswordExpired)
            } else {
                None
            }
        }
    }
}

/// Reads a time in UTC, `YYYYMMDDhhmmss` and anything (RFC 4517 §3.3.13): seconds since 1970.
fn seconds(text: &str) -> Option<u64> {
    use time::{Date, Month, Time};
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    let month = Month::try_from(number(4, 6)?).ok()?;
    let date = Date::from_calendar_date(year, month, number(6, 8)?).ok()?;
    let time = Time::from_hms(number(8, 10)?, number(10, 12)?, number(12, 14)?).ok()?;
    date.with_time(time)
        .assume_utc()
        .unix_timestamp()
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000; // 2027-01-15T08:00:00Z

    fn refused(kind: Kind, text: &str) -> Verdict {
        let outcome = Outcome {
            code: code::INVALID_CREDENTIALS,
            text: text.into(),
            policy: None,
            more: false,
        };
        of_bind(kind, &outcome, &Entry::default(), NOW)
    }

    #[test]
    fn sub_codes_of_active_directory_are_told_apart() {
        for (sub_code, verdict) in [
            ("525", Verdict::Wrong),
            ("52e", Verdict::Wrong),
            ("52f", Verdict::Barred(Barred::NotHereOrNow)),
            ("530", Verdict::Barred(Barred::NotHereOrNow)),
            ("531", Verdict::Barred(Barred::NotHereOrNow)),
            ("532", Verdict::Barred(Barred::PasswordExpired)),
            ("533", Verdict::Barred(Barred::Disabled)),
            ("701", Verdict::Barred(Barred::AccountExpired)),
            ("773", Verdict::Barred(Barred::PasswordExpired)),
            ("775", Verdict::Barred(Barred::Locked)),
            ("", Verdict::Wrong),
            ("ffffffffff", Verdict::Wrong),
        ] {
            let text = format!(
                "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {sub_code}, v4563"
            );
            assert_eq!(refused(Kind::ActiveDirectory, &text), verdict, "{sub_code}");
            assert_eq!(refused(Kind::Ldap, &text), Verdict::Wrong);
        }
    }

    #[test]
    fn accounts_of_active_directory_expire_at_their_time() {
        let at = |expires: &str| {
            let entry = Entry::with(&[("accountExpires", expires)]);
            of_entry(Kind::ActiveDirectory, &entry, NOW)
        };
        // 2027-01-15T08:00:00Z, in 100 ns since 1601.
        assert_eq!(at("134444736000000000"), Some(Barred::AccountExpired));
        assert_eq!(at("134444736000000001"), None);
        assert_eq!(at("0"), None);
        assert_eq!(at("9223372036854775807"), None);
    }

    #[test]
    fn flags_of_active_directory_are_signed() {
        let with = |flags: &str| {
            let entry = Entry::with(&[("userAccountControl", flags)]);
            of_entry(Kind::ActiveDirectory, &entry, NOW)
        };
        assert_eq!(with("514"), Some(Barred::Disabled));
        assert_eq!(with("512"), None);
        assert_eq!(with("-2147483134"), Some(Barred::Disabled));
        assert_eq!(with("-2147483136"), None);
    }

    #[test]
    fn times_of_a_password_policy_are_compared() {
        let with = |name: &str, time: &str| {
            let entry = Entry::with(&[(name, time)]);
            of_entry(Kind::Ldap, &entry, NOW)
        };
        assert_eq!(
            with("pwdEndTime", "20270115080000Z"),
            Some(Barred::AccountExpired)
        );
        assert_eq!(with("pwdEndTime", "20270115080001Z"), None);
        assert_eq!(with("pwdEndTime", "2027"), None);
        assert_eq!(with("pwdStartTime", "20270115080000Z"), None);
        assert_eq!(
            with("pwdStartTime", "20270115080001.5Z"),
            Some(Barred::NotHereOrNow)
        );
    }
}
