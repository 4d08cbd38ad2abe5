//! The real server, started in the test's own process.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use auth_server::http::routes;
use auth_server::http::AppState;
use auth_server::os::systemd::HandedOver;
use auth_server::server::Server;
use auth_server::service::hashing::Hasher;
use auth_server::service::Service;
use auth_server::store::Store;
use tempfile::TempDir;

/// Timeout of each event that a test waits for; only a broken server exceeds it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a server, and returns it with its address and state directory.
pub async fn start(
    workers: usize,
    configure: fn(&mut web::ServiceConfig),
) -> (Server, SocketAddr, TempDir) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let directory = TempDir::new().unwrap();
    let store = Arc::new(Store::open(directory.path(), |_, _| {}).unwrap());
    let service = Service::new(store, Arc::new(Hasher::start().unwrap()));
    let state = web::Data::new(AppState::new(service));
    let server = Server::start(
        vec![HandedOver::Tcp(socket).into()],
        workers,
        move |config| {
            config.app_data(state.clone());
            configure(config);
            routes::configure(config);
        },
    )
    .await
    .unwrap();
    (server, address, directory)
}
