//! Rules for the headers of every request, independent of the route.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_http::{HttpMessage, Request};
use actix_web::http::header;
use actix_web::http::Version;

use crate::http::error::ApiError;

/// Checks the header `Host` of `request` (RFC 9112 §3.2).
///
/// # Errors
/// [`ApiError::BadRequest`] if the header is missing (which only HTTP/1.0 allows), given more than
/// once, or malformed.
pub fn check_host(request: &Request) -> Result<(), ApiError> {
    let mut values = request.headers().get_all(header::HOST);
    match (values.next(), values.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        (None, _) => Err(ApiError::BadRequest("A request must have the header Host.")),
        (Some(_), Some(_)) => Err(ApiError::BadRequest(
            "A request must not have the header Host more than once.",
        )),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(ApiError::BadRequest(
            "Host: must be a host name or an IP address, with or without a port.",
        )),
    }
}

/// Returns whether `value` has the form of `Host` (RFC 9110 §7.2): a name or an IP address (RFC
/// 3986 §3.2.2), with or without a port. The empty value is one.
fn is_host(value: &[u8]) -> bool {
    let (literal, rest) = match value.strip_prefix(b"[") {
        Some(rest) => match rest.iter().position(|byte| *byte == b']') {
            Some(end) => (Some(&rest[..end]), &rest[end + 1..]),
            None => return false,
        },
        None => (None, value),
    };
    let colon = rest.iter().position(|byte| *byte == b':');
    let (name, port) = match colon {
        Some(colon) => (&rest[..colon], &rest[colon + 1..]),
        None => (rest, &b""[..]),
    };
    let named = match literal {
        Some(literal) => {
            let address = std::str::from_utf8(literal);
            name.is_empty() && address.is_ok_and(|it| it.parse::<Ipv6Addr>().is_ok())
        }
        None => name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte)),
    };
    named && port.iter().all(u8::is_ascii_digit)
}

/// Checks the header `Origin` of a request that may change something (RFC 6454 §7): a web page from
/// elsewhere may not. While access control is off, such a request needs no token, and browsers send
/// it without asking the server first if it looks like a form (the Fetch standard, "CORS protocol").
///
/// Clients that are not web pages send no `Origin`. The apps send `null`, `file://` or a loopback
/// host.
///
/// # Errors
/// [`ApiError::ForeignOrigin`] if there is an origin that is none of these and not the host that was
/// asked.
pub fn check_origin(request: &Request) -> Result<(), ApiError> {
    if request.method().is_safe() {
        return Ok(());
    }
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut origins = request.headers().get_all(header::ORIGIN);
    if origins.all(|origin| origin.to_str().is_ok_and(|origin| is_own(origin, host))) {
        Ok(())
    } else {
        Err(ApiError::ForeignOrigin)
    }
}

/// Returns whether an origin is that of the apps, of this machine or of the host that was asked.
fn is_own(origin: &str, host: &str) -> bool {
    if origin == "null" || origin == "file:" || origin.starts_with("file://") {
        return true;
    }
    let authority = match origin.split_once("://") {
        Some(("http" | "https", authority)) if is_host(authority.as_bytes()) => authority,
        _ => return false,
    };
    (!host.is_empty() && authority.eq_ignore_ascii_case(host)) || is_loopback(authority)
}

/// Returns whether a host name or IP address, with or without a port, is this machine's loopback
/// (RFC 6761 §6.3, RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
fn is_loopback(authority: &str) -> bool {
    if let Some(literal) = authority.strip_prefix('[') {
        let (address, _) = literal.split_once(']').unwrap_or_default();
        return address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    let (name, _) = authority.split_once(':').unwrap_or((authority, ""));
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name
            .parse()
            .is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn origins_of_the_apps_this_machine_and_the_host_that_was_asked() {
        for origin in [
            "null",
            "file://",
            "http://robot:31950",
            "https://ROBOT:31950",
            "http://localhost",
            "http://localhost:5173",
            "http://app.localhost",
            "https://127.0.0.1:8443",
            "http://[::1]:3000",
        ] {
            assert!(is_own(origin, "robot:31950"), "{origin}");
        }
        for origin in [
            "",
            "http://",
            "http://evil.example",
            "http://robot",
            "http://robot:31951",
            "http://robot:31950.evil.example",
            "http://robot:31950@evil.example",
            "http://localhost.evil.example",
            "http://evil.example/localhost",
            "http://127.0.0.1.evil.example",
            "http://[::1",
            "http://[::2]",
            "filesystem:http://evil.example",
            "files://evil.example",
            "ftp://localhost",
            "nullnull",
            "null, http://evil.example",
        ] {
            assert!(!is_own(origin, "robot:31950"), "{origin}");
        }
        assert!(!is_own("http://", ""));
    }
}
