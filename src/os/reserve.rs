//! Disk space kept in reserve: a file in the state directory whose blocks are allocated but unused,
//! and which is removed when the space is needed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

use super::files::{directory_of, open_no_link, sync_directory};

/// Name of the file in the state directory.
const NAME: &str = "reserve";
/// Size of the reserve, in bytes: room for the database's write-ahead log, and for thousands of changes.
pub const SIZE: u64 = 2 << 20;

/// Unit of the number of blocks in `stat(2)`, in bytes.
const BLOCK: u64 = 512;

/// Space reserved on the disk of a directory.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// Returns the reserve of a directory, without making it.
    pub fn of(directory: &Path) -> Self {
        Self {
            path: directory.join(NAME),
        }
    }

    /// Allocates the reserve, unless it is allocated already.
    ///
    /// # Errors
    /// The I/O error if the file cannot be created (`open(2)`) or its blocks cannot be allocated
    /// (`posix_fallocate(3)`); [`is_no_space`] tells whether the disk is full. No space is taken then.
    pub fn hold(&self) -> io::Result<()> {
        // A file is made only if it fits, not for each request on a full disk.
        if !self.is_held()? && self.free_besides()? < SIZE {
            return Err(Errno::ENOSPC.into());
        }
        let file = self.open(true)?;
        let size = SIZE.try_into().expect("the size is small");
        let allocated = posix_fallocate(&file, 0, size).map_err(io::Error::from);
        if allocated.is_err() {
            // The first error is the one to report.
            let _ignored = self.remove(&file);
        }
        allocated
    }

    /// Returns whether the reserve is allocated. Its file may be a sparse copy of an allocated one.
    fn is_held(&self) -> io::Result<bool> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => found.map(|found| found.blocks() * BLOCK >= SIZE),
        }
    }

    /// Gives the reserved space up. Returns whether there was any.
    ///
    /// # Errors
    /// The I/O error if the file cannot be opened, truncated or removed.
    pub fn release(&self) -> io::Result<bool> {
        match self.open(false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            opened => self.remove(&opened?).map(|()| true),
        }
    }

    /// Opens the file, which must be a regular one.
    fn open(&self, create: bool) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(create)
            .truncate(false)
            .mode(0o600);
        open_no_link(&self.path, &mut options)
    }

    /// Truncates and removes the file. Its blocks are free once that is on the disk.
    fn remove(&self, file: &File) -> io::Result<()> {
        file.set_len(0)?;
        file.sync_all()?;
        fs::remove_file(&self.path)?;
        sync_directory(&self.path)
    }

    /// Returns the space that is free on the disk besides the reserve, in bytes.
    ///
    /// # Errors
    /// The I/O error of `statvfs(3)`.
    pub fn free_besides(&self) -> io::Result<u64> {
        let found = statvfs(directory_of(&self.path))?;
        #[allow(clippy::useless_conversion)] // the types differ between platforms
        Ok(u64::from(found.blocks_available()) * u64::from(found.fragment_size()))
    }
}

/// Returns whether an error means that the disk, or a quota of it, is full.
pub fn is_no_space(error: &io::Error) -> bool {
    let full = [Errno::ENOSPC as i32, Errno::EDQUOT as i32];
    error
        .raw_os_error()
        .is_some_and(|code| full.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_takes_its_space_and_gives_it_back() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(directory.path());
        assert!(!reserve.release().unwrap());
        for _ in 0..2 {
            reserve.hold().unwrap();
            let held = fs::metadata(directory.path().join(NAME)).unwrap();
            assert!(held.blocks() * BLOCK >= SIZE);
            assert_eq!(held.mode() & 0o777, 0o600);
        }
        assert!(reserve.release().unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("other");
        fs::write(&other, "content").unwrap();
        std::os::unix::fs::symlink(&other, directory.path().join(NAME)).unwrap();
        let error = Reserve::of(directory.path()).hold().unwrap_err();
        assert!(!is_no_space(&error), "{error}");
        assert_eq!(fs::read(&other).unwrap(), b"content");
    }
}
