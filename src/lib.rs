//! The authentication server of the Opentrons Flex.
//!
//! `main.rs` parses the command line and sets up logging; everything else is in this library, so
//! that tests can start the real server.
//!
//! | module | contents |
//! | --- | --- |
//! | [`daemon`] | life cycle of the service: open, listen, READY, watchdog, drain, stop |
//! | [`console`] | console commands: their protocol, socket and output |
//! | [`server`] | HTTP/1 server, also on sockets passed by systemd; the only user of actix-http |
//! | [`http`] | routes: authentication, requests and responses, errors, API documents |
//! | [`service`] | operations, shared by HTTP and the console; hashing; delivery of audit events |
//! | [`store`] | the database |
//! | [`directory`] | the lab's directory (LDAP): the process that asks it, and its protocol |
//! | [`logging`] | log lines, with priorities for the journal |
//! | [`os`] | clocks, random bytes, the state directory, systemd, the allocator |
//! | [`cli`] | options and environment variables, manual page and completions |
//! | [`config`] | configuration of the service, as plain data |
//! | [`domain`] | the rules, independent of all other modules |
//!
//! Dependencies point one way, `main → daemon → console → server → http → service → store → directory
//! → logging → os → cli → config → domain`: a module uses only modules to its right. `tests/arrows.rs` enforces
//! this.

#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod cli;
pub mod config;
pub mod console;
pub mod daemon;
pub mod directory;
pub mod domain;
pub mod http;
pub mod logging;
pub mod os;
pub mod server;
pub mod service;
pub mod store;

/// Version of this build, from `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Git commit of this build, or `unknown`.
pub const GIT_SHA: &str = env!("AUTH_SERVER_GIT_SHA");
/// Target triple of this build.
pub const TARGET: &str = env!("AUTH_SERVER_TARGET");
