//! The rules: who may do what, and what a request changes. Time and randomness are passed in; there
//! is no HTTP and no SQL here.
//!
//! [`State`](state::State) is all that is known of accounts. A rule reads it and plans
//! [`Change`](state::Change)s; the store makes them durable, and only then the state takes them over.

pub mod attempts;
pub mod audit;
pub mod authority;
pub mod clock;
pub mod error;
pub mod logins;
pub mod password;
pub mod plan;
pub mod refusals;
pub mod scope;
pub mod settings;
pub mod state;
pub mod token;
pub mod user;
pub mod users;
