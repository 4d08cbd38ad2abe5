//! Processing of every request and every response, independent of the route.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::{ConnectionType, HttpMessage, Payload, Request, Response};
use actix_service::Service;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, BytesMut};
use actix_web::ResponseError;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use crate::http::error::ApiError;
use crate::http::MAX_BODY_BYTES;
use crate::server::connection::State;
use crate::server::headers;
use crate::server::tally::Refusal;

/// Maximum time to receive a request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const TOO_LARGE: ApiError = ApiError::PayloadTooLarge {
    limit: MAX_BODY_BYTES,
};

/// Responds to `request` by calling `app`. Before the call, the request's framing is checked and
/// its body is read; after it, a panic or an error without a body is turned into an error response.
/// The response is logged.
pub async fn answer<S, B>(app: Rc<S>, mut request: Request) -> Response<BoxBody>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let started = Instant::now();
    let state = request.conn_data::<Rc<State>>().map(Rc::clone);
    let internal = state.as_ref().is_some_and(|state| state.is_internal());
    if let Some(state) = &state {
        if state.is_refused() {
            state.abandon();
            std::future::pending::<()>().await;
        }
        state.request_begins(started);
    }
    let line = (!internal).then(|| RequestLine::of(&request));

    let mut response = match admit(&mut request, state.as_deref()).await {
        Ok(()) => call(&*app, request).await,
        Err(error) => {
            Refusal::count_error(&error);
            let mut response = error.error_response().into();
            set_last(&mut response);
            if let Some(state) = &state {
                state.refuse();
            }
            response
        }
    };
    add_headers(&mut response);

    let ended = Instant::now();
    if let Some(line) = line {
        line.log(&response, ended - started);
    }
    if let Some(state) = &state {
        let message = state.message();
        if message.last || !message.complete {
            set_last(&mut response);
        }
        state.request_ends(ended);
    }
    response
}

/// Makes `response` the last one on its connection.
pub fn set_last(response: &mut Response<BoxBody>) {
    response
        .head_mut()
        .set_connection_type(ConnectionType::Close);
}

/// Checks `Host` and the framing of `request`, and reads its whole body into the payload.
///
/// # Errors
/// Those of [`headers::check_host`], [`check_framing`] and [`read_body`].
async fn admit(request: &mut Request, state: Option<&State>) -> Result<(), ApiError> {
    headers::check_host(request)?;
    check_framing(state)?;
    let headers = request.headers();
    if headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
    {
        let body = read_body(request, state).await?;
        *request.payload() = Payload::from(body);
    }
    Ok(())
}

/// Checks that it is certain where the request ends, as far as it has been received. actix-http 3.11
/// accepts some requests whose end is not.
///
/// # Errors
/// [`ApiError::BadRequest`] with the reason if it is not.
fn check_framing(state: Option<&State>) -> Result<(), ApiError> {
    match state.and_then(|state| state.message().fault) {
        Some(fault) => Err(ApiError::BadRequest(fault)),
        None => Ok(()),
    }
}

/// Reads the whole body of a request.
///
/// # Errors
/// - [`ApiError::PayloadTooLarge`] if the body is larger than [`MAX_BODY_BYTES`].
/// - [`ApiError::RequestTimeout`] if it takes longer than [`BODY_TIMEOUT`].
/// - [`ApiError::BadRequest`] if it is malformed or incomplete.
/// - Those of [`check_framing`].
async fn read_body(request: &mut Request, state: Option<&State>) -> Result<Bytes, ApiError> {
    let announced: Option<usize> = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(TOO_LARGE);
    }
    let reading = read_chunks(request.take_payload());
    let is_received = || state.is_some_and(|state| state.message().complete);
    let body = if is_received() {
        reading.await?
    } else {
        actix_rt::time::timeout(BODY_TIMEOUT, reading)
            .await
            .map_err(|_| ApiError::RequestTimeout)??
    };
    check_framing(state)?;

    // actix-http treats the end of the connection as the end of the body.
    let whole = match announced {
        Some(length) => body.len() == length,
        None => state.is_none() || is_received(),
    };
    if !whole {
        return Err(ApiError::BadRequest("The request body is incomplete."));
    }
    Ok(body)
}

/// Reads a body to its end. If it comes in one piece, as most do, it is not copied.
///
/// # Errors
/// - [`ApiError::PayloadTooLarge`] if the body is larger than [`MAX_BODY_BYTES`].
/// - [`ApiError::BadRequest`] if it is malformed.
async fn read_chunks(mut payload: Payload) -> Result<Bytes, ApiError> {
    let Some(first) = next_chunk(&mut payload, 0).await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = next_chunk(&mut payload, first.len()).await? else {
        return Ok(first);
    };
    let mut body = BytesMut::from(&first[..]);
    body.extend_from_slice(&second);
    while let Some(chunk) = next_chunk(&mut payload, body.len()).await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads the next chunk of a body of which `read` bytes were read; `None` at its end.
///
/// # Errors
/// Those of [`read_chunks`].
async fn next_chunk(payload: &mut Payload, read: usize) -> Result<Option<Bytes>, ApiError> {
    let Some(chunk) = payload.next().await else {
        return Ok(None);
    };
    let chunk = chunk.map_err(|_| ApiError::BadRequest("The request body is malformed."))?;
    if read + chunk.len() > MAX_BODY_BYTES {
        return Err(TOO_LARGE);
    }
    Ok(Some(chunk))
}

/// Calls the application, unless a web page of another origin may not. A panic, an error or an error
/// response without a body becomes a response with an error envelope.
async fn call<S, B>(app: &S, request: Request) -> Response<BoxBody>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    if let Err(error) = headers::check_origin(&request) {
        return error.error_response().into();
    }
    let head = request.method() == Method::HEAD;
    // Unwind safe: handlers share no state that a panic could leave half-changed. It poisons the
    // lock of state behind one, and the database rolls back.
    let answered = AssertUnwindSafe(async { app.call(request).await })
        .catch_unwind()
        .await;
    let response: Response<BoxBody> = match answered {
        Ok(Ok(response)) => response.into_parts().1.map_into_boxed_body().into(),
        Ok(Err(error)) => error.error_response().into(),
        Err(_) => ApiError::Internal.error_response().into(), // logged by the panic hook
    };
    let bare = matches!(response.body().size(), BodySize::None | BodySize::Sized(0));
    let status = response.status();
    if !(bare && (status.is_client_error() || status.is_server_error())) || head {
        return response;
    }
    let mut enveloped: Response<BoxBody> = ApiError::from_status(status).error_response().into();
    *enveloped.status_mut() = status;
    for (name, value) in response.headers() {
        enveloped.headers_mut().insert(name.clone(), value.clone());
    }
    enveloped
}

/// Adds the headers that every response carries. An existing `Cache-Control` header is kept.
fn add_headers(response: &mut Response<BoxBody>) {
    const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
    const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
    let sniffing: HeaderName = header::X_CONTENT_TYPE_OPTIONS;
    headers.insert(sniffing, NOSNIFF);
}

/// Log line of a request: method, path, status and duration in milliseconds. The query is omitted
/// because it may contain a secret.
struct RequestLine {
    method: Method,
    path: String,
}

impl RequestLine {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            path: request.path().to_owned(),
        }
    }

    fn log(&self, response: &Response<BoxBody>, took: Duration) {
        let status = response.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            Refusal::Busy.count();
        }
        let level = if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            log::Level::Warn
        } else {
            log::Level::Debug
        };
        log::log!(
            level,
            "{} {} {} {:.1} ms",
            self.method,
            self.path,
            status.as_u16(),
            took.as_secs_f64() * 1000.0
        );
    }
}
