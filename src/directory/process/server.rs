//! Servers of the directory, and fail-over from one to the next.

use hyper::Uri;
use tokio::time::Instant;

use super::connection::{first, Connection, Tls};
use super::fault::Fault;

/// Server of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// URL, as configured.
    pub url: String,
    /// Host name or IP address. The server's certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the connection begins with StartTLS rather than with TLS.
    pub start_tls: bool,
}

impl Server {
    /// Parses `ldaps://HOST[:PORT]` or `ldap://HOST[:PORT]`.
    ///
    /// # Errors
    /// In words, what is wrong with the URL.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "servers: {url:?} must be ldaps://HOST[:PORT], or ldap://HOST[:PORT] for StartTLS"
            )
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let scheme = uri.scheme_str().map(str::to_ascii_lowercase);
        let (start_tls, default_port) = match scheme.as_deref() {
            Some("ldaps") => (false, 636),
            Some("ldap") => (true, 389),
            _ => return Err(wrong()),
        };
        let host = uri.host().unwrap_or_default();
        let authority = match uri.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        // No user, no path, and no port that is not a number.
        let whole = uri.authority().is_some_and(|found| *found == *authority);
        if host.is_empty() || !whole || uri.path() != "/" || uri.query().is_some() {
            return Err(wrong());
        }
        let brackets = |c| c == '[' || c == ']';
        Ok(Self {
            url: url.to_owned(),
            host: host.trim_matches(brackets).to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            start_tls,
        })
    }
}

/// Servers that are asked in order, until one answers.
pub struct Servers<'a> {
    left: Vec<&'a Server>,
    tls: &'a Tls,
    deadline: Instant,
    /// What happened at the servers that could not be asked.
    faults: Vec<String>,
}

impl<'a> Servers<'a> {
    /// Begins with the first server.
    pub fn new(servers: &'a [Server], tls: &'a Tls, deadline: Instant) -> Self {
        Self {
            left: servers.iter().collect(),
            tls,
            deadline,
            faults: Vec::new(),
        }
    }

    /// Connects to the next server; `None` if there is none that can be connected to.
    pub async fn next(&mut self) -> Option<(&'a Server, Connection)> {
        let (tls, deadline) = (self.tls, self.deadline);
        let attempt = |server| async move {
            match Connection::open(server, tls, deadline).await {
                Ok(connection) => Ok((server, connection)),
                Err(fault) => Err((server, fault)),
            }
        };
        let attempts: Vec<_> = self.left.iter().copied().map(attempt).collect();
        let mut failures = Vec::new();
        let connected = first(attempts, &mut failures).await;
        for (server, fault) in failures {
            self.failed(server, &fault);
        }
        if let Some((server, _)) = &connected {
            self.left.retain(|each| each != server);
        }
        connected
    }

    /// Notes why a server could not be asked.
    pub fn failed(&mut self, server: &Server, fault: &Fault) {
        self.left.retain(|each| *each != server);
        let fault = format!("{}: {fault}", server.url);
        log::warn!("cannot ask the directory: {fault}");
        self.faults.push(fault);
    }

    /// Returns why none of the servers could be asked.
    pub fn faults(self) -> String {
        self.faults.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed() {
        for (url, host, port, start_tls) in [
            ("ldaps://dc1.lab.example", "dc1.lab.example", 636, false),
            ("ldap://dc1.lab.example/", "dc1.lab.example", 389, true),
            ("LDAPS://192.0.2.1:3269", "192.0.2.1", 3269, false),
            ("ldap://[2001:db8::1]:1389", "2001:db8::1", 1389, true),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!(
                (&*server.host, server.port, server.start_tls),
                (host, port, start_tls)
            );
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for url in [
            "",
            "dc1.lab.example",
            "http://dc1.lab.example",
            "ldapi://%2frun%2fldapi",
            "ldaps://",
            "ldaps://:636",
            "ldaps://dc1.lab.example:",
            "ldaps://dc1.lab.example:65536",
            "ldaps://ada:secret@dc1.lab.example",
            "ldaps://dc1.lab.example/dc=lab",
            "ldaps://dc1.lab.example?x",
            "ldaps://dc1.lab.example dc2",
        ] {
            assert!(Server::parse(url).is_err(), "{url}");
        }
    }
}
