//! Careful operations on files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{chown, MetadataExt};
use std::path::Path;

/// Gives a file to the owner of its folder, for root's console makes files for the service.
///
/// # Errors
/// As `stat(2)` and `chown(2)`; that only root may do it is none.
pub fn own_as_folder(path: &Path) -> io::Result<()> {
    let folder = fs::metadata(folder_of(path))?;
    let file = fs::metadata(path)?;
    if (file.uid(), file.gid()) == (folder.uid(), folder.gid()) {
        return Ok(());
    }
    match chown(path, Some(folder.uid()), Some(folder.gid())) {
        // Not root: the folder is shared in some other way.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Makes the names in a file's folder durable (`fsync(2)`).
///
/// # Errors
/// As `open(2)` and `fsync(2)`.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
