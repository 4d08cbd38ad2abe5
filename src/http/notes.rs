//! The request header `Opentrons-User-Notes`, in which users state the reason for a change.

use actix_web::http::header::HeaderMap;

use super::error::ApiError;
use crate::domain::audit::stated_reason;

const NOTES: &str = "opentrons-user-notes";

/// Returns the notes of a request: percent-decoded as UTF-8 (RFC 3986 §2.1) and trimmed; `None` if
/// there is no such header or it is blank.
///
/// # Errors
/// [`ApiError::Invalid`] if the notes are longer than 2,000 characters.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(NOTES) else {
        return Ok(None);
    };
    stated_reason(&decode(value.as_bytes()))
        .map_err(|rule| ApiError::Invalid(format!("Opentrons-User-Notes: {rule}")))
}

/// Decodes percent-escapes. Malformed escapes are kept as they are, and so are escapes of bytes
/// that are not valid UTF-8.
fn decode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let escaped = rest.chunks(3).map_while(escape);
        let run: Vec<u8> = escaped.collect();
        if run.is_empty() {
            let plain = rest[1..].iter().position(|byte| *byte == b'%');
            let (before, after) = rest.split_at(plain.map_or(rest.len(), |at| at + 1));
            text += &String::from_utf8_lossy(before);
            rest = after;
            continue;
        }
        let (escapes, after) = rest.split_at(run.len() * 3);
        push_decoded(&mut text, &run, escapes);
        rest = after;
    }
    text
}

/// Returns the byte that a chunk encodes, or `None` if the chunk is not an escape.
fn escape(chunk: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match chunk {
        [b'%', high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    }
}

/// Appends the decoded `bytes` of a run of `escapes` to `text`; of a byte that is not valid UTF-8,
/// it appends the escape.
fn push_decoded(text: &mut String, mut bytes: &[u8], escapes: &[u8]) {
    let total = bytes.len();
    while !bytes.is_empty() {
        let (valid, invalid) = match std::str::from_utf8(bytes) {
            Ok(valid) => (valid, 0),
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                let invalid = error.error_len().unwrap_or(rest.len());
                (std::str::from_utf8(valid).unwrap_or_default(), invalid)
            }
        };
        text.push_str(valid);
        let at = total - bytes.len() + valid.len();
        let left = &escapes[3 * at..3 * (at + invalid)];
        text.push_str(&String::from_utf8_lossy(left));
        bytes = &bytes[valid.len() + invalid..];
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn escapes_are_decoded_and_malformed_ones_are_kept() {
        for (encoded, decoded) in [
            ("plain text, 100 sure", "plain text, 100 sure"),
            ("Gr%C3%B6%C3%9Fe%0Azwei%20%F0%9F%A7%AA", "Größe\nzwei 🧪"),
            ("100%", "100%"),
            ("100%25", "100%"),
            ("%zz%4", "%zz%4"),
            ("a%2", "a%2"),
            ("%%41%", "%A%"),
            ("%FF%41%C3", "%FFA%C3"),
            ("%C3%28", "%C3("),
            ("%e6%9d%8e", "李"),
            ("Größe", "Größe"),
            ("+", "+"),
        ] {
            assert_eq!(decode(encoded.as_bytes()), decoded, "{encoded}");
        }
        assert_eq!(decode(b"a\xffb"), "a\u{fffd}b");
    }
}
