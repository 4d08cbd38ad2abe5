//! A connection with the timeouts that actix-http lacks.
//!
//! actix-http limits the time of a connection's first request head only: a later head that never
//! ends, or a client that does not read, would hold the connection forever. It also closes idle
//! connections only when their keep-alive time is over, which would delay every stop of the server
//! by that time. [`Connection`] wraps the stream and enforces the deadlines.
//!
//! It also passes one request on at a time, with [`Framing`], and replaces actix-http's own answers to
//! malformed heads, which have no body, by error responses of the API.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{ready, Context, Poll, Waker};
use std::time::Duration;

use actix_rt::time::{sleep_until, Sleep};
use actix_web::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::framing::{Framing, Message};
use super::places::Seat;
use super::stream::{AsyncStream, Stream};
use super::tally::Refusal;
use crate::http::error::{raw_response, ApiError};

/// Maximum time to receive a request head, counted from its first byte; also the maximum time until
/// the first byte on a new connection.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time that a connection may be idle between requests. It is longer than the 60 s after
/// which nginx closes an idle upstream connection, so that nginx never writes to one that is being
/// closed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Maximum time for a client to read what is sent to it. It is counted from when the client's window
/// is full until everything has been sent: reading a few bytes now and then does not prolong it.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time for which the rest of a refused request is read before the connection is closed.
pub const LINGER: Duration = Duration::from_secs(2);

/// What the connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// First byte of the first request.
    Fresh,
    /// First byte of a later request.
    Idle,
    /// Rest of a request head.
    Head,
    /// Response to the current request, which has deadlines of its own.
    Request,
    /// End of the client's side, after the server has shut down its own.
    Linger,
}

/// State of a connection, shared between the connection and the requests on it.
pub struct State {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    closing: Cell<bool>,
    refused: Cell<bool>,
    abandoned: Cell<bool>,
    /// Current message, as far as it has been passed on.
    message: Cell<Message>,
    /// Wakes the task of the connection, if bytes are held back until the response is complete.
    waiting: RefCell<Option<Waker>>,
    seat: Option<Arc<Seat>>,
}

impl State {
    /// Records that the whole head of a request has been read.
    pub fn request_begins(&self, now: Instant) {
        self.enter(Phase::Request, now);
        self.set_busy();
    }

    /// Records that the response to the request is complete. What the client has sent meanwhile is
    /// read next.
    pub fn request_ends(&self, now: Instant) {
        self.enter(Phase::Idle, now);
        self.set_idle();
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Records that a response that had to wait for the client has been sent.
    fn response_is_read(&self) {
        if self.phase.get() != Phase::Request {
            self.set_idle();
        }
    }

    /// Makes the connection close as soon as it is idle.
    pub fn close_when_idle(&self) {
        self.closing.set(true);
    }

    /// Returns whether [`State::close_when_idle`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Returns what is known of the current message.
    pub fn message(&self) -> Message {
        self.message.get()
    }

    /// Records that a request was refused and that it is unknown where the next one begins.
    pub fn refuse(&self) {
        self.refused.set(true);
    }

    /// Returns whether [`State::refuse`] was called.
    pub fn is_refused(&self) -> bool {
        self.refused.get()
    }

    /// Makes the connection close once the data that was already written has been sent.
    pub fn abandon(&self) {
        self.abandoned.set(true);
    }

    /// Returns whether [`State::abandon`] was called.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.get()
    }

    /// Returns whether the client is the server itself, which checks its own health.
    pub fn is_internal(&self) -> bool {
        self.seat.is_none()
    }

    /// Makes the connection keep its place.
    fn set_busy(&self) {
        if let Some(seat) = &self.seat {
            seat.set_busy();
        }
    }

    /// Lets the connection lose its place to a newcomer, in the order of the time since when
    /// connections have been idle.
    fn set_idle(&self) {
        if let Some(seat) = &self.seat {
            seat.set_idle(self.since.get());
        }
    }

    /// Returns whether the connection must close as soon as it is idle.
    fn must_close(&self) -> bool {
        self.closing.get() || self.is_outstayed()
    }

    /// Returns whether the connection must give its place to a newcomer.
    pub fn is_outstayed(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.is_chosen())
    }

    /// Starts a phase and its time.
    fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }

    /// Returns whether no request is in progress.
    fn is_idle(&self) -> bool {
        matches!(self.phase.get(), Phase::Fresh | Phase::Idle)
    }

    /// Returns the time at which the current phase must be over, if it has a limit.
    fn deadline(&self) -> Option<Instant> {
        let patience = match self.phase.get() {
            Phase::Idle => KEEP_ALIVE,
            Phase::Fresh | Phase::Head => HEAD_TIMEOUT,
            Phase::Linger => LINGER,
            Phase::Request => return None,
        };
        Some(self.since.get() + patience)
    }

    /// Returns whether the time of the current phase is over.
    fn is_over(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// Stream that fails with [`io::ErrorKind::TimedOut`] when its client is too slow.
pub struct Connection {
    stream: AsyncStream,
    framing: Framing,
    state: Rc<State>,
    timer: RefCell<Pin<Box<Sleep>>>,
    write_blocked_since: Option<Instant>,
    /// Whether bytes were passed on since the client was last waited for.
    unparsed: bool,
}

impl Connection {
    /// Attaches `stream` to the current runtime. `seat`: that of the connection's place; `None` for a
    /// health check of the server itself.
    ///
    /// # Errors
    /// [`io::Error`] if `TCP_NODELAY` cannot be set, or the runtime cannot watch the stream.
    pub fn new(stream: Stream, seat: Option<Arc<Seat>>) -> io::Result<Self> {
        let stream = AsyncStream::new(stream)?;
        let now = Instant::now();
        Ok(Self {
            stream,
            framing: Framing::new(),
            state: Rc::new(State {
                phase: Cell::new(Phase::Fresh),
                since: Cell::new(now),
                closing: Cell::new(false),
                refused: Cell::new(false),
                abandoned: Cell::new(false),
                message: Cell::new(Message::default()),
                waiting: RefCell::new(None),
                seat,
            }),
            timer: RefCell::new(Box::pin(sleep_until(now + HEAD_TIMEOUT))),
            write_blocked_since: None,
            unparsed: false,
        })
    }

    /// Returns the state that the connection shares with its requests.
    pub fn state(&self) -> Rc<State> {
        Rc::clone(&self.state)
    }

    /// Returns the address of the server's end of a TCP connection.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_address()
    }

    /// Returns `Ready` when the time for the client's next action is over.
    fn poll_deadline(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.borrow_mut();
        loop {
            // Every request moves the deadline. To save resets, the timer may fire before it: it is
            // reset only when it fires, or when the deadline has become earlier.
            let deadline = match (self.state.deadline(), self.write_blocked_since) {
                (_, Some(since)) => since + WRITE_TIMEOUT,
                (Some(deadline), None) => deadline,
                (None, None) => return Poll::Pending,
            };
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Sends 408 to a client that took too long to send a request head, if it can be sent without
    /// waiting.
    fn answer_timeout(&self) {
        if !self.state.is_outstayed() {
            Refusal::TooSlow.count();
        }
        let answer = raw_response(StatusCode::REQUEST_TIMEOUT, &ApiError::RequestTimeout);
        if let Err(error) = self.stream.try_write(&answer) {
            log::debug!("cannot send 408 to a slow client: {error}");
        }
    }

    /// Returns whether the client has sent something that will be read without waiting for it.
    fn has_more(&self) -> bool {
        let waits = self.state.is_idle() && self.framing.has_held();
        waits || self.stream.has_unread()
    }

    /// Passes the next bytes of the current message on; none at the end of the client's side. `Pending`
    /// between two messages until the response to the first has been sent.
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            if self.framing.pass_on(buffer) {
                return Poll::Ready(Ok(()));
            }
            let complete = self.framing.message().complete;
            let answered = self.state.is_idle() && self.write_blocked_since.is_none();
            if complete && answered && self.framing.begin() {
                self.state.enter(Phase::Head, Instant::now());
                continue;
            }
            if self.framing.message().complete && self.framing.has_held() {
                *self.state.waiting.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            let (_, read) = buffer.filled_mut().split_at_mut(before);
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.state.is_idle() && !self.framing.message().complete {
                self.state.enter(Phase::Head, Instant::now());
            }
            let passed_on = self.framing.read(read);
            buffer.set_filled(before + passed_on);
            if passed_on > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Returns the response to be sent in place of `bytes`, which actix-http writes by itself because
    /// it cannot read a request's head.
    fn refusal(&self, bytes: &[u8]) -> Vec<u8> {
        let status = bytes
            .get(9..12)
            .and_then(|status| StatusCode::from_bytes(status).ok())
            .unwrap_or(StatusCode::BAD_REQUEST);
        let fault = self.framing.message().fault;
        let error = ApiError::BadRequest(fault.unwrap_or("The request head is malformed."));
        raw_response(status, &error)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match this.poll_message(cx, buffer) {
            Poll::Ready(read) => {
                this.unparsed = buffer.filled().len() > before;
                this.state.message.set(this.framing.message());
                Poll::Ready(read)
            }
            // A request that the client has already sent is still answered.
            Poll::Pending if this.state.must_close() && this.has_more() => Poll::Pending,
            Poll::Pending if this.state.must_close() && this.state.is_idle() => Poll::Ready(Ok(())),
            Poll::Pending => {
                let unparsed = mem::take(&mut this.unparsed);
                if !this.state.is_outstayed() {
                    ready!(this.poll_deadline(cx));
                }
                if unparsed {
                    // The head may be complete: actix-http parses it next, and then reads again.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if this.write_blocked_since.is_some() {
                    Refusal::TooSlow.count();
                } else if this.state.phase.get() == Phase::Head {
                    this.answer_timeout();
                }
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = if this.state.phase.get() == Phase::Head {
            let refusal = this.refusal(bytes);
            let written = Pin::new(&mut this.stream).poll_write(cx, &refusal);
            written.map_ok(|_| bytes.len())
        } else {
            Pin::new(&mut this.stream).poll_write(cx, bytes)
        };
        match written {
            Poll::Ready(Ok(written)) if written < bytes.len() => {}
            Poll::Ready(_) => {
                if this.write_blocked_since.take().is_some() {
                    this.state.response_is_read();
                    if this.framing.has_held() {
                        cx.waker().wake_by_ref();
                    }
                }
            }
            Poll::Pending => {
                if this.write_blocked_since.is_none() {
                    this.write_blocked_since = Some(Instant::now());
                    this.state.set_busy();
                }
                ready!(this.poll_deadline(cx));
                Refusal::TooSlow.count();
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.phase.get() != Phase::Linger {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.state.is_refused() && !this.framing.has_held() {
                return Poll::Ready(Ok(()));
            }
            this.state.enter(Phase::Linger, Instant::now());
        }
        // The rest of the refused request, or what follows the last one, is read and discarded: closing
        // the connection with unread data would reset it, and the client might not receive the response
        // (RFC 9112 §9.6). Data that never ends must not keep the deadline from being looked at.
        if this.state.is_over() {
            return Poll::Ready(Ok(()));
        }
        let mut rest = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut rest);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if this.state.is_outstayed() => return Poll::Ready(Ok(())),
                Poll::Pending => return this.poll_deadline(cx).map(Ok),
            }
        }
    }
}
