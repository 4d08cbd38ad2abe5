//! The lab's directory (LDAP, mostly Active Directory): how the robot asks it, and what it says of a
//! person.

pub mod draft;
pub mod rules;

use super::passwords::Password;
pub use super::users::source::DirectoryId;
use super::users::AccountType;

/// Maximum number of servers.
pub const MAX_SERVERS: usize = 5;
/// Maximum length of the CA certificates, in bytes: half of a request's body, so that the rest of a
/// configuration fits beside them.
pub const MAX_CA: usize = 32 * 1024;
/// Maximum length of a distinguished name, a filter, a server's URL and the bind password, in bytes.
pub const MAX_TEXT: usize = 1024;
/// Maximum number of groups of one account type.
pub const MAX_GROUPS: usize = 20;
/// Default of [`Directory::offline_days`].
pub const DEFAULT_OFFLINE_DAYS: u32 = 7;
/// Maximum of [`Directory::offline_days`].
pub const MAX_OFFLINE_DAYS: u32 = 90;
/// Maximum, and default, of [`Directory::max_wrong_passwords`].
pub const MAX_WRONG_PASSWORDS: u32 = 3;
/// Placeholder of the name that a person types, in [`Names::Filter`].
pub const NAME: &str = "{name}";

/// Product that serves the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Microsoft's Active Directory, or Samba's. People are identified by `objectGUID`, and groups may
    /// be nested.
    ActiveDirectory,
    /// Any other LDAP server that has `entryUUID` (RFC 4530) and `memberOf`.
    Ldap,
}

/// How a person is found by the name that they type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// LDAP filter (RFC 4515) that contains [`NAME`].
    Filter(String),
    /// Suffix of the user principal name: `ada` is `ada@lab.example` for the suffix `lab.example`.
    UpnSuffix(String),
}

/// Groups whose members may use the robot: distinguished names. The first that a person belongs to
/// determines the account type: administrators, users, auditors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Groups of administrators.
    pub admins: Vec<String>,
    /// Groups of users.
    pub users: Vec<String>,
    /// Groups of auditors.
    pub auditors: Vec<String>,
}

impl Groups {
    /// Returns each account type with its groups, the most powerful first.
    pub fn by_type(&self) -> [(AccountType, &[String]); 3] {
        [
            (AccountType::Admin, &self.admins),
            (AccountType::User, &self.users),
            (AccountType::Auditor, &self.auditors),
        ]
    }
}

/// Configuration of the directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Product that serves it.
    pub kind: Kind,
    /// Servers in the order in which they are asked: `ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]`,
    /// which begins with StartTLS.
    pub servers: Vec<String>,
    /// Certificates of the authorities that the servers' certificates must come from (PEM).
    pub ca: String,
    /// Distinguished name below which people are looked for.
    pub base: String,
    /// How a person is found.
    pub names: Names,
    /// Distinguished name, or user principal name, of the account that looks people up.
    pub bind_name: String,
    /// Password of that account.
    pub bind_password: Password,
    /// Attribute that contains a person's full name.
    pub full_name_attribute: String,
    /// Groups whose members may use the robot.
    pub groups: Groups,
    /// Number of days for which a person may log in, after the last login that the directory
    /// confirmed, while it cannot be reached; 0 for none.
    pub offline_days: u32,
    /// Maximum number of wrong passwords of one person passed on to the directory within 30 minutes.
    pub max_wrong_passwords: u32,
}

impl PartialEq for Directory {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.servers == other.servers
            && self.ca == other.ca
            && self.base == other.base
            && self.names == other.names
            && self.bind_name == other.bind_name
            && self.bind_password.expose() == other.bind_password.expose()
            && self.full_name_attribute == other.full_name_attribute
            && self.groups == other.groups
            && self.offline_days == other.offline_days
            && self.max_wrong_passwords == other.max_wrong_passwords
    }
}

/// Person, as the directory describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Identifier.
    pub id: DirectoryId,
    /// Name that the person logs in with, as the directory writes it.
    pub username: String,
    /// Full name; `None` if the directory has none.
    pub full_name: Option<String>,
    /// Account type by group; `None` for a person in no group of the configuration.
    pub account_type: Option<AccountType>,
}

/// What the directory says of a login, or of a person who is looked up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right, or the person may still log in.
    Found(Person),
    /// The password is wrong.
    WrongPassword,
    /// Nobody has the name or the identifier.
    Nobody,
    /// More than one person has the name, or the person has more than one.
    Several,
    /// The person may not log in.
    Barred(Barred),
    /// The directory cannot be asked: why, in words.
    Away(String),
}

/// Reason why the directory does not let a person log in whose password may be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// The account is disabled.
    Disabled,
    /// The account has expired.
    AccountExpired,
    /// The directory has locked the account after wrong passwords.
    Locked,
    /// The password has expired, or must be changed, which cannot be done here.
    PasswordExpired,
    /// The account may not log in at this time or from here.
    NotHereOrNow,
}

impl Barred {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::Disabled,
        Self::AccountExpired,
        Self::Locked,
        Self::PasswordExpired,
        Self::NotHereOrNow,
    ];

    /// Returns the reason in words, which complete "the account …".
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Disabled => "is disabled in the directory",
            Self::AccountExpired => "has expired in the directory",
            Self::Locked => "is locked in the directory",
            Self::PasswordExpired => "needs a new password, which cannot be set at the robot",
            Self::NotHereOrNow => "may not log in here or now, says the directory",
        }
    }

    /// Returns whether the person is out, so that their sessions end. A lock after wrong passwords keeps
    /// strangers out, and an old password has to be replaced: neither says that the person may not use
    /// the robot.
    pub fn ends_sessions(self) -> bool {
        matches!(self, Self::Disabled | Self::AccountExpired)
    }
}
