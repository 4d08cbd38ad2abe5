//! BER (ITU-T X.690) as far as LDAP uses it (RFC 4511 §5.1): definite lengths, and tags of one byte.
//!
//! What is read is borrowed, and only the elements that are asked for are read, so that nested elements
//! take neither memory nor stack.

/// Tag of an integer.
pub const INTEGER: u8 = 0x02;
/// Tag of a boolean.
pub const BOOLEAN: u8 = 0x01;
/// Tag of an octet string.
pub const OCTETS: u8 = 0x04;
/// Tag of an enumerated value.
pub const ENUMERATED: u8 = 0x0a;
/// Tag of a sequence.
pub const SEQUENCE: u8 = 0x30;
/// Tag of a set.
pub const SET: u8 = 0x31;

/// Returns an element with this tag and content, which is given in parts.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut element = Vec::with_capacity(length + 6);
    element.push(tag);
    if length < 0x80 {
        element.push(length as u8);
    } else {
        let length = u32::try_from(length).expect("requests are shorter than 4 GiB");
        element.push(0x84);
        element.extend(length.to_be_bytes());
    }
    for part in parts {
        element.extend_from_slice(part);
    }
    element
}

/// Returns an integer or an enumerated value with this tag.
pub fn number(tag: u8, value: u32) -> Vec<u8> {
    let bytes = i64::from(value).to_be_bytes();
    // The shortest form that keeps the sign (X.690 §8.3.2).
    let skip = (0..7)
        .take_while(|&at| bytes[at] == 0 && bytes[at + 1] < 0x80)
        .count();
    element(tag, &[&bytes[skip..]])
}

/// Reads the content of a number that is not negative; `None` if it is, or takes more than 32 bits.
pub fn read_number(content: &[u8]) -> Option<u32> {
    let negative = content.first()? & 0x80 != 0;
    if negative || content.len() > 8 {
        return None;
    }
    let value = content
        .iter()
        .fold(0, |value: u64, &byte| value << 8 | u64::from(byte));
    u32::try_from(value).ok()
}

/// Elements of a sequence or a set, read one after the other.
#[derive(Clone, Copy)]
pub struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// Reads the content of a sequence or a set.
    pub fn of(content: &'a [u8]) -> Self {
        Self(content)
    }

    /// Returns whether none are left.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether all that are left are well-formed. Elements that are not known are ignored at the
    /// end of a sequence (RFC 4511 §4), but not what is no element.
    pub fn are_well_formed(mut self) -> bool {
        while !self.is_empty() {
            if self.any().is_none() {
                return false;
            }
        }
        true
    }

    /// Returns the tag and the content of the next element; `None` if there is none, or it is malformed.
    pub fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let bytes = usize::from(first & 0x7f);
            if !(1..=4).contains(&bytes) || rest.len() < bytes {
                return None;
            }
            let (long, after) = rest.split_at(bytes);
            length = long
                .iter()
                .fold(0, |length, &byte| length << 8 | usize::from(byte));
            rest = after;
        }
        if rest.len() < length {
            return None;
        }
        let (content, after) = rest.split_at(length);
        self.0 = after;
        Some((tag, content))
    }

    /// Returns the content of the next element; `None` if it does not have this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut rest = *self;
        let (found, content) = rest.any()?;
        (found == tag).then(|| {
            *self = rest;
            content
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_shortest_form() {
        for (value, bytes) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0, 128]),
            (65535, &[0, 255, 255]),
            (u32::MAX, &[0, 255, 255, 255, 255]),
        ] {
            let element = number(INTEGER, value);
            let content = Elements::of(&element).expect(INTEGER).unwrap();
            assert_eq!(content, bytes);
            assert_eq!(read_number(content), Some(value));
        }
        assert_eq!(read_number(&[0xff]), None);
        assert_eq!(read_number(&[1, 0, 0, 0, 0]), None);
        assert_eq!(read_number(&[]), None);
    }

    #[test]
    fn elements_are_read_as_they_were_written() {
        let long = vec![7; 70_000];
        let written = [element(OCTETS, &[b"a", b"b"]), element(SET, &[&long])].concat();
        let mut elements = Elements::of(&written);
        assert_eq!(elements.expect(SET), None);
        assert_eq!(elements.expect(OCTETS), Some(&b"ab"[..]));
        assert_eq!(elements.any(), Some((SET, &long[..])));
        assert!(elements.is_empty());
    }

    #[test]
    fn malformed_elements_are_refused() {
        for bytes in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x81],
            &[4, 0x82, 0, 2, 1],
            &[4, 0x85, 0, 0, 0, 0, 1, 1],
            &[4, 0xff],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(Elements::of(bytes).any(), None, "{bytes:?}");
            let after = [&[5, 0], bytes].concat();
            let are_well_formed = Elements::of(&after).are_well_formed();
            assert_eq!(are_well_formed, bytes.is_empty(), "{bytes:?}");
        }
    }
}
