//! Configuration of the directory as a client gives it, and the checks that make a [`Directory`] of it.
//!
//! [`FIELDS`] describes each field once: its name for clients, its meaning and its valid values. What
//! clients send and see, the OpenAPI document, completions and audit events are derived from it.

use std::fmt;
use std::net::Ipv6Addr;

use sha2::{Digest, Sha256};

use super::{
    Directory, Groups, Kind, Names, DEFAULT_OFFLINE_DAYS, MAX_CA, MAX_GROUPS, MAX_OFFLINE_DAYS,
    MAX_SERVERS, MAX_TEXT, MAX_WRONG_PASSWORDS, NAME,
};
use crate::domain::audit::hex;
use crate::domain::error::{Field as Named, RuleError};
use crate::domain::passwords::Password;

/// Names of the products for clients.
pub const KINDS: [&str; 2] = ["activeDirectory", "ldap"];

/// Configuration as a client gives it. A text or list that was omitted is empty.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    kind: String,
    servers: Vec<String>,
    ca: String,
    base: String,
    user_filter: String,
    upn_suffix: String,
    bind_name: String,
    bind_password: Option<Password>,
    full_name_attribute: String,
    admin_groups: Vec<String>,
    user_groups: Vec<String>,
    auditor_groups: Vec<String>,
    offline_days: Option<u32>,
    max_wrong_passwords: Option<u32>,
}

/// Value of a field in a [`Draft`].
pub enum Slot<'a> {
    /// Text.
    Text(&'a mut String),
    /// List of texts.
    List(&'a mut Vec<String>),
    /// Whole number.
    Number(&'a mut Option<u32>),
    /// Password, which clients never see again.
    Password(&'a mut Option<Password>),
}

/// Values that a field accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// One of [`KINDS`].
    Kind,
    /// Text of at most so many bytes.
    Text(usize),
    /// Texts, at most so many.
    List(usize),
    /// Whole number from the first bound to the second, inclusive.
    Number(u32, u32),
    /// Password.
    Password,
}

/// Description of a field.
pub struct Field {
    /// Name of the JSON member.
    pub name: &'static str,
    /// Description for clients.
    pub meaning: &'static str,
    /// Accepted values.
    pub accepts: Accepts,
    /// Whether the field must be given.
    pub required: bool,
    /// Checks a text, or one in a list.
    check: fn(&str) -> bool,
    /// What the check requires, as a predicate.
    rule: &'static str,
    slot: fn(&mut Draft) -> Slot<'_>,
}

/// What a distinguished name must be.
const DN_RULE: &str =
    "must be a distinguished name (RFC 4514), such as CN=robots,OU=groups,DC=lab,DC=example";

/// Builds the [`Field`] of a text, a list of texts, or a number.
macro_rules! field {
    ($name:literal, $field:ident, $variant:ident, $accepts:expr, $required:literal, $check:expr, $rule:expr, $meaning:literal) => {
        Field {
            name: $name,
            meaning: $meaning,
            accepts: $accepts,
            required: $required,
            check: $check,
            rule: $rule,
            slot: |draft| Slot::$variant(&mut draft.$field),
        }
    };
}

/// Descriptions of all fields, in the order in which clients see them.
#[rustfmt::skip] // A field is a row.
pub static FIELDS: [Field; 14] = [
    field!("kind", kind, Text, Accepts::Kind, true, is_kind,
        "must be activeDirectory or ldap",
        "Product that serves the directory: `activeDirectory` (Microsoft's or Samba's) or `ldap` (any \
         other with `entryUUID` and `memberOf`)."),
    field!("servers", servers, List, Accepts::List(MAX_SERVERS), true, is_server,
        "must be ldaps://HOST[:PORT] or ldap://HOST[:PORT]",
        "URLs of the servers in the order in which they are asked: `ldaps://HOST[:PORT]`, or \
         `ldap://HOST[:PORT]`, which begins with StartTLS."),
    field!("ca", ca, Text, Accepts::Text(MAX_CA), true, is_pem,
        "must be certificates in PEM (-----BEGIN CERTIFICATE-----), and contain no key",
        "Certificates of the authorities that the servers' certificates must come from, in PEM."),
    field!("base", base, Text, Accepts::Text(MAX_TEXT), true, is_dn, DN_RULE,
        "Distinguished name below which people are looked for."),
    field!("userFilter", user_filter, Text, Accepts::Text(MAX_TEXT), false, is_filter,
        "must be an LDAP filter (RFC 4515) with one {name} as a value, and no * beside it, such as \
         (uid={name})",
        "LDAP filter that finds a person: `{name}` stands for the username that was typed. Either this \
         or `upnSuffix` is required."),
    field!("upnSuffix", upn_suffix, Text, Accepts::Text(MAX_TEXT), false, is_host,
        "must be a domain name, such as lab.example",
        "In Active Directory, suffix of the user principal names: with `lab.example`, the username `ada` \
         is `ada@lab.example`."),
    field!("bindName", bind_name, Text, Accepts::Text(MAX_TEXT), true, is_bind_name,
        "must be a distinguished name (RFC 4514), or in Active Directory a user principal name, such as \
         robot@lab.example",
        "Account that looks people up: its distinguished name or, in Active Directory, its user \
         principal name."),
    field!("bindPassword", bind_password, Password, Accepts::Password, false, is_password,
        "must not be empty",
        "Password of that account; no response contains it. If it is omitted, the stored one is kept, \
         provided that `servers`, `ca` and `bindName` stay the same."),
    field!("fullNameAttribute", full_name_attribute, Text, Accepts::Text(MAX_TEXT), false, is_attribute,
        "must be the name of an attribute (RFC 4512), such as displayName",
        "Attribute with the full name of a person; by default `displayName` in Active Directory and \
         `cn` elsewhere."),
    field!("adminGroups", admin_groups, List, Accepts::List(MAX_GROUPS), false, is_dn, DN_RULE,
        "Groups whose members are administrators: distinguished names. At least one group of any type \
         is required."),
    field!("userGroups", user_groups, List, Accepts::List(MAX_GROUPS), false, is_dn, DN_RULE,
        "Groups whose members are users, unless they are administrators."),
    field!("auditorGroups", auditor_groups, List, Accepts::List(MAX_GROUPS), false, is_dn, DN_RULE,
        "Groups whose members are auditors, unless they are administrators or users."),
    field!("offlineDays", offline_days, Number, Accepts::Number(0, MAX_OFFLINE_DAYS), false, any, "",
        "Days for which people can log in while the directory cannot be reached, each from the last \
         login that it confirmed; 7 by default, 0 for none."),
    field!("maxWrongPasswords", max_wrong_passwords, Number, Accepts::Number(1, MAX_WRONG_PASSWORDS),
        false, any, "",
        "Number of wrong passwords of a person that are passed on to the directory within 30 minutes, \
         so that the robot cannot cause a lockout there; 3 by default."),
];

impl Field {
    /// Returns the field with this JSON name, or `None` if there is none.
    pub fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Returns whether a value can be given on a command line. There, other users would see a password, and
    /// certificates have many lines.
    pub fn is_short(&self) -> bool {
        self.accepts != Accepts::Password && self.name != "ca"
    }

    /// Returns the place of its value in a draft.
    pub fn slot<'a>(&self, draft: &'a mut Draft) -> Slot<'a> {
        (self.slot)(draft)
    }

    /// Returns the error of a value that breaks a rule, which is a predicate.
    fn refuse(&self, rule: String) -> RuleError {
        refuse(self.name, rule)
    }

    /// Checks the value of this field in a draft by itself.
    fn check(&self, draft: &mut Draft) -> Result<(), RuleError> {
        let is_missing = match (self.slot(draft), self.accepts) {
            (Slot::Text(text), _) => {
                if !text.is_empty() {
                    self.check_text(text).map_err(|rule| self.refuse(rule))?;
                }
                text.is_empty()
            }
            (Slot::List(texts), Accepts::List(most)) => {
                if texts.len() > most {
                    return Err(self.refuse(format!("must have at most {most} items")));
                }
                for (index, text) in texts.iter().enumerate() {
                    self.check_text(text)
                        .map_err(|rule| self.refuse(format!("item {} {rule}", index + 1)))?;
                }
                texts.is_empty()
            }
            (Slot::Number(Some(number)), Accepts::Number(least, most)) => {
                if !(least..=most).contains(number) {
                    return Err(self.refuse(format!("must be between {least} and {most}")));
                }
                false
            }
            (Slot::Password(Some(password)), _) => {
                self.check_text(password.expose())
                    .map_err(|rule| self.refuse(rule))?;
                false
            }
            _ => true,
        };
        if is_missing && self.required {
            return Err(self.refuse("is required".into()));
        }
        Ok(())
    }

    /// Checks a text; an error is the rule that it breaks, as a predicate, and never contains the text.
    fn check_text(&self, text: &str) -> Result<(), String> {
        let most = match self.accepts {
            Accepts::Text(most) => most,
            _ => MAX_TEXT,
        };
        if text.len() > most {
            return Err(format!("must have at most {most} bytes"));
        }
        if (self.check)(text) {
            Ok(())
        } else {
            Err(self.rule.into())
        }
    }

    /// Describes the value of this field in a draft, for the audit log: the CA certificates by their
    /// SHA-256. Returns an empty text if it has none.
    fn described(&self, draft: &mut Draft) -> String {
        match self.slot(draft) {
            Slot::Text(text) if text.is_empty() => String::new(),
            Slot::Text(text) if self.name == "ca" => {
                format!("SHA-256 {}", hex(&Sha256::digest(text.as_bytes()).into()))
            }
            Slot::Text(text) => format!("{text:?}"),
            Slot::List(texts) if texts.is_empty() => String::new(),
            Slot::List(texts) => format!("{texts:?}"),
            Slot::Number(number) => number.map_or_else(String::new, |number| number.to_string()),
            Slot::Password(_) => String::new(),
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({})", self.name)
    }
}

impl From<&Directory> for Draft {
    /// Returns the values of a configuration, without the password.
    fn from(directory: &Directory) -> Self {
        let kind = match directory.kind {
            Kind::ActiveDirectory => KINDS[0],
            Kind::Ldap => KINDS[1],
        };
        let (user_filter, upn_suffix) = match &directory.names {
            Names::Filter(filter) => (filter.clone(), String::new()),
            Names::UpnSuffix(suffix) => (String::new(), suffix.clone()),
        };
        Self {
            kind: kind.into(),
            servers: directory.servers.clone(),
            ca: directory.ca.clone(),
            base: directory.base.clone(),
            user_filter,
            upn_suffix,
            bind_name: directory.bind_name.clone(),
            bind_password: None,
            full_name_attribute: directory.full_name_attribute.clone(),
            admin_groups: directory.groups.admins.clone(),
            user_groups: directory.groups.users.clone(),
            auditor_groups: directory.groups.auditors.clone(),
            offline_days: Some(directory.offline_days),
            max_wrong_passwords: Some(directory.max_wrong_passwords),
        }
    }
}

impl Draft {
    /// Returns the configuration, if all values are valid. `stored`: the present configuration, whose
    /// password is kept if none is given. It is not kept for other servers or another CA, to which it
    /// would be sent.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`], with the name of the field, for the first value that is missing or
    /// not valid.
    pub fn check(mut self, stored: Option<&Directory>) -> Result<Directory, RuleError> {
        for field in &FIELDS {
            field.check(&mut self)?;
        }
        let kind = if self.kind == KINDS[0] {
            Kind::ActiveDirectory
        } else {
            Kind::Ldap
        };
        let names = match (self.user_filter.is_empty(), self.upn_suffix.is_empty()) {
            (false, true) => Names::Filter(self.user_filter),
            (true, false) if kind == Kind::ActiveDirectory => Names::UpnSuffix(self.upn_suffix),
            (true, false) => {
                let rule = "needs the kind activeDirectory; use userFilter instead";
                return Err(refuse("upnSuffix", rule.into()));
            }
            _ => {
                let rule = "either userFilter or upnSuffix must be given, and not both";
                return Err(refuse("userFilter", rule.into()));
            }
        };
        if kind == Kind::Ldap && !is_dn(&self.bind_name) {
            return Err(refuse("bindName", DN_RULE.into()));
        }
        let groups = Groups {
            admins: self.admin_groups,
            users: self.user_groups,
            auditors: self.auditor_groups,
        };
        if groups.by_type().iter().all(|(_, groups)| groups.is_empty()) {
            let rule = "at least one group of administrators, users or auditors must be given";
            return Err(refuse("adminGroups", rule.into()));
        }
        let kept = stored.filter(|stored| {
            stored.servers == self.servers
                && stored.ca == self.ca
                && stored.bind_name == self.bind_name
        });
        let bind_password = match (self.bind_password, kept) {
            (Some(given), _) => given,
            (None, Some(kept)) => kept.bind_password.clone(),
            (None, None) => {
                let rule = match stored {
                    None => "is required",
                    Some(_) => "is required with other servers, ca or bindName",
                };
                return Err(refuse("bindPassword", rule.into()));
            }
        };
        if self.full_name_attribute.is_empty() {
            self.full_name_attribute = match kind {
                Kind::ActiveDirectory => "displayName",
                Kind::Ldap => "cn",
            }
            .into();
        }
        Ok(Directory {
            kind,
            servers: self.servers,
            ca: self.ca,
            base: self.base,
            names,
            bind_name: self.bind_name,
            bind_password,
            full_name_attribute: self.full_name_attribute,
            groups,
            offline_days: self.offline_days.unwrap_or(DEFAULT_OFFLINE_DAYS),
            max_wrong_passwords: self.max_wrong_passwords.unwrap_or(MAX_WRONG_PASSWORDS),
        })
    }
}

impl Directory {
    /// Checks every value, such as those of a configuration in a backup.
    ///
    /// # Errors
    /// [`RuleError::OutOfRange`], with the name of the field, for the first value that is not valid. It
    /// never contains a value.
    pub fn check(&self) -> Result<(), RuleError> {
        let draft = Draft {
            bind_password: Some(self.bind_password.clone()),
            ..self.into()
        };
        draft.check(None).map(drop)
    }
}

/// Describes the differences between two configurations for the audit log, such as `offlineDays 7 → 3`.
/// Without an old one, describes the new one.
pub fn differences(old: Option<&Directory>, new: &Directory) -> Vec<String> {
    let mut before = old.map_or_else(Draft::default, Draft::from);
    let mut after = Draft::from(new);
    let mut differences = Vec::new();
    for field in &FIELDS {
        let (was, is) = (field.described(&mut before), field.described(&mut after));
        if was != is {
            let mut difference = format!("{} ", field.name);
            if old.is_some() {
                difference += if was.is_empty() { "none" } else { &was };
                difference += " → ";
            }
            difference += if is.is_empty() { "none" } else { &is };
            differences.push(difference);
        }
    }
    let old_password = old.map(|old| old.bind_password.expose());
    if old_password.is_some_and(|password| password != new.bind_password.expose()) {
        differences.push("bindPassword".into());
    }
    differences
}

fn refuse(field: &'static str, rule: String) -> RuleError {
    RuleError::OutOfRange {
        field: Named::Setting(field),
        rule,
    }
}

fn any(_: &str) -> bool {
    true
}

fn is_kind(text: &str) -> bool {
    KINDS.contains(&text)
}

fn is_password(text: &str) -> bool {
    // RFC 4513 §5.1.2: a bind with an empty password is one without authentication.
    !text.is_empty()
}

/// Returns whether a text is the URL of a server, without a path.
fn is_server(text: &str) -> bool {
    let Some(address) = text
        .strip_prefix("ldaps://")
        .or_else(|| text.strip_prefix("ldap://"))
    else {
        return false;
    };
    let (is_valid_host, rest) = match address.strip_prefix('[') {
        // RFC 3986 §3.2.2.
        Some(address) => {
            let (host, rest) = address.split_once(']').unwrap_or_default();
            (host.parse::<Ipv6Addr>().is_ok(), rest)
        }
        None => {
            let (host, rest) = address.split_at(address.find(':').unwrap_or(address.len()));
            (is_host(host), rest)
        }
    };
    let is_port = |port: &str| {
        port.bytes().all(|digit| digit.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    };
    is_valid_host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Returns whether a text is the name of a host or domain (RFC 1123 §2.1), or an IPv4 address.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Returns whether a text consists of certificates in PEM, with any text around them (RFC 7468 §2, §5).
fn is_pem(text: &str) -> bool {
    const LABEL: &str = "CERTIFICATE-----";
    let mut parts = text.split("-----BEGIN ");
    let before = parts.next().unwrap_or_default();
    let mut certificates = 0;
    for part in parts {
        let block = part
            .strip_prefix(LABEL)
            .and_then(|part| part.split_once("-----END "));
        let Some((base64, after)) = block else {
            return false;
        };
        let is_base64 = |byte: u8| {
            byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=".contains(&byte)
        };
        // A certificate is a SEQUENCE (ITU-T X.690 §8.9), so that its first byte is 0x30.
        if !base64.trim_start().starts_with('M')
            || !base64.bytes().all(is_base64)
            || !after.starts_with(LABEL)
            || after.contains("-----END ")
        {
            return false;
        }
        certificates += 1;
    }
    certificates > 0 && !before.contains("-----END ")
}

/// Returns whether a text is a distinguished name (RFC 4514 §3). Spaces around a name are allowed, as in
/// RFC 2253.
fn is_dn(text: &str) -> bool {
    // Replaces what is escaped, so that every separator left separates.
    let Some(plain) = without_escapes(text) else {
        return false;
    };
    plain.split([',', '+']).all(|part| {
        let Some((name, value)) = part.split_once('=') else {
            return false;
        };
        is_attribute_or_oid(name.trim())
            && !value.contains(|c: char| c.is_control() || "\";<>".contains(c))
    })
}

/// Returns a distinguished name with a letter in the place of each escape; `None` if one is malformed.
fn without_escapes(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let escaped = characters.next()?;
        if escaped.is_ascii_hexdigit() {
            characters.next().filter(char::is_ascii_hexdigit)?;
        } else if !" \"#+,;<=>\\".contains(escaped) {
            return None;
        }
        plain.push('x');
    }
    Some(plain)
}

/// Returns whether a text is the name of an attribute, or its object identifier in digits and dots.
fn is_attribute_or_oid(text: &str) -> bool {
    let is_oid = text
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_attribute(text) || is_oid
}

/// Returns whether a text is the name of an attribute: `keystring` of RFC 4512 §1.4.
fn is_attribute(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Returns whether a text is a distinguished name or a user principal name.
fn is_bind_name(text: &str) -> bool {
    let is_of_name = |c: char| !c.is_whitespace() && !c.is_control() && !"\\=,".contains(c);
    let is_upn = text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && name.chars().all(is_of_name) && is_host(domain)
    });
    is_upn || is_dn(text)
}

/// Returns whether a text is a filter (RFC 4515 §3) with one [`NAME`], which is a value or part of one:
/// only there does escaping make any name harmless.
fn is_filter(text: &str) -> bool {
    let Some((before, after)) = text.split_once(NAME) else {
        return false;
    };
    if after.contains(NAME) || !text.starts_with('(') {
        return false;
    }
    let item = before.rsplit('(').next().unwrap_or_default();
    let Some((rest, _)) = after.split_once(')') else {
        return false;
    };
    // With `*`, it would find people by a part of their names.
    if !item.contains('=') || item.contains([')', '*']) || rest.contains('*') {
        return false;
    }
    let mut depth = 0;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => {
                let mut digit = || characters.next().is_some_and(|c| c.is_ascii_hexdigit());
                if !digit() || !digit() {
                    return false;
                }
            }
            c if c.is_control() => return false,
            _ => {}
        }
        // Closed before the end, or never.
        if (depth <= 0) != characters.as_str().is_empty() {
            return false;
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB+/Q=\n-----END CERTIFICATE-----\n";

    fn assert_split(check: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(check(text), "{text:?} is refused");
        }
        for text in bad {
            assert!(!check(text), "{text:?} is accepted");
        }
    }

    #[test]
    fn servers() {
        let good = [
            "ldaps://dc1.lab.example",
            "ldap://dc1",
            "ldaps://DC-1.lab.example:636",
            "ldaps://192.0.2.1:1",
            "ldap://[2001:db8::1]",
            "ldap://[::1]:65535",
        ];
        let bad = [
            "",
            "dc1.lab.example",
            "http://dc1.lab.example",
            "LDAPS://dc1",
            "ldaps://",
            "ldaps://:636",
            "ldaps://dc1:",
            "ldaps://dc1:0",
            "ldaps://dc1:65536",
            "ldaps://dc1:+1",
            "ldaps://dc1:636:636",
            "ldaps://dc1/",
            "ldaps://dc1/dc=lab",
            "ldaps://user@dc1",
            "ldaps://dc1..example",
            "ldaps://-dc1",
            "ldaps://dc1-",
            "ldaps://dc_1",
            "ldaps://dc1 ",
            "ldaps://dc1\n",
            "ldaps://2001:db8::1",
            "ldaps://[dc1]",
            "ldaps://[::1",
            "ldaps://[::1]636",
        ];
        assert_split(is_server, &good, &bad);
        assert!(!is_server(&format!("ldaps://{}", "a".repeat(64))));
    }

    #[test]
    fn certificates() {
        let two = CERTIFICATE.repeat(2);
        let explained = format!("CN = lab\n{CERTIFICATE}more\n");
        let key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
        let good = [CERTIFICATE, &two, &explained];
        let bad = [
            String::new(),
            "MIIB".into(),
            CERTIFICATE.replace("MIIB", "AIIB"),
            CERTIFICATE.replace("MIIB", ""),
            CERTIFICATE.replace("MIIB", "MI{B"),
            CERTIFICATE.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
            CERTIFICATE.replace("END CERTIFICATE", "END KEY"),
            format!("{CERTIFICATE}{key}"),
            format!("{key}{CERTIFICATE}"),
            CERTIFICATE[..40].into(),
            format!("{CERTIFICATE}{}", &CERTIFICATE[..40]),
            format!("{CERTIFICATE}-----END CERTIFICATE-----"),
        ];
        let bad: Vec<_> = bad.iter().map(String::as_str).collect();
        assert_split(is_pem, &good, &bad);
    }

    #[test]
    fn distinguished_names() {
        let good = [
            "DC=lab,DC=example",
            "CN=Robot Users, OU=Groups , DC=lab",
            "cn=Müller+uid=m,o=x",
            "2.5.4.3=a",
            "CN=",
            r"CN=a\,b\+c\=d\\,DC=lab",
            r"CN=\20a\C3\BC\ ,DC=lab",
            "CN=#0403666f6f",
            "CN=a=b",
        ];
        let bad = [
            "",
            "lab.example",
            "DC=lab,",
            ",DC=lab",
            "DC=lab,,DC=example",
            "DC=lab,example",
            "=lab",
            "1DC=lab",
            "2.=a",
            "C N=a",
            r"CN=a\",
            r"CN=a\z",
            r"CN=a\2",
            r"CN=a\2g",
            "CN=\"a\"",
            "CN=a;DC=lab",
            "CN=<a>",
            "CN=a\0",
            "CN=a\nDC=b",
        ];
        assert_split(is_dn, &good, &bad);
    }

    #[test]
    fn filters() {
        let good = [
            "(uid={name})",
            "(&(objectClass=person)(sAMAccountName={name}))",
            "(|(uid={name})(!(uid=a)))",
            r"(&(cn=a\28b)(uid={name}))",
            "(uid=x{name}y)",
            r"(uid=\2a{name})",
            "(&(cn=*)(uid={name})(mail=*))",
            "(cn:caseExactMatch:={name})",
        ];
        let bad = [
            "",
            "{name}",
            "uid={name}",
            "(uid=name)",
            "({name}=uid)",
            "(uid={name}*)",
            "(uid=*{name})",
            "(&(uid=a*{name})(cn=b))",
            "(|(uid={name})(mail={name}))",
            "(uid={name}",
            "(uid={name}))",
            "((uid={name})",
            "(uid={name})(cn=a)",
            "(&(uid=a){name}(cn=b))",
            "(uid={name}) ",
            " (uid={name})",
            ")uid={name}(",
            r"(&(cn=\2)(uid={name}))",
            r"(&(cn=\zz)(uid={name}))",
            "(&(cn=\0)(uid={name}))",
            "(&(cn=a\n)(uid={name}))",
        ];
        assert_split(is_filter, &good, &bad);
    }

    #[test]
    fn bind_accounts() {
        let good = [
            "robot@lab.example",
            "robot.one@lab.example",
            "CN=robot,DC=lab",
        ];
        let bad = [
            "robot",
            "@lab.example",
            "robot@",
            "robot@lab example",
            "ro bot@lab.example",
            "a@b@lab.example",
            r"LAB\robot",
        ];
        assert_split(is_bind_name, &good, &bad);
    }

    #[test]
    fn attributes() {
        let good = ["displayName", "cn", "x-1"];
        assert_split(
            is_attribute,
            &good,
            &["", "1a", "-a", "a b", "a_b", "ä", "a)"],
        );
    }

    #[test]
    fn no_error_contains_a_value() {
        let secret = "hidden)(\0";
        for field in &FIELDS {
            let mut draft = Draft::default();
            match field.slot(&mut draft) {
                Slot::Text(text) => *text = secret.into(),
                Slot::List(texts) => texts.push(secret.into()),
                Slot::Password(password) => *password = Some(Password::new(secret.repeat(999))),
                Slot::Number(_) => continue,
            }
            let error = field.check(&mut draft).unwrap_err().to_string();
            assert!(error.starts_with(field.name), "{error}");
            assert!(!error.contains("hidden"), "{error}");
        }
    }
}
