//! Distinguished names (RFC 4514), compared as directories compare them.

/// Attribute types and values of each relative distinguished name.
pub type Dn = Vec<Vec<(String, String)>>;

/// Parses a distinguished name into a form in which names of the same entry are equal: without regard to
/// case, spaces around the parts or repeated within them, the way in which characters are escaped, and
/// the order within a relative distinguished name. Returns `None` if it is malformed, or empty.
pub fn parse(text: &str) -> Option<Dn> {
    let rdns: Option<Dn> = split(text, ',')
        .into_iter()
        .map(|rdn| {
            let parts = split(rdn, '+').into_iter().map(attribute);
            let mut parts: Vec<_> = parts.collect::<Option<_>>()?;
            parts.sort();
            Some(parts)
        })
        .collect();
    rdns
}

/// Splits at a separator that is not escaped.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let splits = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
    .collect()
}

/// Parses `type=value`.
fn attribute(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if name.is_empty() || !name.chars().all(allowed) {
        return None;
    }
    let value = unescape(value.trim_start())?;
    let words: Vec<_> = value.split(' ').filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| (name.to_ascii_lowercase(), words.join(" ").to_lowercase()))
}

/// Resolves the escape sequences of a value: `\` and a special character, or the two hexadecimal digits
/// of a byte of UTF-8.
fn unescape(text: &str) -> Option<String> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => match rest.next()? {
                c @ (b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\') => {
                    value.push(c);
                }
                high => value.push(digit(high)? << 4 | digit(rest.next()?)?),
            },
            b'"' | b';' | b'<' | b'>' | 0 => return None,
            _ => value.push(byte),
        }
    }
    String::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_equal() {
        let name = parse("CN=Robot Users,OU=Groups,DC=lab,DC=example").unwrap();
        for same in [
            "cn=robot users,ou=groups,dc=lab,dc=example",
            "CN = Robot  Users , OU= Groups,DC=lab, DC=example ",
            "CN=Robot\\20Users,OU=Groups,DC=lab,DC=example",
        ] {
            assert_eq!(parse(same).as_ref(), Some(&name), "{same}");
        }
        let escapes = [r"cn=M\C3\BCller\, Ada\+,dc=x", r"CN=müller\2c ada\2b,DC=X"];
        assert_eq!(parse(escapes[0]), parse(escapes[1]));
        assert!(parse(escapes[0]).is_some());
        assert_eq!(parse("uid=a+cn=b,dc=x"), parse("cn=b+uid=a,dc=x"));
    }

    #[test]
    fn other_names_differ() {
        let name = parse("cn=users,dc=lab");
        for other in [
            "cn=users",
            "cn=users,dc=lab,dc=example",
            "cn=users,ou=lab",
            r"cn=users\,dc=lab",
            "cn=user s,dc=lab",
        ] {
            assert_ne!(parse(other), name, "{other}");
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for text in [
            "",
            "users",
            "cn=users,",
            "cn=users,,dc=lab",
            "=users",
            "cn=",
            "c n=users",
            "cn=us;ers",
            "cn=\"users\"",
            "cn=users\\",
            r"cn=us\zzers",
            r"cn=us\ffers",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
