//! The real server with some accounts, and a client that speaks HTTP to it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{json, Value};
use tokio::sync::oneshot;

use crate::common::{start, PATIENCE};
use crate::logger;

/// Password of every account.
pub const PASSWORD: &str = "correct-horse";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Response to a request.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Checks what must hold for the response to any request that arrived whole.
    ///
    /// # Panics
    /// If the server failed (a status of 500 or more, except 503 with `Retry-After`), or an error has
    /// no JSON that says what it is.
    pub fn check(&self) {
        let later = self.status == 503 && self.head.to_lowercase().contains("\r\nretry-after: ");
        assert!(self.status < 500 || later, "the server failed: {self:?}");
        if self.status >= 400 {
            let said = self.json();
            let names = ["errors", "error", "debugMessage"];
            assert!(
                names.iter().any(|name| !said[name].is_null()),
                "an error without a reason: {self:?}"
            );
        }
    }
}

/// Running server whose state is always the same when an input arrives: it starts anew after an
/// input that has changed something. It has the accounts `ada` (administrator), `eve` (user) and
/// `bot` (service); `ada` is logged in.
pub struct Robot {
    running: Running,
    before: Vec<Vec<u8>>,
}

impl Robot {
    /// Starts the server.
    pub fn start() -> Self {
        logger::init();
        let mut running = Running::start();
        let before = running.state();
        Self { running, before }
    }

    /// Sends a request and returns the response, which was checked. With `token`, `ada` asks.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: bool,
        kind: &str,
        body: &[u8],
    ) -> Answer {
        let token = token.then(|| self.running.token.clone());
        let headers = format!("Content-Type: {kind}\r\n");
        let answer = self
            .running
            .ask(method, path, token.as_deref(), &headers, body);
        answer.check();
        answer
    }

    /// Sends `bytes` on a new connection, says that no more will come, and returns everything that
    /// the server answers until it closes the connection.
    ///
    /// # Panics
    /// If the server does not close the connection in time.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = connect(self.running.address);
        let mut answer = Vec::new();
        // The server may close the connection before it has read everything.
        let _sent = stream.write_all(bytes);
        let _told = stream.shutdown(std::net::Shutdown::Write);
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("the connection was not closed within {PATIENCE:?}")
            }
            _ => answer,
        }
    }

    /// Starts the server anew if the last input has changed its state.
    pub fn settle(&mut self) {
        if self.running.state() != self.before {
            *self = Self::start();
        }
    }

    /// Returns method and path of all operations that take a body of this media type, according to
    /// the OpenAPI document.
    pub fn operations(&mut self, kind: &str) -> Vec<(String, String)> {
        let document = self.running.get("/auth/openapi.json").json();
        let mut found = Vec::new();
        for (path, operations) in document["paths"]
            .as_object()
            .expect("the document has paths")
        {
            for (method, operation) in operations.as_object().expect("a path has operations") {
                if !operation["requestBody"]["content"][kind].is_null() {
                    found.push((method.to_uppercase(), path.clone()));
                }
            }
        }
        assert!(!found.is_empty(), "no operation takes {kind}");
        found
    }

    /// Returns a copy of the database, and the directory that contains it and nothing else.
    pub fn database(&self) -> (Vec<u8>, tempfile::TempDir) {
        let directory = tempfile::TempDir::new().expect("temporary directories can be made");
        let copy = directory.path().join("copy");
        let running = self.running.directory.join(auth_server::store::DATABASE);
        rusqlite::Connection::open(running)
            .and_then(|it| it.execute("VACUUM INTO ?", [copy.to_string_lossy()]))
            .expect("the database can be copied");
        let bytes = std::fs::read(&copy).expect("the copy can be read");
        std::fs::remove_file(copy).expect("the copy can be removed");
        (bytes, directory)
    }
}

/// Server on a thread of its own, and a connection to it.
struct Running {
    address: SocketAddr,
    directory: PathBuf,
    connection: Option<BufReader<TcpStream>>,
    token: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let (told, tell) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let (server, address, directory) = start(1, |_| {}).await;
                told.send((address, directory.path().to_owned()))
                    .expect("the fuzz target waits for the server");
                let _stop = stopped.await;
                server.stop(Duration::ZERO).await;
            });
        });
        let (address, directory) = tell.recv().expect("the server starts");
        let mut running = Self {
            address,
            directory,
            connection: None,
            token: String::new(),
            stop: Some(stop),
            thread: Some(thread),
        };
        for (name, account_type) in [("ada", "admin"), ("eve", "user"), ("bot", "service")] {
            let data = json!({"username": name, "fullName": if name == "bot" { "Service Account" } else { name },
                "accountType": account_type, "password": PASSWORD});
            running.set("POST", "/auth/users", &data);
        }
        running.set("PATCH", "/auth/settings", &json!({"idleLogout": 604_800}));
        let login =
            format!("grant_type=password&client_id=opentrons_app&username=ada&password={PASSWORD}");
        let headers = format!("Content-Type: {FORM}\r\n");
        let answer = running.ask(
            "POST",
            "/auth/oauth2/token",
            None,
            &headers,
            login.as_bytes(),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        running.token = answer.json()["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        running
    }

    fn set(&mut self, method: &str, path: &str, data: &Value) {
        let body = json!({ "data": data }).to_string();
        let headers = format!("Content-Type: {JSON}\r\n");
        let answer = self.ask(method, path, None, &headers, body.as_bytes());
        assert!(answer.status < 300, "{answer:?}");
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, None, "", b"")
    }

    /// Returns what tells whether anything has changed: accounts, settings, the directory, and
    /// whether `ada` is logged in.
    fn state(&mut self) -> Vec<Vec<u8>> {
        let token = self.token.clone();
        let ada = self.ask("GET", "/auth/users/self", Some(&token), "", b"");
        [
            "/auth/users",
            "/auth/settings",
            "/auth/settings/accessControlEnabled",
            "/auth/directory",
        ]
        .map(|path| self.get(path).body)
        .into_iter()
        .chain([ada.body])
        .collect()
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &str,
        body: &[u8],
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}");
        if let Some(token) = token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        // The server may have closed the connection after the last response: then a new one.
        for last in [false, true] {
            let connection = self
                .connection
                .get_or_insert_with(|| BufReader::new(connect(self.address)));
            let sent = connection.get_mut().write_all(&request);
            match sent.and_then(|()| read_answer(connection)) {
                Ok(answer) => {
                    if answer.head.to_lowercase().contains("\r\nconnection: close") {
                        self.connection = None;
                    }
                    return answer;
                }
                Err(error) if last => panic!("no answer to {method} {path}: {error}"),
                Err(_) => self.connection = None,
            }
        }
        unreachable!("the second attempt returns or panics")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.connection = None;
        if let Some(stop) = self.stop.take() {
            let _ended = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    stream.set_nodelay(true).expect("the option can be set");
    stream
}

fn read_answer(connection: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let status = head
        .get(9..12)
        .and_then(|text| text.parse().ok())
        .ok_or_else(invalid)?;
    let length = head
        .to_lowercase()
        .split("\r\ncontent-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
        .ok_or_else(invalid)?;
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok(Answer { status, head, body })
}
