//! How the console reaches the running service: a Unix socket in the state folder, which only the
//! folder's owner and root may enter. An order a connection, both ways one line of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::protocol::{carry_out, Answer, Signed};
use crate::config::Address;
use crate::server::connection::Stream;
use crate::server::listen::{Acceptor, ListenError, Listener, SocketFile};
use crate::service::Service;

/// The socket's name in the state folder.
const SOCKET: &str = "control.sock";
/// Permission bits of the socket.
const MODE: u32 = 0o600;
/// Longest order, in bytes.
const MAX_ORDER_BYTES: u64 = 64 * 1024;

/// The open socket. Dropping it closes and removes it.
pub struct Control {
    task: JoinHandle<()>,
    _file: Option<SocketFile>,
    /// What the socket's path leads through.
    _folder: File,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A way to the socket that is short enough for a socket's address, however long the folder's is.
fn path_through(folder: &File) -> PathBuf {
    Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(SOCKET)
}

/// Carries out the orders that come through the socket in `folder`. The lock of the folder is held,
/// so a socket that is there is a dead one.
///
/// # Errors
/// The socket could not be made.
pub fn listen(folder: &Path, service: Service) -> Result<Control, ListenError> {
    let failed = |source| ListenError::Unix {
        path: folder.join(SOCKET),
        source,
    };
    let opened = File::open(folder).map_err(failed)?;
    let listener = Listener::bind(&Address::Unix {
        path: path_through(&opened),
        mode: MODE,
    })?;
    let (acceptor, file) = listener.into_acceptor().map_err(failed)?;
    Ok(Control {
        task: actix_rt::spawn(serve(acceptor, service)),
        _file: file,
        _folder: opened,
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
    tokio::io::BufReader::new(read.take(MAX_ORDER_BYTES))
        .read_until(b'\n', &mut line)
        .await?;
    // The error would show what stands in the order.
    let signed: Signed =
        serde_json::from_slice(&line).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let result = carry_out(service, signed).await;
    let mut text = serde_json::to_vec(&result).map_err(io::Error::other)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Gives an order to the service that works in `folder`. `None`: nobody listens there.
///
/// # Errors
/// The outer one: the connection failed. The inner one is the service's, a sentence.
pub fn order(folder: &Path, signed: &Signed) -> io::Result<Option<Result<Answer, String>>> {
    let opened = File::open(folder)?;
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
    let mut text = serde_json::to_vec(signed).map_err(io::Error::other)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line)
        .map(Some)
        .map_err(|_| io::Error::other("the service closed the connection without an answer"))
}
