//! Protocol between the auth server and `opentrons-auth-directory`: one request and one answer for each
//! connection to its Unix socket. Each is a JSON text after its length in bytes (32 bits, big-endian).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::directory::{Barred, Directory, DirectoryId, Groups, Kind, Names, Person};
use crate::domain::passwords::Password;
use crate::domain::users::AccountType;

/// Version of the protocol. A request of another version is answered with [`Answer::Misconfigured`].
pub const VERSION: u32 = 1;
/// Maximum length of a request, in bytes: all CA certificates, names and groups of a configuration at
/// their maximum, twice for JSON's escape sequences.
pub const MAX_REQUEST: u32 = 512 * 1024;
/// Maximum number of requests that the process answers at the same time. A client must not send more:
/// those that wait would be carried out, too, when nobody waits for the answer any more.
pub const MAX_REQUESTS: usize = 64;
/// Maximum length of an answer, in bytes.
pub const MAX_ANSWER: u32 = 64 * 1024;

/// Request. It contains passwords and is never logged.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// Configuration to use.
    pub configuration: Configuration,
    /// What to do.
    pub operation: Operation,
}

/// Operation of a request.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Operation {
    /// Verify the password of the person with this name.
    Verify {
        /// Name that the person typed.
        name: String,
        /// Password that the person typed.
        #[serde(with = "password")]
        password: Password,
    },
    /// Look up a person who has logged in before.
    LookUp {
        /// Identifier of the person.
        #[serde(with = "identifier")]
        id: DirectoryId,
    },
    /// Try the configuration: the bind account, the base, the attributes and the groups, at each server.
    Test,
}

/// Answer to a request. Its texts are for people, and contain no secrets.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The password is right, or the person was found. To [`Operation::LookUp`], it also says that the
    /// account is not barred for a reason that ends sessions ([`Barred::ends_sessions`]).
    Found(#[serde(with = "PersonText")] Person),
    /// The password is wrong.
    WrongPassword,
    /// Nobody has the name or the identifier.
    NobodyFound,
    /// More than one person has the name, or the person has more than one.
    SeveralFound,
    /// The person may not log in.
    Barred(#[serde(with = "BarredText")] Barred),
    /// No server could be asked: for each server, what happened. No password of a person was passed on.
    Unavailable(String),
    /// A server may have been given the password, and did not say whether it is right: what happened.
    Unanswered(String),
    /// The directory was asked, but the configuration is wrong: what, in words.
    Misconfigured(String),
    /// The configuration works: for each server, what was found.
    Tested(Vec<String>),
}

/// [`Directory`] in JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    #[serde(with = "KindText")]
    kind: Kind,
    servers: Vec<String>,
    ca: String,
    base: String,
    #[serde(with = "NamesText")]
    names: Names,
    bind_name: String,
    #[serde(with = "password")]
    bind_password: Password,
    full_name_attribute: String,
    admin_groups: Vec<String>,
    user_groups: Vec<String>,
    auditor_groups: Vec<String>,
    offline_days: u32,
    max_wrong_passwords: u32,
}

impl From<Directory> for Configuration {
    fn from(directory: Directory) -> Self {
        Self {
            kind: directory.kind,
            servers: directory.servers,
            ca: directory.ca,
            base: directory.base,
            names: directory.names,
            bind_name: directory.bind_name,
            bind_password: directory.bind_password,
            full_name_attribute: directory.full_name_attribute,
            admin_groups: directory.groups.admins,
            user_groups: directory.groups.users,
            auditor_groups: directory.groups.auditors,
            offline_days: directory.offline_days,
            max_wrong_passwords: directory.max_wrong_passwords,
        }
    }
}

impl From<Configuration> for Directory {
    fn from(configuration: Configuration) -> Self {
        Self {
            kind: configuration.kind,
            servers: configuration.servers,
            ca: configuration.ca,
            base: configuration.base,
            names: configuration.names,
            bind_name: configuration.bind_name,
            bind_password: configuration.bind_password,
            full_name_attribute: configuration.full_name_attribute,
            groups: Groups {
                admins: configuration.admin_groups,
                users: configuration.user_groups,
                auditors: configuration.auditor_groups,
            },
            offline_days: configuration.offline_days,
            max_wrong_passwords: configuration.max_wrong_passwords,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Kind", rename_all = "camelCase")]
enum KindText {
    ActiveDirectory,
    Ldap,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Names", rename_all = "camelCase")]
enum NamesText {
    Filter(String),
    UpnSuffix(String),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Barred", rename_all = "camelCase")]
enum BarredText {
    Disabled,
    AccountExpired,
    Locked,
    PasswordExpired,
    NotHereOrNow,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Person", rename_all = "camelCase")]
struct PersonText {
    #[serde(with = "identifier")]
    id: DirectoryId,
    username: String,
    full_name: Option<String>,
    #[serde(with = "account_type")]
    account_type: Option<AccountType>,
}

/// A password as a string. What is read is wiped when it is dropped.
mod password {
    use super::{Deserialize, Deserializer, Password, Serializer};

    pub fn serialize<S: Serializer>(password: &Password, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(password.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Password, D::Error> {
        String::deserialize(from).map(Password::new)
    }
}

/// A [`DirectoryId`] as a string.
mod identifier {
    use serde::de::Error;

    use super::{Deserialize, Deserializer, DirectoryId, Serializer};

    pub fn serialize<S: Serializer>(id: &DirectoryId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_text())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DirectoryId, D::Error> {
        DirectoryId::from_text(String::deserialize(from)?)
            .ok_or_else(|| D::Error::custom("expected 32 hexadecimal digits in lower case"))
    }
}

/// An account type by its name, or null.
mod account_type {
    use serde::de::Error;

    use super::{AccountType, Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        account_type: &Option<AccountType>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        account_type.map(AccountType::name).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<AccountType>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|name| {
                AccountType::from_name(&name)
                    .ok_or_else(|| D::Error::custom("unknown account type"))
            })
            .transpose()
    }
}
