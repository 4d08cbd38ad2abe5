//! Connection between the console and the running service: a Unix socket in the state directory,
//! which only the directory's owner and root may enter. Each connection carries one request and one
//! response, each a line of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::carry_out::carry_out;
use super::failure::Refusal;
use super::protocol::{ConsoleRequest, ConsoleResponse, Envelope};
use crate::config::Address;
use crate::os::deadline::DeadlineStream;
use crate::server::listen::{Acceptor, ListenError, Listener, SocketFile};
use crate::server::stream::Stream;
use crate::service::Service;

/// Name of the socket in the state directory.
const SOCKET: &str = "control.sock";
/// Permission bits of the socket.
const MODE: u32 = 0o600;
/// Maximum size of a request, in bytes: more than the largest configuration of the directory.
const MAX_REQUEST_BYTES: u64 = 80 * 1024;
/// Maximum size of a response, in bytes: a list of 100,000 users.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;

/// Maximum time until the service has carried out a request. Passwords that wait to be hashed, and a
/// slow disk, take seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum time until the service has checked and taken over a whole database. The check alone may take
/// five minutes.
const PATIENCE_WITH_DATABASE: Duration = Duration::from_secs(600);

/// Listening control socket. Dropping it closes and removes the socket.
pub struct Control {
    task: JoinHandle<()>,
    _file: Option<SocketFile>,
    /// Directory through whose descriptor the socket's path leads.
    _directory: File,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns a path to the socket that fits into a socket address (`unix(7)`: 108 bytes), however long
/// the path of the directory is.
fn path_through(directory: &File) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(SOCKET)
}

/// Listens on the control socket in `directory` and carries out the requests. The caller holds the lock
/// of the directory, so an existing socket is a stale one.
///
/// # Errors
/// - [`ListenError::NoSocket`]: a file that is not a socket is at its path.
/// - [`ListenError::InUse`]: another server answers at its path.
/// - [`ListenError::Unix`]: the directory cannot be opened, or the socket cannot be created.
pub fn listen(directory: &Path, service: Service) -> Result<Control, ListenError> {
    let failed = |source| ListenError::Unix {
        path: directory.join(SOCKET),
        source,
    };
    let opened = File::open(directory).map_err(failed)?;
    let listener = Listener::bind(&Address::Unix {
        path: path_through(&opened),
        mode: MODE,
    })?;
    let (acceptor, file) = listener.into_acceptor().map_err(failed)?;
    Ok(Control {
        task: actix_rt::spawn(serve(acceptor, service)),
        _file: file,
        _directory: opened,
    })
}

/// Accepts connections, and answers each in a task of its own.
async fn serve(acceptor: Acceptor, service: Service) {
    loop {
        match acceptor.accept().await {
            Ok((Stream::Unix(stream), _)) => {
                let service = service.clone();
                actix_rt::spawn(async move {
                    if let Err(error) = answer(stream, &service).await {
                        log::warn!("connection from the console failed: {error}");
                    }
                });
            }
            Ok(_) => {}
            Err(error) => {
                log::error!("cannot accept a connection from the console: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Reads one request, carries it out and writes the response.
async fn answer(stream: UnixStream, service: &Service) -> io::Result<()> {
    let mut stream = tokio::net::UnixStream::from_std(stream)?;
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    tokio::io::BufReader::new(read.take(MAX_REQUEST_BYTES))
        .read_until(b'\n', &mut line)
        .await?;
    // serde_json's error could quote the request, which may contain a password.
    let result = match serde_json::from_slice(&line) {
        Ok(envelope) => carry_out(service, envelope).await,
        Err(_) => Err(Refusal::other_version()),
    };
    let mut text = serde_json::to_vec(&result).map_err(io::Error::other)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Returns the maximum time to wait for the response to a request.
pub fn patience(request: &ConsoleRequest) -> Duration {
    match request {
        ConsoleRequest::Restore(_) | ConsoleRequest::Import { .. } => PATIENCE_WITH_DATABASE,
        _ => PATIENCE,
    }
}

/// Sends a request to the service whose state directory is `directory`, and waits for the response at
/// most for the time `within`; returns `None` if no service listens there.
///
/// # Errors
/// The outer error: `directory` cannot be opened, the connection failed, it was closed without a
/// response, or, as [`io::ErrorKind::TimedOut`], there was none in time. The inner error is the
/// service's refusal, or that of a response of another version.
pub fn request(
    directory: &Path,
    envelope: &Envelope,
    within: Duration,
) -> io::Result<Option<Result<ConsoleResponse, Refusal>>> {
    let opened = File::open(directory)?;
    let mut stream = match DeadlineStream::connect(&path_through(&opened), within) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None)
        }
        Err(error) => return Err(say_what_timed_out(error, within)),
    };
    let mut text = serde_json::to_vec(envelope).map_err(io::Error::other)?;
    text.push(b'\n');
    let line = exchange(&mut stream, &text).map_err(|error| say_what_timed_out(error, within))?;
    if !line.ends_with('\n') {
        let what = "the service closed the connection without a response";
        return Err(io::Error::other(what));
    }
    let answer = serde_json::from_str(&line);
    Ok(Some(
        answer.unwrap_or_else(|_| Err(Refusal::other_version())),
    ))
}

/// Sends a request and returns the response.
fn exchange(stream: &mut DeadlineStream, text: &[u8]) -> io::Result<String> {
    stream.write_all(text)?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_RESPONSE_BYTES)).read_line(&mut line)?;
    Ok(line)
}

/// Replaces the error of a timeout with one for the user.
fn say_what_timed_out(error: io::Error, within: Duration) -> io::Error {
    if error.kind() != io::ErrorKind::TimedOut {
        return error;
    }
    let seconds = within.as_secs_f64();
    let said = format!("no response within {seconds} s; the command may still be carried out");
    io::Error::new(io::ErrorKind::TimedOut, said)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(200);
    /// Only a broken console exceeds it.
    const AT_MOST: Duration = Duration::from_secs(30);

    /// Asks the listener, and asserts that the console gives up.
    fn assert_gives_up(directory: &Path) {
        let envelope = Envelope {
            user: "root".into(),
            reason: None,
            request: ConsoleRequest::ListUsers,
        };
        let begun = Instant::now();
        let Err(error) = request(directory, &envelope, WITHIN) else {
            panic!("nobody answered");
        };
        assert!(begun.elapsed() >= WITHIN && begun.elapsed() < AT_MOST);
        assert_eq!(
            error.to_string(),
            "no response within 0.2 s; the command may still be carried out"
        );
    }

    #[test]
    fn gives_up_when_nobody_answers() {
        let directory = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
        assert_gives_up(directory.path());
    }

    #[test]
    fn gives_up_when_nobody_accepts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SOCKET);
        let address = socket2::SockAddr::unix(&path).unwrap();
        let unix = || socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let listener = unix().unwrap();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let client = unix().unwrap();
                client.set_nonblocking(true).unwrap();
                let _refused_when_full = client.connect(&address);
                client
            })
            .collect();
        assert_gives_up(directory.path());
        drop(waiting);
    }

    #[test]
    fn gives_up_when_the_answer_never_ends() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
        let dripping = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            // Until the console has closed the connection.
            while client.write_all(b" ").is_ok() {
                thread::sleep(WITHIN / 10);
            }
        });
        assert_gives_up(directory.path());
        dripping.join().unwrap();
    }

    #[test]
    fn only_requests_that_check_a_database_may_take_long() {
        assert_eq!(patience(&ConsoleRequest::ListUsers), PATIENCE);
        let restore = ConsoleRequest::Restore("copy".into());
        assert_eq!(patience(&restore), PATIENCE_WITH_DATABASE);
    }
}
