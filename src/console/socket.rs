//! How the console reaches the running service: a Unix socket in the state directory, which only the
//! directory's owner and root may enter. A request a connection, both ways one line of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::protocol::{carry_out, ConsoleResponse, Envelope};
use crate::config::Address;
use crate::server::connection::Stream;
use crate::server::listen::{Acceptor, ListenError, Listener, SocketFile};
use crate::service::Service;

/// The socket's name in the state directory.
const SOCKET: &str = "control.sock";
/// Permission bits of the socket.
const MODE: u32 = 0o600;
/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 * 1024;

/// The open socket. Dropping it closes and removes it.
pub struct Control {
    task: JoinHandle<()>,
    _file: Option<SocketFile>,
    /// What the socket's path leads through.
    _directory: File,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A way to the socket that is short enough for a socket's address, however long the directory's is.
fn path_through(directory: &File) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(SOCKET)
}

/// Carries out the requests that come through the socket in `directory`. The lock of the directory is held,
/// so a socket that is there is a dead one.
///
/// # Errors
/// The socket could not be made.
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

async fn serve(acceptor: Acceptor, service: Service) {
    loop {
        match acceptor.accept().await {
            Ok((Stream::Unix(stream), _)) => {
                let service = service.clone();
                actix_rt::spawn(async move {
                    if let Err(error) = answer(stream, &service).await {
                        log::warn!("the console's connection failed: {error}");
                    }
                });
            }
            Ok(_) => {}
            Err(error) => {
                log::error!("the console cannot connect: {error}");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, service: &Service) -> io::Result<()> {
    let mut stream = tokio::net::UnixStream::from_std(stream)?;
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    tokio::io::BufReader::new(read.take(MAX_REQUEST_BYTES))
        .read_until(b'\n', &mut line)
        .await?;
    // The error would show what stands in the request.
    let envelope: Envelope =
        serde_json::from_slice(&line).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let result = carry_out(service, envelope).await;
    let mut text = serde_json::to_vec(&result).map_err(io::Error::other)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Gives a request to the service that works in `directory`. `None`: nobody listens there.
///
/// # Errors
/// The outer one: the connection failed. The inner one is the service's, a sentence.
pub fn request(
    directory: &Path,
    envelope: &Envelope,
) -> io::Result<Option<Result<ConsoleResponse, String>>> {
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
    BufReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line)
        .map(Some)
        .map_err(|_| io::Error::other("the service closed the connection without an answer"))
}
