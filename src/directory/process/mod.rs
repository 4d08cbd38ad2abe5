//! Process that asks the lab's directory, `opentrons-auth-directory`: answers requests on its Unix
//! socket, one on each connection. It keeps no state, and no files.

mod ber;
mod connection;
mod dn;
mod fault;
mod message;
mod person;
mod reasons;
mod server;
mod trial;

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout, Instant};

// The fuzz target `ldap` is the server at the other end.
pub use self::connection::{start_tls, Connection};
pub use self::fault::Fault;
pub use self::person::{People, Question};
pub use self::trial::over as try_over;

use self::connection::Tls;
use self::server::{Server, Servers};
use super::protocol::{Answer, Operation, Request, MAX_ANSWER, MAX_REQUEST, MAX_REQUESTS, VERSION};
use crate::domain::directory::{Directory, MAX_SERVERS, MAX_TEXT};
use crate::domain::passwords::Password;
use crate::logging;
use crate::os::systemd::{self, HandOverError, HandedOver};
use crate::GIT_SHA;

/// Maximum number of threads that resolve host names. A request does not wait for one beyond its time.
const MAX_THREADS: usize = 8;
/// Maximum time for a client to send its request, and to take the answer.
const CLIENT_TIME: Duration = Duration::from_millis(500);
/// Maximum time to ask the directory.
const DIRECTORY_TIME: Duration = Duration::from_secs(4);
/// Interval between log lines that say how many messages were only counted.
const SUM_UP: Duration = Duration::from_secs(60);

/// Reason why the process cannot run.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// A socket passed by systemd cannot be used.
    #[error(transparent)]
    HandOver(#[from] HandOverError),
    /// systemd passed no socket, and there is no `--uds`; or not one Unix socket.
    #[error("needs one Unix socket: from systemd (LISTEN_FDS), or with --uds")]
    Sockets,
    /// The socket of `--uds` cannot be created.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// Path of the socket.
        path: PathBuf,
        /// Cause reported by the system.
        source: io::Error,
    },
    /// The runtime cannot be set up.
    #[error("cannot start")]
    Start(#[source] io::Error),
}

/// Answers requests until the process is stopped. `uds`: path of the socket to create if systemd passes
/// none.
///
/// # Errors
/// - [`ProcessError::HandOver`]: a socket passed by systemd cannot be used.
/// - [`ProcessError::Sockets`]: there is not exactly one Unix socket.
/// - [`ProcessError::Listen`]: the socket cannot be created, for example because its file exists.
/// - [`ProcessError::Start`]: the runtime cannot be set up.
pub fn run(uds: Option<&Path>) -> Result<Infallible, ProcessError> {
    let mut sockets = systemd::handed_over()?;
    let listener = match (sockets.pop(), uds) {
        (Some(HandedOver::Unix(socket)), _) if sockets.is_empty() => socket,
        (None, Some(path)) => bind(path).map_err(|source| ProcessError::Listen {
            path: path.to_owned(),
            source,
        })?,
        _ => return Err(ProcessError::Sockets),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_THREADS)
        .build()
        .map_err(ProcessError::Start)?;
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::from_std(listener).map_err(ProcessError::Start)?;
        logging::limit();
        tokio::spawn(sum_up_every_minute());
        log::info!(
            "opentrons-auth-directory {} (git {GIT_SHA}) started",
            crate::VERSION
        );
        systemd::ready("Waiting for requests");
        tokio::spawn(feed_watchdog());
        Ok(serve(listener).await)
    })
}

/// Listens on a new socket.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Notifies systemd's watchdog as long as tasks run.
async fn feed_watchdog() {
    if let Some(period) = systemd::watchdog_period() {
        let mut ticks = tokio::time::interval(period);
        loop {
            ticks.tick().await;
            systemd::alive();
        }
    }
}

/// Logs, after each minute that had any, how many warnings and errors were only counted.
async fn sum_up_every_minute() {
    loop {
        sleep(SUM_UP).await;
        logging::sum_up(false);
    }
}

/// Accepts connections, and answers each in a task of its own.
async fn serve(listener: tokio::net::UnixListener) -> Infallible {
    let places = Arc::new(Semaphore::new(MAX_REQUESTS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = exchange(stream).await {
                        log::warn!("connection from the auth server failed: {error}");
                    }
                });
            }
            Err(error) => {
                log::error!("cannot accept a connection: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Reads a request, carries it out, and writes the answer.
async fn exchange(mut stream: UnixStream) -> io::Result<()> {
    let text = timeout(CLIENT_TIME, receive(&mut stream)).await??;
    let request = read_request(&text);
    drop(text);
    let answer = match request {
        Ok(request) => carry_out(request).await,
        Err(why) => Answer::Misconfigured(why.into()),
    };
    let mut answer = serde_json::to_vec(&answer)?;
    if answer.len() > MAX_ANSWER as usize {
        let why = "the answer is too long".into();
        answer = serde_json::to_vec(&Answer::Unavailable(why))?;
    }
    let length = (answer.len() as u32).to_be_bytes();
    let answer = [&length[..], &answer].concat();
    timeout(CLIENT_TIME, stream.write_all(&answer)).await?
}

/// Receives the text of a request.
async fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    if length > MAX_REQUEST {
        let why = format!("a request has {length} bytes, the maximum is {MAX_REQUEST}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text).await?;
    Ok(text)
}

/// Reads a request. The reasons for which it cannot be read do not quote it: it contains passwords.
fn read_request(text: &[u8]) -> Result<Request, &'static str> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    match serde_json::from_slice::<Version>(text) {
        Ok(Version { version: VERSION }) => {
            serde_json::from_slice(text).map_err(|_| "opentrons-auth-directory: malformed request")
        }
        Ok(_) => {
            Err("opentrons-auth-directory and opentrons-auth-server are of different versions")
        }
        Err(_) => Err("opentrons-auth-directory: malformed request"),
    }
}

/// Carries out a request.
async fn carry_out(request: Request) -> Answer {
    let deadline = Instant::now() + DIRECTORY_TIME;
    let directory = Directory::from(request.configuration);
    let prepared = People::of(&directory).and_then(|people| {
        if directory.servers.is_empty() || directory.servers.len() > MAX_SERVERS {
            return Err(format!("servers: needs 1 to {MAX_SERVERS} servers"));
        }
        let servers = directory.servers.iter().map(|url| Server::parse(url));
        let servers: Vec<_> = servers.collect::<Result<_, _>>()?;
        Ok((people, servers, Tls::new(&directory.ca)?))
    });
    let (people, servers, tls) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return Answer::Misconfigured(why),
    };
    let question = match &request.operation {
        Operation::Test => return trial::run(&people, &servers, &tls, deadline).await,
        Operation::Verify { name, .. } if !can_be_found(name) => return Answer::NobodyFound,
        Operation::Verify { password, .. } if !can_be_right(password) => {
            return Answer::WrongPassword
        }
        Operation::Verify { name, password } => Question::Verify(name, password),
        Operation::LookUp { id } => Question::LookUp(id),
    };
    let mut servers = Servers::new(&servers, &tls, deadline);
    while let Some((server, mut connection)) = servers.next().await {
        let asked = people.ask(&mut connection, &question).await;
        match asked {
            Ok(answer) => {
                connection.close().await;
                return answer;
            }
            Err(Fault::Misconfigured(why)) => {
                return Answer::Misconfigured(format!("{}: {why}", server.url))
            }
            Err(fault) => {
                servers.failed(server, &fault);
                if matches!(fault, Fault::Unanswered(_)) {
                    return Answer::Unanswered(servers.faults());
                }
            }
        }
    }
    Answer::Unavailable(servers.faults())
}

/// Returns whether a name is one that a directory may be asked for. Some end a text at a NUL, so that
/// they would find another name.
fn can_be_found(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= MAX_TEXT && !name.contains(char::is_control)
}

/// Returns whether a password is one that a directory may be asked for. A bind with an empty one is
/// anonymous (RFC 4513 §5.1.2), and so may be one that begins with a NUL, where a text ends for some.
fn can_be_right(password: &Password) -> bool {
    !password.expose().is_empty() && !password.expose().contains('\0')
}
