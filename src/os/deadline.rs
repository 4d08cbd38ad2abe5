//! Client's end of a connection over a Unix socket that fails when its time is over, even if the other
//! end accepts nothing, answers nothing, or sends a byte now and then.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// Connection whose every operation fails with [`io::ErrorKind::TimedOut`] after its deadline.
pub struct DeadlineStream {
    stream: UnixStream,
    deadline: Instant,
}

impl DeadlineStream {
    /// Connects to the socket at `path`. The connection's deadline is `within` from now.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if the other end does not accept the connection in time, or the
    /// system's error: the socket does not exist, nobody listens on it, its path has more than 107
    /// bytes, or permissions are missing.
    pub fn connect(path: &Path, within: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + within;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Limits connect(2) too, which waits while the backlog is full (socket(7), SO_SNDTIMEO).
        socket.set_write_timeout(Some(within))?;
        socket.connect(&SockAddr::unix(path)?).map_err(timed_out)?;
        Ok(Self {
            stream: UnixStream::from(socket),
            deadline,
        })
    }

    /// Returns the time until the deadline.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if the deadline has passed.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

/// Returns the error of a socket whose timeout is over, which Linux reports as `EAGAIN`, as
/// [`io::ErrorKind::TimedOut`].
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
