//! The server with misbehaving handlers, which none of the real routes are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::task::spawn_blocking;
use actix_web::{web, HttpResponse};

use common::{start, PATIENCE};

mod common;

/// Sends a request on a new connection, and returns the complete response as text.
async fn get(address: SocketAddr, path: &'static str) -> String {
    spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap()
}

#[actix_web::test]
async fn a_panic_is_answered_500_and_takes_nothing_else_down() {
    let (server, address, _directory) = start(1, |config| {
        config.route(
            "/panic",
            web::get().to(|| async {
                if true {
                    panic!("secret");
                }
                HttpResponse::Ok().finish()
            }),
        );
    })
    .await;
    for _ in 0..10 {
        let answer = get(address, "/panic").await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("\"internalError\""), "{answer}");
        assert!(answer.contains("x-content-type-options: nosniff"));
        assert!(!answer.contains("secret"), "{answer}");
    }
    assert!(get(address, "/auth/hello")
        .await
        .starts_with("HTTP/1.1 200 "));
    assert!(server.check(PATIENCE).await.is_ok());
    assert_eq!(server.stop(PATIENCE).await, 0);
}

#[actix_web::test]
async fn a_hung_worker_is_found_out_and_forgiven_when_it_answers_again() {
    static HANGS: AtomicBool = AtomicBool::new(true);
    let (server, address, _directory) = start(2, |config| {
        config.route(
            "/hang",
            web::get().to(|| async {
                while HANGS.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                HttpResponse::Ok().finish()
            }),
        );
    })
    .await;
    assert!(server.check(PATIENCE).await.is_ok());
    let hanging = actix_web::rt::spawn(get(address, "/hang"));
    let deadline = Instant::now() + PATIENCE;
    let mut found = Ok(());
    while found.is_ok() && Instant::now() < deadline {
        found = server.check(Duration::from_millis(100)).await;
    }
    let said = found.unwrap_err().to_string();
    assert!(
        said.starts_with("worker 0 did not answer within "),
        "{said}"
    );
    HANGS.store(false, Ordering::SeqCst);
    assert!(hanging.await.unwrap().starts_with("HTTP/1.1 200 "));
    assert!(server.check(PATIENCE).await.is_ok());
    assert_eq!(server.stop(PATIENCE).await, 0);
}

#[actix_web::test]
async fn bare_errors_of_actix_are_enveloped() {
    let (server, address, _directory) = start(1, |config| {
        config
            .route(
                "/teapot",
                web::get().to(|| async { HttpResponse::ImATeapot().finish() }),
            )
            .route(
                "/down",
                web::get().to(|| async { HttpResponse::ServiceUnavailable().finish() }),
            );
    })
    .await;
    let answer = get(address, "/teapot").await;
    assert!(
        answer.starts_with("HTTP/1.1 418 ") && answer.contains("\"invalidRequest\""),
        "{answer}"
    );
    let answer = get(address, "/down").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"internalError\""),
        "{answer}"
    );
    assert_eq!(server.stop(PATIENCE).await, 0);
}

#[actix_web::test]
async fn stop_waits_for_a_slow_answer() {
    static ENTERED: AtomicBool = AtomicBool::new(false);
    static RELEASED: AtomicBool = AtomicBool::new(false);
    let (server, address, _directory) = start(1, |config| {
        config.route(
            "/slow",
            web::get().to(|| async {
                ENTERED.store(true, Ordering::SeqCst);
                while !RELEASED.load(Ordering::SeqCst) {
                    actix_web::rt::time::sleep(Duration::from_millis(1)).await;
                }
                HttpResponse::Ok().body("slow")
            }),
        );
    })
    .await;
    let slow = actix_web::rt::spawn(get(address, "/slow"));
    let idle = spawn_blocking(move || {
        let mut idle = TcpStream::connect(address).unwrap();
        idle.set_read_timeout(Some(PATIENCE)).unwrap();
        idle.write_all(b"GET /auth/hello HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        assert!(idle.read(&mut [0; 4096]).unwrap() > 0);
        idle
    });
    let mut idle = idle.await.unwrap();
    while !ENTERED.load(Ordering::SeqCst) {
        actix_web::rt::task::yield_now().await;
    }
    let stopping = actix_web::rt::spawn(server.stop(PATIENCE));
    // With a request in flight, stopping gets as far as closing the idle connections.
    let closed = spawn_blocking(move || idle.read(&mut [0; 4096]));
    assert_eq!(closed.await.unwrap().unwrap(), 0);
    assert!(!stopping.is_finished());
    RELEASED.store(true, Ordering::SeqCst);
    assert_eq!(stopping.await.unwrap(), 0);
    let answer = slow.await.unwrap();
    assert!(answer.ends_with("slow"), "{answer}");
}
