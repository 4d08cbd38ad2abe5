//! People: found by name or identifier, their groups, and whether they may log in.

use std::time::{SystemTime, UNIX_EPOCH};

use super::connection::Connection;
use super::dn;
use super::fault::Fault;
use super::message::{self, code, escaped, quoted, Entry, Outcome, Scope, Search};
use super::reasons::{self, Verdict};
use crate::directory::protocol::Answer;
use crate::domain::directory::{
    Barred, Directory, DirectoryId, Kind, Names, Person, MAX_TEXT, NAME,
};
use crate::domain::passwords::Password;
use crate::domain::users::AccountType;

/// Attribute of the name in [`Names::UpnSuffix`].
const UPN: &str = "userPrincipalName";
/// Rule by which Active Directory finds the groups of groups, too (MS-ADTS §3.1.1.3.4.4.3).
const NESTED: &str = "memberOf:1.2.840.113556.1.4.1941:";
/// Requests no attributes (RFC 4511 §4.5.1.8).
const NO_ATTRIBUTES: &str = "1.1";
/// Filter that any entry passes.
const ANY: &str = "(objectClass=*)";

/// Question about a person.
pub enum Question<'a> {
    /// Whether the password of the person with a name is right.
    Verify(&'a str, &'a Password),
    /// Who the person with an identifier is.
    LookUp(&'a DirectoryId),
}

/// Configuration, checked as far as that is possible without a server.
pub struct People<'a> {
    /// Configuration.
    pub directory: &'a Directory,
    /// Filter with [`NAME`].
    filter: String,
    /// Attribute with the name that people log in with.
    pub name_attribute: String,
    /// What surrounds the name in the attribute's value.
    around: (String, String),
}

impl<'a> People<'a> {
    /// Checks a configuration.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn of(directory: &'a Directory) -> Result<Self, String> {
        let is_dn = |field: &str, name: &str| match dn::parse(name) {
            Some(_) => Ok(()),
            None => Err(format!(
                "{field}: {:?} is not a distinguished name (RFC 4514)",
                quoted(name)
            )),
        };
        is_dn("base", &directory.base)?;
        let fields = ["adminGroups", "userGroups", "auditorGroups"];
        for (field, (_, groups)) in fields.into_iter().zip(directory.groups.by_type()) {
            for group in groups {
                is_dn(field, group)?;
            }
        }
        if !is_attribute(&directory.full_name_attribute) {
            return Err(format!(
                "fullNameAttribute: {:?} is not the name of an attribute",
                quoted(&directory.full_name_attribute)
            ));
        }
        if directory.bind_name.is_empty() || directory.bind_password.expose().is_empty() {
            return Err("bindName and bindPassword must not be empty".into());
        }
        let people = match &directory.names {
            Names::UpnSuffix(suffix) => {
                let suffix = format!("@{}", suffix.trim_start_matches('@'));
                Self {
                    directory,
                    filter: format!("({UPN}={NAME}{})", escaped(suffix.as_bytes())),
                    name_attribute: UPN.into(),
                    around: (String::new(), suffix),
                }
            }
            Names::Filter(filter) => {
                let (name_attribute, around) =
                    compared_with_name(filter).ok_or_else(|| not_a_filter(filter))?;
                Self {
                    directory,
                    filter: filter.clone(),
                    name_attribute,
                    around,
                }
            }
        };
        for text in [people.by_name("x"), people.everybody()] {
            if message::filter(&text).is_none() {
                return Err(not_a_filter(&people.filter));
            }
        }
        Ok(people)
    }

    /// Returns the filter that finds a person by name.
    fn by_name(&self, name: &str) -> String {
        self.filter.replace(NAME, &escaped(name.as_bytes()))
    }

    /// Returns the filter that finds everybody who has a name.
    pub fn everybody(&self) -> String {
        self.filter.replace(NAME, "*")
    }

    /// Returns the filter that finds the person with an identifier, if the name's filter finds them still.
    fn by_id(&self, id: &DirectoryId) -> String {
        let digits = id.as_text();
        let value = match self.directory.kind {
            Kind::ActiveDirectory => (0..16).fold(String::new(), |text, byte| {
                text + "\\" + &digits[byte * 2..byte * 2 + 2]
            }),
            Kind::Ldap => [0..8, 8..12, 12..16, 16..20, 20..32]
                .map(|part| &digits[part])
                .join("-"),
        };
        format!("(&({}={value}){})", self.id_attribute(), self.everybody())
    }

    /// Returns the attribute with the identifier.
    pub fn id_attribute(&self) -> &'static str {
        match self.directory.kind {
            Kind::ActiveDirectory => "objectGUID",
            Kind::Ldap => "entryUUID",
        }
    }

    /// Returns the attributes of a person that are needed.
    pub fn attributes(&self) -> Vec<&str> {
        let mut attributes = vec![
            self.id_attribute(),
            &*self.name_attribute,
            &*self.directory.full_name_attribute,
        ];
        attributes.extend(reasons::attributes(self.directory.kind));
        if self.directory.kind == Kind::Ldap {
            attributes.push("memberOf");
        }
        attributes
    }

    /// Asks a server.
    ///
    /// # Errors
    /// [`Fault`]: the server could not be asked, or the configuration is wrong.
    pub async fn ask(
        &self,
        server: &mut Connection,
        question: &Question<'_>,
    ) -> Result<Answer, Fault> {
        let filter = match question {
            Question::Verify(name, _) => self.by_name(name),
            Question::LookUp(id) => self.by_id(id),
        };
        let entry = match self.find(server, &filter).await? {
            Ok(entry) => entry,
            Err(answer) => return Ok(answer),
        };
        let username = match question {
            // Each name of a person would have a limit of wrong passwords of its own.
            Question::Verify(name, _) => match &self.names(&entry)?[..] {
                [only] if only.to_lowercase() == name.to_lowercase() => *only,
                [_, _, ..] => return Ok(Answer::SeveralFound),
                _ => return Ok(Answer::NobodyFound),
            },
            Question::LookUp(_) => self.username(&entry)?,
        };
        let username = username.to_owned();
        let person = self.person(server, &entry, username).await?;
        match question {
            Question::Verify(_, password) => self.verify(server, &entry, person, password).await,
            Question::LookUp(_) => {
                reasons::check_readable(self.directory.kind, &entry)?;
                let barred = reasons::of_entry(self.directory.kind, &entry, now());
                // A lock or an old password ends no session, and must not hide another group or name.
                let barred = barred.filter(|barred| barred.ends_sessions());
                Ok(barred.map_or(Answer::Found(person), Answer::Barred))
            }
        }
    }

    /// Verifies the password of a person.
    async fn verify(
        &self,
        server: &mut Connection,
        entry: &Entry,
        person: Person,
        password: &Password,
    ) -> Result<Answer, Fault> {
        let outcome = server.bind(&entry.dn, password).await;
        let outcome = outcome.map_err(|fault| match fault {
            Fault::Unavailable(why) => {
                Fault::Unanswered(format!("while the password was verified: {why}"))
            }
            fault => fault,
        })?;
        match reasons::of_bind(self.directory.kind, &outcome, entry, now()) {
            Verdict::Right => {
                // Otherwise no look-up would confirm the person later.
                reasons::check_readable(self.directory.kind, entry)?;
                Ok(Answer::Found(person))
            }
            Verdict::Wrong => Ok(Answer::WrongPassword),
            Verdict::Barred(barred) => Ok(Answer::Barred(barred)),
            Verdict::Unclear => match Fault::of(&outcome, "the password could not be verified") {
                Fault::Unavailable(why) => Err(Fault::Unanswered(why)),
                // The server works, and refuses this person. As a fault of the configuration, it would
                // be a reason to accept the password that was confirmed last.
                _ => Ok(Answer::Barred(Barred::NotHereOrNow)),
            },
        }
    }

    /// Binds with the bind account.
    ///
    /// # Errors
    /// [`Fault`]: the server could not be asked, or refused the account.
    pub async fn sign_in(&self, server: &mut Connection) -> Result<(), Fault> {
        let Directory {
            kind,
            bind_name,
            bind_password,
            ..
        } = self.directory;
        let outcome = server.bind(bind_name, bind_password).await?;
        let refused = format!("the bind account {:?} was refused", quoted(bind_name));
        match reasons::of_bind(*kind, &outcome, &Entry::default(), now()) {
            Verdict::Right => Ok(()),
            Verdict::Wrong => Err(Fault::Misconfigured(format!(
                "{refused}: its name or its password is wrong"
            ))),
            Verdict::Barred(barred) => Err(Fault::Misconfigured(format!(
                "{refused}: the account {}",
                barred.in_words()
            ))),
            Verdict::Unclear => Err(Fault::of(&outcome, &refused)),
        }
    }

    /// Finds the one entry below the base that a filter finds, or answers why there is not one.
    async fn find(
        &self,
        server: &mut Connection,
        filter: &str,
    ) -> Result<Result<Entry, Answer>, Fault> {
        self.sign_in(server).await?;
        let (mut entries, outcome) = self.search(server, filter, &self.attributes(), 2).await?;
        let more = outcome.code == code::SIZE_LIMIT_EXCEEDED || entries.len() > 1;
        Ok(match entries.pop() {
            Some(entry) if !more => Ok(entry),
            Some(_) => Err(Answer::SeveralFound),
            None if more => Err(Answer::SeveralFound),
            None => Err(Answer::NobodyFound),
        })
    }

    /// Searches below the base. An outcome is a success, or [`code::SIZE_LIMIT_EXCEEDED`].
    ///
    /// # Errors
    /// [`Fault`]: the server could not be asked, or the configuration is wrong.
    pub async fn search(
        &self,
        server: &mut Connection,
        filter: &str,
        attributes: &[&str],
        size_limit: u32,
    ) -> Result<(Vec<Entry>, Outcome), Fault> {
        let base = &self.directory.base;
        let search = Search {
            base,
            scope: Scope::Subtree,
            filter,
            attributes,
            size_limit,
            paged: self.directory.kind == Kind::ActiveDirectory,
        };
        let found = server.search(&search).await?;
        // A page may have fewer entries than were asked for (RFC 2696 §3).
        if found.1.more && found.0.len() < size_limit.min(2) as usize {
            let why = "the search below the base ended before all was found";
            return Err(Fault::Unavailable(why.into()));
        }
        match found.1.code {
            code::SUCCESS | code::SIZE_LIMIT_EXCEEDED => Ok(found),
            code::NO_SUCH_OBJECT => Err(Fault::Misconfigured(format!(
                "base: {:?} does not exist, or the bind account may not see it",
                quoted(base)
            ))),
            _ => Err(Fault::of(&found.1, "the search below the base failed")),
        }
    }

    /// Describes the person of an entry.
    async fn person(
        &self,
        server: &mut Connection,
        entry: &Entry,
        username: String,
    ) -> Result<Person, Fault> {
        let account_type = match self.directory.kind {
            Kind::ActiveDirectory => self.type_by_nested_groups(server, &entry.dn).await?,
            Kind::Ldap => self.type_by_member_of(entry),
        };
        let full_name = entry.text(&self.directory.full_name_attribute);
        Ok(Person {
            id: self.id(entry)?,
            username,
            full_name: full_name
                .map(str::trim)
                .filter(|name| !name.is_empty() && name.len() <= MAX_TEXT)
                .map(str::to_owned),
            account_type,
        })
    }

    /// Returns the identifier of an entry.
    ///
    /// # Errors
    /// [`Fault::Misconfigured`] if it has none.
    pub fn id(&self, entry: &Entry) -> Result<DirectoryId, Fault> {
        let digits = match self.directory.kind {
            Kind::ActiveDirectory => entry
                .value(self.id_attribute())
                .map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            Kind::Ldap => entry
                .text(self.id_attribute())
                .map(|text| text.replace('-', "").to_ascii_lowercase()),
        };
        digits.and_then(DirectoryId::from_text).ok_or_else(|| {
            Fault::Misconfigured(format!(
                "{:?} has no {} that the bind account may read",
                quoted(&entry.dn),
                self.id_attribute()
            ))
        })
    }

    /// Returns the names by which the filter finds an entry.
    ///
    /// # Errors
    /// [`Fault::Misconfigured`] if the bind account cannot read the attribute.
    pub fn names<'e>(&self, entry: &'e Entry) -> Result<Vec<&'e str>, Fault> {
        let values = entry.values(&self.name_attribute);
        if values.is_empty() {
            return Err(self.without_name(entry));
        }
        let (before, after) = &self.around;
        let name = |value: &'e Vec<u8>| {
            let value = std::str::from_utf8(value).ok()?;
            let (found, rest) = (value.get(..before.len())?, value.get(before.len()..)?);
            let end = rest.len().checked_sub(after.len())?;
            let (inner, tail) = (rest.get(..end)?, rest.get(end..)?);
            let surrounded = found.to_lowercase() == before.to_lowercase()
                && tail.to_lowercase() == after.to_lowercase();
            (surrounded && !inner.is_empty() && inner.len() <= MAX_TEXT).then_some(inner)
        };
        Ok(values.iter().filter_map(name).collect())
    }

    /// Returns the name of the person of an entry: of several, the first in the order of their bytes, so
    /// that it is the same at each look-up, in whichever order a server sends them.
    ///
    /// # Errors
    /// [`Fault::Misconfigured`] if it has none.
    pub fn username<'e>(&self, entry: &'e Entry) -> Result<&'e str, Fault> {
        let first = self.names(entry)?.into_iter().min();
        first.ok_or_else(|| self.without_name(entry))
    }

    /// Returns the fault of an entry without a name.
    fn without_name(&self, entry: &Entry) -> Fault {
        let (before, after) = &self.around;
        Fault::Misconfigured(format!(
            "{:?} has no {} like {:?} that the bind account may read",
            quoted(&entry.dn),
            self.name_attribute,
            quoted(&format!("{before}{NAME}{after}"))
        ))
    }

    /// Returns the account type by the groups that an entry names.
    fn type_by_member_of(&self, entry: &Entry) -> Option<AccountType> {
        let texts = entry.values("memberOf").iter();
        let texts = texts.filter_map(|value| std::str::from_utf8(value).ok());
        let member_of: Vec<_> = texts.filter_map(dn::parse).collect();
        let is_member = |group: &String| dn::parse(group).is_some_and(|dn| member_of.contains(&dn));
        let mut types = self.directory.groups.by_type().into_iter();
        types
            .find(|(_, groups)| groups.iter().any(is_member))
            .map(|(account_type, _)| account_type)
    }

    /// Asks Active Directory for the account type by groups, and groups of groups.
    async fn type_by_nested_groups(
        &self,
        server: &mut Connection,
        dn: &str,
    ) -> Result<Option<AccountType>, Fault> {
        for (account_type, groups) in self.directory.groups.by_type() {
            if groups.is_empty() {
                continue;
            }
            let any: String = groups
                .iter()
                .map(|group| format!("({NESTED}={})", escaped(group.as_bytes())))
                .collect();
            let filter = format!("(|{any})");
            match read(server, dn, &filter).await? {
                (entries, outcome) if outcome.code == code::SUCCESS => {
                    if !entries.is_empty() {
                        return Ok(Some(account_type));
                    }
                }
                // Deleted since.
                (_, outcome) if outcome.code == code::NO_SUCH_OBJECT => return Ok(None),
                (_, outcome) => return Err(Fault::of(&outcome, "the groups could not be read")),
            }
        }
        Ok(None)
    }
}

/// Returns the outcome of reading an entry, which may not exist.
///
/// # Errors
/// [`Fault`]: the server could not be asked.
pub async fn exists(server: &mut Connection, dn: &str) -> Result<Outcome, Fault> {
    Ok(read(server, dn, ANY).await?.1)
}

/// Reads an entry without attributes, if a filter finds it.
///
/// # Errors
/// [`Fault`]: the server could not be asked.
async fn read(
    server: &mut Connection,
    dn: &str,
    filter: &str,
) -> Result<(Vec<Entry>, Outcome), Fault> {
    let search = Search {
        base: dn,
        scope: Scope::Base,
        filter,
        attributes: &[NO_ATTRIBUTES],
        size_limit: 1,
        paged: false,
    };
    server.search(&search).await
}

/// Says that a text is not a filter by which people can be found.
fn not_a_filter(text: &str) -> String {
    format!(
        "userFilter: {:?} is not a filter (RFC 4515) that compares an attribute with the name, as \
         (uid={NAME}) does",
        quoted(text)
    )
}

/// Returns the attribute that a filter compares with the name, and the value's text around the name. `*`
/// would let it find people by a part of their names.
fn compared_with_name(filter: &str) -> Option<(String, (String, String))> {
    let (before, after) = filter.split_once(NAME)?;
    let (attribute, before) = before.rsplit_once('(')?.1.split_once('=')?;
    let (after, _) = after.split_once(')')?;
    let around = (unescaped(before)?, unescaped(after)?);
    is_attribute(attribute).then(|| (attribute.to_owned(), around))
}

/// Returns a part of a value in the text of a filter without escape sequences (RFC 4515 §3); `None` if it
/// contains `*`, is malformed, or no UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'*' => return None,
            b'\\' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                value.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            _ => value.push(byte),
        }
    }
    String::from_utf8(value).ok()
}

/// Returns whether a text can be the name of an attribute, or its number (RFC 4512 §2.5).
fn is_attribute(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    !text.is_empty() && text.chars().all(allowed)
}

/// Returns the milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
