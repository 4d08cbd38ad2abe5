//! Delivery of audit events to a stand-in for the audit server: their order and content, reuse of
//! the connection, retries, and events that are rejected for good.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use actix_web::rt;
use auth_server::config::AuditServer;
use auth_server::domain::audit::{Event, Origin, ENABLE_ACCESS_CONTROL};
use auth_server::domain::authority::Caller;
use auth_server::domain::decision::Decision;
use auth_server::service::delivery::deliver;
use auth_server::store::{AuditLog, DeliveryStatus, Store};
use serde_json::{json, Value};
use tempfile::TempDir;

/// Timeout of each event that a test waits for; only a broken server exceeds it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Request as the audit server got it.
#[derive(Clone, Debug)]
struct Got {
    at: Instant,
    connection: usize,
    line: String,
    host: String,
    body: Value,
}

/// What the audit server does with a request; it accepts those that come after the last of these.
#[derive(Clone, Copy)]
enum Reply {
    Status(u16),
    /// Accepts, and closes the connection without announcing it.
    AcceptAndClose,
    /// Closes the connection without a response.
    Close,
    /// Closes the connection in the middle of the response.
    Truncate,
}

/// Stand-in for the audit server.
#[derive(Clone, Default)]
struct Audit {
    got: Arc<Mutex<Vec<Got>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    connections: Arc<AtomicUsize>,
    /// Number of connections that the client has closed.
    closed: Arc<AtomicUsize>,
}

impl Audit {
    fn replying(replies: &[Reply]) -> Self {
        let audit = Self::default();
        audit.replies.lock().unwrap().extend(replies);
        audit
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Returns the messages of the events that were sent, in order.
    fn messages(&self) -> Vec<String> {
        let got = self.got().into_iter();
        got.map(|got| {
            got.body["data"]["message"]
                .as_str()
                .unwrap_or("")
                .to_owned()
        })
        .collect()
    }

    /// Serves one connection on a thread of its own.
    fn serve(&self, read: impl Read + Send + 'static, mut write: impl Write + Send + 'static) {
        let audit = self.clone();
        let connection = audit.connections.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(move || {
            let mut read = BufReader::new(read);
            while let Some((line, host, body)) = next_request(&mut read) {
                let reply = audit.replies.lock().unwrap().pop_front();
                audit.got.lock().unwrap().push(Got {
                    at: Instant::now(),
                    connection,
                    line,
                    host,
                    body,
                });
                let status = match reply {
                    Some(Reply::Close) => return,
                    Some(Reply::Truncate) => {
                        let _gone =
                            write.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n{");
                        return;
                    }
                    Some(Reply::Status(status)) => status,
                    Some(Reply::AcceptAndClose) | None => 200,
                };
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\n{{}}");
                if write.write_all(answer.as_bytes()).is_err()
                    || matches!(reply, Some(Reply::AcceptAndClose))
                {
                    return;
                }
            }
            audit.closed.fetch_add(1, Ordering::SeqCst);
        });
    }

    /// Listens on a Unix socket.
    fn listen(&self, path: PathBuf) {
        let (audit, listener) = (self.clone(), UnixListener::bind(path).unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                audit.serve(stream.try_clone().unwrap(), stream);
            }
        });
    }
}

/// Reads a request: its first line, host and body; `None` at the end of the connection.
fn next_request(read: &mut impl BufRead) -> Option<(String, String, Value)> {
    let (mut first, mut host, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("host") => host = value.into(),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                assert_eq!(value, "application/json");
            }
            _ if first.is_empty() => first = line.into(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).unwrap();
    Some((first, host, serde_json::from_slice(&body).unwrap()))
}

thread_local! {
    /// Lines logged by this thread, which runs the delivery, with their levels.
    static LOGGED: RefCell<Vec<(log::Level, String)>> = const { RefCell::new(Vec::new()) };
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            let line = (record.level(), record.args().to_string());
            LOGGED.with(|logged| logged.borrow_mut().push(line));
        }
    }

    fn flush(&self) {}
}

fn logged() -> Vec<(log::Level, String)> {
    LOGGED.with(|logged| logged.borrow().clone())
}

/// Waits until this many lines are logged, and returns them.
async fn lines(number: usize) -> Vec<(log::Level, String)> {
    until(|| async { logged().len() >= number }).await;
    let lines = logged();
    assert_eq!(lines.len(), number, "{lines:?}");
    lines
}

const AGAIN: &str = "the audit server is accepting requests again";

/// Store whose events are delivered.
struct Robot {
    store: Arc<Store>,
    directory: TempDir,
    delivery: RefCell<Option<rt::task::JoinHandle<Infallible>>>,
}

impl Drop for Robot {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.abort();
        }
    }
}

impl Robot {
    async fn new() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&Logger).unwrap();
            log::set_max_level(log::LevelFilter::Info);
        });
        let directory = TempDir::new().unwrap();
        let store = Arc::new(Store::open(directory.path(), |_, _| {}).unwrap());
        store.set_delivering(true).await.unwrap();
        Self {
            store,
            directory,
            delivery: RefCell::default(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("audit.sock")
    }

    /// Starts the delivery to the Unix socket.
    fn deliver(&self) {
        self.deliver_to(AuditServer {
            uds: Some(self.socket()),
            url: "http://robot:1234/base/".parse().unwrap(),
        });
    }

    fn deliver_to(&self, server: AuditServer) {
        let delivery = rt::spawn(deliver(Arc::clone(&self.store), server));
        *self.delivery.borrow_mut() = Some(delivery);
    }

    async fn add(&self, messages: &[&str]) {
        let events = messages.iter().map(|message| event("test", message));
        self.commit(events.collect()).await;
    }

    async fn commit(&self, events: Vec<Event>) {
        let decision = Decision {
            changes: Vec::new(),
            events,
            reply: (),
        };
        let done = self.store.write(|_, _| Ok::<_, ()>(decision)).await;
        assert_eq!(done.unwrap(), Ok(()));
    }

    /// Waits until no event is in the queue.
    async fn all_done(&self) {
        until(|| async { self.store.undelivered(1).await.unwrap().is_empty() }).await;
    }

    fn status(&self) -> DeliveryStatus {
        let log = AuditLog::open(self.directory.path()).unwrap();
        log.delivery_status().unwrap()
    }
}

fn event(action: &str, message: &str) -> Event {
    Event {
        account_name: "ada".into(),
        legal_name: "Ada L".into(),
        ..Caller::anonymous(Origin::Http, Some("because".into())).event(action, message.into())
    }
}

/// Waits until a condition holds.
async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain");
        rt::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix_web::test]
async fn events_are_sent_in_order_on_one_connection_which_closes_when_all_are_sent() {
    let (robot, audit) = (Robot::new().await, Audit::default());
    audit.listen(robot.socket());
    robot.add(&["1", "2", "3"]).await;
    robot.deliver();
    robot.all_done().await;
    let got = audit.got();
    assert_eq!(audit.messages(), ["1", "2", "3"]);
    for got in &got {
        assert_eq!(got.line, "POST /base/audit/internal/logMessage HTTP/1.1");
        assert_eq!(got.host, "robot:1234");
        assert_eq!(got.connection, 0);
    }
    let expected = json!({"data": {
        "action": "test", "accountName": "ada", "legalName": "Ada L", "message": "1",
        "reason": "because",
    }});
    assert_eq!(got[0].body, expected);
    until(|| async { audit.closed.load(Ordering::SeqCst) == 1 }).await;
    // An event that comes later is sent at once.
    robot.add(&["4"]).await;
    robot.all_done().await;
    assert_eq!(audit.messages(), ["1", "2", "3", "4"]);
    assert_eq!(robot.status().delivered, 4);
    assert_eq!(logged(), []);
}

#[actix_web::test]
async fn logging_is_enabled_at_the_audit_server_before_the_event_that_says_so() {
    let (robot, audit) = (Robot::new().await, Audit::default());
    audit.listen(robot.socket());
    robot
        .commit(vec![event("test", "1"), event(ENABLE_ACCESS_CONTROL, "2")])
        .await;
    robot.deliver();
    robot.all_done().await;
    let lines: Vec<_> = audit.got().into_iter().map(|got| got.line).collect();
    let [patch, post] = [
        "PATCH /base/audit/internal/loggingEnabled HTTP/1.1",
        "POST /base/audit/internal/logMessage HTTP/1.1",
    ];
    assert_eq!(lines, [post, patch, post]);
    let expected = json!({"data": {
        "loggingEnabled": true, "accountName": "ada", "legalName": "Ada L", "reason": "because",
    }});
    assert_eq!(audit.got()[1].body, expected);
}

#[actix_web::test]
async fn server_is_reached_by_host_and_port_without_a_socket() {
    let (robot, audit) = (Robot::new().await, Audit::default());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let accept = audit.clone();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        accept.serve(stream.try_clone().unwrap(), stream);
    });
    robot.deliver_to(AuditServer {
        uds: None,
        url: format!("http://{address}").parse().unwrap(),
    });
    robot.add(&["1"]).await;
    robot.all_done().await;
    let got = audit.got();
    assert_eq!(got[0].line, "POST /audit/internal/logMessage HTTP/1.1");
    assert_eq!(got[0].host, address.to_string());
}

#[actix_web::test]
async fn connection_that_was_closed_meanwhile_is_replaced_at_once() {
    let robot = Robot::new().await;
    let audit = Audit::replying(&[Reply::AcceptAndClose]);
    audit.listen(robot.socket());
    robot.add(&["1", "2"]).await;
    robot.deliver();
    robot.all_done().await;
    assert_eq!(audit.messages(), ["1", "2"]);
    let connections: Vec<_> = audit.got().iter().map(|got| got.connection).collect();
    assert_eq!(connections, [0, 1]);
    // This was no failure.
    assert_eq!(logged(), []);
}

/// Failures that do not last: the event is sent again, each time after twice as long, and the later
/// one waits for it. One warning says that it fails, and one line that it works again.
#[actix_web::test]
async fn failures_are_retried_in_order_with_growing_delays() {
    let robot = Robot::new().await;
    let audit = Audit::replying(&[Reply::Truncate, Reply::Close, Reply::Status(503)]);
    audit.listen(robot.socket());
    robot.add(&["1", "2"]).await;
    robot.deliver();
    robot.all_done().await;
    assert_eq!(audit.messages(), ["1", "1", "1", "1", "2"]);
    let times: Vec<_> = audit.got().iter().map(|got| got.at).collect();
    for (number, least) in [(0, 250), (1, 500), (2, 1000)] {
        let waited = times[number + 1] - times[number];
        assert!(
            waited >= Duration::from_millis(least),
            "{number}: {waited:?}"
        );
    }
    let lines = lines(2).await;
    assert_eq!(lines[0].0, log::Level::Warn);
    let said = "cannot deliver events to the audit server; they stay queued: the connection \
                was closed in the middle of a response";
    assert!(lines[0].1.starts_with(said), "{lines:?}");
    assert_eq!(lines[1], (log::Level::Info, AGAIN.to_owned()));
    assert!(robot.status().set_aside.is_empty());
}

#[actix_web::test]
async fn server_that_is_not_there_yet_gets_the_events_later() {
    let (robot, audit) = (Robot::new().await, Audit::default());
    robot.add(&["1"]).await;
    robot.deliver();
    until(|| async { !logged().is_empty() }).await;
    assert!(logged()[0].1.contains("they stay queued: cannot connect"));
    assert_eq!(robot.status().waiting, 1);
    audit.listen(robot.socket());
    robot.all_done().await;
    assert_eq!(audit.messages(), ["1"]);
    // After that, a failure is warned of again.
    audit.replies.lock().unwrap().push_back(Reply::Status(500));
    robot.add(&["2"]).await;
    robot.all_done().await;
    let lines = lines(4).await;
    assert!(lines[2].1.contains("the response was 500"), "{lines:?}");
    assert_eq!(lines[3].1, AGAIN);
}

/// Statuses that ask to come back later are no rejections: they are warned of, and retried for ever.
#[actix_web::test]
async fn request_to_come_back_later_is_no_rejection() {
    for status in [408, 429, 500, 302] {
        let robot = Robot::new().await;
        let audit = Audit::replying(&[Reply::Status(status)]);
        audit.listen(robot.socket());
        robot.add(&["1"]).await;
        robot.deliver();
        robot.all_done().await;
        assert_eq!(audit.messages(), ["1", "1"]);
        let said = format!("they stay queued: the response was {status}");
        let warned = logged().iter().any(|(_, line)| line.contains(&said));
        assert!(warned, "{:?}", logged());
    }
}

/// An event that is rejected five times is set aside, and the next one is sent. It is sent again on
/// request.
#[actix_web::test]
async fn rejected_event_is_set_aside_and_sent_again_on_request() {
    let robot = Robot::new().await;
    let audit = Audit::replying(&[Reply::Status(400); 5]);
    audit.listen(robot.socket());
    robot.add(&["first", "second"]).await;
    robot.deliver();
    robot.all_done().await;
    let mut expected = vec!["first"; 5];
    expected.push("second");
    assert_eq!(audit.messages(), expected);
    let times: Vec<_> = audit.got().iter().map(|got| got.at).collect();
    for (number, least) in [(0, 250), (1, 500), (2, 1000), (3, 2000)] {
        let waited = times[number + 1] - times[number];
        assert!(
            waited >= Duration::from_millis(least),
            "{number}: {waited:?}"
        );
    }
    assert_eq!(robot.status().set_aside, [(1, false)]);
    let lines = lines(1).await;
    assert_eq!(lines[0].0, log::Level::Error);
    assert!(
        lines[0].1.contains("rejected an event 5 times"),
        "{lines:?}"
    );
    assert!(lines[0].1.contains("row 1, \"test\""), "{lines:?}");
    assert!(!lines[0].1.contains("first"), "{lines:?}");
    let caller = Caller::anonymous(Origin::Console, None);
    assert_eq!(robot.store.send_again(caller).await.unwrap(), 1);
    robot.all_done().await;
    assert_eq!(audit.messages()[6], "first");
    assert!(robot.status().set_aside.is_empty());
}

#[actix_web::test]
async fn rejections_of_one_event_are_not_held_against_the_next() {
    let robot = Robot::new().await;
    let replies = [400, 404, 422, 200, 400, 400].map(Reply::Status);
    let audit = Audit::replying(&replies);
    audit.listen(robot.socket());
    robot.add(&["1", "2"]).await;
    robot.deliver();
    robot.all_done().await;
    assert_eq!(audit.messages(), ["1", "1", "1", "1", "2", "2", "2"]);
    assert!(robot.status().set_aside.is_empty());
    assert_eq!(logged(), []);
}
