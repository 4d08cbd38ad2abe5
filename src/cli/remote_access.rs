//! The arguments of the check for remote access.

use std::path::PathBuf;

use clap::Args;

/// What the check is told on the command line, and nowhere else: what comes with the environment
/// must not let anybody in.
#[derive(Debug, Args)]
pub struct RemoteAccess {
    /// Seconds to wait for the server; without it, for as long as it takes.
    #[arg(value_name = "TIMEOUT", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,

    /// Unix socket of the server.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/opentrons-auth-server.sock"
    )]
    pub uds: PathBuf,

    /// File that allows remote access whatever the server says, by being there.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/etc/opentrons-allow-remote-access"
    )]
    pub override_file: PathBuf,
}
