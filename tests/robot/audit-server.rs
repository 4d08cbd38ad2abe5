//! Stand-in for the audit server: records each request as a line of JSON, and responds with 201.
//!
//! Usage: `audit-server SOCKET FILE`. SOCKET is owned by root and open to everybody, as on the robot,
//! where uvicorn creates it as root. A line of FILE contains the method, the path and the body.

use std::fs::{remove_file, set_permissions, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::{env, thread};

/// Handles the requests on a connection until the client closes it.
fn serve(stream: UnixStream, mut file: File) -> Result<()> {
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if input.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or(0);
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let words: Vec<&str> = first.split(' ').collect();
        let line = format!(
            "[\"{}\", \"{}\", {}]\n",
            words[0],
            words[1],
            String::from_utf8_lossy(&body)
        );
        // One write: lines of several connections do not mix.
        file.write_all(line.as_bytes())?;
        out.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")?;
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let (socket, file) = (arguments.next().unwrap(), arguments.next().unwrap());
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .unwrap();
    let _ = remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    if let Some(notify) = env::var_os("NOTIFY_SOCKET") {
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(b"READY=1", notify).unwrap();
    }
    for stream in listener.incoming().flatten() {
        let file = file.try_clone().unwrap();
        thread::spawn(move || serve(stream, file));
    }
}
