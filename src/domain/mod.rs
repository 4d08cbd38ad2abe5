//! The rules: who may do what, and what a request changes. The current time and a source of
//! randomness are passed in; nothing here knows HTTP or SQL.
//!
//! [`State`](state::State) holds all accounts, sessions, tokens and settings in memory. A rule
//! reads it and returns a [`Decision`](decision::Decision) with [`Change`](change::Change)s; the
//! store commits the changes to disk and only then applies them to the state.

pub mod access_control;
pub mod attempts;
pub mod audit;
pub mod authority;
pub mod change;
pub mod decision;
pub mod directory;
pub mod error;
pub mod failures;
pub mod issue;
pub mod passed_on;
pub mod passwords;
pub mod random;
pub mod refusals;
pub mod scopes;
pub mod sessions;
pub mod settings;
pub mod state;
pub mod text;
pub mod time;
pub mod tokens;
pub mod users;
