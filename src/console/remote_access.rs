//! Check whether remote access is allowed, on which the units of the ssh server and the notebook
//! server depend.
//!
//! Remote access is allowed while access control is off, or if an override file exists, which only
//! someone who can write to the root file system can create. The result is an exit code. The check
//! replaces the Python server's `opentrons_check_remote_access_allowed`, with the same exit codes.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::remote_access::RemoteAccess;
use crate::os::deadline::DeadlineStream;

/// Request for the state of access control.
const REQUEST: &[u8] = b"GET /auth/settings/accessControlEnabled HTTP/1.1\r\n\
    Host: localhost\r\nConnection: close\r\n\r\n";
/// Time from the start of one attempt to the start of the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time of one attempt.
const MAX_ATTEMPT: Duration = Duration::from_secs(5);
/// Minimum time of one attempt, even if less is left of the timeout.
const MIN_ATTEMPT: Duration = Duration::from_millis(100);
/// Maximum size of a response, in bytes; the server's takes a few hundred.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;

/// Result of the check.
#[derive(Debug)]
enum Finding {
    /// The override file at this path exists.
    Overridden(PathBuf),
    /// Access control is off.
    Off,
    /// Access control is on.
    On,
    /// The server did not answer within the timeout; `last`: error of the last attempt.
    NoAnswer { seconds: u64, last: io::Error },
    /// The server's answer was invalid, for this reason.
    Invalid(String),
}

impl Finding {
    /// Returns the exit code: 0 if remote access is allowed, 1 if it is refused, 2 if it is refused
    /// because of an invalid answer.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Overridden(_) | Self::Off => 0,
            Self::On | Self::NoAnswer { .. } => 1,
            Self::Invalid(_) => 2,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Overridden(file) => {
                write!(f, "remote access is allowed: {} exists", file.display())
            }
            Self::Off => f.write_str("remote access is allowed: access control is off"),
            Self::On => f.write_str("remote access is refused: access control is on"),
            Self::NoAnswer { seconds, last } => write!(
                f,
                "remote access is refused: the auth server did not answer in {seconds} s: {last}"
            ),
            Self::Invalid(reason) => write!(
                f,
                "remote access is refused: the auth server's answer is invalid: {reason}"
            ),
        }
    }
}

/// Checks whether remote access is allowed, prints the result as one line, and returns the exit code:
/// 0 if it is allowed; 1 if it is refused because access control is on or the server did not answer;
/// 2 if it is refused because the server's answer was invalid.
pub fn run(check: &RemoteAccess) -> ExitCode {
    let finding = find(check);
    // The exit code counts even if the line cannot be written.
    let _written = writeln!(io::stdout(), "{finding}");
    ExitCode::from(finding.exit_code())
}

/// Asks the server until it answers or the timeout is over.
fn find(check: &RemoteAccess) -> Finding {
    if check.override_file.exists() {
        return Finding::Overridden(check.override_file.clone());
    }
    let begun = Instant::now();
    let timeout = check
        .timeout
        .map(|seconds| Duration::from_secs(seconds.into()));
    loop {
        let attempt = Instant::now();
        let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        let within = left.map_or(MAX_ATTEMPT, |left| left.clamp(MIN_ATTEMPT, MAX_ATTEMPT));
        let last = match request(&check.uds, within) {
            Ok(finding) => return finding,
            Err(error) => error,
        };
        let mut pause = INTERVAL.saturating_sub(attempt.elapsed());
        if let Some(timeout) = timeout {
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let seconds = timeout.as_secs();
                return Finding::NoAnswer { seconds, last };
            }
            pause = pause.min(left);
        }
        sleep(pause);
    }
}

/// Sends one request and returns what the server answers.
///
/// # Errors
/// The error of the connection: the server cannot be reached, or it closed the connection or did not
/// send a complete response `within` the time.
fn request(uds: &Path, within: Duration) -> io::Result<Finding> {
    let mut stream = DeadlineStream::connect(uds, within)?;
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 4096];
        match stream.read(&mut part) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        match parse(&answer) {
            Ok(Some(finding)) => return Ok(finding),
            Ok(None) if answer.len() <= MAX_RESPONSE_BYTES => {}
            Ok(None) => {
                let reason = format!("it is longer than {MAX_RESPONSE_BYTES} bytes");
                return Ok(Finding::Invalid(reason));
            }
            Err(reason) => return Ok(Finding::Invalid(reason)),
        }
    }
}

/// Parses a response; `None` if it is incomplete so far.
///
/// # Errors
/// The reason why the response is invalid: it is not HTTP, its status is not 200, it has no
/// `Content-Length`, its body is not JSON, or the body does not give the state of access control.
fn parse(answer: &[u8]) -> Result<Option<Finding>, String> {
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
    // Version, space, status (RFC 9112 §4).
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    if status != Some("200") {
        return Err(format!("its status is {:?}", status.unwrap_or_default()));
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or("it has no Content-Length")?;
    let Some(body) = answer[end + 4..].get(..length) else {
        return Ok(None);
    };
    let body: Value = serde_json::from_slice(body).map_err(|_| "it is not JSON")?;
    match body["data"]["accessControlEnabled"] {
        Value::Bool(false) => Ok(Some(Finding::Off)),
        Value::Bool(true) => Ok(Some(Finding::On)),
        _ => Err("it does not say whether access control is on".into()),
    }
}
