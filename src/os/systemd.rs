//! The protocol between systemd and a service: sockets handed over (`sd_listen_fds(3)`), state
//! told (`sd_notify(3)`), watchdog fed (`sd_watchdog_enabled(3)`).

use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use sd_notify::NotifyState;
use socket2::{Domain, SockRef, Type};
use thiserror::Error;

/// A socket that was handed over cannot be used.
#[derive(Debug, Error)]
pub enum HandOverError {
    /// `LISTEN_FDS` or `LISTEN_PID` is malformed.
    #[error("cannot take over sockets: LISTEN_FDS or LISTEN_PID is not a number")]
    Environment(#[source] io::Error),
    /// A descriptor that is closed or no socket.
    #[error("cannot take over file descriptor {fd}")]
    Descriptor {
        /// The descriptor's number.
        fd: RawFd,
        /// What the system said.
        source: io::Error,
    },
    /// A socket of another kind.
    #[error(
        "cannot take over file descriptor {fd}: it is no listening Unix or TCP socket; \
         the socket unit needs ListenStream= and Accept=no"
    )]
    Kind {
        /// The descriptor's number.
        fd: RawFd,
    },
}

/// A listening socket that was handed over.
#[derive(Debug)]
pub enum HandedOver {
    /// Over TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Takes the listening sockets that systemd passed to this process; none without `LISTEN_FDS`.
///
/// # Errors
/// [`HandOverError`] names the descriptor that cannot be served.
pub fn handed_over() -> Result<Vec<HandedOver>, HandOverError> {
    sd_notify::listen_fds()
        .map_err(HandOverError::Environment)?
        .map(adopt)
        .collect()
}

#[allow(unsafe_code)]
fn adopt(fd: RawFd) -> Result<HandedOver, HandOverError> {
    let failed = |source| HandOverError::Descriptor { fd, source };
    if !std::path::Path::new(&format!("/proc/self/fd/{fd}")).exists() {
        return Err(failed(io::Error::from_raw_os_error(9)));
    }
    // SAFETY: LISTEN_PID is this process, so by sd_listen_fds(3) the descriptor was opened for it
    // and belongs to nobody else in it; this function is called once for each.
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

/// Tells systemd that requests are answered, and where.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that the service stops.
pub fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Tells systemd that the service still answers.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often systemd wants to hear [`alive`]: half of `WATCHDOG_USEC`; `None` if it does not.
pub fn watchdog_period() -> Option<Duration> {
    let mut micros = 0;
    sd_notify::watchdog_enabled(false, &mut micros).then(|| Duration::from_micros(micros) / 2)
}

fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(false, state) {
        log::warn!("cannot notify systemd: {error}");
    }
}
