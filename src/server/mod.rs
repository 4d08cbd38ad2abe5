//! Accepts connections and distributes them to worker threads, each of which runs the whole
//! application.
//!
//! This replaces actix-web's `HttpServer`, whose accept loop removes the file of a Unix socket
//! whenever it stops watching the socket: not only at the end, but also when the process is out of
//! file descriptors, and even if the socket belongs to systemd. Everything below it is actix's.

mod chunks;
pub mod connection;
mod framing;
pub mod guard;
mod headers;
pub mod listen;
pub mod places;
pub mod stream;
pub mod tally;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request};
use actix_rt::{Arbiter, ArbiterHandle};
use actix_service::{fn_service, map_config, IntoServiceFactory, Service, ServiceFactory};
use actix_web::dev::AppConfig;
use actix_web::web::ServiceConfig;
use actix_web::App;
use futures_util::future::try_join_all;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch, Notify};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout, timeout_at, Instant};

use self::connection::{Connection, State};
use self::listen::{Acceptor, Listener, SocketFile};
use self::places::{Place, Places};
use self::stream::Stream;
use self::tally::Refusal;
use crate::http::proxy::LocalAddress;

/// Maximum time for the shutdown of a connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay before accepting again after an error, such as too many open files.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Time without a finished response or an ended connection after which the open connections are
/// considered idle. On a busy machine 50 ms was too short: nginx sent a POST, which it never
/// retries, while the connection was being closed.
const QUIET: Duration = Duration::from_millis(200);

/// A worker did not respond to a health check of the server itself.
#[derive(Debug, Error)]
#[error("worker {worker} did not answer within {} s", patience.as_secs())]
pub struct Hung {
    /// Index of the worker, starting at 0.
    pub worker: usize,
    /// Time that the health check waited for the response.
    pub patience: Duration,
}

/// Phase of the server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Connections are accepted and kept alive.
    Serving,
    /// Each response is the last one on its connection.
    Draining,
    /// Idle connections are closed.
    Closing,
}

/// State shared by the acceptors, the workers and [`Server`].
struct Shared {
    life: watch::Sender<Life>,
    places: Arc<Places>,
    /// Notified when a connection ends or, outside of [`Life::Serving`], a response is finished.
    activity: Notify,
}

/// Connection on its way to a worker, with its place. A connection of the server's own health check
/// takes no place.
struct Accepted {
    stream: Stream,
    peer: Option<SocketAddr>,
    place: Option<Place>,
}

/// Handle of a worker thread.
struct Worker {
    connections: mpsc::UnboundedSender<Accepted>,
    arbiter: ArbiterHandle,
}

/// Running server. It accepts on the runtime that started it; its workers run on threads of their
/// own.
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
    /// [`io::Error`] if a worker thread ends while it starts, or the runtime cannot watch a
    /// listener.
    ///
    /// # Panics
    /// If `workers` is 0, or this is called outside of an actix runtime.
    pub async fn start<F>(listeners: Vec<Listener>, workers: usize, routes: F) -> io::Result<Self>
    where
        F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
    {
        assert!(workers > 0, "a server needs at least one worker");
        let shared = Arc::new(Shared {
            life: watch::Sender::new(Life::Serving),
            places: Arc::new(Places::default()),
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

    /// Sends a health check to every worker and waits for the responses.
    ///
    /// # Errors
    /// [`Hung`] if a worker does not respond with 200 within `patience`; it names the first such
    /// worker.
    pub async fn check(&self, patience: Duration) -> Result<(), Hung> {
        let checks = self
            .workers
            .iter()
            .enumerate()
            .map(|(number, worker)| async move {
                match timeout(patience, check_worker(worker)).await {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(Hung {
                        worker: number,
                        patience,
                    }),
                }
            });
        try_join_all(checks).await.map(|_| ())
    }

    /// Returns the files of the listening sockets, for an exit that cannot wait for
    /// [`Server::stop`] and must remove them.
    pub fn socket_files(&self) -> Arc<[SocketFile]> {
        Arc::clone(&self.files)
    }

    /// Stops accepting connections, finishes the requests in flight, and stops the workers.
    ///
    /// Returns the number of connections that were still busy after `grace` and were cut off. A
    /// busy connection ends with its pending response (`Connection: close`). Idle connections are
    /// not closed at once, but after a short time without activity: under load a proxy may be about
    /// to use one, and a request that it cannot retry would be lost.
    pub async fn stop(mut self, grace: Duration) -> usize {
        let deadline = Instant::now() + grace;
        // From here on nothing is accepted. A connection that was accepted and still waits for a place
        // counts as open.
        self.shared.life.send_replace(Life::Draining);
        let mut quiet = QUIET;
        while self.shared.places.open_connections() > 0 && Instant::now() < deadline {
            let activity = self.shared.activity.notified();
            if timeout_at(deadline.min(Instant::now() + quiet), activity)
                .await
                .is_err()
            {
                self.shared.life.send_replace(Life::Closing);
                quiet = grace;
            }
        }
        // Not left to a drop: threads that outlast this may share the files until the process exits.
        for file in self.files.iter() {
            file.remove();
        }
        let cut_off = self.shared.places.open_connections();
        for acceptor in &mut self.acceptors {
            acceptor.abort();
            let _ended = acceptor.await;
        }
        for worker in self.workers.iter() {
            worker.arbiter.stop();
        }
        cut_off
    }
}

/// Accepts connections while in [`Life::Serving`], and hands them to the workers in turn, each with
/// its place.
async fn accept_all(acceptor: Acceptor, workers: Arc<[Worker]>, shared: Arc<Shared>) {
    let mut in_turn = workers.iter().cycle();
    let mut life = shared.life.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = life.wait_for(|life| *life != Life::Serving) => return,
            accepted = acceptor.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = Some(shared.places.claim().await);
                let accepted = Accepted {
                    stream,
                    peer,
                    place,
                };
                let sent = in_turn
                    .next()
                    .map(|worker| worker.connections.send(accepted));
                if !matches!(sent, Some(Ok(()))) {
                    log::error!("connection dropped: its worker thread has ended");
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

/// Starts one worker thread and waits until it is ready to serve connections.
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
        .map_err(|_| io::Error::other("a worker thread ended while starting"))?;
    Ok(Worker {
        connections,
        arbiter: arbiter.handle(),
    })
}

/// Serves the incoming connections of a worker, each in a task of its own.
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
        .expect("the routes can be built");
    let app = Rc::new(app);
    let in_service = Arc::clone(&shared);
    let http = HttpService::build()
        .keep_alive(KeepAlive::Os) // `Connection` enforces these timeouts
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .on_connect_ext(|connection: &Connection, data| {
            data.insert::<Rc<State>>(connection.state());
            if let Some(address) = connection.local_address() {
                data.insert(LocalAddress(address));
            }
        })
        .h1(fn_service(move |request: Request| {
            let shared = Arc::clone(&in_service);
            let answer = guard::answer(Rc::clone(&app), request);
            async move {
                let mut response = answer.await;
                if *shared.life.borrow() != Life::Serving {
                    guard::set_last(&mut response);
                    shared.activity.notify_one();
                } else if shared.places.are_awaited() {
                    // Else a client that sends many requests at once could keep the place.
                    guard::set_last(&mut response);
                }
                Ok::<_, actix_http::Error>(response)
            }
        }))
        .new_service(())
        .await
        .expect("the HTTP service can be built");
    let http = Rc::new(http);
    let _heard = started.send(());
    while let Some(accepted) = incoming.recv().await {
        let seat = accepted.place.as_ref().map(Place::seat);
        match Connection::new(accepted.stream, seat) {
            Ok(connection) => {
                let state = connection.state();
                let served = http.call((connection, accepted.peer));
                actix_rt::spawn(serve(served, state, accepted.place, Arc::clone(&shared)));
            }
            Err(error) => log::error!("cannot serve connection: {error}"),
        }
    }
}

/// Drives one connection to its end; in [`Life::Closing`], makes it close when idle.
async fn serve(
    served: impl Future<Output = Result<(), DispatchError>>,
    state: Rc<State>,
    place: Option<Place>,
    shared: Arc<Shared>,
) {
    let mut served = std::pin::pin!(served);
    let mut served = std::future::poll_fn(|cx| match served.as_mut().poll(cx) {
        Poll::Pending if state.is_abandoned() => Poll::Ready(Ok(())),
        polled => polled,
    });
    if let Some(place) = &place {
        std::future::poll_fn(|cx| {
            place.set_waker(cx.waker());
            Poll::Ready(())
        })
        .await;
    }
    let mut life = shared.life.subscribe();
    let mut serving = true;
    while serving {
        tokio::select! {
            biased;
            result = &mut served => {
                if let Err(error) = result {
                    Refusal::count_end(&error);
                    log::debug!("connection ended early: {error:?}");
                }
                serving = false;
            }
            closing = life.wait_for(|life| *life == Life::Closing), if !state.is_closing() => {
                drop(closing);
                state.close_when_idle();
            }
        }
    }
    if state.is_outstayed() {
        Refusal::Displaced.count();
    }
    drop(place);
    shared.activity.notify_one();
}

/// Sends a health check to `worker` over a connection, as a client would, and reads the response.
async fn check_worker(worker: &Worker) -> io::Result<()> {
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
