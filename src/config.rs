//! What the service was told from outside: plain data, which anybody may have.

use std::path::PathBuf;

use hyper::Uri;

/// Least severe message that is logged, by the names the sibling servers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything, one line per request included.
    Debug,
    /// Start, stop and what an operator wants to know.
    Info,
    /// What needs attention, and requests that failed by our fault.
    Warning,
    /// What stops the server from doing its work.
    Error,
}

/// Where to listen when systemd hands over no socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket at `path`, with the permission bits `mode`.
    Unix {
        /// Where the socket file is made.
        path: PathBuf,
        /// Permission bits of the socket file.
        mode: u32,
    },
    /// A TCP socket.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port; 0 is any free one.
        port: u16,
    },
}

/// All that the service is told from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen when systemd hands over no socket.
    pub address: Address,
    /// Least severe message that is logged.
    pub log_level: LogLevel,
    /// Directory that keeps state; `None` is a temporary one.
    pub persistence_directory: Option<PathBuf>,
    /// Threads that answer requests.
    pub workers: usize,
    /// Where audit events are sent, if anywhere.
    pub audit_server: Option<AuditServer>,
}

/// Where the audit server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditServer {
    /// Its Unix socket; without one the URL's host and port are connected to.
    pub uds: Option<PathBuf>,
    /// Its base URL.
    pub url: Uri,
}
