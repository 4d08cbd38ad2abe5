//! Command line and environment. The command line wins over the environment, the environment over
//! the defaults; the environment variables are spelt as those of the sibling servers are.

pub mod console;
mod manual;
pub mod remote_access;

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hyper::Uri;

use self::console::ConsoleCommand;
use self::remote_access::RemoteAccess;
use crate::config::{Address, AuditServer, Config, LogLevel};

/// Most workers that are started when `--workers` is not given: the robot has four cores.
const MAX_DEFAULT_WORKERS: usize = 4;

/// Version, commit and target, as `--version` prints them.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (git ",
    env!("AUTH_SERVER_GIT_SHA"),
    ", ",
    env!("AUTH_SERVER_TARGET"),
    ")"
);

/// Authentication server of the Opentrons Flex.
///
/// Listens on the socket that systemd hands over (LISTEN_FDS); without one on --uds; without that
/// on --host and --port.
#[derive(Debug, Parser)]
#[command(
    name = "opentrons-auth-server",
    version = LONG_VERSION,
    args_conflicts_with_subcommands = true,
    after_help = "RUST_LOG refines --log-level by module, for example RUST_LOG=auth_server::http=debug."
)]
pub struct Cli {
    /// Listen on a Unix socket at this path.
    #[arg(long, value_name = "PATH", env = "OT_AUTH_SERVER_uds")]
    uds: Option<PathBuf>,

    /// Permission bits of the socket at --uds, in octal.
    #[arg(long, value_name = "MODE", env = "OT_AUTH_SERVER_uds_mode", default_value = "0660", value_parser = parse_mode)]
    uds_mode: u32,

    /// Listen on TCP at this address.
    #[arg(
        long,
        value_name = "HOST",
        env = "OT_AUTH_SERVER_host",
        default_value = "127.0.0.1"
    )]
    host: String,

    /// Listen on TCP at this port; 0 takes any free port, and the log says which.
    #[arg(
        short,
        long,
        value_name = "PORT",
        env = "OT_AUTH_SERVER_port",
        default_value_t = 0
    )]
    port: u16,

    /// Least severe message to log.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "OT_AUTH_SERVER_log_level",
        default_value = "info"
    )]
    log_level: LogLevel,

    /// Directory that keeps the server's state. Made when missing. Without it the state lives in a
    /// temporary directory and is gone with the server.
    #[arg(
        long,
        value_name = "PATH",
        env = "OT_AUTH_SERVER_persistence_directory"
    )]
    persistence_directory: Option<PathBuf>,

    /// Threads that answer requests, 1 to 64 [default: one per CPU, at most 4].
    #[arg(long, value_name = "N", env = "OT_AUTH_SERVER_workers", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,

    /// Send audit events to the audit server that listens on this Unix socket.
    #[arg(long, value_name = "PATH", env = "OT_AUTH_SERVER_audit_server_uds")]
    audit_server_uds: Option<PathBuf>,

    /// Send audit events to the audit server at this URL; with --audit-server-uds its base.
    #[arg(long, value_name = "URL", env = "OT_AUTH_SERVER_audit_server_url", value_parser = parse_url)]
    audit_server_url: Option<Uri>,

    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Print a completion script for a shell.
    Completions {
        /// Shell to complete in.
        shell: Shell,
    },
    /// Print the manual page, in roff.
    Man,
    /// Tell by the exit code whether ssh and notebooks may be reached: 0 while access control is
    /// off or the override file is there, 1 while it is on or the server does not answer, 2 when
    /// the answer is not understood.
    RemoteAccessAllowed(RemoteAccess),
    #[command(flatten)]
    Console(ConsoleCommand),
}

impl ValueEnum for LogLevel {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Debug, Self::Info, Self::Warning, Self::Error]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Debug => ("debug", "Everything, one line per request included"),
            Self::Info => ("info", "Start, stop and what an operator wants to know"),
            Self::Warning => (
                "warning",
                "What needs attention, and requests that failed by our fault",
            ),
            Self::Error => ("error", "What stops the server from doing its work"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// What the command line asks for.
pub enum Action {
    /// Run the server.
    Serve(Config),
    /// Write this to standard output and be done.
    Print(Vec<u8>),
    /// Administer the robot from its console.
    Console(ConsoleCommand),
    /// Tell whether the robot may be reached into.
    RemoteAccess(RemoteAccess),
}

impl Cli {
    /// Parses the process's command line and environment.
    ///
    /// Prints the reason and exits with 2 when they break a rule, as clap does.
    pub fn parse_action() -> Action {
        Self::action_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Parses `arguments` (the first is the program's name) and the process's environment.
    ///
    /// # Errors
    /// A [`clap::Error`] that names the argument and the rule.
    pub fn action_from(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Action, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let cli = Self::from_arg_matches(&matches)?;
        match cli.command {
            Some(Subcommands::Completions { shell }) => Ok(Action::Print(completions(shell))),
            Some(Subcommands::Man) => Ok(Action::Print(manual_page())),
            Some(Subcommands::RemoteAccessAllowed(check)) => Ok(Action::RemoteAccess(check)),
            Some(Subcommands::Console(command)) => Ok(Action::Console(command)),
            None => cli.into_config(&matches).map(Action::Serve),
        }
    }

    fn into_config(self, matches: &ArgMatches) -> Result<Config, clap::Error> {
        let address = if listens_on_unix(matches)? {
            let path = self
                .uds
                .expect("the source of --uds is known, so it is set");
            Address::Unix {
                path,
                mode: self.uds_mode,
            }
        } else {
            Address::Tcp {
                host: self.host,
                port: self.port,
            }
        };
        Ok(Config {
            address,
            log_level: self.log_level,
            persistence_directory: self.persistence_directory,
            workers: self.workers.map_or_else(default_workers, usize::from),
            audit_server: audit_server(self.audit_server_uds, self.audit_server_url),
        })
    }
}

/// Whether `--uds` is in force. Refuses it beside `--host` or `--port` from the same source; from
/// different ones the command line wins over the environment.
fn listens_on_unix(matches: &ArgMatches) -> Result<bool, clap::Error> {
    let source = |id| match matches.value_source(id) {
        Some(ValueSource::CommandLine) => 2,
        Some(ValueSource::EnvVariable) => 1,
        _ => 0,
    };
    let (uds, tcp) = (source("uds"), source("host").max(source("port")));
    if uds > 0 && uds == tcp {
        return Err(Cli::command().error(
            ErrorKind::ArgumentConflict,
            "--uds cannot be used with --host or --port: listen on a Unix socket or on TCP",
        ));
    }
    Ok(uds > tcp)
}

/// Where audit events go: a socket, a URL, or both, when the URL is what is asked for there.
fn audit_server(uds: Option<PathBuf>, url: Option<Uri>) -> Option<AuditServer> {
    let given = uds.is_some() || url.is_some();
    given.then(|| AuditServer {
        uds,
        url: url.unwrap_or_else(|| Uri::from_static("http://localhost")),
    })
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MAX_DEFAULT_WORKERS))
}

/// Reads permission bits in octal, from 0 to 0777.
fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.trim_start_matches("0o"), 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "must be permission bits in octal, 0 to 0777".into())
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        "opentrons-auth-server",
        &mut text,
    );
    text
}

/// The page names the version and not the commit: it is kept in the repository.
fn manual_page() -> Vec<u8> {
    let mut text = Vec::new();
    manual::write(Cli::command().version(crate::VERSION), &mut text)
        .expect("writing to memory does not fail");
    text
}

/// Reads a base URL.
///
/// # Errors
/// A sentence that says what it must be.
fn parse_url(text: &str) -> Result<Uri, String> {
    let rule = "must be a URL such as http://localhost:34000";
    let url: Uri = text
        .parse()
        .map_err(|error: hyper::http::uri::InvalidUri| {
            format!("{rule}: {}", &error as &dyn Error)
        })?;
    if url.scheme_str() == Some("http") && url.host().is_some() {
        return Ok(url);
    }
    Err(rule.into())
}
