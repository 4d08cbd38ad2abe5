//! Arguments of the remote access check.

use std::path::PathBuf;

use clap::Args;

/// Arguments of the remote access check. They come from the command line alone: no environment
/// variable may allow remote access.
#[derive(Debug, Args)]
pub struct RemoteAccess {
    /// Seconds to wait for the server [default: no limit].
    #[arg(value_name = "TIMEOUT", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,

    /// Unix socket of the auth server.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/opentrons-auth-server.sock"
    )]
    pub uds: PathBuf,

    /// File whose existence allows remote access regardless of access control.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/etc/opentrons-allow-remote-access"
    )]
    pub override_file: PathBuf,
}
