//! OAuth 2.0 (RFC 6749): one file per route.

pub mod error;
pub mod form;
pub mod introspect;
pub mod metadata;
pub mod revoke;
pub mod token;
