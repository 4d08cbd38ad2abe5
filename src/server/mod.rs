//! Accepts connections and hands them to worker threads, each with the whole application in it.
//!
//! This takes the place of actix-web's `HttpServer`, whose accept loop removes the file of a Unix
//! socket each time it stops watching it: when it stops, but also when it is out of file
//! descriptors, and also when the socket is systemd's. Below it everything is actix's.

pub mod connection;
pub mod guard;
pub mod listen;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive, Request};
use actix_rt::{Arbiter, ArbiterHandle};
use actix_service::{fn_service, map_config, IntoServiceFactory, Service, ServiceFactory};
use actix_web::dev::AppConfig;
use actix_web::web::ServiceConfig;
use actix_web::App;
use futures_util::future::try_join_all;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout, timeout_at, Instant};

use self::connection::{Connection, State, Stream};
use self::listen::{Acceptor, Listener, SocketFile};

/// Connections served at once, all workers together; more wait in the listening socket's queue.
pub const MAX_CONNECTIONS: usize = 512;
/// How long a client that is sent away may take to notice.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before accepting again when the system is out of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// With no answer finished and no connection ended for this long, what is open lies idle. On a
/// busy machine 50 ms were too short: nginx sent a POST, which it never repeats, as the connection
/// was closed.
const QUIET: Duration = Duration::from_millis(200);

/// The server's own request was not answered: a worker hangs.
#[derive(Debug, Error)]
#[error("worker {worker} did not answer within {} s", patience.as_secs())]
pub struct Hung {
    /// Number of the worker, from 0.
    pub worker: usize,
    /// How long it was waited for.
    pub patience: Duration,
}

/// How far the end of the server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Serving,
    /// Each answer is the last one on its connection.
    Draining,
    /// Idle connections are closed.
    Closing,
}

/// What every part of the server sees.
struct Shared {
    life: watch::Sender<Life>,
    places: Arc<Semaphore>,
    /// An answer was finished or a connection ended.
    activity: Notify,
}

impl Shared {
    fn open_connections(&self) -> usize {
        MAX_CONNECTIONS - self.places.available_permits()
    }
}

/// A connection on its way to a worker, with its place among [`MAX_CONNECTIONS`]; the server's own
/// connection takes none.
struct Accepted {
    stream: Stream,
    peer: Option<SocketAddr>,
    place: Option<OwnedSemaphorePermit>,
}

struct Worker {
    connections: mpsc::UnboundedSender<Accepted>,
    arbiter: ArbiterHandle,
}

/// A running server. It lives on the runtime that started it, its workers on threads of their own.
pub struct Server {
    shared: Arc<Shared>,
    workers: Arc<[Worker]>,
    acceptors: Vec<JoinHandle<()>>,
    files: Arc<[SocketFile]>,
}

impl Server {
    /// Starts `workers` threads that serve `routes`, and accepts connections on `listeners`.
    ///
    /// # Errors
    /// A listener could not be watched, or a thread not be started.
    ///
    /// # Panics
    /// When there is no worker, or outside of an actix runtime.
    pub async fn start<F>(listeners: Vec<Listener>, workers: usize, routes: F) -> io::Result<Self>
    where
        F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
    {
        assert!(workers > 0, "a server needs a worker");
        let shared = Arc::new(Shared {
            life: watch::Sender::new(Life::Serving),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            activity: Notify::new(),
        });
        let mut started = Vec::new();
        for _ in 0..workers {
            started.push(start_worker(Arc::clone(&shared), routes.clone()).await?);
        }
        let workers: Arc<[Worker]> = started.into();
        let mut files = Vec::new();
        let mut acceptors = Vec::new();
        for listener in listeners {
            let (acceptor, file) = listener.into_acceptor()?;
            files.extend(file);
            acceptors.push(actix_rt::spawn(accept_all(
                acceptor,
                Arc::clone(&workers),
                Arc::clone(&shared),
            )));
        }
        Ok(Self {
            shared,
            workers,
            acceptors,
            files: files.into(),
        })
    }

    /// Sends a request through every worker and waits for the answers.
    ///
    /// # Errors
    /// [`Hung`] names the first worker that did not answer 200 within `patience`.
    pub async fn check(&self, patience: Duration) -> Result<(), Hung> {
        let checks = self
            .workers
            .iter()
            .enumerate()
            .map(|(number, worker)| async move {
                match timeout(patience, ask(worker)).await {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(Hung {
                        worker: number,
                        patience,
                    }),
                }
            });
        try_join_all(checks).await.map(|_| ())
    }

    /// The files to remove by an exit that cannot wait for [`Server::stop`].
    pub fn socket_files(&self) -> Arc<[SocketFile]> {
        Arc::clone(&self.files)
    }

    /// Accepts no more connections, finishes the requests in flight, and ends.
    ///
    /// Returns how many connections were still busy after `grace` and were cut off. Busy
    /// connections end with the answer they wait for (`Connection: close`). Idle ones are closed
    /// when all has been quiet for a moment, not at once: under load a proxy is just about to use
    /// them, and a request that it cannot repeat would be lost.
    pub async fn stop(mut self, grace: Duration) -> usize {
        let deadline = Instant::now() + grace;
        for acceptor in &mut self.acceptors {
            acceptor.abort();
            // A connection accepted last is on its way to a worker, or was never taken.
            let _cancelled = acceptor.await;
        }
        self.shared.life.send_replace(Life::Draining);
        let mut quiet = QUIET;
        while self.shared.open_connections() > 0 && Instant::now() < deadline {
            let activity = self.shared.activity.notified();
            if timeout_at(deadline.min(Instant::now() + quiet), activity)
                .await
                .is_err()
            {
                self.shared.life.send_replace(Life::Closing);
                quiet = grace;
            }
        }
        let cut_off = self.shared.open_connections();
        for worker in self.workers.iter() {
            worker.arbiter.stop();
        }
        cut_off
    }
}

/// Hands each connection to the next worker in turn.
async fn accept_all(acceptor: Acceptor, workers: Arc<[Worker]>, shared: Arc<Shared>) {
    let mut in_turn = workers.iter().cycle();
    loop {
        let Ok(place) = Arc::clone(&shared.places).acquire_owned().await else {
            return;
        };
        match acceptor.accept().await {
            Ok((stream, peer)) => {
                let accepted = Accepted {
                    stream,
                    peer,
                    place: Some(place),
                };
                let sent = in_turn
                    .next()
                    .map(|worker| worker.connections.send(accepted));
                if !matches!(sent, Some(Ok(()))) {
                    log::error!("a worker thread has ended: a connection is lost");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::error!("cannot accept connections: {error}");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Starts one worker thread, and waits until it can take connections.
async fn start_worker<F>(shared: Arc<Shared>, routes: F) -> io::Result<Worker>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let arbiter = Arbiter::new();
    let (connections, incoming) = mpsc::unbounded_channel();
    let (started, is_started) = oneshot::channel();
    arbiter.spawn_fn(move || {
        actix_rt::spawn(work(incoming, shared, routes, started));
    });
    is_started
        .await
        .map_err(|_| io::Error::other("a worker thread could not start"))?;
    Ok(Worker {
        connections,
        arbiter: arbiter.handle(),
    })
}

/// Serves the connections that come in, each in a task of its own.
async fn work<F>(
    mut incoming: mpsc::UnboundedReceiver<Accepted>,
    shared: Arc<Shared>,
    routes: F,
    started: oneshot::Sender<()>,
) where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let app = map_config(App::new().configure(routes), |()| AppConfig::default())
        .into_factory()
        .new_service(())
        .await
        .expect("the routes are made without failing");
    let app = Rc::new(app);
    let in_service = Arc::clone(&shared);
    let http = HttpService::build()
        .keep_alive(KeepAlive::Os) // Connection times head and keep-alive itself
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .on_connect_ext(|connection: &Connection, data| {
            data.insert::<Rc<State>>(connection.state());
        })
        .h1(fn_service(move |request: Request| {
            let shared = Arc::clone(&in_service);
            let answer = guard::answer(Rc::clone(&app), request);
            async move {
                let mut response = answer.await;
                if *shared.life.borrow() != Life::Serving {
                    guard::set_last(&mut response);
                    shared.activity.notify_one();
                }
                Ok::<_, actix_http::Error>(response)
            }
        }))
        .new_service(())
        .await
        .expect("the HTTP service is made without failing");
    let http = Rc::new(http);
    let _heard = started.send(());
    while let Some(accepted) = incoming.recv().await {
        let internal = accepted.place.is_none();
        match Connection::new(accepted.stream, internal) {
            Ok(connection) => {
                let state = connection.state();
                let served = http.call((connection, accepted.peer));
                actix_rt::spawn(serve(served, state, accepted.place, Arc::clone(&shared)));
            }
            Err(error) => log::error!("cannot serve a connection: {error}"),
        }
    }
}

/// Drives one connection to its end, and tells it when to end by itself.
async fn serve<E: std::fmt::Debug>(
    served: impl Future<Output = Result<(), E>>,
    state: Rc<State>,
    place: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
) {
    let mut served = std::pin::pin!(served);
    let mut served = std::future::poll_fn(|cx| match served.as_mut().poll(cx) {
        Poll::Pending if state.is_abandoned() => Poll::Ready(Ok(())),
        polled => polled,
    });
    let mut life = shared.life.subscribe();
    let mut serving = true;
    while serving {
        tokio::select! {
            biased;
            result = &mut served => {
                if let Err(error) = result {
                    log::debug!("a connection ended early: {error:?}");
                }
                serving = false;
            }
            closing = life.wait_for(|life| *life == Life::Closing), if !state.is_closing() => {
                drop(closing);
                state.close_when_idle();
            }
        }
    }
    drop(place);
    shared.activity.notify_one();
}

/// Sends one request to `worker` as a client would, and reads the answer.
async fn ask(worker: &Worker) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let mut ours = tokio::net::UnixStream::from_std(ours)?;
    let accepted = Accepted {
        stream: Stream::Unix(theirs),
        peer: None,
        place: None,
    };
    worker
        .connections
        .send(accepted)
        .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    ours.write_all(b"GET /auth/health HTTP/1.1\r\nHost: self\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    ours.read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
