//! `opentrons-auth-server`: parses the command line, sets up logging, dispatches, and turns an error
//! into an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use auth_server::cli::{Action, Cli};
use auth_server::console::{self, failure, remote_access};
use auth_server::os::allocator::{self, WipingAllocator};
use auth_server::{daemon, logging};

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    allocator::release_large_blocks();
    let action = match Cli::action_from(std::env::args_os()) {
        Ok(action) => action,
        Err(error) => return failure::report_wrong_use(&error),
    };
    let done = match action {
        Action::Serve(config) => {
            logging::init(config.log_level);
            daemon::run(&config).map_err(|error| log::error!("{}", logging::chain(&error)))
        }
        Action::Print(text) => io::stdout()
            .write_all(&text)
            .map_err(|error| eprintln!("error: cannot write to standard output: {error}")),
        Action::Complete(completion) => io::stdout()
            .write_all(console::completions(&completion).as_bytes())
            .map_err(|_| ()),
        Action::RemoteAccess(check) => return remote_access::run(&check),
        Action::Console(command, common) => {
            return match console::run(&command, &common) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failure::report(error, common.json),
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(()) => ExitCode::FAILURE,
    }
}
