//! Command line and environment. Options override environment variables, which override the
//! defaults. The variables are named like those of the sibling servers.

pub mod completions;
pub mod console;
mod manual;
pub mod remote_access;

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};
use hyper::Uri;

use self::completions::{Completion, Shell};
use self::console::{Common, ConsoleCommand, STATE};
use self::remote_access::RemoteAccess;
use crate::config::{Address, AuditServer, Config, LogLevel};

/// Upper limit of the default for `--workers`: the robot has four cores.
const MAX_DEFAULT_WORKERS: usize = 4;

/// Version, commit and target, as `--version` of both programs prints them.
pub const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (git ",
    env!("AUTH_SERVER_GIT_SHA"),
    ", ",
    env!("AUTH_SERVER_TARGET"),
    ")"
);

/// Authentication server of the Opentrons Flex.
///
/// Listens on the sockets passed by systemd (LISTEN_FDS). Without any, listens on --uds; without
/// --uds, on --host and --port.
#[derive(Debug, Parser)]
#[command(
    name = "opentrons-auth-server",
    version = LONG_VERSION,
    after_help = "RUST_LOG overrides --log-level per module, for example RUST_LOG=auth_server::http=debug."
)]
pub struct Cli {
    /// Path of the Unix socket to listen on.
    #[arg(long, value_name = "PATH", env = "OT_AUTH_SERVER_uds")]
    uds: Option<PathBuf>,

    /// Permission bits of the --uds socket, in octal.
    #[arg(long, value_name = "MODE", env = "OT_AUTH_SERVER_uds_mode", default_value = "0660", value_parser = parse_mode)]
    uds_mode: u32,

    /// Host name or address of the TCP socket to listen on.
    #[arg(
        long,
        value_name = "HOST",
        env = "OT_AUTH_SERVER_host",
        default_value = "127.0.0.1"
    )]
    host: String,

    /// Port of the TCP socket to listen on; 0 selects a free port, which is logged.
    #[arg(
        short,
        long,
        value_name = "PORT",
        env = "OT_AUTH_SERVER_port",
        default_value_t = 0
    )]
    port: u16,

    /// Minimum severity of the messages to log.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "OT_AUTH_SERVER_log_level",
        default_value = "info"
    )]
    log_level: LogLevel,

    /// Directory of the server's state. The server creates it if it does not exist; without this
    /// option, the server keeps its state in a temporary directory, which is removed when it stops,
    /// and commands use /var/lib/opentrons-auth-server.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        value_hint = ValueHint::DirPath,
        env = "OT_AUTH_SERVER_persistence_directory"
    )]
    persistence_directory: Option<PathBuf>,

    /// Print the result of a command, and why it failed, as JSON.
    #[arg(long, global = true)]
    json: bool,

    /// Number of threads that serve requests, 1 to 64 [default: one per CPU, at most 4].
    #[arg(long, value_name = "N", env = "OT_AUTH_SERVER_workers", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,

    /// Unix socket of the audit server to which audit events are sent.
    #[arg(long, value_name = "PATH", env = "OT_AUTH_SERVER_audit_server_uds")]
    audit_server_uds: Option<PathBuf>,

    /// Base URL of the audit server to which audit events are sent; with --audit-server-uds, the
    /// base URL of the requests sent over that socket.
    #[arg(long, value_name = "URL", env = "OT_AUTH_SERVER_audit_server_url", value_parser = parse_url)]
    audit_server_url: Option<Uri>,

    /// Unix socket of opentrons-auth-directory, which asks the lab's directory.
    #[arg(
        long,
        value_name = "PATH",
        env = "OT_AUTH_SERVER_directory_uds",
        default_value = "/run/opentrons-auth-directory.sock"
    )]
    directory_uds: PathBuf,

    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Print a shell completion script.
    Completions {
        /// Shell for which to print the script.
        shell: Shell,
    },
    /// Print what fits in the place of the last word; the completion scripts run this.
    #[command(hide = true)]
    Complete {
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Print the manual page in roff format.
    Man,
    /// Check whether remote access (ssh and notebooks) is allowed.
    ///
    /// Prints one line with the result. Exits with 0 if remote access is allowed: access control is
    /// off, or the override file exists; with 1 if it is refused: access control is on, or the
    /// server did not answer; with 2 if it is refused because the server's answer was invalid.
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
            Self::Debug => ("debug", "Everything, including one line per request"),
            Self::Info => (
                "info",
                "Startup, shutdown and other events of interest to operators",
            ),
            Self::Warning => (
                "warning",
                "Conditions that need attention, and requests that failed with an internal error",
            ),
            Self::Error => ("error", "Failures that prevent the server from working"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// Action requested on the command line.
pub enum Action {
    /// Run the server with this configuration.
    Serve(Config),
    /// Write these bytes to standard output and exit.
    Print(Vec<u8>),
    /// Print what fits at the end of a command line.
    Complete(Completion),
    /// Run an administration command of the console.
    Console(ConsoleCommand, Common),
    /// Check whether remote access is allowed.
    RemoteAccess(RemoteAccess),
}

impl Cli {
    /// Parses `arguments`, of which the first is the program's name, and the environment of the
    /// process.
    ///
    /// # Errors
    /// A [`clap::Error`] that names the argument and the reason: an unknown argument or command, a
    /// missing or invalid value (also of an environment variable), or `--uds` combined with
    /// `--host` or `--port`. The texts of `--help` and `--version` are returned as errors too, with
    /// exit code 0.
    pub fn action_from(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Action, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let cli = Self::from_arg_matches(&matches)?;
        refuse_misplaced(&cli, &matches)?;
        match cli.command {
            Some(Subcommands::Completions { shell }) => Ok(Action::Print(shell.script().into())),
            Some(Subcommands::Complete { words }) => {
                let words = words.iter().map(|word| word.to_string_lossy().into_owned());
                let words: Vec<_> = words.collect();
                let mut completion = Completion::of(Self::command(), &words);
                let directory = completion
                    .persistence_directory
                    .or(cli.persistence_directory);
                completion.persistence_directory = directory;
                Ok(Action::Complete(completion))
            }
            Some(Subcommands::Man) => Ok(Action::Print(manual_page())),
            Some(Subcommands::RemoteAccessAllowed(check)) => Ok(Action::RemoteAccess(check)),
            Some(Subcommands::Console(command)) => {
                let directory = cli.persistence_directory;
                let common = Common {
                    persistence_directory: directory.unwrap_or_else(|| STATE.into()),
                    directory_uds: cli.directory_uds,
                    json: cli.json,
                };
                Ok(Action::Console(command, common))
            }
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
            directory_uds: self.directory_uds,
        })
    }
}

/// Refuses options on the command line that have no meaning for what is requested: options of the
/// server together with a command, options of the console without one of its commands, and options
/// of a command that contradict each other.
///
/// # Errors
/// [`ErrorKind::ArgumentConflict`] with the first such option.
fn refuse_misplaced(cli: &Cli, matches: &ArgMatches) -> Result<(), clap::Error> {
    let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let refused = match &cli.command {
        None => is_given("json").then(|| "--json needs a command".into()),
        Some(command) => {
            let is_console = matches!(command, Subcommands::Console(_));
            let program = Cli::command();
            let mut all = program.get_arguments();
            all.find(|each| {
                is_given(each.get_id().as_str()) && !(is_console && each.is_global_set())
            })
            .map(|each| {
                format!(
                    "--{} cannot be used with this command",
                    each.get_long().unwrap_or_default()
                )
            })
        }
    };
    let contradiction = match &cli.command {
        Some(Subcommands::Console(command)) => command.contradiction(cli.json),
        _ => None,
    };
    // Without the usage, which would be that of the server.
    refused.or(contradiction).map_or(Ok(()), |text| {
        let line = format!("{text}\n");
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, line))
    })
}

/// Returns whether to listen on `--uds` rather than TCP: where both are given, the command line
/// overrides the environment.
///
/// # Errors
/// [`ErrorKind::ArgumentConflict`] if `--uds` and `--host` or `--port` are given by the same source.
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
            "--uds cannot be used with --host or --port: listen either on a Unix socket or on TCP",
        ));
    }
    Ok(uds > tcp)
}

/// Returns where to send audit events: to a socket, to a URL, or, if both are given, to the URL over
/// the socket.
fn audit_server(uds: Option<PathBuf>, url: Option<Uri>) -> Option<AuditServer> {
    let given = uds.is_some() || url.is_some();
    given.then(|| AuditServer {
        uds,
        url: url.unwrap_or_else(|| Uri::from_static("http://localhost")),
    })
}

/// Returns one worker per CPU, at most [`MAX_DEFAULT_WORKERS`].
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MAX_DEFAULT_WORKERS))
}

/// Parses permission bits in octal, 0 to 0777.
///
/// # Errors
/// A message for the user if `text` is not an octal number or is out of range.
fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.trim_start_matches("0o"), 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "must be octal permission bits from 0 to 0777".into())
}

/// Returns the manual page. It names the version but not the commit, because it is committed to the
/// repository.
fn manual_page() -> Vec<u8> {
    manual::page(Cli::command().version(crate::VERSION)).into_bytes()
}

/// Parses the base URL of a server.
///
/// # Errors
/// A message for the user if `text` is not a URL, its scheme is not `http`, or it has no host.
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
