//! The rules: who may do what, and what a request changes. Time and randomness are passed in; there
//! is no HTTP and no SQL here.
//!
//! [`State`](state::State) is all that is known of accounts. A rule reads it and decides on
//! [`Change`](change::Change)s; the store makes them durable, and only then the state takes them over.

pub mod access_control;
pub mod attempts;
pub mod audit;
pub mod authority;
pub mod change;
pub mod decision;
pub mod error;
pub mod passwords;
pub mod random;
pub mod refusals;
pub mod scopes;
pub mod sessions;
pub mod settings;
pub mod state;
pub mod time;
pub mod tokens;
pub mod users;
