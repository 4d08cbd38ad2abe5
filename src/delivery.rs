//! The queue to the audit server: every event in order, until it is taken.
//!
//! The queue is the audit log itself and the number of the last row that was taken, so an event is
//! in it as soon as what it tells of has happened, and stays through restarts and power cuts. An
//! event may be sent twice, when the power is cut between its being taken and that being written
//! down.

use std::convert::Infallible;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{handshake, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{json, Value};
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::domain::audit::{AuditRow, ENABLE_ACCESS_CONTROL};
use crate::logging;
use crate::store::Store;

/// Events that are sent on one connection, and then written down as taken.
const BATCH: u32 = 32;
/// How long the audit server may take over one event.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after a failure; each one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Where the audit server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditServer {
    /// Its Unix socket; without one the URL's host and port are connected to.
    pub uds: Option<PathBuf>,
    /// Its base URL.
    pub url: Uri,
}

/// Why an event was not taken.
#[derive(Debug, Error)]
enum DeliveryError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("the connection failed")]
    Http(#[from] hyper::Error),
    #[error("no answer in {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("the answer was {0}")]
    Status(StatusCode),
}

/// Delivers for ever. Failures are logged when they begin and when they end.
pub async fn deliver(store: Arc<Store>, server: AuditServer) -> Infallible {
    let mut wait = FIRST_WAIT;
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
            store.wait_for_event().await;
            continue;
        }
        let (taken, failure) = send_all(&server, &rows).await;
        if let Some(seq) = taken {
            if let Err(error) = store.set_delivered(seq).await {
                log::error!("{}", logging::chain(&error));
            } else if wait > FIRST_WAIT {
                log::info!("the audit server takes events again");
            }
            wait = FIRST_WAIT;
        }
        if let Some(error) = failure {
            if wait == FIRST_WAIT {
                log::warn!(
                    "the audit server does not take events, they wait: {}",
                    logging::chain(&error)
                );
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Sends rows in order; returns the last one that was taken, and why the next one was not.
async fn send_all(server: &AuditServer, rows: &[AuditRow]) -> (Option<i64>, Option<DeliveryError>) {
    let mut taken = None;
    let mut connection = match within_patience(connect(server)).await {
        Ok(connection) => connection,
        Err(error) => return (None, Some(error)),
    };
    for row in rows {
        if let Err(error) = send(server, &mut connection, row).await {
            return (taken, Some(error));
        }
        taken = Some(row.seq);
    }
    (taken, None)
}

type Connection = SendRequest<Full<Bytes>>;

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
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    actix_rt::spawn(async move {
        if let Err(error) = connection.await {
            log::debug!("the connection to the audit server ended: {error}");
        }
    });
    Ok(sender)
}

/// Sends one event; before the one that says that access control is on, that logging is.
async fn send(
    server: &AuditServer,
    connection: &mut Connection,
    row: &AuditRow,
) -> Result<(), DeliveryError> {
    let event = &row.event;
    if event.action == ENABLE_ACCESS_CONTROL {
        let data = json!({
            "loggingEnabled": true,
            "accountName": event.account_name,
            "legalName": event.legal_name,
            "reason": event.reason,
        });
        request(server, connection, Method::PATCH, "loggingEnabled", data).await?;
    }
    let data = json!({
        "action": event.action,
        "accountName": event.account_name,
        "legalName": event.legal_name,
        "message": event.message,
        "reason": event.reason,
    });
    request(server, connection, Method::POST, "logMessage", data).await
}

async fn request(
    server: &AuditServer,
    connection: &mut Connection,
    method: Method,
    name: &str,
    data: Value,
) -> Result<(), DeliveryError> {
    let base = server.url.path().trim_end_matches('/');
    let host = server.url.authority().map_or("localhost", |a| a.as_str());
    let body = json!({ "data": data }).to_string();
    let request = Request::builder()
        .method(method)
        .uri(format!("{base}/audit/internal/{name}"))
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .expect("the parts of a request are fit for it");
    within_patience(async {
        connection.ready().await?;
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        // Read whole, so that the connection can be used again.
        answer.into_body().collect().await?;
        if status.is_success() {
            return Ok(());
        }
        Err(DeliveryError::Status(status))
    })
    .await
}

async fn within_patience<T>(
    work: impl std::future::Future<Output = Result<T, DeliveryError>>,
) -> Result<T, DeliveryError> {
    timeout(PATIENCE, work)
        .await
        .unwrap_or(Err(DeliveryError::Timeout))
}

/// Reads a base URL.
///
/// # Errors
/// A sentence that says what it must be.
pub fn parse_url(text: &str) -> Result<Uri, String> {
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
