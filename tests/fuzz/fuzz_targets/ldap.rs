//! What an LDAP server sends, to the real client: each answer is understood or a fault, nobody is
//! confirmed by one that is malformed, and memory is limited.
//!
//! The first byte of an input selects what is asked (by [`QUESTIONS`]) and in which pieces the rest
//! arrives. The rest is all that the server sends, from the first answer on; then it closes the
//! connection.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use auth_server::directory::process::{start_tls, try_over, Connection, Fault, People, Question};
use auth_server::directory::protocol::Answer;
use auth_server::domain::directory::{Directory, DirectoryId, Groups, Kind, Names};
use auth_server::domain::passwords::Password;
use auth_server_fuzz::logger;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Letters that select a question, in the lower six bits of the first byte: see [`ask`].
const QUESTIONS: &[u8; 7] = b"SVvLlTt";
/// Maximum of the memory that a question may take, in bytes: eight times the maximum length of an answer.
const MAX_MEMORY: usize = 4 * 1024 * 1024;
const NAME: &str = "ada";
const PASSWORD: &str = "correct-horse";
const ID: &str = "00112233445566778899aabbccddeeff";

/// Allocator that counts the bytes in use, and their maximum.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn count(size: usize) {
    let in_use = IN_USE.fetch_add(size, Ordering::Relaxed) + size;
    MOST.fetch_max(in_use, Ordering::Relaxed);
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        System.alloc(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        System.alloc_zeroed(layout)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        System.dealloc(pointer, layout);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Server's side of a connection: what it sends, and what it was sent.
struct Server {
    answers: Vec<u8>,
    sent: usize,
    /// Maximum length of a piece of the answers.
    piece: usize,
    requests: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Server {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.answers[self.sent..];
        let length = left.len().min(self.piece).min(buffer.remaining());
        buffer.put_slice(&left[..length]);
        self.sent += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Server {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut requests = self.requests.lock().expect("a panic ends the process");
        requests.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn directory(kind: Kind) -> Directory {
    let group = |name: &str| vec![format!("cn={name},dc=lab,dc=example")];
    Directory {
        kind,
        servers: vec!["ldaps://ldap.lab.example".into()],
        ca: String::new(),
        base: "dc=lab,dc=example".into(),
        names: match kind {
            Kind::ActiveDirectory => Names::UpnSuffix("lab.example".into()),
            Kind::Ldap => Names::Filter("(uid={name})".into()),
        },
        bind_name: "cn=robot,dc=lab,dc=example".into(),
        bind_password: Password::new("bind-secret".into()),
        full_name_attribute: "cn".into(),
        groups: Groups {
            admins: group("admins"),
            users: group("users"),
            auditors: Vec::new(),
        },
        offline_days: 7,
        max_wrong_passwords: 3,
    }
}

/// What was asked came to this.
enum Said {
    /// An answer about a person.
    Answer(Answer),
    /// The server takes StartTLS, or the configuration works.
    Works,
}

/// Asks the server a question: for StartTLS, to verify a password, to look somebody up, or to test the
/// configuration; of Active Directory in upper case, of LDAP in lower case.
async fn ask(letter: u8, mut server: Server) -> Result<Said, Fault> {
    let deadline = Instant::now() + Duration::from_secs(4);
    let directory = directory(match letter {
        b'v' | b'l' | b't' => Kind::Ldap,
        _ => Kind::ActiveDirectory,
    });
    let people = People::of(&directory).expect("the configuration is good");
    let password = Password::new(PASSWORD.into());
    let id = DirectoryId::from_text(ID.into()).expect("the identifier is good");
    let question = match letter {
        b'S' => return start_tls(&mut server).await.map(|()| Said::Works),
        b'V' | b'v' => Question::Verify(NAME, &password),
        b'L' | b'l' => Question::LookUp(&id),
        _ => {
            let mut connection = Connection::over(server, deadline);
            let found = try_over(&people, &mut connection).await?;
            assert!(found.len() < 64 * 1024, "{}", found.len());
            return Ok(Said::Works);
        }
    };
    let mut connection = Connection::over(server, deadline);
    people
        .ask(&mut connection, &question)
        .await
        .map(Said::Answer)
}

/// Splits off an element of BER (X.690): its tag and content.
fn element<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, first, rest) = match **bytes {
        [tag, first, ref rest @ ..] => (tag, usize::from(first), rest),
        _ => return None,
    };
    let (length, rest) = match first {
        0..=0x7f => (first, rest),
        0x80 => return None, // indefinite
        _ => {
            let (digits, rest) = (rest.get(..first - 0x80)?, rest.get(first - 0x80..)?);
            let add = |sum: usize, digit: &u8| sum.checked_mul(256)?.checked_add((*digit).into());
            (digits.iter().try_fold(0, add)?, rest)
        }
    };
    *bytes = rest.get(length..)?;
    Some((tag, rest.get(..length)?))
}

/// Splits a sequence's content into its elements.
fn elements(mut content: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut elements = Vec::new();
    while !content.is_empty() {
        elements.push(element(&mut content)?);
    }
    Some(elements)
}

fn integer(content: &[u8]) -> u64 {
    content
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// Splits off a message: its identifier, the operation and its elements.
fn message<'a>(bytes: &mut &'a [u8]) -> Option<(u64, u8, Vec<(u8, &'a [u8])>)> {
    let (0x30, content) = element(bytes)? else {
        return None;
    };
    match elements(content)?[..] {
        [(0x02, id), (operation, content), ref rest @ ..] => {
            if let Some((0xa0, controls)) = rest.first() {
                for (tag, control) in elements(controls)? {
                    let is_control = tag == 0x30 && elements(control)?.first()?.0 == 0x04;
                    is_control.then_some(())?;
                }
            }
            // Those that ask for TLS and end the connection are not made of elements.
            Some((
                integer(id),
                operation,
                elements(content).unwrap_or_default(),
            ))
        }
        _ => None,
    }
}

/// Answer to a request.
struct Exchange {
    /// Tag of the request.
    asked: u8,
    code: u64,
    /// Number of entries.
    found: usize,
}

/// Splits off the answer to a request; `None` if it is none, as RFC 4511 has it.
fn exchange((id, asked): (u64, u8), answers: &mut &[u8]) -> Option<Exchange> {
    let ending = match asked {
        0x60 => 0x61,
        0x63 => 0x65,
        _ => 0x78,
    };
    let mut found = 0;
    loop {
        let (answered, operation, content) = message(answers)?;
        match (operation, &content[..]) {
            _ if answered != id => return None,
            (0x64, [(0x04, _), (0x30, _), ..]) if asked == 0x63 => found += 1,
            (0x73, _) if asked == 0x63 => {}
            (_, [(0x0a, code), (0x04, _), (0x04, _), ..]) if operation == ending => {
                let code = integer(code);
                return Some(Exchange { asked, code, found });
            }
            _ => return None,
        }
    }
}

/// Checks that what the server sent, read by other rules than the client's, says what the client took it
/// for.
fn check(letter: u8, said: &Result<Said, Fault>, mut requests: &[u8], mut answers: &[u8]) {
    let mut asked = Vec::new();
    while !requests.is_empty() {
        let (id, operation, _) = message(&mut requests).expect("the client sends whole messages");
        asked.push((id, operation));
    }
    // A request after another says that the answer to that one was understood.
    let understood = asked.len() - usize::from(said.is_err()).min(asked.len());
    let exchanges: Vec<Exchange> = asked[..understood]
        .iter()
        .map(|request| exchange(*request, &mut answers).expect("what is no answer is a fault"))
        .collect();
    let is_bind = |exchange: &Exchange| exchange.asked == 0x60;
    let binds = asked.iter().filter(|(_, operation)| *operation == 0x60);
    let passed_on = binds.count() > 1;
    if passed_on {
        assert!(matches!(letter, b'V' | b'v'), "a password was passed on");
        assert_eq!(exchanges[0].code, 0, "the bind account was refused");
        assert_eq!(exchanges[1].found, 1, "not one person");
    }
    match said {
        Ok(Said::Works) => assert_eq!(exchanges[0].code, 0),
        Ok(Said::Answer(Answer::Found(person))) => {
            assert_eq!(exchanges[0].code, 0, "the bind account was refused");
            assert_eq!(exchanges[1].found, 1, "not one person");
            if matches!(letter, b'V' | b'v') {
                assert_eq!(person.username.to_lowercase(), NAME);
                let last = exchanges.last().filter(|last| is_bind(last));
                let last = last.expect("the password was passed on last");
                assert!(passed_on && last.code == 0, "the password was not accepted");
            }
        }
        Ok(Said::Answer(Answer::WrongPassword)) => assert!(passed_on),
        Ok(Said::Answer(Answer::Barred(_))) => assert_eq!(exchanges[1].found, 1),
        Ok(Said::Answer(Answer::NobodyFound | Answer::SeveralFound)) => assert!(!passed_on),
        Ok(Said::Answer(answer)) => panic!("no answer about a person: {answer:?}"),
        Err(Fault::Unanswered(_)) => assert!(passed_on),
        Err(fault) => {
            let why = fault.to_string();
            assert!(why.len() < 16 * 1024, "{}", why.len());
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, answers)) = input.split_first() else {
        return;
    };
    logger::init();
    let letter = QUESTIONS[usize::from(first & 0x3f) % QUESTIONS.len()];
    let requests = Arc::default();
    let server = Server {
        answers: answers.to_vec(),
        sent: 0,
        piece: [usize::MAX, 1, 2, 100][usize::from(first >> 6)],
        requests: Arc::clone(&requests),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be made");
    let before = IN_USE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let said = runtime.block_on(ask(letter, server));
    let taken = MOST.load(Ordering::Relaxed) - before;
    assert!(taken <= MAX_MEMORY, "{taken} bytes of memory");
    let requests = requests.lock().expect("a panic ends the process");
    check(letter, &said, &requests, answers);
});
