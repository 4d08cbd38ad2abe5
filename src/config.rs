//! Configuration of the service: plain data that any module may use. The module `cli` parses it.

use std::path::PathBuf;

use hyper::Uri;

/// Minimum severity of logged messages, with the sibling servers' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything, including one line per request.
    Debug,
    /// Startup, shutdown and other events of interest to operators.
    Info,
    /// Conditions that need attention, and requests that failed with an internal error.
    Warning,
    /// Failures that prevent the server from working.
    Error,
}

/// Address to listen on if systemd passes no socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Unix socket to create.
    Unix {
        /// Path of the socket file to create.
        path: PathBuf,
        /// Permission bits of the socket file.
        mode: u32,
    },
    /// TCP socket to bind.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// Port number; 0 selects a free port.
        port: u16,
    },
}

/// Configuration of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Address to listen on if systemd passes no socket.
    pub address: Address,
    /// Minimum severity of logged messages.
    pub log_level: LogLevel,
    /// Directory for persistent state; `None` for a temporary directory.
    pub persistence_directory: Option<PathBuf>,
    /// Number of threads that serve requests.
    pub workers: usize,
    /// Audit server to send audit events to, if any.
    pub audit_server: Option<AuditServer>,
    /// Unix socket of the process that asks the lab's directory. Nothing connects to it while no
    /// directory is configured.
    pub directory_uds: PathBuf,
}

/// Address of the audit server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditServer {
    /// Unix socket to connect to; `None` to connect to the host and port of `url`.
    pub uds: Option<PathBuf>,
    /// Base URL of the requests.
    pub url: Uri,
}
