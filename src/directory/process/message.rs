//! Messages of LDAP (RFC 4511): those that are sent, and those that come back.

use super::ber::{
    element, number, read_number, Elements, BOOLEAN, ENUMERATED, INTEGER, OCTETS, SEQUENCE, SET,
};
use crate::domain::passwords::Password;
use crate::domain::text::escape;

/// Version of LDAP (RFC 4511 §4.2).
const LDAP_3: u32 = 3;
/// Name of the StartTLS operation (RFC 4511 §4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// Control of password policies (draft-behera-ldap-password-policy §6).
const PASSWORD_POLICY: &[u8] = b"1.3.6.1.4.1.42.2.27.8.5.1";
/// Maximum time that a server may search, in seconds.
const TIME_LIMIT: u32 = 2;
/// Control of paged results (RFC 2696).
const PAGED_RESULTS: &[u8] = b"1.2.840.113556.1.4.319";
/// Maximum number of attributes and values in an answer. In memory, a short one takes many times its
/// length.
pub const MAX_ITEMS: usize = 4096;
/// Maximum length of a server's text in our answers, in characters.
const MAX_QUOTED: usize = 300;

/// Result codes (RFC 4511 appendix A) that are told apart.
pub mod code {
    #![allow(missing_docs)]
    pub const SUCCESS: u32 = 0;
    pub const TIME_LIMIT_EXCEEDED: u32 = 3;
    pub const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub const REFERRAL: u32 = 10;
    pub const CONSTRAINT_VIOLATION: u32 = 19;
    pub const NO_SUCH_OBJECT: u32 = 32;
    pub const INVALID_DN_SYNTAX: u32 = 34;
    pub const INVALID_CREDENTIALS: u32 = 49;
    pub const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
    pub const BUSY: u32 = 51;
    pub const UNAVAILABLE: u32 = 52;
    pub const UNWILLING_TO_PERFORM: u32 = 53;
    pub const OTHER: u32 = 80;
}

/// Operation that a server is asked for, by the tag of the message that ends the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Bind (RFC 4511 §4.2).
    Bind = 0x61,
    /// Search (RFC 4511 §4.5).
    Search = 0x65,
    /// Extended operation (RFC 4511 §4.12).
    Extended = 0x78,
}

/// Part of the directory that a search covers (RFC 4511 §4.5.1.2).
#[derive(Clone, Copy)]
pub enum Scope {
    /// The base alone.
    Base = 0,
    /// The base and everything below it.
    Subtree = 2,
}

/// Search request.
pub struct Search<'a> {
    /// Distinguished name of the base.
    pub base: &'a str,
    /// Part of the directory to search.
    pub scope: Scope,
    /// Filter (RFC 4515).
    pub filter: &'a str,
    /// Attributes to return.
    pub attributes: &'a [&'a str],
    /// Maximum number of entries to return.
    pub size_limit: u32,
    /// Whether to ask for a page of that size, too (RFC 2696): Samba keeps to it, and not to the limit.
    pub paged: bool,
}

impl Search<'_> {
    /// Returns the request's operation; `None` if the filter is malformed. Aliases and referrals are not
    /// followed.
    pub fn operation(&self) -> Option<Vec<u8>> {
        let attributes: Vec<u8> = self
            .attributes
            .iter()
            .flat_map(|name| element(OCTETS, &[name.as_bytes()]))
            .collect();
        Some(element(
            0x63,
            &[
                &element(OCTETS, &[self.base.as_bytes()]),
                &number(ENUMERATED, self.scope as u32),
                &number(ENUMERATED, 0), // neverDerefAliases
                &number(INTEGER, self.size_limit),
                &number(INTEGER, TIME_LIMIT),
                &element(BOOLEAN, &[&[0]]), // values, too
                &filter(self.filter)?,
                &element(SEQUENCE, &[&attributes]),
            ],
        ))
    }

    /// Returns the request's controls.
    pub fn controls(&self) -> Vec<u8> {
        if !self.paged {
            return Vec::new();
        }
        let first = element(OCTETS, &[]); // without the cookie of a page before
        let page = element(SEQUENCE, &[&number(INTEGER, self.size_limit), &first]);
        let name = element(OCTETS, &[PAGED_RESULTS]);
        let control = element(SEQUENCE, &[&name, &element(OCTETS, &[&page])]);
        element(0xa0, &[&control])
    }
}

/// Returns the operation of a simple bind (RFC 4511 §4.2).
pub fn bind(name: &str, password: &Password) -> Vec<u8> {
    element(
        0x60,
        &[
            &number(INTEGER, LDAP_3),
            &element(OCTETS, &[name.as_bytes()]),
            &element(0x80, &[password.expose().as_bytes()]),
        ],
    )
}

/// Returns the operation that asks for TLS.
pub fn start_tls() -> Vec<u8> {
    element(0x77, &[&element(0x80, &[START_TLS])])
}

/// Returns the operation that ends the connection.
pub fn unbind() -> Vec<u8> {
    element(0x42, &[])
}

/// Returns the controls of a request that asks for the state of the password. They are not critical, so
/// that servers without password policies ignore them (RFC 4511 §4.1.11).
pub fn policy_controls() -> Vec<u8> {
    let name = element(OCTETS, &[PASSWORD_POLICY]);
    element(0xa0, &[&element(SEQUENCE, &[&name])])
}

/// Returns a message. `controls`: those of the request, if any.
pub fn message(id: u32, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&number(INTEGER, id), operation, controls])
}

/// Returns a filter in BER from its text (RFC 4515); `None` if it is malformed.
pub fn filter(text: &str) -> Option<Vec<u8>> {
    use ldap3::asn1::{write, ASNTag};
    if !text.starts_with('(') {
        return None; // the parser takes a bare comparison, which RFC 4515 does not know
    }
    let filter = ldap3::parse_filter(text).ok()?;
    let mut encoded = Default::default();
    write::encode_into(&mut encoded, filter.into_structure()).ok()?;
    Some(encoded.to_vec())
}

/// Returns a value in the text of a filter (RFC 4515 §3): all but letters and digits are escaped, so
/// that nothing in it can have a meaning.
pub fn escaped(value: &[u8]) -> String {
    value.iter().fold(String::new(), |mut text, &byte| {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => text.push(byte.into()),
            _ => text.push_str(&format!("\\{byte:02x}")),
        }
        text
    })
}

/// Entry that a search found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Distinguished name.
    pub dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    #[cfg(test)]
    pub fn with(attributes: &[(&str, &str)]) -> Self {
        Self {
            dn: "uid=ada,dc=lab,dc=example".into(),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![value.as_bytes().to_vec()]))
                .collect(),
        }
    }

    /// Returns the number of its attributes and values.
    pub fn items(&self) -> usize {
        let counts = self.attributes.iter().map(|(_, values)| 1 + values.len());
        counts.sum()
    }

    /// Returns the values of an attribute.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map_or(&[], |(_, values)| values)
    }

    /// Returns the first value of an attribute; `None` if there is none.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.values(name).first().map(Vec::as_slice)
    }

    /// Returns the first value of an attribute; `None` if there is none, or it is not text.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.value(name)?).ok()
    }
}

/// Error of the control of password policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// `passwordExpired`.
    PasswordExpired,
    /// `accountLocked`.
    AccountLocked,
    /// `changeAfterReset`.
    ChangeAfterReset,
    /// Another, which does not concern logging in.
    Other,
}

/// How an operation ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Result code.
    pub code: u32,
    /// What the server says about it, made safe to show to a person.
    pub text: String,
    /// Error of the password policy.
    pub policy: Option<PolicyError>,
    /// Whether the server has further pages of a search's results.
    pub more: bool,
}

/// Message of a server.
#[derive(Debug, PartialEq, Eq)]
pub enum Response {
    /// Entry that a search found.
    Entry(Entry),
    /// Reference to another server, which is not followed.
    Reference,
    /// An operation of this kind ended.
    Ended(Asked, Outcome),
}

impl Response {
    /// Returns whether it belongs to the answer to an operation of this kind.
    pub fn answers(&self, asked: Asked) -> bool {
        match self {
            Self::Entry(_) | Self::Reference => asked == Asked::Search,
            Self::Ended(ended, _) => *ended == asked,
        }
    }
}

/// Reads the content of a message: its identifier, and what it says. Returns `None` if it is malformed,
/// or no answer to what is asked here.
pub fn read(content: &[u8]) -> Option<(u32, Response)> {
    let mut message = Elements::of(content);
    let id = read_number(message.expect(INTEGER)?)?;
    let (operation, content) = message.any()?;
    let response = match operation {
        0x64 => Response::Entry(read_entry(content)?),
        0x73 => Response::Reference,
        0x61 | 0x65 | 0x78 => {
            let asked = match operation {
                0x61 => Asked::Bind,
                0x65 => Asked::Search,
                _ => Asked::Extended,
            };
            let mut result = Elements::of(content);
            let code = read_number(result.expect(ENUMERATED)?)?;
            let _matched = result.expect(OCTETS)?;
            let text = String::from_utf8_lossy(result.expect(OCTETS)?);
            if !result.are_well_formed() {
                return None;
            }
            let controls = message.expect(0xa0).unwrap_or_default();
            let (policy, more) = read_controls(controls)?;
            let outcome = Outcome {
                code,
                text: quoted(text.trim_end_matches('\0').trim()),
                policy,
                more,
            };
            Response::Ended(asked, outcome)
        }
        _ => return None,
    };
    message.are_well_formed().then_some((id, response))
}

/// Returns a server's text, shortened and made safe to show to a person.
pub fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(MAX_QUOTED).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    escape(&short).into_owned()
}

/// Reads an entry: of one that has more than [`MAX_ITEMS`], the beginning, which has more, too.
fn read_entry(content: &[u8]) -> Option<Entry> {
    let mut entry = Elements::of(content);
    let dn = text(entry.expect(OCTETS)?)?;
    let mut list = Elements::of(entry.expect(SEQUENCE)?);
    let mut attributes = Vec::new();
    let mut items = 0;
    while !list.is_empty() && items <= MAX_ITEMS {
        let mut attribute = Elements::of(list.expect(SEQUENCE)?);
        let name = text(attribute.expect(OCTETS)?)?;
        let mut set = Elements::of(attribute.expect(SET)?);
        if !attribute.are_well_formed() {
            return None;
        }
        let mut values = Vec::new();
        items += 1;
        while !set.is_empty() && items <= MAX_ITEMS {
            values.push(set.expect(OCTETS)?.to_vec());
            items += 1;
        }
        attributes.push((name, values));
    }
    entry.are_well_formed().then_some(Entry { dn, attributes })
}

/// Reads a message's controls: the error of the password policy, and whether there are further pages.
/// Returns `None` if they are malformed: an error that cannot be read must not pass for none.
fn read_controls(content: &[u8]) -> Option<(Option<PolicyError>, bool)> {
    let (mut policy, mut more) = (None, false);
    let mut controls = Elements::of(content);
    while !controls.is_empty() {
        let mut control = Elements::of(controls.expect(SEQUENCE)?);
        let name = control.expect(OCTETS)?;
        control.expect(BOOLEAN); // whether it is critical
        let value = control.expect(OCTETS);
        if !control.are_well_formed() {
            return None;
        }
        match name {
            PASSWORD_POLICY => policy = read_policy_error(value?)?.or(policy),
            PAGED_RESULTS => more |= !read_cookie(value?)?.is_empty(),
            _ => {}
        }
    }
    Some((policy, more))
}

/// Reads the error from the value of the control of password policies: `Some(None)` if there is none.
fn read_policy_error(value: &[u8]) -> Option<Option<PolicyError>> {
    let mut value = Elements::of(Elements::of(value).expect(SEQUENCE)?);
    value.expect(0xa0); // a warning: how long the password is still good
    let error = match value.expect(0x81) {
        None => None,
        Some(number) => Some(match read_number(number)? {
            0 => PolicyError::PasswordExpired,
            1 => PolicyError::AccountLocked,
            2 => PolicyError::ChangeAfterReset,
            _ => PolicyError::Other,
        }),
    };
    value.are_well_formed().then_some(error)
}

/// Reads the cookie of the next page from the value of the control of paged results.
fn read_cookie(value: &[u8]) -> Option<&[u8]> {
    let mut value = Elements::of(Elements::of(value).expect(SEQUENCE)?);
    value.expect(INTEGER)?; // an estimate of the size
    value.expect(OCTETS)
}

fn text(content: &[u8]) -> Option<String> {
    String::from_utf8(content.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_has_a_meaning_in_a_filter() {
        for name in ["*", "a)(uid=*", "\\2a", "a\0b", "(", "ä", " a ", "~=>"] {
            let text = format!("(uid={})", escaped(name.as_bytes()));
            let expected = element(
                0xa3, // equalityMatch
                &[
                    &element(OCTETS, &[b"uid"]),
                    &element(OCTETS, &[name.as_bytes()]),
                ],
            );
            // The parser's encoder takes the short form of lengths, as ours does here.
            assert_eq!(filter(&text), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_filters_are_refused() {
        for text in [
            "",
            "uid=a",
            "(uid=a",
            "(uid=a))",
            "(uid=a)(uid=b)",
            "()",
            "(uid=\\x)",
        ] {
            assert_eq!(filter(text), None, "{text}");
        }
    }

    /// Returns the content of the answer to a bind, with controls.
    fn bound(controls: &[&[u8]]) -> Vec<u8> {
        let result = [
            number(ENUMERATED, 49),
            element(OCTETS, &[]),
            element(OCTETS, &[b"no\0"]),
        ];
        let message = [
            number(INTEGER, 5),
            element(0x61, &[&result.concat()]),
            element(0xa0, controls),
        ];
        message.concat()
    }

    fn control(name: &[u8], value: &[u8]) -> Vec<u8> {
        let (name, value) = (element(OCTETS, &[name]), element(OCTETS, &[value]));
        element(SEQUENCE, &[&name, &value])
    }

    #[test]
    fn errors_of_a_password_policy_are_read() {
        let other = element(SEQUENCE, &[&element(OCTETS, &[b"1.2.3"])]);
        let answer = |value: &[u8]| {
            let policy = control(PASSWORD_POLICY, value);
            match read(&bound(&[&other, &policy])) {
                Some((5, Response::Ended(Asked::Bind, outcome))) => outcome,
                other => panic!("{other:?}"),
            }
        };
        let warned = element(SEQUENCE, &[&[0xa0, 3, 0x80, 1, 7], &[0x81, 1, 1]]);
        let outcome = answer(&warned);
        assert_eq!((outcome.code, &*outcome.text), (49, "no"));
        assert_eq!(outcome.policy, Some(PolicyError::AccountLocked));
        let reset = element(SEQUENCE, &[&[0x81, 1, 2]]);
        assert_eq!(answer(&reset).policy, Some(PolicyError::ChangeAfterReset));
        let none = element(SEQUENCE, &[]);
        assert_eq!(answer(&none).policy, None);
    }

    #[test]
    fn malformed_controls_are_not_taken_for_none() {
        for value in [
            &[][..],
            &[SEQUENCE, 3, 0x81, 1],
            &[SEQUENCE, 2, 0x81, 0],
            &[SEQUENCE, 3, 0x81, 1, 0xff],
            &[SEQUENCE, 3, 0xa0, 9, 0],
            &[SET, 3, 0x81, 1, 2],
        ] {
            let message = bound(&[&control(PASSWORD_POLICY, value)]);
            assert_eq!(read(&message), None, "{value:?}");
        }
        for value in [&[][..], &[SEQUENCE, 3, INTEGER, 1, 0]] {
            assert_eq!(read(&bound(&[&control(PAGED_RESULTS, value)])), None);
        }
        let nameless = element(SEQUENCE, &[&[0x04, 9, 1]]);
        for controls in [&[SEQUENCE][..], &[SEQUENCE, 1, 4], &[SET, 0], &nameless] {
            assert_eq!(read(&bound(&[controls])), None, "{controls:?}");
        }
    }

    #[test]
    fn what_follows_must_be_well_formed_and_is_ignored() {
        let whole = bound(&[]);
        assert!(read(&whole).is_some());
        assert!(read(&[&whole[..], &[0xa1, 0]].concat()).is_some());
        for rest in [&[0xa1][..], &[0xa1, 1], &[0]] {
            assert_eq!(read(&[&whole[..], rest].concat()), None, "{rest:?}");
        }
        let entry = |inner: &[u8], outer: &[u8]| {
            let name = element(OCTETS, &[b"uid"]);
            let values = element(SET, &[&element(OCTETS, &[b"ada"])]);
            let attributes = element(SEQUENCE, &[&element(SEQUENCE, &[&name, &values, inner])]);
            let entry = element(0x64, &[&element(OCTETS, &[b"uid=ada"]), &attributes, outer]);
            read(&[&number(INTEGER, 3)[..], &entry].concat())
        };
        assert!(entry(&[5, 0], &[5, 0]).is_some());
        assert_eq!(entry(&[5], &[]), None);
        assert_eq!(entry(&[], &[5]), None);
    }
}
