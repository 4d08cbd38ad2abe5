//! OAuth 2.0 (RFC 6749): one file per endpoint, and one per grant type in `token`.

pub mod error;
pub mod form;
pub mod introspect;
pub mod metadata;
pub mod revoke;
pub mod token;
