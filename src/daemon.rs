//! Life cycle of the service: start, READY, watchdog, graceful stop.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web;
use thiserror::Error;
use tokio::signal::unix::{signal, Signal, SignalKind};

use crate::config::Config;
use crate::console::socket;
use crate::directory::client::Client;
use crate::domain::refusals::PERIOD;
use crate::http::routes;
use crate::http::AppState;
use crate::logging;
use crate::os::clock;
use crate::os::owner;
use crate::os::state_dir::{StateDir, StateDirError, RESET};
use crate::os::systemd::{self, HandOverError};
use crate::server::listen::{ListenError, Listener, SocketFile};
use crate::server::{tally, Hung, Server};
use crate::service::delivery::deliver;
use crate::service::hashing::Hasher;
use crate::service::Service;
use crate::store::{Store, StoreError};
use crate::{GIT_SHA, VERSION};

/// Maximum time for requests in flight to finish after SIGTERM or SIGINT.
const GRACE: Duration = Duration::from_secs(5);
/// Maximum time for each worker to answer the health check at startup.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// Interval between checks that the state directory and the database are still in place.
const STATE_CHECK: Duration = Duration::from_secs(1);
/// Interval between removals of expired data.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Why the service could not start.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// Started by root in a state directory that another user owns, it cannot become that user.
    #[error("cannot become the owner of the state directory")]
    Owner(#[source] io::Error),
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database cannot be opened, or its file was removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A socket passed by systemd cannot be used.
    #[error(transparent)]
    HandOver(#[from] HandOverError),
    /// A socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The threads or the signal handlers cannot be set up.
    #[error("cannot start the server")]
    Start(#[source] io::Error),
    /// A worker did not answer the health check at startup.
    #[error("the server started but failed its health check")]
    FirstAnswer(#[from] Hung),
}

/// Serves requests until SIGTERM or SIGINT, finishes the requests in flight, and returns.
///
/// A second signal exits the process at once, with 128 plus the signal's number.
///
/// # Errors
/// - [`ServiceError::HandOver`]: a socket passed by systemd cannot be used.
/// - [`ServiceError::Owner`]: the process is root and cannot become the owner of the state directory.
/// - [`ServiceError::StateDir`]: the state directory cannot be opened, locked or reset.
/// - [`ServiceError::Store`]: the database cannot be opened, or the Python server's state cannot be
///   imported.
/// - [`ServiceError::Listen`]: the configured address or the control socket cannot be opened.
/// - [`ServiceError::Start`]: a thread or a signal handler cannot be set up.
/// - [`ServiceError::FirstAnswer`]: a worker did not answer the health check in time.
pub fn run(config: &Config) -> Result<(), ServiceError> {
    log::info!("opentrons-auth-server {VERSION} (git {GIT_SHA}) starting");
    let mut listeners: Vec<Listener> = systemd::handed_over()?
        .into_iter()
        .map(Listener::from)
        .collect();
    if let Some(directory) = &config.persistence_directory {
        owner::become_owner(directory).map_err(ServiceError::Owner)?;
    }
    let state_dir = StateDir::open(config.persistence_directory.as_deref())?;
    let path = state_dir.path().display();
    if state_dir.is_temporary() {
        log::warn!(
            "keeping state in the temporary directory {path}: no persistence directory is set"
        );
    } else {
        log::info!("state directory: {path}");
    }
    if state_dir.reset_if_requested()? {
        log::warn!("factory reset: removed all state in {path}, as requested by {RESET}");
    }
    let store = Arc::new(Store::open_or_import(state_dir.path(), logging::audit)?);
    if listeners.is_empty() {
        listeners.push(Listener::bind(&config.address)?);
    }
    actix_rt::System::new().block_on(serve(listeners, config, &state_dir, store))
}

async fn serve(
    listeners: Vec<Listener>,
    config: &Config,
    state_dir: &StateDir,
    store: Arc<Store>,
) -> Result<(), ServiceError> {
    let workers = config.workers;
    let mut signals = Signals::new().map_err(ServiceError::Start)?;
    let addresses: Vec<_> = listeners.iter().map(Listener::description).collect();
    let addresses = addresses.join(" and ");
    let hasher = Arc::new(Hasher::start().map_err(ServiceError::Start)?);
    let directory = Client::new(config.directory_uds.clone());
    let service = Service::new(Arc::clone(&store), hasher).with_directory(directory);
    let state = web::Data::new(AppState::new(service.clone()));
    let server = Server::start(listeners, workers, move |config| {
        config.app_data(state.clone());
        routes::configure(config);
    })
    .await
    .map_err(ServiceError::Start)?;
    service.look_up_always();
    let _control = socket::listen(state_dir.path(), service)?;
    if let Err(error) = store.set_delivering(config.audit_server.is_some()).await {
        log::error!("{}", logging::chain(&error)); // for example a full disk: reads still work
    }
    let mut tasks = vec![
        actix_rt::spawn(watch_wall_clock(Arc::clone(&store))).abort_handle(),
        actix_rt::spawn(remove_expired(Arc::clone(&store))).abort_handle(),
        actix_rt::spawn(log_counted_refusals(Arc::clone(&store))).abort_handle(),
    ];
    if let Some(audit_server) = &config.audit_server {
        let task = actix_rt::spawn(deliver(Arc::clone(&store), audit_server.clone()));
        tasks.push(task.abort_handle());
    }
    logging::limit();
    actix_rt::spawn(sum_up_every_minute());
    let files = server.socket_files();
    store.when_gone(move |error| exit_without_state(error, &files));

    server.check(FIRST_ANSWER).await?;
    log::info!("listening on {addresses} with {workers} workers");
    let serving = format!("Serving requests on {addresses}");
    systemd::ready(&serving);
    let directory = state_dir.path().to_owned();
    let status = actix_rt::spawn(tell_of_full_disk(Arc::clone(&store), serving, directory));

    let signal = tokio::select! {
        signal = signals.next() => signal,
        never = feed_watchdog(&server) => match never {},
        error = watch_state(&store, state_dir) => {
            exit_without_state(&error, &server.socket_files())
        }
    };
    status.abort();
    log::info!("stopping on {signal}: finishing requests in flight");
    systemd::stopping("Finishing requests in flight");
    actix_rt::spawn(exit_on_second(signals, server.socket_files()));
    let busy = server.stop(GRACE).await;
    sum_up(true);
    match busy {
        0 => log::info!("stopped"),
        busy => log::warn!(
            "stopped: {busy} connections were still busy after {} s and were cut off",
            GRACE.as_secs()
        ),
    }
    for task in &tasks {
        task.abort();
    }
    if let Err(error) = store.sum_up_all_refusals().await {
        log::error!("{}", logging::chain(&error));
    }
    if let Err(error) = store.settle().await {
        log::warn!("{}", logging::chain(&error));
    }
    store.close().await;
    Ok(())
}

/// Records the time whenever the wall clock is set.
async fn watch_wall_clock(store: Arc<Store>) {
    match clock::watch_wall_clock() {
        Ok(was_set) => loop {
            was_set.notified().await;
            mark_time(&store).await;
        },
        Err(error) => {
            log::error!("cannot watch the wall clock, checking it every minute instead: {error}");
        }
    }
}

/// Records the time in the database if the wall clock was set; logs a failure.
async fn mark_time(store: &Store) {
    if let Err(error) = store.mark_time().await {
        log::error!("{}", logging::chain(&error));
    }
}

/// Waits until the state directory or the database is removed or replaced; returns which.
async fn watch_state(store: &Store, state_dir: &StateDir) -> ServiceError {
    let mut ticks = tokio::time::interval(STATE_CHECK);
    loop {
        ticks.tick().await;
        if let Err(error) = store.check_place() {
            return error.into();
        }
        if let Err(error) = state_dir.check() {
            return error.into();
        }
    }
}

/// Exits the process at once, because state that is not on disk must not be served from memory.
/// systemd then restarts the service with the state on disk.
fn exit_without_state(error: &dyn std::error::Error, files: &[SocketFile]) -> ! {
    static EXITING: Mutex<()> = Mutex::new(());
    // Another thread that detects the same blocks here until the process exits.
    let _first = EXITING.lock();
    log::error!(
        "{}; exiting to restart with the state on disk",
        logging::chain(error)
    );
    for file in files {
        file.remove();
    }
    std::process::exit(1);
}

/// Removes expired tokens, and checks whether the wall clock was set, every minute forever.
async fn remove_expired(store: Arc<Store>) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    loop {
        ticks.tick().await;
        mark_time(&store).await;
        if let Err(error) = store.forget_expired().await {
            log::error!("{}", logging::chain(&error));
        }
    }
}

/// Notifies systemd when the disk is full, and, with the status `serving`, when it is no longer;
/// meanwhile checks it every second.
async fn tell_of_full_disk(store: Arc<Store>, serving: String, directory: PathBuf) {
    let mut full = store.watch_space();
    let mut told = false;
    loop {
        let is_full = *full.borrow_and_update();
        if is_full != told {
            told = is_full;
            systemd::status(&match is_full {
                true => format!(
                    "Disk full: only administrators can log in and make changes: free space in {}",
                    directory.display()
                ),
                false => serving.clone(),
            });
        }
        if !is_full {
            if full.changed().await.is_err() {
                return; // the store is closed
            }
            continue;
        }
        tokio::time::sleep(STATE_CHECK).await;
        if let Err(error) = store.check_space().await {
            log::error!("{}", logging::chain(&error));
        }
    }
}

/// Writes an audit event with the number of counted refusals after each minute that had any.
async fn log_counted_refusals(store: Arc<Store>) {
    loop {
        match store.sum_up_refusals().await {
            Ok(Some(wait)) => tokio::time::sleep(wait).await,
            Ok(None) => store.wait_for_counted().await,
            Err(error) => {
                log::error!("{}", logging::chain(&error));
                tokio::time::sleep(HOUSEKEEPING).await;
            }
        }
    }
}

/// Logs, after each minute that had any, how many requests were refused before they reached a route,
/// and how many warnings and errors were only counted.
async fn sum_up_every_minute() {
    loop {
        tokio::time::sleep(PERIOD).await;
        sum_up(false);
    }
}

/// Logs what was counted, for [`sum_up_every_minute`] and, with `all`, at shutdown.
fn sum_up(all: bool) {
    if let Some(refused) = tally::sum_up() {
        log::warn!("refused within a minute: {refused}");
    }
    logging::sum_up(all);
}

/// Notifies systemd's watchdog (`sd_watchdog_enabled(3)`) as long as every worker answers a request.
async fn feed_watchdog(server: &Server) -> std::convert::Infallible {
    let Some(period) = systemd::watchdog_period() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(period);
    loop {
        ticks.tick().await;
        match server.check(period).await {
            Ok(()) => systemd::alive(),
            Err(hung) => log::error!("watchdog not notified: {hung}"),
        }
    }
}

/// Exits the process at once on a second stop signal.
async fn exit_on_second(mut signals: Signals, files: Arc<[SocketFile]>) {
    let signal = signals.next().await;
    log::warn!("exiting at once: received a second signal, {signal}");
    for file in files.iter() {
        file.remove();
    }
    std::process::exit(128 + signal.number);
}

/// Signal that requests a stop.
#[derive(Clone, Copy)]
struct StopSignal {
    name: &'static str,
    number: i32,
}

impl std::fmt::Display for StopSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Handlers of the signals that request a stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal { name: "SIGTERM", number: 15 },
            _ = self.interrupt.recv() => StopSignal { name: "SIGINT", number: 2 },
        }
    }
}
