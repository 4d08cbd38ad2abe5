//! Connection between the console and the running service: a Unix socket in the state directory,
//! which only the directory's owner and root may enter. Each connection carries one request and one
//! response, each a line of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::carry_out::carry_out;
use super::failure::Refusal;
use super::protocol::{ConsoleResponse, Envelope};
use crate::config::Address;
use crate::server::listen::{Acceptor, ListenError, Listener, SocketFile};
use crate::server::stream::Stream;
use crate::service::Service;

/// Name of the socket in the state directory.
const SOCKET: &str = "control.sock";
/// Permission bits of the socket.
const MODE: u32 = 0o600;
/// Maximum size of a request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 * 1024;
/// Maximum size of a response, in bytes: a list of 100,000 users.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;

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
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
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

/// Sends a request to the service whose state directory is `directory`; returns `None` if no service
/// listens there.
///
/// # Errors
/// The outer error: `directory` cannot be opened, the connection failed, or it was closed without a
/// response. The inner error is the service's refusal, or that of a response of another version.
pub fn request(
    directory: &Path,
    envelope: &Envelope,
) -> io::Result<Option<Result<ConsoleResponse, Refusal>>> {
    let opened = File::open(directory)?;
    let mut stream = match UnixStream::connect(path_through(&opened)) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None)
        }
        Err(error) => return Err(error),
    };
    let mut text = serde_json::to_vec(envelope).map_err(io::Error::other)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_RESPONSE_BYTES)).read_line(&mut line)?;
    if !line.ends_with('\n') {
        let what = "the service closed the connection without a response";
        return Err(io::Error::other(what));
    }
    let answer = serde_json::from_str(&line);
    Ok(Some(
        answer.unwrap_or_else(|_| Err(Refusal::other_version())),
    ))
}
