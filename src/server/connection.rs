//! One connection, with the patience that actix-http lacks.
//!
//! actix-http times only a connection's first request head; a second one that never ends, or a
//! client that does not read, would hold the connection for ever. It also closes idle connections
//! only when their keep-alive time is over, which would make every stop of the server last that
//! long. [`Connection`] wraps the stream and keeps the deadlines for it.
//!
//! One case it cannot see: a head that begins in the same read as the request before it is bounded
//! by [`KEEP_ALIVE`] and not by [`HEAD_TIMEOUT`].

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use actix_rt::time::{sleep_until, Sleep};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

/// How long a request head may take from its first byte.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may lie idle between requests. Longer than the 60 s after which nginx
/// drops an upstream connection, so that nginx never writes into one that is being closed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may go without reading any of an answer.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client that was refused may go on sending before the connection is cut.
pub const LINGER: Duration = Duration::from_secs(2);

/// A stream that does not block and is not yet part of a runtime.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over a Unix socket.
    Unix(std::os::unix::net::UnixStream),
}

enum AsyncStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first byte of the first request.
    Fresh,
    /// The first byte of a later request.
    Idle,
    /// The rest of a request head.
    Head,
    /// The request being answered; its own deadlines hold.
    Request,
    /// The client's end, after ours.
    Linger,
}

/// What the connection knows and the requests on it tell it; shared by both.
pub struct State {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    closing: Cell<bool>,
    ended: Cell<bool>,
    refused: Cell<bool>,
    abandoned: Cell<bool>,
    internal: bool,
}

impl State {
    /// A request's head has been read whole.
    pub fn request_begins(&self) {
        self.enter(Phase::Request);
    }

    /// The request's answer is complete.
    pub fn request_ends(&self) {
        self.enter(Phase::Idle);
    }

    /// From now on, end the connection as soon as it is idle.
    pub fn close_when_idle(&self) {
        self.closing.set(true);
    }

    /// Whether [`State::close_when_idle`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Whether the client has ended its side.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// The request was refused in a way that leaves unclear where the next one begins.
    pub fn refuse(&self) {
        self.refused.set(true);
    }

    /// Whether [`State::refuse`] was called.
    pub fn is_refused(&self) -> bool {
        self.refused.get()
    }

    /// Cuts the connection when what is written is on its way.
    pub fn abandon(&self) {
        self.abandoned.set(true);
    }

    /// Whether [`State::abandon`] was called.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.get()
    }

    /// Whether the server itself is the client (its watchdog).
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// Whether no request has begun that the client still waits for.
    fn is_idle(&self) -> bool {
        matches!(self.phase.get(), Phase::Fresh | Phase::Idle)
    }

    fn deadline(&self) -> Option<Instant> {
        let patience = match self.phase.get() {
            Phase::Idle => KEEP_ALIVE,
            Phase::Fresh | Phase::Head => HEAD_TIMEOUT,
            Phase::Linger => LINGER,
            Phase::Request => return None,
        };
        Some(self.since.get() + patience)
    }
}

/// A stream that ends itself when its client is too slow.
pub struct Connection {
    stream: AsyncStream,
    state: Rc<State>,
    timer: RefCell<Pin<Box<Sleep>>>,
    write_blocked_since: Option<Instant>,
}

impl Connection {
    /// Takes `stream` into the current runtime. `internal`: see [`State::is_internal`].
    ///
    /// # Errors
    /// The runtime could not watch the stream.
    pub fn new(stream: Stream, internal: bool) -> io::Result<Self> {
        let stream = match stream {
            Stream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                AsyncStream::Tcp(TcpStream::from_std(stream)?)
            }
            Stream::Unix(stream) => AsyncStream::Unix(UnixStream::from_std(stream)?),
        };
        let now = Instant::now();
        Ok(Self {
            stream,
            state: Rc::new(State {
                phase: Cell::new(Phase::Fresh),
                since: Cell::new(now),
                closing: Cell::new(false),
                ended: Cell::new(false),
                refused: Cell::new(false),
                abandoned: Cell::new(false),
                internal,
            }),
            timer: RefCell::new(Box::pin(sleep_until(now + HEAD_TIMEOUT))),
            write_blocked_since: None,
        })
    }

    /// What the connection and its requests share.
    pub fn state(&self) -> Rc<State> {
        Rc::clone(&self.state)
    }

    /// Ready when the time for what the client has to do next is over.
    fn poll_deadline(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.borrow_mut();
        loop {
            // The timer runs ahead of the deadline, which every request moves: it is set anew only
            // when it fires, or when the deadline has come nearer.
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

    /// Tells a client that took too long over a request head, as far as it still listens.
    fn answer_timeout(&self) {
        let answer = crate::http::error::raw_request_timeout();
        let sent = match &self.stream {
            AsyncStream::Tcp(stream) => stream.try_write(&answer),
            AsyncStream::Unix(stream) => stream.try_write(&answer),
        };
        if let Err(error) = sent {
            log::debug!("a slow client is gone: {error}");
        }
    }

    fn poll_read_stream(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            AsyncStream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            AsyncStream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
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
        match this.poll_read_stream(cx, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() == before {
                    this.state.ended.set(true);
                } else if this.state.is_idle() {
                    this.state.enter(Phase::Head);
                }
                Poll::Ready(read)
            }
            Poll::Pending if this.state.closing.get() && this.state.is_idle() => {
                // Only now, with nothing left to read: a request that the client had already
                // written is answered.
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                ready!(this.poll_deadline(cx));
                if this.state.phase.get() == Phase::Head {
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
        let written = match &mut this.stream {
            AsyncStream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            AsyncStream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        if written.is_ready() {
            this.write_blocked_since = None;
            return written;
        }
        this.write_blocked_since.get_or_insert_with(Instant::now);
        ready!(this.poll_deadline(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind of stream buffers.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.phase.get() != Phase::Linger {
            ready!(match &mut this.stream {
                AsyncStream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
                AsyncStream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            })?;
            if !this.state.is_refused() {
                return Poll::Ready(Ok(()));
            }
            this.state.enter(Phase::Linger);
        }
        // The rest of the refused request is read and dropped: to close with it unread would reset
        // the connection, and the client might never see the answer (RFC 9112 §9.6).
        let mut rest = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut rest);
            match this.poll_read_stream(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return this.poll_deadline(cx).map(Ok),
            }
        }
    }
}
