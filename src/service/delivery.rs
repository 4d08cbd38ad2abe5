//! The queue to the audit server: every event in order, until it is taken.
//!
//! The queue is the audit log itself and the number of the last row that was taken, so an event is
//! in it as soon as what it tells of has happened, and stays through restarts and power cuts. An
//! event may be sent twice, when the power is cut between its being taken and that being written
//! down.
//!
//! Whatever the audit server does not take is tried again for ever, and all after it waits; but an
//! event that it refuses for good is set aside after some tries.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{handshake, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{json, Value};
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::config::AuditServer;
use crate::domain::audit::{AuditRow, ENABLE_ACCESS_CONTROL};
use crate::logging;
use crate::store::Store;

/// Events that are sent before they are written down as taken.
const BATCH: u32 = 32;
/// How long the audit server may take over one event.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after a failure; each one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often the audit server may refuse an event before it is set aside: with the waits between
/// them, some seconds.
const REFUSALS: u32 = 5;

/// Why an event was not taken.
#[derive(Debug, Error)]
enum DeliveryError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("the connection ended without an answer")]
    Unanswered(#[source] hyper::Error),
    #[error("the connection ended in the middle of an answer")]
    CutOff(#[source] hyper::Error),
    #[error("no answer in {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("the answer was {0}")]
    Status(StatusCode),
}

impl DeliveryError {
    /// Whether it would be the same another time: the event is refused, not the moment.
    fn is_refusal(&self) -> bool {
        let Self::Status(status) = self else {
            return false;
        };
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        status.is_client_error() && !later.contains(status)
    }
}

/// Delivers for ever. Failures are logged when they begin and when they end.
pub async fn deliver(store: Arc<Store>, server: AuditServer) -> Infallible {
    let mut line = Line {
        server,
        connection: None,
    };
    let mut wait = FIRST_WAIT;
    let mut refused = Refused::default();
    loop {
        let rows = match store.undelivered(BATCH).await {
            Ok(rows) => rows,
            Err(error) => {
                log::error!("{}", logging::chain(&error));
                sleep(LONGEST_WAIT).await;
                continue;
            }
        };
        if rows.is_empty() {
            line.connection = None;
            tokio::select! {
                () = store.wait_for_event() => {}
                () = store.wait_for_resend() => {}
            }
            continue;
        }
        let (taken, failure) = send_all(&mut line, &rows).await;
        let answered = !taken.is_empty() || failure.as_ref().is_some_and(|(_, e)| e.is_refusal());
        if !taken.is_empty() {
            if let Err(error) = store.set_delivered(taken).await {
                log::error!("{}", logging::chain(&error));
                sleep(LONGEST_WAIT).await;
                continue;
            }
        }
        if answered {
            if wait > FIRST_WAIT {
                log::info!("the audit server answers again");
            }
            wait = FIRST_WAIT;
        }
        match failure {
            None => {}
            Some((row, error)) if error.is_refusal() => match refused.again(row.seq) {
                Some(pause) => sleep(pause).await,
                None => set_aside(&store, row, &error).await,
            },
            Some((_, error)) => {
                if wait == FIRST_WAIT {
                    log::warn!(
                        "the audit server does not take events, they wait: {}",
                        logging::chain(&error)
                    );
                }
                tokio::select! {
                    () = sleep(wait) => {}
                    () = store.wait_for_resend() => {}
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// How often the event at the head of the queue was refused for good.
#[derive(Default)]
struct Refused {
    seq: i64,
    times: u32,
}

impl Refused {
    /// Counts a refusal; returns how long to wait for the next try, or `None` when that was the
    /// last one.
    fn again(&mut self, seq: i64) -> Option<Duration> {
        if self.seq != seq {
            *self = Self { seq, times: 0 };
        }
        self.times += 1;
        if self.times < REFUSALS {
            return Some(FIRST_WAIT * 2_u32.pow(self.times - 1));
        }
        self.times = 0;
        None
    }
}

/// Sets an event aside, and says so without its content.
async fn set_aside(store: &Store, row: &AuditRow, error: &DeliveryError) {
    match store.set_aside(row.seq).await {
        Ok(()) => log::error!(
            "the audit server refused an event {REFUSALS} times, it was set aside: row {}, {:?}: \
             {error}; `audit resend` sends it again",
            row.seq,
            row.event.action
        ),
        Err(error) => {
            log::error!("{}", logging::chain(&error));
            sleep(LONGEST_WAIT).await;
        }
    }
}

/// Sends rows in order; returns the numbers of those that were taken, and which one was not and
/// why.
async fn send_all<'a>(
    line: &mut Line,
    rows: &'a [AuditRow],
) -> (Vec<i64>, Option<(&'a AuditRow, DeliveryError)>) {
    let mut taken = Vec::new();
    for row in rows {
        if let Err(error) = send(line, row).await {
            return (taken, Some((row, error)));
        }
        taken.push(row.seq);
    }
    (taken, None)
}

/// Sends one event; before the one that says that access control is on, that logging is.
async fn send(line: &mut Line, row: &AuditRow) -> Result<(), DeliveryError> {
    let event = &row.event;
    if event.action == ENABLE_ACCESS_CONTROL {
        let data = json!({
            "loggingEnabled": true,
            "accountName": event.account_name,
            "legalName": event.legal_name,
            "reason": event.reason,
        });
        line.request(&Method::PATCH, "loggingEnabled", data).await?;
    }
    let data = json!({
        "action": event.action,
        "accountName": event.account_name,
        "legalName": event.legal_name,
        "message": event.message,
        "reason": event.reason,
    });
    line.request(&Method::POST, "logMessage", data).await
}

type Connection = SendRequest<Full<Bytes>>;

/// The way to the audit server, and the connection that its last answer has left open.
struct Line {
    server: AuditServer,
    connection: Option<Connection>,
}

impl Line {
    /// Makes a request, on the open connection or a new one.
    ///
    /// The audit server may close a connection after any answer, announced (RFC 9112 §9.6) or not:
    /// when it does not answer on one that was used before, a new one is tried at once.
    async fn request(
        &mut self,
        method: &Method,
        name: &str,
        data: Value,
    ) -> Result<(), DeliveryError> {
        let base = self.server.url.path().trim_end_matches('/');
        let host = self
            .server
            .url
            .authority()
            .map_or("localhost", |a| a.as_str());
        let body = Bytes::from(json!({ "data": data }).to_string());
        let request = || {
            Request::builder()
                .method(method)
                .uri(format!("{base}/audit/internal/{name}"))
                .header(HOST, host)
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(body.clone()))
                .expect("the parts of a request are fit for it")
        };
        if let Some(mut connection) = self.connection.take() {
            match within_patience(exchange(&mut connection, request())).await {
                Ok(status) => {
                    self.connection = Some(connection);
                    return verdict(status);
                }
                Err(DeliveryError::Unanswered(error)) => {
                    log::debug!("connects to the audit server anew: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        let mut connection = within_patience(connect(&self.server)).await?;
        let status = within_patience(exchange(&mut connection, request())).await?;
        self.connection = Some(connection);
        verdict(status)
    }
}

fn verdict(status: StatusCode) -> Result<(), DeliveryError> {
    if status.is_success() {
        return Ok(());
    }
    Err(DeliveryError::Status(status))
}

/// Sends a request, and reads its answer to the end, so that the connection can be used again.
async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, DeliveryError> {
    connection
        .ready()
        .await
        .map_err(DeliveryError::Unanswered)?;
    let answer = connection
        .send_request(request)
        .await
        .map_err(DeliveryError::Unanswered)?;
    let status = answer.status();
    answer
        .into_body()
        .collect()
        .await
        .map_err(DeliveryError::CutOff)?;
    Ok(status)
}

async fn connect(server: &AuditServer) -> Result<Connection, DeliveryError> {
    match &server.uds {
        Some(path) => {
            let stream = UnixStream::connect(path).await;
            converse(stream.map_err(DeliveryError::Connect)?).await
        }
        None => {
            let host = server.url.host().unwrap_or("localhost");
            let port = server.url.port_u16().unwrap_or(80);
            let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
            converse(stream.map_err(DeliveryError::Connect)?).await
        }
    }
}

async fn converse<S>(stream: S) -> Result<Connection, DeliveryError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(DeliveryError::Unanswered)?;
    actix_rt::spawn(async move {
        if let Err(error) = connection.await {
            log::debug!("the connection to the audit server ended: {error}");
        }
    });
    Ok(sender)
}

async fn within_patience<T>(
    work: impl std::future::Future<Output = Result<T, DeliveryError>>,
) -> Result<T, DeliveryError> {
    timeout(PATIENCE, work)
        .await
        .unwrap_or(Err(DeliveryError::Timeout))
}
