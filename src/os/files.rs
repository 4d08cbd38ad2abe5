//! File operations: ownership and durability.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{chown, MetadataExt};
use std::path::Path;

/// Changes the owner and group of a file to those of its directory. The console, which root runs,
/// needs this for files that the service must be able to use. Without the privilege to change the
/// owner, the file is left as it is.
///
/// # Errors
/// The I/O error if the file or its directory cannot be examined (`stat(2)`), or the owner cannot
/// be changed for a reason other than missing privileges (`chown(2)`).
pub fn own_as_directory(path: &Path) -> io::Result<()> {
    let directory = fs::metadata(directory_of(path))?;
    let file = fs::metadata(path)?;
    if (file.uid(), file.gid()) == (directory.uid(), directory.gid()) {
        return Ok(());
    }
    match chown(path, Some(directory.uid()), Some(directory.gid())) {
        // The process is not root, so the directory must be shared in some other way.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Syncs the directory that contains a file, so that the file's name is durable (`fsync(2)`).
///
/// # Errors
/// The I/O error if the directory cannot be opened (`open(2)`) or synced (`fsync(2)`).
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// Returns the directory that contains a file.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}
