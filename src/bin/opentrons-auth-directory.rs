//! `opentrons-auth-directory`: parses the command line, sets up logging, and runs the process that asks
//! the lab's directory.

use std::path::PathBuf;
use std::process::ExitCode;

use auth_server::cli;
use auth_server::config::LogLevel;
use auth_server::directory::process;
use auth_server::logging;
use auth_server::os::allocator::{self, WipingAllocator};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

/// Asks the lab's directory (LDAP) for the authentication server of the Opentrons Flex.
///
/// Listens on the Unix socket passed by systemd (LISTEN_FDS). Without one, listens on --uds.
#[derive(Parser)]
#[command(
    name = "opentrons-auth-directory",
    version = cli::LONG_VERSION,
    after_help = "RUST_LOG sets the minimum severity of the messages to log, for example RUST_LOG=debug."
)]
struct Arguments {
    /// Path of the Unix socket to create and listen on.
    #[arg(long, value_name = "PATH", env = "OT_AUTH_DIRECTORY_uds")]
    uds: Option<PathBuf>,
}

fn main() -> ExitCode {
    allocator::release_large_blocks();
    let arguments = Arguments::parse();
    logging::init(LogLevel::Info);
    if let Some(error) = process::run(arguments.uds.as_deref()).err() {
        log::error!("{}", logging::chain(&error));
    }
    ExitCode::FAILURE
}
