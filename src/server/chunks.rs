//! Where a chunked request body ends (RFC 9112 §7.1).

use super::framing::Cut;

/// Maximum number of bytes in the chunk extensions and the trailer section of a body.
const MAX_OVERHEAD: u16 = 8192;
/// Reason for which a body is refused.
pub const MALFORMED: &str = "The chunked encoding of the request body is malformed.";

/// Position in a chunked body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    next: Next,
    /// Number of bytes that the current chunk still has.
    size: u64,
    /// Number of bytes of extensions and trailers so far.
    overhead: u16,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    FirstDigit,
    Digits,
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Chunks {
    /// Returns the position before the first chunk.
    pub const fn new() -> Self {
        Self {
            next: Next::FirstDigit,
            size: 0,
            overhead: 0,
        }
    }

    /// Reads on in `data`. Keeps all but the lines of the trailer section, which may be dropped
    /// (RFC 9112 §7.1.2). Returns whether the body has ended.
    ///
    /// # Errors
    /// [`MALFORMED`]; the first offending byte has not been read.
    pub fn advance(&mut self, data: &mut [u8], cut: &mut Cut) -> Result<bool, &'static str> {
        while self.next != Next::End {
            let Some(byte) = data.get(cut.rest).copied() else {
                return Ok(false);
            };
            if self.next == Next::Data {
                if cut.keep_at_most(&mut self.size, data) {
                    self.next = Next::DataCr;
                }
                continue;
            }
            let before = self.next;
            self.next = self.step(byte).ok_or(MALFORMED)?;
            let dropped = self.next == Next::TrailerName
                || matches!(
                    before,
                    Next::TrailerName | Next::TrailerValue | Next::TrailerLf
                );
            if dropped {
                cut.drop_to(cut.rest + 1);
            } else {
                cut.keep(data, cut.rest + 1);
            }
        }
        Ok(true)
    }

    /// Returns what follows `byte`; `None` if it must not stand there.
    fn step(&mut self, byte: u8) -> Option<Next> {
        match (self.next, byte) {
            (Next::FirstDigit | Next::Digits, digit) if digit.is_ascii_hexdigit() => {
                let value = char::from(digit).to_digit(16)?;
                self.size = self.size.checked_mul(16)? + u64::from(value);
                Some(Next::Digits)
            }
            (Next::Digits | Next::Extension, b'\r') => Some(Next::SizeLf),
            (Next::Digits | Next::Blank, b';') => self.count(Next::Extension),
            (Next::Digits | Next::Blank, b' ' | b'\t') => self.count(Next::Blank),
            (Next::Extension, byte) if is_text(byte) => self.count(Next::Extension),
            (Next::SizeLf, b'\n') if self.size == 0 => Some(Next::TrailerStart),
            (Next::SizeLf, b'\n') => Some(Next::Data),
            (Next::DataCr, b'\r') => Some(Next::DataLf),
            (Next::DataLf, b'\n') => Some(Next::FirstDigit),
            (Next::TrailerStart, b'\r') => Some(Next::EndLf),
            (Next::TrailerName, b':') => self.count(Next::TrailerValue),
            (Next::TrailerStart | Next::TrailerName, byte) if is_token(byte) => {
                self.count(Next::TrailerName)
            }
            (Next::TrailerValue, b'\r') => Some(Next::TrailerLf),
            (Next::TrailerValue, byte) if is_text(byte) => self.count(Next::TrailerValue),
            (Next::TrailerLf, b'\n') => Some(Next::TrailerStart),
            (Next::EndLf, b'\n') => Some(Next::End),
            _ => None,
        }
    }

    /// Counts a byte of an extension or a trailer, and returns `next` unless there are too many.
    fn count(&mut self, next: Next) -> Option<Next> {
        self.overhead += 1;
        (self.overhead <= MAX_OVERHEAD).then_some(next)
    }
}

/// Returns whether `byte` may stand in a field name (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Returns whether `byte` may stand in a field value (RFC 9110 §5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
