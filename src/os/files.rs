//! File operations: what may be opened, copies and durability.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::{eaccess, AccessFlags};

/// Opens a regular file for reading. A symbolic link is not followed, and a FIFO or device is not
/// opened.
///
/// # Errors
/// The I/O error if the file cannot be opened (`open(2)`), or says that it is something else.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    open_no_link(path, options.read(true))
}

/// Opens a regular file with these options. A symbolic link is not followed.
///
/// # Errors
/// The I/O error if the file cannot be opened (`open(2)`), or says that it is something else.
pub fn open_no_link(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let named = |what: &str| io::Error::other(format!("{} {what}", path.display()));
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_symlink() => return Err(named("is a symbolic link")),
        Ok(found) if !found.is_file() => return Err(named("is not a regular file")),
        _ => {}
    }
    let file = options.custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(named("is not a regular file"));
    }
    Ok(file)
}

/// Copies what `source` contains to the new file `target`, which only its owner may read, and syncs
/// it. If that fails, `target` is removed.
///
/// # Errors
/// The I/O error if `source` cannot be read, or `target` exists or cannot be written.
pub fn copy_to_new(mut source: impl Read, target: &Path) -> io::Result<()> {
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)?;
    let copied = io::copy(&mut source, &mut new)
        .and_then(|_| new.sync_all())
        .and_then(|()| sync_directory(target));
    if copied.is_err() {
        // The first error is the one to report.
        let _ignored = fs::remove_file(target);
    }
    copied
}

/// Returns what this process may not access of a file that it has to read and write, or of its
/// directory, in which it has to create files: the path and the error. `None` if it may, or the reason
/// is another one.
pub fn denied(path: &Path) -> Option<(PathBuf, io::Error)> {
    let rights = [
        (path, AccessFlags::R_OK | AccessFlags::W_OK),
        (directory_of(path), AccessFlags::W_OK | AccessFlags::X_OK),
    ];
    rights.into_iter().find_map(|(path, rights)| {
        let error = io::Error::from(eaccess(path, rights).err()?);
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        is_denied.then(|| (path.to_owned(), error))
    })
}

/// Returns whether a path leads into `directory`, even if only by way of a symbolic link.
pub fn is_within(path: &Path, directory: &Path) -> bool {
    let Ok(directory) = directory.canonicalize() else {
        return false;
    };
    let path = std::env::current_dir().unwrap_or_default().join(path);
    let leads_into = |part: &Path| {
        part.canonicalize()
            .is_ok_and(|found| found.starts_with(&directory))
    };
    path.ancestors().any(leads_into)
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
