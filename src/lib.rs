//! The authentication server of the Opentrons Flex.
//!
//! `main.rs` parses the command line and sets up logging; everything else is here, so that tests
//! can start the real server. What is where:
//!
//! | module | what |
//! | --- | --- |
//! | [`daemon`] | the service's life: open, listen, READY, watchdog, drain, stop |
//! | [`console`] | the robot's console: the protocol, its socket, what is printed |
//! | [`server`] | an HTTP/1 server on sockets that may be handed over; all that knows actix-http |
//! | [`http`] | the routes: who asks, requests and views, errors, documents |
//! | [`service`] | what can be done, for HTTP and the console alike; hashing; delivery of events |
//! | [`store`] | the database |
//! | [`logging`] | log lines, with the journal's priorities |
//! | [`os`] | clocks, random bytes, the state directory, systemd, the allocator |
//! | [`cli`] | options and environment, manual page and completions |
//! | [`config`] | what the service was told: plain data |
//! | [`domain`] | the rules; it knows nobody |
//!
//! Arrows point one way, `main → daemon → console → server → http → service → store → logging → os →
//! cli → config → domain`: a module uses those behind it and none before it. `tests/arrows.rs` fails
//! when one does.

#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod cli;
pub mod config;
pub mod console;
pub mod daemon;
pub mod domain;
pub mod http;
pub mod logging;
pub mod os;
pub mod server;
pub mod service;
pub mod store;

/// Version of this build, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit this build was made from, or `unknown`.
pub const GIT_SHA: &str = env!("AUTH_SERVER_GIT_SHA");
/// Target triple this build was made for.
pub const TARGET: &str = env!("AUTH_SERVER_TARGET");
