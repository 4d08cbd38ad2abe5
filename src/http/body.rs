//! The body of a request.

use std::future::{ready, Ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::{FutureExt, StreamExt};

use super::error::ApiError;

/// Whole body of a request, in one piece. The server has read it before the handler is called, so
/// that nothing is left to wait for, to limit or to copy, as actix-web's own extractor would.
pub struct Body(Bytes);

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    /// Takes the body.
    ///
    /// # Errors
    /// [`ApiError::Internal`] if the server has not read it, or not as one piece.
    fn from_request(_: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let mut pieces = payload.take();
        let mut next = || pieces.next().now_or_never();
        ready(match next() {
            Some(None) => Ok(Self(Bytes::new())),
            Some(Some(Ok(whole))) if matches!(next(), Some(None)) => Ok(Self(whole)),
            _ => Err(ApiError::Internal),
        })
    }
}
