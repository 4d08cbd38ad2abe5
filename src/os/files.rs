//! Careful operations on files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{chown, MetadataExt};
use std::path::Path;

/// Gives a file to the owner of its directory, for root's console makes files for the service.
///
/// # Errors
/// As `stat(2)` and `chown(2)`; that only root may do it is none.
pub fn own_as_directory(path: &Path) -> io::Result<()> {
    let directory = fs::metadata(directory_of(path))?;
    let file = fs::metadata(path)?;
    if (file.uid(), file.gid()) == (directory.uid(), directory.gid()) {
        return Ok(());
    }
    match chown(path, Some(directory.uid()), Some(directory.gid())) {
        // Not root: the directory is shared in some other way.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Makes the names in a file's directory durable (`fsync(2)`).
///
/// # Errors
/// As `open(2)` and `fsync(2)`.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// The directory that a file lies in.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}
