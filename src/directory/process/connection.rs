//! Connection to a server of the directory: TLS before anything that is secret, one request at a time,
//! a limit on the time and the length of each answer.
//!
//! The crate ldap3 encodes the filters, but its own connection is not used: it reads a message of any
//! length into memory, nested elements of any depth onto the stack, and panics on malformed ones, all of
//! which the other end determines, with StartTLS before it is known who that is.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use openssl::error::ErrorStack;
use openssl::ssl::{self, SslConnector, SslMethod, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509VerifyResult, X509};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_openssl::SslStream;

use super::ber::SEQUENCE;
use super::fault::Fault;
use super::message::{self, code, Asked, Entry, Outcome, Response, Search, MAX_ITEMS};
use super::server::Server;
use super::MAX_THREADS;
use crate::domain::passwords::Password;
use crate::os::clock::rfc_3339;

/// Maximum time to connect, with TLS, and to answer a request.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time after which the next server is tried beside one that has not connected yet, so that a login takes
/// little longer while the first server is down.
const HEAD_START: Duration = Duration::from_millis(700);
/// Maximum length of all messages of an answer, in bytes. A person in a thousand groups takes a quarter
/// of it.
const MAX_ANSWER: usize = 512 * 1024;

/// Runs attempts until one succeeds, and returns its result. Begins the next when one has failed, or has
/// taken [`HEAD_START`]. Failures are added to `failures`.
pub async fn first<T, E, F: Future<Output = Result<T, E>>>(
    attempts: impl IntoIterator<Item = F>,
    failures: &mut Vec<E>,
) -> Option<T> {
    let mut waiting = attempts.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    loop {
        running.extend(waiting.next());
        tokio::select! {
            result = running.next() => match result? {
                Ok(value) => return Some(value),
                Err(failure) => failures.push(failure),
            },
            () = tokio::time::sleep(HEAD_START), if waiting.peek().is_some() => {}
        }
    }
}

/// Sets up TLS: only certificates from the configured authorities, for the server's host name, TLS 1.2
/// or newer.
pub struct Tls(SslConnector);

impl Tls {
    /// Sets up TLS with the certificates of authorities in `ca` (PEM). An intermediate authority may be
    /// among them without the one that it was issued by.
    ///
    /// # Errors
    /// In words, what is wrong with `ca`.
    pub fn new(ca: &str) -> Result<Self, String> {
        let certificates = X509::stack_from_pem(ca.as_bytes())
            .map_err(|error| format!("ca: malformed certificate: {}", reason(&error)))?;
        if certificates.is_empty() {
            return Err("ca: contains no certificate in PEM (BEGIN CERTIFICATE)".into());
        }
        let connector = || {
            let mut store = X509StoreBuilder::new()?;
            for certificate in certificates {
                store.add_cert(certificate)?;
            }
            store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
            let mut tls = SslConnector::builder(SslMethod::tls_client())?;
            // Takes the place of the store with the system's authorities.
            tls.set_cert_store(store.build());
            tls.set_min_proto_version(Some(SslVersion::TLS1_2))?;
            Ok(Self(tls.build()))
        };
        connector().map_err(|error: ErrorStack| format!("ca: {}", reason(&error)))
    }
}

/// What a server is at the other end of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connection to a server.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    last_id: u32,
    /// Time by which everything must be done.
    deadline: Instant,
}

impl Connection {
    /// Connects to a server, with TLS.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] or [`Fault::Untrusted`].
    pub async fn open(server: &Server, tls: &Tls, deadline: Instant) -> Result<Self, Fault> {
        let opened = async {
            let mut stream = connect(server).await?;
            if server.start_tls {
                start_tls(&mut stream).await?;
            }
            encrypt(stream, &server.host, tls).await
        };
        let stream = within("no connection", deadline, opened).await?;
        Ok(Self::over(stream, deadline))
    }

    /// Begins with a stream that is connected to a server already, with TLS.
    pub fn over(stream: impl Stream + 'static, deadline: Instant) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
            last_id: 1,
            deadline,
        }
    }

    /// Binds with a name and a password (RFC 4513 §5.1.3).
    ///
    /// # Errors
    /// [`Fault::Misconfigured`] if either is empty: a server would take the first for anonymous, and
    /// accept the second without a look at the password (RFC 4513 §5.1.1 and §5.1.2).
    /// [`Fault::Unavailable`] without a proper answer in time.
    pub async fn bind(&mut self, name: &str, password: &Password) -> Result<Outcome, Fault> {
        if name.is_empty() || password.expose().is_empty() {
            return Err(Fault::Misconfigured(
                "a bind needs a name and a password".into(),
            ));
        }
        let operation = message::bind(name, password);
        let controls = message::policy_controls();
        Ok(self.ask(Asked::Bind, &operation, &controls, 0).await?.1)
    }

    /// Searches. Returns the entries that were found: at most one more than the size limit, for a server
    /// that does not keep to it.
    ///
    /// # Errors
    /// [`Fault::Misconfigured`] if the filter is malformed, [`Fault::Unavailable`] without a proper answer
    /// in time.
    pub async fn search(&mut self, search: &Search<'_>) -> Result<(Vec<Entry>, Outcome), Fault> {
        let operation = search.operation().ok_or_else(|| {
            let filter = message::quoted(search.filter);
            Fault::Misconfigured(format!("{filter:?} is not a filter (RFC 4515)"))
        })?;
        let size_limit = search.size_limit as usize;
        let controls = search.controls();
        self.ask(Asked::Search, &operation, &controls, size_limit)
            .await
    }

    /// Sends a request, and returns the entries and the outcome that answer it.
    async fn ask(
        &mut self,
        asked: Asked,
        operation: &[u8],
        controls: &[u8],
        size_limit: usize,
    ) -> Result<(Vec<Entry>, Outcome), Fault> {
        self.last_id += 1;
        let id = self.last_id;
        let request = message::message(id, operation, controls);
        let stream = &mut self.stream;
        let answer = async {
            stream.write_all(&request).await.map_err(closed)?;
            stream.flush().await.map_err(closed)?;
            let mut left = MAX_ANSWER;
            let mut items = MAX_ITEMS;
            let mut entries = Vec::new();
            loop {
                match receive(stream, id, asked, &mut left).await? {
                    Response::Ended(_, outcome) => return Ok((entries, outcome)),
                    Response::Entry(entry) if entries.len() <= size_limit => {
                        items = items.checked_sub(entry.items()).ok_or_else(|| {
                            Fault::Unavailable(format!(
                                "its answer has more than {MAX_ITEMS} attributes and values"
                            ))
                        })?;
                        entries.push(entry);
                    }
                    Response::Entry(_) | Response::Reference => {}
                }
            }
        };
        within("no answer", self.deadline, answer).await
    }

    /// Ends the connection as the protocol has it, so that the server logs no error.
    pub async fn close(mut self) {
        let request = message::message(self.last_id + 1, &message::unbind(), &[]);
        let end = async {
            self.stream.write_all(&request).await?;
            self.stream.shutdown().await
        };
        // Nothing depends on it.
        let _ = tokio::time::timeout(Duration::from_millis(100), end).await;
    }
}

/// Waits for a result at most for [`PATIENCE`], and until the deadline at the latest. `missing`: what is
/// missing without the result.
async fn within<T>(
    missing: &str,
    deadline: Instant,
    result: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let begun = Instant::now();
    let until = deadline.min(begun + PATIENCE);
    tokio::time::timeout_at(until, result)
        .await
        .unwrap_or_else(|_| {
            let seconds = (until - begun).as_secs_f64();
            Err(Fault::Unavailable(format!(
                "{missing} within {seconds:.1} s"
            )))
        })
}

/// Resolves the host name of a server. One that nobody waits for any more goes on until the name servers
/// have answered, or the system gives up: without a limit, such ones would queue up while they are away.
async fn resolve(server: &Server) -> io::Result<Vec<SocketAddr>> {
    static RESOLUTIONS: Semaphore = Semaphore::const_new(MAX_THREADS);
    if let Ok(address) = server.host.parse::<IpAddr>() {
        return Ok(vec![(address, server.port).into()]);
    }
    let permit = RESOLUTIONS.acquire().await.map_err(io::Error::other)?;
    let (host, port) = (server.host.clone(), server.port);
    let resolution = tokio::task::spawn_blocking(move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        drop(permit);
        addresses.map(Iterator::collect)
    });
    resolution.await?
}

/// Connects to the first of the host's addresses that answers.
async fn connect(server: &Server) -> Result<TcpStream, Fault> {
    let addresses = resolve(server)
        .await
        .map_err(|error| Fault::Unavailable(format!("the host name is not known: {error}")))?;
    let mut failures: Vec<io::Error> = Vec::new();
    let attempts = addresses.into_iter().map(TcpStream::connect);
    let connected = first(attempts, &mut failures).await;
    connected.ok_or_else(|| {
        let why = failures.pop().map(|error| format!(": {error}"));
        Fault::Unavailable(format!("cannot connect{}", why.unwrap_or_default()))
    })
}

/// Asks for TLS. What the server sends too early is left for TLS, which fails on it.
///
/// # Errors
/// [`Fault::Unavailable`] without a proper answer, [`Fault::Untrusted`] if the server refuses.
pub async fn start_tls(stream: &mut impl Stream) -> Result<(), Fault> {
    let id = 1;
    let request = message::message(id, &message::start_tls(), &[]);
    stream.write_all(&request).await.map_err(closed)?;
    match receive(stream, id, Asked::Extended, &mut 4096).await? {
        Response::Ended(_, outcome) if outcome.code == code::SUCCESS => Ok(()),
        Response::Ended(_, outcome) => Err(Fault::Untrusted(format!(
            "it does not take StartTLS: result code {}: {}",
            outcome.code, outcome.text
        ))),
        _ => Err(Fault::malformed()),
    }
}

/// Begins TLS on a connection.
async fn encrypt(stream: TcpStream, host: &str, tls: &Tls) -> Result<SslStream<TcpStream>, Fault> {
    let set_up = || {
        let ssl = tls.0.configure()?.into_ssl(host)?;
        SslStream::new(ssl, stream)
    };
    let mut stream =
        set_up().map_err(|error| Fault::Unavailable(format!("no TLS: {}", reason(&error))))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => Err(tls_fault(&error, stream.ssl().verify_result(), host)),
    }
}

/// Returns the fault of a TLS handshake that failed. `verified`: what the certificate's verification said.
fn tls_fault(error: &ssl::Error, verified: X509VerifyResult, host: &str) -> Fault {
    // X509_V_ERR_… of OpenSSL's x509_vfy.h (X509_STORE_CTX_get_error(3)).
    let why = match verified.as_raw() {
        0 => return handshake_fault(error),
        9 | 13 => format!("is not valid yet; the robot's clock says {}", rfc_3339()),
        10 | 14 => format!("has expired; the robot's clock says {}", rfc_3339()),
        62 | 64 => format!("is not for the host {host}"),
        2 | 7 | 18..=21 => "does not come from an authority in the configured ca".into(),
        _ => "is not valid".into(),
    };
    let what = verified.error_string();
    Fault::Untrusted(format!("its certificate {why} ({what})"))
}

/// Returns the fault of a TLS handshake that failed for another reason than the certificate.
fn handshake_fault(error: &ssl::Error) -> Fault {
    let why = error.ssl_error().map(reason).unwrap_or_default();
    match &*why {
        "" | "unexpected eof while reading" => {
            Fault::Unavailable("it closed the connection during the TLS handshake".into())
        }
        "unsupported protocol" | "tlsv1 alert protocol version" => {
            Fault::Untrusted(format!("it does not have TLS 1.2 or newer ({why})"))
        }
        "wrong version number" | "packet length too long" => Fault::Untrusted(format!(
            "this port does not begin with TLS, as ldaps:// has it ({why})"
        )),
        _ => Fault::Untrusted(format!("the TLS handshake failed ({why})")),
    }
}

/// Returns the first reason of an error of OpenSSL.
fn reason(stack: &ErrorStack) -> String {
    let first = stack.errors().first();
    first
        .and_then(|error| error.reason())
        .unwrap_or("unknown reason")
        .to_owned()
}

/// Receives the next message of an answer to the request `id`. `left`: the length that the answer may still
/// have, in bytes.
async fn receive<S: AsyncRead + Unpin>(
    stream: &mut S,
    id: u32,
    asked: Asked,
    left: &mut usize,
) -> Result<Response, Fault> {
    let tag = stream.read_u8().await.map_err(closed)?;
    let mut length = u64::from(stream.read_u8().await.map_err(closed)?);
    if length >= 0x80 {
        let bytes = length & 0x7f;
        if !(1..=8).contains(&bytes) {
            return Err(Fault::malformed());
        }
        length = 0;
        for _ in 0..bytes {
            length = length << 8 | u64::from(stream.read_u8().await.map_err(closed)?);
        }
    }
    if tag != SEQUENCE {
        return Err(Fault::malformed());
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    *left = left.checked_sub(length).ok_or_else(|| {
        Fault::Unavailable("its answer is longer than the maximum of 512 KiB".into())
    })?;
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.map_err(closed)?;
    match message::read(&content) {
        Some((found, response)) if found == id && response.answers(asked) => Ok(response),
        // Notice of disconnection (RFC 4511 §4.4.1).
        Some((0, Response::Ended(Asked::Extended, notice))) => Err(Fault::Unavailable(format!(
            "it ended the connection: result code {}: {}",
            notice.code, notice.text
        ))),
        _ => Err(Fault::malformed()),
    }
}

/// Returns the fault of a connection that failed.
fn closed(error: io::Error) -> Fault {
    Fault::Unavailable(match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "it closed the connection before its answer was whole".into()
        }
        _ => format!("the connection failed: {error}"),
    })
}
