//! Division of what a client sends into messages (RFC 9112 §2, §6).
//!
//! actix-http 3.11 reads pipelined requests ahead of the response to the first, and then encodes
//! that response as if it were the response to the last. [`Framing`] passes one message on at a
//! time. It changes only what actix-http does not handle as the RFCs say: header lines that it should
//! ignore, and trailers.
//!
//! Whatever cannot be divided with certainty is passed on unchanged, with all that follows, and
//! [`Message::fault`] tells the reason: the request must be refused and be the last one.

use std::mem::{self, MaybeUninit};
use std::ops::Range;

use httparse::{Request, Status};
use tokio::io::ReadBuf;

use super::chunks::Chunks;

/// Maximum number of headers in a head: that of actix-http.
const MAX_HEADERS: usize = 96;
/// Number of bytes after which a head is too long: that of actix-http.
const MAX_HEAD_BYTES: usize = 131_072;

/// What is known of the current message.
#[derive(Clone, Copy, Default)]
pub struct Message {
    /// Whether its last byte has been received.
    pub complete: bool,
    /// Whether the client asked for the connection to be closed after it (RFC 9112 §9.3).
    pub last: bool,
    /// Reason for which it is unknown where it ends.
    pub fault: Option<&'static str>,
}

/// Part of a message to which the next byte belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    /// Body, with the number of bytes that it still has.
    Length(u64),
    Chunks(Chunks),
    /// None: the message is complete.
    End,
    /// Unknown.
    Unframed,
}

/// Position in what a client sends, and the bytes that are held back.
pub struct Framing {
    part: Part,
    message: Message,
    held: Vec<u8>,
    /// Number of bytes at the beginning of `held` that may be passed on.
    free: usize,
    /// Number of bytes of `held` that were already looked at for the end of a head.
    seen: usize,
}

/// Division of a buffer: what is passed on has been moved to its beginning.
#[derive(Default)]
pub struct Cut {
    /// Number of bytes to pass on.
    pub kept: usize,
    /// Index of the first byte that was not read.
    pub rest: usize,
}

impl Cut {
    /// Keeps the bytes of `data` before `end` that were not yet read.
    pub fn keep(&mut self, data: &mut [u8], end: usize) {
        if self.kept != self.rest {
            data.copy_within(self.rest..end, self.kept);
        }
        self.kept += end - self.rest;
        self.rest = end;
    }

    /// Keeps the next bytes of `data`, at most `left`, and subtracts their number from it. Returns
    /// whether it is 0 then.
    pub fn keep_at_most(&mut self, left: &mut u64, data: &mut [u8]) -> bool {
        let available = data.len() - self.rest;
        let count = usize::try_from(*left).map_or(available, |left| left.min(available));
        self.keep(data, self.rest + count);
        *left -= count as u64;
        *left == 0
    }

    /// Drops the bytes before `end` that were not yet read.
    pub fn drop_to(&mut self, end: usize) {
        self.rest = end;
    }
}

impl Framing {
    /// Returns the position before the first message.
    pub const fn new() -> Self {
        Self {
            part: Part::Head,
            message: Message {
                complete: false,
                last: false,
                fault: None,
            },
            held: Vec::new(),
            free: 0,
            seen: 0,
        }
    }

    /// Returns what is known of the current message.
    pub fn message(&self) -> Message {
        self.message
    }

    /// Returns whether bytes are held back.
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Reads `data`, the next bytes from the client. Returns how many bytes at its beginning, which
    /// may have been changed, are to be passed on; the others are held back. All that could be taken
    /// with [`Framing::pass_on`] must have been taken before.
    pub fn read(&mut self, data: &mut [u8]) -> usize {
        if self.held.is_empty() {
            let cut = self.advance(data);
            self.held.extend_from_slice(&data[cut.rest..]);
            self.seen = self.held.len();
            cut.kept
        } else {
            self.held.extend_from_slice(data);
            self.read_held();
            0
        }
    }

    /// Begins the next message after a complete one, with the bytes that were held back. Returns
    /// whether there are any. After the last message, there is no next one.
    pub fn begin(&mut self) -> bool {
        if self.message.last {
            return false;
        }
        self.part = Part::Head;
        self.message = Message::default();
        self.seen = 0;
        self.read_held();
        self.has_held()
    }

    /// Moves bytes that were held back, and need not be any longer, to `buffer`. Returns whether
    /// there were any.
    pub fn pass_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let count = self.free.min(buffer.remaining());
        if count == 0 {
            return false;
        }
        buffer.put_slice(&self.held[..count]);
        self.held.drain(..count);
        self.free -= count;
        self.seen = self.seen.saturating_sub(count);
        if self.held.is_empty() {
            self.held = Vec::new();
        }
        true
    }

    /// Reads the bytes that are held back.
    fn read_held(&mut self) {
        let mut held = mem::take(&mut self.held);
        // A head can only be complete, or be malformed, with the end of a line.
        let unchanged = self.part == Part::Head
            && self.seen > 0
            && held.len() < MAX_HEAD_BYTES
            && !held[self.seen..].contains(&b'\n');
        if !unchanged {
            let cut = self.advance(&mut held);
            held.drain(cut.kept..cut.rest);
            self.free = cut.kept;
        }
        self.seen = held.len();
        self.held = held;
    }

    /// Reads `data` up to the end of the message, or as far as a head is complete.
    fn advance(&mut self, data: &mut [u8]) -> Cut {
        let mut cut = Cut::default();
        if self.part == Part::Head {
            match Head::read(data) {
                Ok(None) => return cut,
                Ok(Some(head)) => {
                    for line in head.ignored {
                        cut.keep(data, line.start);
                        cut.drop_to(line.end);
                    }
                    cut.keep(data, head.length);
                    self.part = head.body;
                    self.message.last = head.last;
                }
                Err(fault) => self.give_up(fault),
            }
        }
        let complete = match &mut self.part {
            Part::Length(left) => cut.keep_at_most(left, data),
            Part::Chunks(chunks) => match chunks.advance(data, &mut cut) {
                Ok(complete) => complete,
                Err(fault) => {
                    self.give_up(fault);
                    false
                }
            },
            Part::Head | Part::End | Part::Unframed => false,
        };
        if complete {
            self.part = Part::End;
            self.message.complete = true;
        }
        if self.part == Part::Unframed {
            cut.keep(data, data.len());
        }
        cut
    }

    /// Lets all that follows pass unchanged.
    fn give_up(&mut self, fault: &'static str) {
        self.part = Part::Unframed;
        self.message.fault = Some(fault);
    }
}

/// What the head of a request says about the division into messages.
struct Head {
    /// Number of its bytes.
    length: usize,
    body: Part,
    last: bool,
    /// Lines, and values of `Connection`, that actix-http must not see.
    ignored: Vec<Range<usize>>,
}

impl Head {
    /// Reads the head at the beginning of `data`; `None` if it is not complete.
    ///
    /// The parser is the one that actix-http uses, so that both see the same end and the same headers.
    ///
    /// # Errors
    /// The reason, if the head is malformed, or the length of the body is not certain.
    fn read(data: &[u8]) -> Result<Option<Self>, &'static str> {
        let mut headers = [MaybeUninit::uninit(); MAX_HEADERS];
        let mut request = Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(data, &mut headers) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) if data.len() < MAX_HEAD_BYTES => return Ok(None),
            Ok(Status::Partial) => return Err("The request head is longer than 128 KiB."),
            Err(error) => return Err(reason(error)),
        };
        let old = request.version == Some(0);
        let mut encoding = None;
        let mut announced = None;
        let mut close = false;
        let mut keep_alive = false;
        let mut ignored = Vec::new();
        for header in request.headers.iter() {
            let name = header.name;
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            let ignore = match name.len() {
                // RFC 9110 §10.1.1
                6 => old && is("Expect"),
                // RFC 9110 §7.8
                7 => is("Upgrade"),
                10 if is("Connection") => {
                    close |= lists(header.value, b"close");
                    keep_alive |= lists(header.value, b"keep-alive");
                    if lists(header.value, b"upgrade") {
                        // The header stays, without its value: `http::proxy` looks for it.
                        let start = position(data, header.value);
                        ignored.push(start..start + header.value.len());
                    }
                    false
                }
                14 if is("Content-Length") => {
                    if announced.replace(header.value).is_some() {
                        return Err("A request must not have Content-Length more than once.");
                    }
                    false
                }
                17 if is("Transfer-Encoding") => {
                    if encoding.replace(header.value).is_some() {
                        return Err("A request must not have Transfer-Encoding more than once.");
                    }
                    false
                }
                _ => false,
            };
            if ignore {
                ignored.push(line(data, name));
            }
        }
        Ok(Some(Self {
            length,
            body: body(announced, encoding, old)?,
            last: close || (old && !keep_alive),
            ignored,
        }))
    }
}

/// Returns the body that a head announces (RFC 9112 §6.3). `old`: the version is HTTP/1.0.
///
/// # Errors
/// The reason, if its length is not certain.
fn body(length: Option<&[u8]>, encoding: Option<&[u8]>, old: bool) -> Result<Part, &'static str> {
    match (length, encoding) {
        (None, None) => Ok(Part::Length(0)),
        // RFC 9112 §6.1: this may be an attempt at request smuggling.
        (Some(_), Some(_)) => {
            Err("A request must not have both Content-Length and Transfer-Encoding.")
        }
        (None, Some(_)) if old => Err("An HTTP/1.0 request must not have Transfer-Encoding."),
        (None, Some(encoding)) if encoding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Part::Chunks(Chunks::new()))
        }
        (None, Some(_)) => Err("Transfer-Encoding: must be chunked."),
        (Some(length), None) => Some(length)
            .filter(|length| length.iter().all(u8::is_ascii_digit))
            .and_then(|length| std::str::from_utf8(length).ok()?.parse().ok())
            .map(Part::Length)
            .ok_or("Content-Length: must be a number of bytes."),
    }
}

/// Returns whether a value of `Connection` lists `option`.
fn lists(value: &[u8], option: &[u8]) -> bool {
    value
        .split(|byte| matches!(byte, b',' | b' ' | b'\t'))
        .any(|listed| listed.eq_ignore_ascii_case(option))
}

/// Returns where `part`, a part of `data`, begins in it.
fn position(data: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - data.as_ptr() as usize
}

/// Returns where the line in `data` is that begins with `name`, a part of `data`.
fn line(data: &[u8], name: &str) -> Range<usize> {
    let start = position(data, name.as_bytes());
    let rest = &data[start..];
    let end = rest.iter().position(|byte| *byte == b'\n');
    start..end.map_or(data.len(), |end| start + end + 1)
}

/// Describes what is wrong with a head.
fn reason(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "The request head has a malformed header name.",
        httparse::Error::HeaderValue => "The request head has a malformed header value.",
        httparse::Error::NewLine => "The request head has a malformed end of a line.",
        httparse::Error::TooManyHeaders => "The request head has more than 96 headers.",
        httparse::Error::Version => "The HTTP version must be 1.0 or 1.1.",
        httparse::Error::Token | httparse::Error::Status => "The request line is malformed.",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends `input` in pieces of `size` bytes. Returns the messages as they were passed on, and what
    /// was known of the last one.
    fn divide(input: &[u8], size: usize) -> (Vec<String>, Message) {
        let mut framing = Framing::new();
        let mut messages = vec![Vec::new()];
        for piece in input.chunks(size) {
            let mut piece = piece.to_vec();
            let count = framing.read(&mut piece);
            messages
                .last_mut()
                .unwrap()
                .extend_from_slice(&piece[..count]);
            loop {
                let mut room = [0; 7];
                let mut buffer = ReadBuf::new(&mut room);
                if framing.pass_on(&mut buffer) {
                    messages
                        .last_mut()
                        .unwrap()
                        .extend_from_slice(buffer.filled());
                } else if framing.message().complete && !framing.message().last {
                    messages.push(Vec::new());
                    if !framing.begin() {
                        break;
                    }
                } else {
                    break;
                }
            }
        }
        messages.retain(|message| !message.is_empty());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (messages.into_iter().map(text).collect(), framing.message())
    }

    /// Checks how `input` is divided, whatever the pieces in which it arrives.
    fn check(input: &str, expected: &[&str]) -> Message {
        for size in [1, 2, 3, 5, 16, 61, input.len()] {
            let (messages, _) = divide(input.as_bytes(), size);
            assert_eq!(messages, expected, "in pieces of {size}");
        }
        divide(input.as_bytes(), input.len()).1
    }

    /// Returns what is known of a request after its head with the header `lines`.
    fn message(version: &str, lines: &str) -> Message {
        divide(
            format!("GET / HTTP/{version}\r\n{lines}\r\n").as_bytes(),
            1 << 16,
        )
        .1
    }

    const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    const POST: &str = "POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345";
    const CHUNKED: &str = "PUT /c HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
        5 ;a=b\r\nab\r\nc\r\n00f\r\n0123456789abcde\r\n0\r\n\r\n";

    #[test]
    fn messages_are_passed_on_one_at_a_time() {
        let all = [GET, POST, CHUNKED, POST, GET, GET, CHUNKED];
        check(&all.concat(), &all);
    }

    #[test]
    fn next_message_is_held_back_until_begun() {
        let mut framing = Framing::new();
        let mut data = [GET, POST].concat().into_bytes();
        assert_eq!(framing.read(&mut data), GET.len());
        let mut room = [0; 100];
        assert!(framing.has_held() && !framing.pass_on(&mut ReadBuf::new(&mut room)));
        assert_eq!(framing.read(&mut GET.to_owned().into_bytes()), 0);
        assert!(!framing.pass_on(&mut ReadBuf::new(&mut room)));
        let mut buffer = ReadBuf::new(&mut room);
        assert!(framing.begin() && framing.pass_on(&mut buffer));
        assert_eq!(buffer.filled(), POST.as_bytes());
        assert!(framing.message().complete && framing.has_held());
    }

    #[test]
    fn trailers_are_dropped() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
        let input = format!("{head}Content-Length: 9\r\nX:\r\n\r\n{GET}");
        check(&input, &[&format!("{head}\r\n"), GET]);
    }

    #[test]
    fn headers_that_are_ignored_are_dropped() {
        check(
            "POST / HTTP/1.1\r\nUPGRADE: websocket\r\nConnection: keep-alive, Upgrade\r\nHost: x\r\n\
             Expect: 100-continue\r\nContent-Length: 2\r\nUpgrade:\r\n\r\nok",
            &["POST / HTTP/1.1\r\nConnection: \r\nHost: x\r\nExpect: 100-continue\r\n\
               Content-Length: 2\r\n\r\nok"],
        );
        check(
            "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
            &["POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nok"],
        );
    }

    #[test]
    fn nothing_follows_the_last_message() {
        for (version, lines, last) in [
            ("1.1", "", false),
            ("1.1", "Connection: keep-alive\r\n", false),
            ("1.1", "Connection: closed\r\n", false),
            ("1.1", "Connection: Close\r\n", true),
            ("1.1", "Connection: keep-alive ,close\r\n", true),
            (
                "1.1",
                "Connection: close\r\nConnection: keep-alive\r\n",
                true,
            ),
            ("1.0", "", true),
            ("1.0", "Connection: Keep-Alive\r\n", false),
            ("1.0", "Connection: keep-alive, close\r\n", true),
        ] {
            assert_eq!(message(version, lines).last, last, "{version} {lines}");
        }
        let close = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
        check(&[GET, close, GET].concat(), &[GET, close]);
    }

    #[test]
    fn what_has_no_certain_end_is_passed_on_with_all_that_follows() {
        for head in [
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: gzip, chunked",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 0x1",
            "Content-Length: ",
            "Content-Length: 18446744073709551616",
            "Content-Length : 1",
            "A: b\r\n c",
            "A: \u{1}",
            " A: b",
            "A",
        ] {
            let input = format!("{POST}GET / HTTP/1.1\r\n{head}\r\n\r\n{GET}{GET}");
            let known = check(&input, &[POST, &input[POST.len()..]]);
            assert!(known.fault.is_some() && !known.complete, "{head}");
        }
        assert!(message("1.0", "Transfer-Encoding: chunked\r\n")
            .fault
            .is_some());
        assert!(message("2.0", "").fault.is_some());
        assert!(message("1.1", &"A: b\r\n".repeat(97)).fault.is_some());
        assert!(
            message("1.1", &format!("A: {}\r\n", "b".repeat(MAX_HEAD_BYTES)))
                .fault
                .is_some()
        );
    }

    #[test]
    fn malformed_chunks_have_no_certain_end() {
        let long = format!("0\r\nA: {}\r\n\r\n", "b".repeat(8192));
        for body in [
            "\r\n",
            "g\r\n",
            "+1\r\na\r\n",
            "0x1\r\na\r\n",
            " 1\r\na\r\n",
            "1 \r\na\r\n",
            "1\na\r\n",
            "1;a\nb\r\na\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "10000000000000000\r\n",
            "0\r\n\n",
            "0\r\n: b\r\n\r\n",
            "0\r\nA b\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\r\r\n\r\n",
            &long,
        ] {
            let input = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}{GET}");
            for size in [1, 7, input.len()] {
                let (messages, known) = divide(input.as_bytes(), size);
                assert_eq!(messages.len(), 1, "{body}");
                assert!(known.fault.is_some() && !known.complete, "{body}");
            }
        }
    }

    #[test]
    fn incomplete_head_is_held_back() {
        let (messages, known) = divide(&GET.as_bytes()[..GET.len() - 1], 4);
        assert!(messages.is_empty() && !known.complete && known.fault.is_none());
    }

    proptest! {
        /// The pieces in which bytes arrive make no difference.
        #[test]
        fn pieces_make_no_difference(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    GET, POST, CHUNKED, "\r\n", "\n", "\r", "0", "5", ":", " ", "A: b\r\n",
                    "GET / HTTP/1.1\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
                    "Connection: close\r\n", "Upgrade: h2c\r\n",
                ]),
                0..12,
            ),
            size in 1..40_usize,
        ) {
            // The end of a line lets a head be looked at.
            let input = (parts.concat() + "\n").into_bytes();
            let (whole, known) = divide(&input, input.len());
            let (pieces, same) = divide(&input, size);
            prop_assert_eq!(whole, pieces);
            prop_assert_eq!(known.fault, same.fault);
        }
    }
}
