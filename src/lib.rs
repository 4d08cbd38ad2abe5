//! The authentication server of the Opentrons Flex.
//!
//! `main.rs` parses the command line and sets up logging; everything else is here, so that tests
//! can start the real server. Arrows point one way: `main → service → server → routes → http →
//! accounts → store → domain`; `console` is the other way in, beside `http`.

#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod accounts;
pub mod cli;
pub mod clock;
pub mod connection;
pub mod console;
pub mod delivery;
pub mod domain;
pub mod hashing;
pub mod http;
pub mod listen;
pub mod logging;
pub mod manual;
pub mod memory;
pub mod routes;
pub mod server;
pub mod service;
pub mod state_dir;
pub mod store;
pub mod systemd;

/// Version of this build, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit this build was made from, or `unknown`.
pub const GIT_SHA: &str = env!("AUTH_SERVER_GIT_SHA");
/// Target triple this build was made for.
pub const TARGET: &str = env!("AUTH_SERVER_TARGET");
