//! Streams of the connections, with and without a runtime.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use socket2::SockRef;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Maximum number of bytes that one read from a Unix socket takes.
const READ_BYTES: usize = 2048;

/// Non-blocking stream that is not attached to a runtime.
#[derive(Debug)]
pub enum Stream {
    /// TCP connection.
    Tcp(std::net::TcpStream),
    /// Connection over a Unix socket.
    Unix(UnixStream),
}

/// Stream that is attached to a runtime.
pub enum AsyncStream {
    /// TCP connection.
    Tcp(TcpStream),
    /// Connection over a Unix socket.
    Unix(AsyncUnixStream),
}

impl AsyncStream {
    /// Attaches `stream` to the current runtime.
    ///
    /// # Errors
    /// [`io::Error`] if `TCP_NODELAY` cannot be set, or the runtime cannot watch the stream.
    pub fn new(stream: Stream) -> io::Result<Self> {
        Ok(match stream {
            Stream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                Self::Tcp(TcpStream::from_std(stream)?)
            }
            Stream::Unix(stream) => Self::Unix(AsyncUnixStream::new(stream)?),
        })
    }

    /// Returns whether the client has sent something that the runtime has not yet noticed. It will,
    /// and wake the task.
    pub fn has_unread(&self) -> bool {
        let socket = match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream.socket()),
        };
        socket.peek(&mut [MaybeUninit::uninit()]).is_ok()
    }

    /// Returns the address of the server's end of a TCP connection.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Writes what can be written without waiting, and returns the number of bytes.
    ///
    /// # Errors
    /// [`io::Error`] of the system; [`io::ErrorKind::WouldBlock`] if nothing can be written now.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.socket().write(bytes),
        }
    }
}

impl AsyncRead for AsyncStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => stream.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for AsyncStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => stream.poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind of stream has a buffer.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Poll::Ready(stream.socket().shutdown(std::net::Shutdown::Write)),
        }
    }
}

/// Unix socket that the runtime watches for data to read, and for room to write only while a write
/// waits for it.
///
/// tokio's own `UnixStream` is always watched for both, and Linux reports room to write each time
/// that the peer has read something (unix(7) does not say so; `unix_write_space` in
/// `net/unix/af_unix.c`): a worker woke up a second time for every response.
pub struct AsyncUnixStream {
    readable: AsyncFd<UnixStream>,
    /// The same socket, while a write waits.
    writable: Option<AsyncFd<UnixStream>>,
}

impl AsyncUnixStream {
    fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self {
            readable: watch(stream, Interest::READABLE)?,
            writable: None,
        })
    }

    fn socket(&self) -> &UnixStream {
        self.readable.get_ref()
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.readable.poll_read_ready(cx))?;
            let room = buffer.remaining().min(READ_BYTES);
            let unfilled = buffer.initialize_unfilled_to(room);
            match self.socket().read(unfilled) {
                Ok(count) => {
                    if 0 < count && count < room {
                        // All that there was, unless more has come since: then the runtime tells.
                        ready.clear_ready();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.socket().write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let watched = match &mut self.writable {
                        Some(watched) => watched,
                        None => {
                            let same = self.readable.get_ref().try_clone()?;
                            self.writable.insert(watch(same, Interest::WRITABLE)?)
                        }
                    };
                    ready!(watched.poll_write_ready(cx))?.clear_ready();
                }
                written => {
                    self.writable = None;
                    return Poll::Ready(written);
                }
            }
        }
    }
}

/// Registers `socket` with the current runtime.
#[allow(unsafe_code)]
fn watch(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: a `UnixStream` owns its file descriptor, which stays the same and open for as long as
    // the `AsyncFd` owns the `UnixStream`.
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    Ok(watched?)
}
