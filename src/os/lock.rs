//! The lock of the state directory, which only one process can hold at a time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{major, minor};

use super::files::open_no_link;

/// Name of the lock file, whose lock is held by the process that uses the directory.
pub const LOCK: &str = "lock";
/// Table of all file locks (`proc_locks(5)`).
const LOCKS: &str = "/proc/locks";

/// Locks the directory. Returns `None` if another process holds the lock.
///
/// # Errors
/// The I/O error if the lock file cannot be created, opened or locked, or is not a regular file.
pub fn try_lock(directory: &Path) -> io::Result<Option<Flock<File>>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = open_no_link(&directory.join(LOCK), &mut options)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Returns the process that holds the lock of the directory, as its number and name; `None` if there
/// is none, or the kernel does not show it to this process.
pub fn holder(directory: &Path) -> Option<String> {
    let found = fs::symlink_metadata(directory.join(LOCK)).ok()?;
    let pid = holder_in(&fs::read_to_string(LOCKS).ok()?, found.dev(), found.ino())?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(match name.trim_end() {
        "" => format!("process {pid}"),
        name => format!("process {pid} ({name})"),
    })
}

/// Returns the number of the process that holds a lock of `flock(2)` on a file, according to the
/// table of locks: `NUMBER: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END`.
fn holder_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, _, pid, found, ..] if found == file => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::makedev;

    use super::*;

    #[test]
    fn holder_is_found_in_the_table_of_locks() {
        let table = "1: POSIX  ADVISORY  WRITE 11 08:1a:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 08:1a:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 08:1a:77 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 14 08:1a:77 0 EOF\n";
        let device = makedev(8, 0x1a);
        assert_eq!(holder_in(table, device, 77), Some(13));
        assert_eq!(holder_in(table, device, 79), None);
        assert_eq!(holder_in("", device, 77), None);
    }

    #[test]
    fn holder_of_a_lock_is_this_process() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(holder(directory.path()), None);
        let _lock = try_lock(directory.path()).unwrap().unwrap();
        assert!(try_lock(directory.path()).unwrap().is_none());
        if let Some(holder) = holder(directory.path()) {
            let expected = format!("process {} (", std::process::id());
            assert!(holder.starts_with(&expected), "{holder}");
        }
    }
}
