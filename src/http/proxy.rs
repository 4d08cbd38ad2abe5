//! Headers that nginx sets, where they can be believed.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header;
use actix_web::HttpRequest;

/// Address of the server's end of a TCP connection, as data of the connection.
pub struct LocalAddress(pub SocketAddr);

/// Returns the only value of a header that nginx has set: `None` if the header is missing, repeated,
/// or cannot be nginx's.
///
/// The layer's nginx snippet overwrites the `X-Forwarded-` headers and sends no `Connection` header.
/// Without the snippet, nginx passes on the client's own headers, which are not trusted, and sends
/// `Connection: close`. A TCP connection does not come from nginx.
fn forwarded<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let headers = request.headers();
    if request.peer_addr().is_some() || headers.contains_key(header::CONNECTION) {
        return None;
    }
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Returns the IP address of the client: the TCP peer or, over the Unix socket, the address that
/// nginx passes on; `None` if it is unknown.
pub fn client(request: &HttpRequest) -> Option<IpAddr> {
    match request.peer_addr() {
        Some(peer) => Some(peer.ip()),
        None => forwarded(request, "x-forwarded-for")?.parse().ok(),
    }
}

/// Returns the origin (RFC 6454 §7) at which the client reached the server, or else that of this
/// host. It names the server's address, not the `Host` that a client may write at will.
pub fn origin(request: &HttpRequest) -> String {
    if let Some(LocalAddress(address)) = request.conn_data() {
        let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
        return format!("http://{canonical}");
    }
    let scheme = match forwarded(request, "x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    match forwarded(request, "x-forwarded-host").and_then(address) {
        Some(address) => format!("{scheme}://{address}"),
        None => format!("{scheme}://localhost"),
    }
}

/// Parses nginx's `$server_addr:$server_port`, which has no brackets around an IPv6 address.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn address_of_nginx() {
        for (text, expected) in [
            ("192.0.2.1:31950", "192.0.2.1:31950"),
            ("2001:db8::1:31950", "[2001:db8::1]:31950"),
            ("[2001:db8::1]:32313", "[2001:db8::1]:32313"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), expected);
        }
        for text in ["", "robot:31950", "192.0.2.1", "192.0.2.1:99999", "unix:"] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
