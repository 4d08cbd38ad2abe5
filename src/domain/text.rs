//! Text from clients, made safe to show to a person.

use std::borrow::Cow;

/// Returns whether a character can make a person misread the text around it: a control character, a
/// line or paragraph separator (Unicode categories Cc, Zl and Zp), or one that changes the direction
/// of text (property Bidi_Control, Unicode Standard Annex #9 §2).
pub fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Escapes misleading characters as in a Rust string literal (`\n`, `\u{202e}`), so that the text
/// stays one line, cannot control a terminal, and reads in the order in which it is stored.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_misleading) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_misleading(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// Returns the ending of a noun after a number.
pub fn plural(is_one: bool) -> &'static str {
    if is_one {
        ""
    } else {
        "s"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misleading_characters_are_escaped() {
        let text = "a\nb\u{1b}[2J\u{7f}\u{9b}\u{61c}\u{200f}\u{2028}\u{202e}\u{2066}c";
        let escaped = "a\\nb\\u{1b}[2J\\u{7f}\\u{9b}\\u{61c}\\u{200f}\\u{2028}\\u{202e}\\u{2066}c";
        assert_eq!(escape(text), escaped);
    }

    #[test]
    fn other_text_is_borrowed() {
        for text in ["", "Größe: 5 µl \\n", "移液器", "👩\u{200d}🔬"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }
}
