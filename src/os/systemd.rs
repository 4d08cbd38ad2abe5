//! The service's side of the protocol with systemd: socket activation (`sd_listen_fds(3)`),
//! notifications (`sd_notify(3)`) and the watchdog (`sd_watchdog_enabled(3)`).

use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use sd_notify::NotifyState;
use socket2::{Domain, SockRef, Type};
use thiserror::Error;

/// Reason why a socket passed by systemd cannot be used.
#[derive(Debug, Error)]
pub enum HandOverError {
    /// `LISTEN_FDS` or `LISTEN_PID` is malformed.
    #[error("cannot use the sockets passed by systemd: LISTEN_FDS or LISTEN_PID is not a number")]
    Environment(#[source] io::Error),
    /// The file descriptor is closed, or is not a socket.
    #[error("cannot use file descriptor {fd} passed by systemd")]
    Descriptor {
        /// Number of the file descriptor.
        fd: RawFd,
        /// Error reported by the operating system.
        source: io::Error,
    },
    /// The socket is of another kind, such as a datagram socket or an accepted connection.
    #[error(
        "cannot use file descriptor {fd} passed by systemd: it is not a listening Unix or TCP \
         socket; the socket unit needs ListenStream= and Accept=no"
    )]
    Kind {
        /// Number of the file descriptor.
        fd: RawFd,
    },
}

/// Listening socket passed by systemd.
#[derive(Debug)]
pub enum HandedOver {
    /// TCP socket.
    Tcp(TcpListener),
    /// Unix domain socket.
    Unix(UnixListener),
}

/// Takes ownership of the listening sockets that systemd passed to this process. Without
/// `LISTEN_FDS` there are none. Must be called only once.
///
/// # Errors
/// - [`HandOverError::Environment`] if `LISTEN_FDS` or `LISTEN_PID` is not a number.
/// - [`HandOverError::Descriptor`] if a file descriptor is closed or is not a socket.
/// - [`HandOverError::Kind`] if a socket is not a listening Unix or TCP socket.
pub fn handed_over() -> Result<Vec<HandedOver>, HandOverError> {
    sd_notify::listen_fds()
        .map_err(HandOverError::Environment)?
        .map(adopt)
        .collect()
}

/// Takes ownership of a file descriptor passed by systemd.
#[allow(unsafe_code)]
fn adopt(fd: RawFd) -> Result<HandedOver, HandOverError> {
    let failed = |source| HandOverError::Descriptor { fd, source };
    if !std::path::Path::new(&format!("/proc/self/fd/{fd}")).exists() {
        return Err(failed(io::Error::from_raw_os_error(9)));
    }
    // SAFETY: LISTEN_PID is this process, so according to sd_listen_fds(3) the descriptor was opened
    // for it, and nothing else in it owns the descriptor. This function is called once for each.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let view = SockRef::from(&socket);
    let domain = view.domain().map_err(failed)?;
    let listening = view.is_listener().map_err(failed)?;
    let stream = view.r#type().map_err(failed)? == Type::STREAM;
    view.set_nonblocking(true).map_err(failed)?;
    match domain {
        _ if !(listening && stream) => Err(HandOverError::Kind { fd }),
        Domain::UNIX => Ok(HandedOver::Unix(socket.into())),
        Domain::IPV4 | Domain::IPV6 => Ok(HandedOver::Tcp(socket.into())),
        _ => Err(HandOverError::Kind { fd }),
    }
}

/// Notifies systemd that the service is ready. `status` says where it listens.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Notifies systemd that the service is stopping.
pub fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Notifies systemd of the status to show (`systemctl status`).
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Notifies systemd's watchdog that the service still works.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// Returns how often to call [`alive`]: at half of `WATCHDOG_USEC`. Returns `None` if the watchdog
/// is off.
pub fn watchdog_period() -> Option<Duration> {
    let mut micros = 0;
    sd_notify::watchdog_enabled(false, &mut micros).then(|| Duration::from_micros(micros) / 2)
}

fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(false, state) {
        log::warn!("cannot notify systemd: {error}");
    }
}
