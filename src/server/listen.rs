//! Listening sockets: bound by us, at a Unix path or a TCP port, or handed over.
//!
//! A Unix path is bound by hand: actix-server's `bind_uds` deletes whatever lies there, even the
//! socket of a server that still answers.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{umask, Mode};
use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use super::connection::Stream;
use crate::config::Address;
use crate::os::systemd::HandedOver;

/// Longest path of a Unix socket, in bytes: `sun_path` less its final NUL (`unix(7)`).
const MAX_PATH_BYTES: usize = 107;
/// Connections that may wait to be accepted, as systemd's default for a socket unit.
const BACKLOG: i32 = 4096;

/// An address cannot be listened on.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The path does not fit into a socket address.
    #[error("cannot listen on {}: the path has {} bytes, a socket's may have {MAX_PATH_BYTES}", path.display(), path.as_os_str().len())]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// Something that is no socket lies at the path.
    #[error("cannot listen on {}: a file that is no socket is there", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// Another server answers at the path.
    #[error("cannot listen on {}: another server answers there", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The system refused, at a path.
    #[error("cannot listen on {}", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused, at a TCP address.
    #[error("cannot listen on {host} port {port}")]
    Tcp {
        /// Host as given.
        host: String,
        /// Port as given.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// A listening socket. The file of a Unix socket that was bound here is removed on drop; one that
/// was handed over is its owner's.
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
    /// Binds `address` and listens on it.
    ///
    /// # Errors
    /// [`ListenError`] names the path or port and the reason; nothing on disk has changed.
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

    /// Where this listens, in words for the log: a URL, or `unix:` and the path.
    pub fn description(&self) -> String {
        match &self.socket {
            AnyListener::Tcp(socket) => socket.local_addr().map_or_else(
                |error| format!("a TCP socket ({error})"),
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

    /// Splits into what accepts connections, and the file to remove when done.
    ///
    /// # Errors
    /// The runtime could not watch the socket.
    pub fn into_acceptor(self) -> io::Result<(Acceptor, Option<SocketFile>)> {
        let acceptor = match self.socket {
            AnyListener::Tcp(socket) => Acceptor::Tcp(socket.try_into()?),
            AnyListener::Unix(socket) => Acceptor::Unix(socket.try_into()?),
        };
        Ok((acceptor, self.file))
    }
}

impl From<HandedOver> for Listener {
    /// A socket that somebody else bound.
    fn from(socket: HandedOver) -> Self {
        let socket = match socket {
            HandedOver::Tcp(socket) => AnyListener::Tcp(socket),
            HandedOver::Unix(socket) => AnyListener::Unix(socket),
        };
        Self { socket, file: None }
    }
}

/// Accepts connections in the runtime it was made in.
#[derive(Debug)]
pub enum Acceptor {
    /// Over TCP.
    Tcp(tokio::net::TcpListener),
    /// Over a Unix socket.
    Unix(tokio::net::UnixListener),
}

impl Acceptor {
    /// The next connection and, over TCP, its peer. The stream leaves this runtime: a worker's
    /// takes it in.
    ///
    /// # Errors
    /// As `accept(2)`: the listener itself stays usable.
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

/// The file of a socket bound here. Dropping it removes the file, unless another one lies there by
/// now.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    /// Removes the file now, for an exit that drops nothing.
    pub fn remove(&self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.id);
        if ours {
            if let Err(error) = fs::remove_file(&self.path) {
                log::warn!("cannot remove {}: {error}", self.path.display());
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Binds a Unix socket at `path` with the permission bits `mode`, in place of a stale one.
///
/// A lock on the directory keeps two servers that start at once from both replacing a stale socket.
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

    // The umask gives the file its mode from the start: nobody can connect in between.
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
        }),
    })
}

fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Removes a socket file on which nobody answers.
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
    // Not blocking: a server whose backlog is full answers EAGAIN, and is alive.
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
