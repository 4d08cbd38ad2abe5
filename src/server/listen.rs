//! Listening sockets: bound here, to a Unix path or a TCP port, or handed over by systemd.
//!
//! Unix sockets are not bound by actix-server's `bind_uds`, because it deletes whatever file is at
//! the path, even the socket of a running server.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{umask, Mode};
use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use super::stream::Stream;
use crate::config::Address;
use crate::os::systemd::HandedOver;

/// Maximum length of a Unix socket's path, in bytes: the size of `sun_path` minus the terminating
/// NUL (`unix(7)`).
const MAX_PATH_BYTES: usize = 107;
/// Maximum number of connections waiting to be accepted: the default of `net.core.somaxconn`, which
/// also limits systemd's socket units (`systemd.socket(5)`).
const BACKLOG: i32 = 4096;

/// Reason why an address cannot be listened on.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The path is too long for a Unix socket address.
    #[error("cannot listen on {}: the path has {} bytes, the maximum is {MAX_PATH_BYTES}", path.display(), path.as_os_str().len())]
    PathTooLong {
        /// Path of the socket.
        path: PathBuf,
    },
    /// The file at the path is not a socket.
    #[error("cannot listen on {}: the file there is not a socket", path.display())]
    NoSocket {
        /// Path of the socket.
        path: PathBuf,
    },
    /// Another server is listening at the path.
    #[error("cannot listen on {}: another server is already listening there", path.display())]
    InUse {
        /// Path of the socket.
        path: PathBuf,
    },
    /// A system call failed for a Unix path.
    #[error("cannot listen on {}", path.display())]
    Unix {
        /// Path of the socket.
        path: PathBuf,
        /// Cause reported by the system.
        source: io::Error,
    },
    /// A system call failed for a TCP address.
    #[error("cannot listen on {host} port {port}")]
    Tcp {
        /// Host as configured: a name or an IP address.
        host: String,
        /// Port as configured.
        port: u16,
        /// Cause reported by the system.
        source: io::Error,
    },
}

/// Listening socket. When dropped, it removes the file of a Unix socket that was bound here, but
/// not that of a socket that was handed over.
#[derive(Debug)]
pub struct Listener {
    socket: AnyListener,
    file: Option<SocketFile>,
}

#[derive(Debug)]
enum AnyListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds a socket to `address` and listens on it. A stale Unix socket at the path is replaced.
    ///
    /// # Errors
    /// - [`ListenError::PathTooLong`] if the Unix path is longer than 107 bytes.
    /// - [`ListenError::NoSocket`] if there is another kind of file at the Unix path; it is kept.
    /// - [`ListenError::InUse`] if another server is listening at the Unix path; it is not
    ///   disturbed.
    /// - [`ListenError::Unix`] if a system call fails, for example because the directory is
    ///   missing.
    /// - [`ListenError::Tcp`] if the host cannot be resolved or the port cannot be bound.
    pub fn bind(address: &Address) -> Result<Self, ListenError> {
        match address {
            Address::Unix { path, mode } => bind_unix(path, *mode),
            Address::Tcp { host, port } => TcpListener::bind((host.as_str(), *port))
                .and_then(|socket| {
                    socket.set_nonblocking(true)?;
                    Ok(HandedOver::Tcp(socket).into())
                })
                .map_err(|source| ListenError::Tcp {
                    host: host.clone(),
                    port: *port,
                    source,
                }),
        }
    }

    /// Returns the address for log lines: a URL for TCP, or `unix:` and the path.
    pub fn description(&self) -> String {
        match &self.socket {
            AnyListener::Tcp(socket) => socket.local_addr().map_or_else(
                |error| format!("a TCP socket with an unknown address ({error})"),
                |address| format!("http://{address}"),
            ),
            AnyListener::Unix(socket) => {
                let address = socket.local_addr().ok();
                match address.as_ref().and_then(|address| address.as_pathname()) {
                    Some(path) => format!("unix:{}", path.display()),
                    None => "a Unix socket without a path".into(),
                }
            }
        }
    }

    /// Converts the listener into an acceptor and, if it was bound here, the file of the Unix
    /// socket, which the caller drops when it stops accepting.
    ///
    /// # Errors
    /// [`io::Error`] if the runtime cannot watch the socket.
    pub fn into_acceptor(self) -> io::Result<(Acceptor, Option<SocketFile>)> {
        let acceptor = match self.socket {
            AnyListener::Tcp(socket) => Acceptor::Tcp(socket.try_into()?),
            AnyListener::Unix(socket) => Acceptor::Unix(socket.try_into()?),
        };
        Ok((acceptor, self.file))
    }
}

impl From<HandedOver> for Listener {
    /// Wraps a socket that another process bound; its file is never removed.
    fn from(socket: HandedOver) -> Self {
        let socket = match socket {
            HandedOver::Tcp(socket) => AnyListener::Tcp(socket),
            HandedOver::Unix(socket) => AnyListener::Unix(socket),
        };
        Self { socket, file: None }
    }
}

/// Accepts connections on the runtime in which it was created.
#[derive(Debug)]
pub enum Acceptor {
    /// Listener on a TCP port.
    Tcp(tokio::net::TcpListener),
    /// Listener on a Unix path.
    Unix(tokio::net::UnixListener),
}

impl Acceptor {
    /// Waits for the next connection and returns it with, for TCP, the address of its peer. The
    /// stream is detached from this runtime, so that a worker can attach it to its own.
    ///
    /// # Errors
    /// Those of `accept(2)`, such as `ECONNABORTED` or `EMFILE`, or of detaching the stream. The
    /// listener remains usable.
    pub async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Tcp(stream.into_std()?), Some(peer)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream.into_std()?), None))
            }
        }
    }
}

/// File of a Unix socket that was bound here. When dropped, it removes the file, unless the file
/// has been replaced by another.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode number.
    id: (u64, u64),
    removed: AtomicBool,
}

impl SocketFile {
    /// Removes the file, unless that was tried before: another server may have one there by then, even
    /// with the same inode number.
    pub fn remove(&self) {
        if self.removed.swap(true, Ordering::Relaxed) {
            return;
        }
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.id);
        if ours {
            if let Err(error) = fs::remove_file(&self.path) {
                log::warn!("cannot remove socket file {}: {error}", self.path.display());
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Binds a Unix socket at `path` with the permission bits `mode`, replacing a stale one.
///
/// A lock on the directory prevents two servers that start at the same time from both replacing a
/// stale socket.
fn bind_unix(path: &Path, mode: u32) -> Result<Listener, ListenError> {
    if path.as_os_str().len() > MAX_PATH_BYTES {
        return Err(ListenError::PathTooLong {
            path: path.to_owned(),
        });
    }
    let failed = |source: io::Error| ListenError::Unix {
        path: path.to_owned(),
        source,
    };
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let directory = File::open(directory).map_err(failed)?;
    let _lock = Flock::lock(directory, FlockArg::LockExclusive)
        .map_err(|(_, errno)| failed(errno.into()))?;
    remove_stale(path)?;

    // The umask gives the file its mode from the start: there is no time in which others could
    // connect.
    let before = umask(Mode::from_bits_truncate(!mode & 0o777));
    let bound = listen_at(path);
    umask(before);
    let socket = bound.map_err(failed)?;
    let found = fs::symlink_metadata(path).map_err(failed)?;
    Ok(Listener {
        socket: AnyListener::Unix(socket),
        file: Some(SocketFile {
            path: path.to_owned(),
            id: (found.dev(), found.ino()),
            removed: AtomicBool::new(false),
        }),
    })
}

/// Creates a Unix socket that listens at `path`.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Removes the file of a Unix socket on which no server listens.
///
/// # Errors
/// - [`ListenError::NoSocket`] if the file is not a socket.
/// - [`ListenError::InUse`] if a server is listening.
/// - [`ListenError::Unix`] if the file cannot be examined or removed, or may not be connected to.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Unix {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenError::NoSocket {
                path: path.to_owned(),
            })
        }
        Ok(_) => {}
    }
    // Non-blocking: EAGAIN means that a server is listening and its backlog is full.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
        .and_then(|socket| socket.connect(&SockAddr::unix(path)?));
    match probe {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        _ => Err(ListenError::InUse {
            path: path.to_owned(),
        }),
    }
}
