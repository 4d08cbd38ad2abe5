//! Attempts, within the service's sandbox, operations that the sandbox forbids, and prints the result
//! of each on a line.
//!
//! `probe --version` prints a version. Without the environment variable `PROBE`, it exits at once with
//! an error, like a server that fails to start. If `PROBE` is an IP address with a port, such as that of
//! the lab's directory, it also tries to connect to it and to the robot's own servers.

use std::ffi::{c_int, c_long, c_void};
use std::io::{Error, Result};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{exit, Command};
use std::time::Duration;
use std::{env, fs, ptr};

const PROT_READ_WRITE_EXEC: c_int = 7;
const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;
const MAP_FAILED: *mut c_void = usize::MAX as *mut c_void;
const CLONE_NEWUSER: c_int = 0x1000_0000;

extern "C" {
    fn setgroups(count: usize, groups: *const u32) -> c_int;
    fn unshare(flags: c_int) -> c_int;
    fn sethostname(name: *const u8, length: usize) -> c_int;
    fn mmap(
        at: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: c_long,
    ) -> *mut c_void;
}

/// Converts the result of a C function that returns -1 and sets `errno` on failure.
fn checked(result: c_int) -> Result<()> {
    if result == -1 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

fn other_processes() -> Result<()> {
    let own = std::process::id().to_string();
    let mut names = fs::read_dir("/proc")?
        .flatten()
        .map(|entry| entry.file_name());
    let other = names.any(|name| {
        let name = name.to_string_lossy().into_owned();
        name.parse::<u32>().is_ok() && name != own
    });
    if other {
        return Ok(());
    }
    Err(Error::other("sees none"))
}

fn writable_code() -> Result<()> {
    // SAFETY: creates a new anonymous mapping, which nothing else uses.
    let page = unsafe {
        mmap(
            ptr::null_mut(),
            4096,
            PROT_READ_WRITE_EXEC,
            MAP_PRIVATE_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == MAP_FAILED {
        return Err(Error::last_os_error());
    }
    Ok(())
}

fn connect(address: SocketAddr) -> Result<()> {
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).map(drop)
}

/// Attempts to connect to the directory at an address, and to the robot's own servers.
fn connections(directory: SocketAddr) -> [(&'static str, Result<()>); 5] {
    let own = |name| UnixStream::connect(format!("/run/opentrons-{name}.sock")).map(drop);
    [
        ("connect to the lab's directory", connect(directory)),
        (
            "connect to nginx",
            connect(SocketAddr::from(([127, 0, 0, 1], 31950))),
        ),
        ("connect to the auth server", own("auth-server")),
        ("connect to the audit server", own("audit-server")),
        ("connect to the second process", own("auth-directory")),
    ]
}

fn set_user_id_file(state: &str) -> Result<()> {
    let path = format!("{state}/set-user-id");
    fs::write(&path, "")?;
    let result = fs::set_permissions(&path, fs::Permissions::from_mode(0o4755));
    fs::remove_file(path)?;
    result
}

fn main() {
    if env::args().nth(1).as_deref() == Some("--version") {
        println!("opentrons-auth-server 0.0.0 (a probe)");
        return;
    }
    let Ok(probe) = env::var("PROBE") else {
        exit(1);
    };
    // Before the others, after which it has fewer rights.
    let connections: Vec<_> = probe
        .parse()
        .map(connections)
        .into_iter()
        .flatten()
        .collect();
    let state = env::var("OT_AUTH_SERVER_persistence_directory").unwrap();
    // SAFETY (here and below): all arguments are constants, or point to them.
    let tries = [
        (
            "write to its state",
            fs::write(format!("{state}/probe"), ""),
        ),
        ("write to /var/lib", fs::write("/var/lib/probe", "")),
        ("write to /data", fs::write("/data/probe", "")),
        ("write to /run", fs::write("/run/probe", "")),
        ("read its state", fs::read_dir(&state).map(drop)),
        ("read /root", fs::read_dir("/root").map(drop)),
        ("read a disk", fs::File::open("/dev/vda").map(drop)),
        (
            "set a kernel parameter",
            fs::write("/proc/sys/kernel/panic", "0"),
        ),
        ("listen on TCP", TcpListener::bind("127.0.0.1:0").map(drop)),
        (
            "open a UDP socket",
            UdpSocket::bind("127.0.0.1:0").map(drop),
        ),
        ("see other processes", other_processes()),
        (
            "run a program",
            Command::new("/usr/bin/true").status().map(drop),
        ),
        (
            "change its groups",
            checked(unsafe { setgroups(0, ptr::null()) }),
        ),
        (
            "set a hostname",
            checked(unsafe { sethostname(b"robot".as_ptr(), 5) }),
        ),
        ("make writable code", writable_code()),
        ("make a set-user-ID file", set_user_id_file(&state)),
        (
            "make a user namespace",
            checked(unsafe { unshare(CLONE_NEWUSER) }),
        ),
    ];
    for (name, result) in tries.into_iter().chain(connections) {
        match result {
            Ok(()) => println!("{name}: done"),
            Err(error) => println!("{name}: {error}"),
        }
    }
}
