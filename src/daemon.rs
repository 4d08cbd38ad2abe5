//! The service's life: from the configuration to READY, through the watchdog, to the last answer.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web;
use thiserror::Error;
use tokio::signal::unix::{signal, Signal, SignalKind};

use crate::config::Config;
use crate::console::socket;
use crate::http::routes;
use crate::http::AppState;
use crate::logging;
use crate::os::clock;
use crate::os::state_dir::{StateDir, StateDirError, RESET};
use crate::os::systemd::{self, HandOverError};
use crate::server::listen::{ListenError, Listener, SocketFile};
use crate::server::{Hung, Server};
use crate::service::delivery::deliver;
use crate::service::hashing::Hasher;
use crate::service::Service;
use crate::store::{Store, StoreError};
use crate::{GIT_SHA, VERSION};

/// How long requests in flight may take after SIGTERM or SIGINT.
const GRACE: Duration = Duration::from_secs(5);
/// How long the first request to each worker may take.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// How often to look whether the state is still where it was.
const LOOK: Duration = Duration::from_secs(1);
/// How often what has expired is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Why the service could not start.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The state directory.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A socket from systemd.
    #[error(transparent)]
    HandOver(#[from] HandOverError),
    /// A socket of our own.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The runtime.
    #[error("cannot start the server")]
    Start(#[source] io::Error),
    /// The first request.
    #[error("the server started but failed its health check")]
    FirstAnswer(#[from] Hung),
}

/// Serves until SIGTERM or SIGINT, finishes the requests in flight, and returns.
///
/// A second signal exits at once, with 128 and the signal's number.
///
/// # Errors
/// [`ServiceError`], whose chain says in one line what was tried and why it failed.
pub fn run(config: &Config) -> Result<(), ServiceError> {
    log::info!("opentrons-auth-server {VERSION} (git {GIT_SHA}) starts");
    let mut listeners: Vec<Listener> = systemd::handed_over()?
        .into_iter()
        .map(Listener::from)
        .collect();
    let state_dir = StateDir::open(config.persistence_directory.as_deref())?;
    let path = state_dir.path().display();
    if state_dir.is_temporary() {
        log::warn!("keeps its state in {path} until it stops: no persistence directory is set");
    } else {
        log::info!("keeps its state in {path}");
    }
    if state_dir.reset_if_asked()? {
        log::warn!(
            "removed all state in {path}: {RESET} asked for a factory reset; begins as a new robot"
        );
    }
    let store = Arc::new(Store::open_or_take_over(state_dir.path(), logging::audit)?);
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
    let service = Service::new(Arc::clone(&store), hasher);
    let state = web::Data::new(AppState::new(service.clone()));
    let server = Server::start(listeners, workers, move |config| {
        config.app_data(state.clone());
        routes::configure(config);
    })
    .await
    .map_err(ServiceError::Start)?;
    let _control = socket::listen(state_dir.path(), service)?;
    if let Err(error) = store.set_delivering(config.audit_server.is_some()).await {
        log::error!("{}", logging::chain(&error)); // such as a full disk: reads go on
    }
    if let Some(audit_server) = &config.audit_server {
        actix_rt::spawn(deliver(Arc::clone(&store), audit_server.clone()));
    }
    actix_rt::spawn(watch_wall_clock(Arc::clone(&store)));
    actix_rt::spawn(keep_house(Arc::clone(&store)));
    actix_rt::spawn(sum_up_refusals(Arc::clone(&store)));
    let files = server.socket_files();
    store.when_gone(move |error| exit_without_state(error, &files));

    server.check(FIRST_ANSWER).await?;
    log::info!("listens on {addresses} with {workers} workers");
    systemd::ready(&format!("Answers requests on {addresses}"));

    let signal = tokio::select! {
        signal = signals.next() => signal,
        never = feed_watchdog(&server) => match never {},
        error = watch_state(&store, state_dir) => {
            exit_without_state(&error, &server.socket_files())
        }
    };
    log::info!("stops on {signal}: finishes the requests in flight");
    systemd::stopping("Finishes the requests in flight");
    actix_rt::spawn(exit_on_second(signals, server.socket_files()));
    match server.stop(GRACE).await {
        0 => log::info!("stopped"),
        busy => log::warn!(
            "stopped; {busy} connections were still busy after {} s and were cut off",
            GRACE.as_secs()
        ),
    }
    if let Err(error) = store.sum_up_all_refusals().await {
        log::error!("{}", logging::chain(&error));
    }
    if let Err(error) = store.settle().await {
        log::warn!("{}", logging::chain(&error));
    }
    Ok(())
}

/// Writes the time down whenever somebody sets the wall clock.
async fn watch_wall_clock(store: Arc<Store>) {
    match clock::watch_wall() {
        Ok(was_set) => loop {
            was_set.notified().await;
            mark_time(&store).await;
        },
        Err(error) => {
            log::error!("cannot watch the wall clock, looks at it each minute: {error}");
        }
    }
}

async fn mark_time(store: &Store) {
    if let Err(error) = store.mark_time().await {
        log::error!("{}", logging::chain(&error));
    }
}

/// Looks whether the state is still where it was, until it is not; says then what is gone.
async fn watch_state(store: &Store, state_dir: &StateDir) -> ServiceError {
    let mut ticks = tokio::time::interval(LOOK);
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

/// Ends at once: what is not on disk must not be served from memory. systemd starts the service
/// again, on what is there.
fn exit_without_state(error: &dyn std::error::Error, files: &[SocketFile]) -> ! {
    static ENDS: Mutex<()> = Mutex::new(());
    // Whoever finds it out as well waits for the end.
    let _first = ENDS.lock();
    log::error!(
        "{}; exits, to start again on what is there",
        logging::chain(error)
    );
    for file in files {
        file.remove();
    }
    std::process::exit(1);
}

/// Forgets what has expired, for ever.
async fn keep_house(store: Arc<Store>) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    loop {
        ticks.tick().await;
        mark_time(&store).await;
        if let Err(error) = store.forget_expired().await {
            log::error!("{}", logging::chain(&error));
        }
    }
}

/// Writes down how many refusals were counted, whenever a minute of them is over.
async fn sum_up_refusals(store: Arc<Store>) {
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

/// Tells systemd that the service is alive, as long as every worker answers a request.
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

async fn exit_on_second(mut signals: Signals, files: Arc<[SocketFile]>) {
    let signal = signals.next().await;
    log::warn!("exits at once on a second signal, {signal}");
    for file in files.iter() {
        file.remove();
    }
    std::process::exit(128 + signal.number);
}

/// A signal that asks to stop.
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

    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal { name: "SIGTERM", number: 15 },
            _ = self.interrupt.recv() => StopSignal { name: "SIGINT", number: 2 },
        }
    }
}
