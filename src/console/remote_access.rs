//! Whether others may reach into the robot: what its ssh server and notebook server ask first.
//!
//! They may while access control is off, or when a file says so that only who can write to the
//! root file system can make. The answer is an exit code: it stands in for another program of that
//! name and the same codes, on which the robot's units rely.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::cli::remote_access::RemoteAccess;

/// The route that tells whether access control is on.
const REQUEST: &[u8] = b"GET /auth/settings/accessControlEnabled HTTP/1.1\r\n\
    Host: localhost\r\nConnection: close\r\n\r\n";
/// A try begins this long after the one before it.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longest that one try takes.
const LONGEST_TRY: Duration = Duration::from_secs(5);
/// Shortest that one try is given, however little of the time is left.
const SHORTEST_TRY: Duration = Duration::from_millis(100);
/// Bytes of an answer that are read at most; the server's has some hundred.
const LONGEST_ANSWER: usize = 16 * 1024;

/// What the check found.
#[derive(Debug)]
enum Finding {
    Overridden(PathBuf),
    Off,
    On,
    NoAnswer { seconds: u64, last: io::Error },
    Strange(String),
}

impl Finding {
    /// 0: allowed; 1: not allowed; 2: not allowed, for the answer is none that the server gives.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Overridden(_) | Self::Off => 0,
            Self::On | Self::NoAnswer { .. } => 1,
            Self::Strange(_) => 2,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Overridden(file) => {
                write!(f, "remote access is allowed: {} is there", file.display())
            }
            Self::Off => f.write_str("remote access is allowed: access control is off"),
            Self::On => f.write_str("remote access is refused: access control is on"),
            Self::NoAnswer { seconds, last } => write!(
                f,
                "remote access is refused: the auth server did not answer in {seconds} s: {last}"
            ),
            Self::Strange(what) => write!(
                f,
                "remote access is refused: the auth server's answer is not understood: {what}"
            ),
        }
    }
}

/// Checks, prints one line that says what was found, and returns the exit code: 0 when remote
/// access is allowed, 1 when it is not, 2 when the answer was none that the server gives.
pub fn run(check: &RemoteAccess) -> ExitCode {
    let finding = look(check);
    // The code is what counts: it stands also when nobody reads the line.
    let _unread = writeln!(io::stdout(), "{finding}");
    ExitCode::from(finding.exit_code())
}

fn look(check: &RemoteAccess) -> Finding {
    if check.override_file.exists() {
        return Finding::Overridden(check.override_file.clone());
    }
    let begun = Instant::now();
    let patience = check
        .timeout
        .map(|seconds| Duration::from_secs(seconds.into()));
    loop {
        let tried = Instant::now();
        let left = patience.map(|patience| patience.saturating_sub(begun.elapsed()));
        let within = left.map_or(LONGEST_TRY, |left| left.clamp(SHORTEST_TRY, LONGEST_TRY));
        let last = match ask(&check.uds, within) {
            Ok(finding) => return finding,
            Err(error) => error,
        };
        let mut pause = INTERVAL.saturating_sub(tried.elapsed());
        if let Some(patience) = patience {
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let seconds = patience.as_secs();
                return Finding::NoAnswer { seconds, last };
            }
            pause = pause.min(left);
        }
        sleep(pause);
    }
}

/// What the server's answer to one request says, or why there was no whole one `within` that time.
fn ask(uds: &Path, within: Duration) -> io::Result<Finding> {
    let deadline = Instant::now() + within;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // connect(2) too waits so long at most, when the server's backlog is full (unix(7)).
    socket.set_write_timeout(Some(within))?;
    socket.connect(&SockAddr::unix(uds)?)?;
    let mut stream = UnixStream::from(socket);
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut part = [0; 4096];
        match stream.read(&mut part) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => answer.extend_from_slice(&part[..length]),
            // The deadline is over, or not quite: the loop says which.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        match understand(&answer) {
            Ok(Some(finding)) => return Ok(finding),
            Ok(None) if answer.len() <= LONGEST_ANSWER => {}
            Ok(None) => {
                let what = format!("it is longer than {LONGEST_ANSWER} bytes");
                return Ok(Finding::Strange(what));
            }
            Err(what) => return Ok(Finding::Strange(what)),
        }
    }
}

/// What an answer says; `None` when it is not whole yet, an error when it says nothing that the
/// server says.
fn understand(answer: &[u8]) -> Result<Option<Finding>, String> {
    const START: &[u8] = b"HTTP/1.";
    let start = &START[..START.len().min(answer.len())];
    if !answer.starts_with(start) {
        return Err("it is not HTTP".into());
    }
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    // RFC 9112 section 4: the version, a space, the status.
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    if status != Some("200") {
        return Err(format!("its status is {:?}", status.unwrap_or_default()));
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or("it does not say how long it is")?;
    let Some(body) = answer[end + 4..].get(..length) else {
        return Ok(None);
    };
    let body: Value = serde_json::from_slice(body).map_err(|_| "it is not JSON")?;
    match body["data"]["accessControlEnabled"] {
        Value::Bool(false) => Ok(Some(Finding::Off)),
        Value::Bool(true) => Ok(Some(Finding::On)),
        _ => Err("it says neither that access control is on nor that it is off".into()),
    }
}
