//! The console's protocol: one request, as the service reads it from the control socket.

#![no_main]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{mpsc, Arc, OnceLock};
use std::time::Duration;

use auth_server::console::failure::Refusal;
use auth_server::console::protocol::ConsoleResponse;
use auth_server::console::socket;
use auth_server::service::hashing::Hasher;
use auth_server::service::Service;
use auth_server::store::Store;
use auth_server_fuzz::logger;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Timeout of a response; only a broken server exceeds it.
const PATIENCE: Duration = Duration::from_secs(30);
static SOCKET: OnceLock<PathBuf> = OnceLock::new();

/// Starts a service that listens on the control socket, and returns the socket's path.
fn start() -> PathBuf {
    logger::init();
    let (told, tell) = mpsc::channel();
    std::thread::spawn(move || {
        actix_rt::System::new().block_on(async move {
            let directory = TempDir::new().expect("temporary directories can be made");
            let store = Store::open(directory.path(), |_, _| {}).expect("the database is made");
            let hasher = Arc::new(Hasher::start().expect("threads can be started"));
            let service = Service::new(Arc::new(store), hasher);
            let _control = socket::listen(directory.path(), service).expect("the socket is made");
            told.send(directory.path().join("control.sock"))
                .expect("the fuzz target waits for the service");
            std::future::pending::<()>().await;
        });
    });
    tell.recv().expect("the service starts")
}

fn ask(path: &Path, request: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).expect("the service listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    // The service may close the connection before it has read everything.
    let _sent = stream.write_all(request);
    let _told = stream.shutdown(std::net::Shutdown::Write);
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("no answer: {error}")
        }
        _ => response,
    }
}

fuzz_target!(|request: &[u8]| {
    let response = ask(SOCKET.get_or_init(start), request);
    if !response.is_empty() {
        let line = response.strip_suffix(b"\n").expect("a response is a line");
        let _said: Result<ConsoleResponse, Refusal> =
            serde_json::from_slice(line).expect("a response is what the console reads");
    }
});
