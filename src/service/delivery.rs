//! Delivery of audit events to the audit server, in order and at least once.
//!
//! The queue consists of the audit log and the number of the last row delivered. An event is thus
//! queued in the same transaction as the change that it records, and survives restarts and power
//! cuts. An event may be sent twice if the power is cut after the audit server has accepted it and
//! before that is recorded.
//!
//! An event that cannot be delivered is retried for ever, and later events wait for it. Only an
//! event that the audit server rejects for good is set aside after a few attempts
//! (`MAX_REJECTIONS`).

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

/// Number of events to send before recording that they were delivered.
const BATCH: u32 = 32;
/// How long to wait for a connection to the audit server, or for a response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Delay before the first retry. Each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Maximum delay before a retry.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Number of rejections after which an event is set aside. The delays between the attempts add up
/// to about four seconds.
const MAX_REJECTIONS: u32 = 5;

/// Reason why an event was not delivered.
#[derive(Debug, Error)]
enum DeliveryError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("the connection was closed without a response")]
    NoResponse(#[source] hyper::Error),
    #[error("the connection was closed in the middle of a response")]
    Truncated(#[source] hyper::Error),
    #[error("no response within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the response was {0}")]
    Status(StatusCode),
}

impl DeliveryError {
    /// Returns whether the audit server rejected the event for good, so that retrying it is no use:
    /// a client error other than 408 and 429 (RFC 9110 §15.5, RFC 6585 §4).
    fn is_rejection(&self) -> bool {
        let Self::Status(status) = self else {
            return false;
        };
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        status.is_client_error() && !later.contains(status)
    }
}

/// Delivers events for ever. Logs when delivery starts to fail, and when it works again.
pub async fn deliver(store: Arc<Store>, server: AuditServer) -> Infallible {
    let mut client = Client {
        server,
        connection: None,
    };
    let mut wait = FIRST_WAIT;
    let mut rejections = Rejections::default();
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
            client.connection = None;
            tokio::select! {
                () = store.wait_for_event() => {}
                () = store.wait_for_resend() => {}
            }
            continue;
        }
        let (delivered, failure) = send_all(&mut client, &rows).await;
        let responds =
            !delivered.is_empty() || failure.as_ref().is_some_and(|(_, e)| e.is_rejection());
        if !delivered.is_empty() {
            if let Err(error) = store.set_delivered(delivered).await {
                log::error!("{}", logging::chain(&error));
                sleep(LONGEST_WAIT).await;
                continue;
            }
        }
        if responds {
            if wait > FIRST_WAIT {
                log::info!("the audit server is accepting requests again");
            }
            wait = FIRST_WAIT;
        }
        match failure {
            None => {}
            Some((row, error)) if error.is_rejection() => match rejections.count(row.seq) {
                Some(delay) => sleep(delay).await,
                None => set_aside(&store, row, &error).await,
            },
            Some((_, error)) => {
                if wait == FIRST_WAIT {
                    log::warn!(
                        "cannot deliver events to the audit server; they stay queued: {}",
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

/// Number of times that the audit server rejected the event at the head of the queue.
#[derive(Default)]
struct Rejections {
    /// Number of the event's row.
    seq: i64,
    times: u32,
}

impl Rejections {
    /// Counts a rejection. Returns the delay before the next attempt, or `None` if there is to be
    /// none.
    fn count(&mut self, seq: i64) -> Option<Duration> {
        if self.seq != seq {
            *self = Self { seq, times: 0 };
        }
        self.times += 1;
        if self.times < MAX_REJECTIONS {
            return Some(FIRST_WAIT * 2_u32.pow(self.times - 1));
        }
        self.times = 0;
        None
    }
}

/// Sets an event aside, and logs that without the event's content.
async fn set_aside(store: &Store, row: &AuditRow, error: &DeliveryError) {
    match store.set_aside(row.seq).await {
        Ok(()) => log::error!(
            "the audit server rejected an event {MAX_REJECTIONS} times; it was set aside: row {}, \
             {:?}: {error}; to send it again, run `opentrons-auth-server audit resend`",
            row.seq,
            row.event.action
        ),
        Err(error) => {
            log::error!("{}", logging::chain(&error));
            sleep(LONGEST_WAIT).await;
        }
    }
}

/// Sends rows in order until one fails. Returns the numbers of the rows that were delivered, and
/// the row that failed with its error.
async fn send_all<'a>(
    client: &mut Client,
    rows: &'a [AuditRow],
) -> (Vec<i64>, Option<(&'a AuditRow, DeliveryError)>) {
    let mut delivered = Vec::new();
    for row in rows {
        if let Err(error) = send(client, row).await {
            return (delivered, Some((row, error)));
        }
        delivered.push(row.seq);
    }
    (delivered, None)
}

/// Sends one event. Before the event that records that access control was turned on, enables
/// logging at the audit server.
async fn send(client: &mut Client, row: &AuditRow) -> Result<(), DeliveryError> {
    let event = &row.event;
    if event.action == ENABLE_ACCESS_CONTROL {
        let data = json!({
            "loggingEnabled": true,
            "accountName": event.account_name,
            "legalName": event.legal_name,
            "reason": event.reason,
        });
        client
            .request(&Method::PATCH, "loggingEnabled", data)
            .await?;
    }
    let data = json!({
        "action": event.action,
        "accountName": event.account_name,
        "legalName": event.legal_name,
        "message": event.message,
        "reason": event.reason,
    });
    client.request(&Method::POST, "logMessage", data).await
}

type Connection = SendRequest<Full<Bytes>>;

/// HTTP client of the audit server, with the connection left open after the last response.
struct Client {
    server: AuditServer,
    connection: Option<Connection>,
}

impl Client {
    /// Sends a request, on the open connection if there is one, or else on a new one.
    ///
    /// The audit server may close the connection after any response, with or without announcing it
    /// (RFC 9112 §9.6). If there is no response on a reused connection, the request is therefore
    /// sent again at once on a new one.
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
                .expect("the method, URI and headers are valid")
        };
        if let Some(mut connection) = self.connection.take() {
            match with_timeout(exchange(&mut connection, request())).await {
                Ok(status) => {
                    self.connection = Some(connection);
                    return check_status(status);
                }
                Err(DeliveryError::NoResponse(error)) => {
                    log::debug!("reconnecting to the audit server: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        let mut connection = with_timeout(connect(&self.server)).await?;
        let status = with_timeout(exchange(&mut connection, request())).await?;
        self.connection = Some(connection);
        check_status(status)
    }
}

/// Returns an error unless the status is a success (2xx).
fn check_status(status: StatusCode) -> Result<(), DeliveryError> {
    if status.is_success() {
        return Ok(());
    }
    Err(DeliveryError::Status(status))
}

/// Sends a request and reads the response to its end, so that the connection can be reused. Returns
/// the response's status.
async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, DeliveryError> {
    connection
        .ready()
        .await
        .map_err(DeliveryError::NoResponse)?;
    let response = connection
        .send_request(request)
        .await
        .map_err(DeliveryError::NoResponse)?;
    let status = response.status();
    response
        .into_body()
        .collect()
        .await
        .map_err(DeliveryError::Truncated)?;
    Ok(status)
}

/// Connects to the audit server by its Unix socket or by TCP.
async fn connect(server: &AuditServer) -> Result<Connection, DeliveryError> {
    match &server.uds {
        Some(path) => {
            let stream = UnixStream::connect(path).await;
            start_http(stream.map_err(DeliveryError::Connect)?).await
        }
        None => {
            let host = server.url.host().unwrap_or("localhost");
            let port = server.url.port_u16().unwrap_or(80);
            let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
            start_http(stream.map_err(DeliveryError::Connect)?).await
        }
    }
}

/// Starts HTTP/1 on a connected stream.
async fn start_http<S>(stream: S) -> Result<Connection, DeliveryError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(DeliveryError::NoResponse)?;
    actix_rt::spawn(async move {
        if let Err(error) = connection.await {
            log::debug!("connection to the audit server failed: {error}");
        }
    });
    Ok(sender)
}

/// Limits how long `work` may take to [`TIMEOUT`].
async fn with_timeout<T>(
    work: impl std::future::Future<Output = Result<T, DeliveryError>>,
) -> Result<T, DeliveryError> {
    timeout(TIMEOUT, work)
        .await
        .unwrap_or(Err(DeliveryError::Timeout))
}
