//! Finds the Python server's database and copies it for reading. The original files are never
//! changed, not even by SQLite, which would recover the database after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{openat, AtFlags, OFlag};
use nix::sys::stat::{fstat, fstatat, FileStat, Mode, SFlag};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::audit::ChainHash;
use crate::store::database::beside;

/// File name of the Python server's database.
pub const FILE: &str = "auth_server.db";
/// Suffixes of the files that SQLite keeps beside a database and that are part of its content
/// (<https://sqlite.org/tempfiles.html>).
const BESIDE: [&str; 2] = ["-wal", "-journal"];
/// Maximum size of a file to read, in bytes. A database with 10,000 users takes 5 MB.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Maximum number of faulty directories to report.
const MAX_FAULTS: usize = 20;
/// Last bytes of a rollback journal that refers to a super-journal, which coordinates a transaction
/// across several databases (<https://sqlite.org/fileformat2.html>, section 3).
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Known schemas of the Python server's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schema {
    /// First schema, without a column for temporary passwords.
    B8c4e2f1a903,
    /// Second schema, with a separate column for temporary passwords.
    C3a91d4e2b70,
}

impl Schema {
    /// All schemas, newest first: the newest one found is imported.
    const ALL: [Self; 2] = [Self::C3a91d4e2b70, Self::B8c4e2f1a903];

    /// Returns the Alembic revision id of the schema.
    pub fn revision(self) -> &'static str {
        match self {
            Self::B8c4e2f1a903 => "b8c4e2f1a903",
            Self::C3a91d4e2b70 => "c3a91d4e2b70",
        }
    }

    /// Returns the name of the directory that holds a database of this schema.
    fn directory(self) -> String {
        format!("1_{}", self.revision())
    }
}

/// Obstacle to importing the state. It never contains a value from the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Path of the file or directory at fault.
    pub file: PathBuf,
    /// Description of what is wrong with it, as a verb phrase.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl Fault {
    /// Creates a fault of `file`; `what` is a verb phrase, such as "is empty".
    pub fn new(file: &Path, what: impl std::fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            what: what.to_string(),
        }
    }
}

/// Database of the Python server.
pub struct Source {
    /// Path of the database.
    pub file: PathBuf,
    /// Schema, according to the name of its directory.
    pub schema: Schema,
    directory: OwnedFd,
}

/// Private copy of a database of the Python server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Staged {
    /// Path of the copy.
    pub copy: PathBuf,
    /// Path of the original database.
    pub file: PathBuf,
    /// Schema, according to the name of its directory.
    pub schema: Schema,
    /// SHA-256 digest of the database followed by its write-ahead log and rollback journal, if any.
    pub digest: ChainHash,
}

/// Result of searching a directory.
pub struct Found {
    /// Database to import: the one with the newest schema.
    pub source: Option<Source>,
    /// Obstacles found during the search.
    pub faults: Vec<Fault>,
}

/// Searches `root` for a database of the Python server. Directories named `temp-…` are left over
/// from an interrupted migration, and are ignored.
pub fn find(root: &Path) -> Found {
    let mut found = Found {
        source: None,
        faults: Vec::new(),
    };
    let looked = look(root, &mut found);
    if let Err(error) = looked {
        found.faults.push(Fault::new(root, error));
    }
    found
}

/// Adds what is in `root` to `found`. Fails if `root` cannot be read.
fn look(root: &Path, found: &mut Found) -> io::Result<()> {
    let top = File::open(root)?;
    let mut sources = Vec::new();
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name();
        let path = root.join(&name);
        let Some(text) = name.to_str().filter(|text| !text.starts_with("temp-")) else {
            continue;
        };
        let fault = if text == FILE {
            Some("is not where any known version of the Python server keeps it".to_owned())
        } else if is_version(text) {
            match version(&top, &path, text) {
                Ok(Some(source)) => {
                    sources.push(source);
                    None
                }
                Ok(None) => None,
                Err(what) => Some(what),
            }
        } else {
            // Other directories, such as lost+found, may be unreadable, which does not matter.
            let database = format!("{text}/{FILE}");
            fstatat(&top, database.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
                .is_ok()
                .then(|| UNKNOWN.to_owned())
        };
        if let Some(what) = fault.filter(|_| found.faults.len() < MAX_FAULTS) {
            found.faults.push(Fault::new(&path, what));
        }
    }
    found.source = Schema::ALL.into_iter().find_map(|schema| {
        let position = sources
            .iter()
            .position(|source: &Source| source.schema == schema)?;
        Some(sources.swap_remove(position))
    });
    Ok(())
}

const UNKNOWN: &str = "contains state of an unknown version of the Python server";

/// Returns whether a directory is named like those of the Python server: a number, `_`, and an
/// Alembic revision id of 12 hexadecimal digits.
fn is_version(name: &str) -> bool {
    name.split_once('_').is_some_and(|(number, revision)| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && revision.len() == 12
            && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Returns the database in `path`, the directory `name` in `top`; `None` if it contains none. The
/// error describes the fault of the directory, as a verb phrase.
fn version(top: &File, path: &Path, name: &str) -> Result<Option<Source>, String> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = openat(top, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::ELOOP | Errno::ENOTDIR => "is not a directory".to_owned(),
        errno => io::Error::from(errno).to_string(),
    })?;
    let is_there = |name: &str| match fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(io::Error::from(errno).to_string()),
    };
    if !is_there(FILE)? {
        for suffix in BESIDE {
            let name = format!("{FILE}{suffix}");
            if is_there(&name)? {
                return Err(format!("contains {name}, but {FILE} is missing"));
            }
        }
        return Ok(None);
    }
    let schema = Schema::ALL
        .into_iter()
        .find(|schema| schema.directory() == name);
    Ok(Some(Source {
        file: path.join(FILE),
        schema: schema.ok_or(UNKNOWN)?,
        directory,
    }))
}

impl Source {
    /// Copies the database, its write-ahead log and its rollback journal into `into`, a private
    /// directory.
    ///
    /// # Errors
    /// A [`Fault`] if one of the files
    /// - cannot be read,
    /// - is not a regular file, or is larger than 256 MiB,
    /// - was changed while it was being copied,
    /// - is a rollback journal of a transaction across several databases,
    /// - or cannot be copied, as when the disk is full.
    pub fn stage(&self, into: &Path) -> Result<Staged, Fault> {
        let copy = into.join(FILE);
        let (copied, digest) = self.copy(Some(&copy))?;
        let again: Vec<_> = self.files()?.into_iter().map(|part| part.stamp).collect();
        if copied != again {
            return Err(Fault::new(
                &self.file,
                "was changed while it was being read: stop the Python server",
            ));
        }
        Ok(Staged {
            copy,
            file: self.file.clone(),
            schema: self.schema,
            digest,
        })
    }

    /// Computes the digest that [`Staged::digest`] would have, without making a copy.
    ///
    /// # Errors
    /// A [`Fault`] if one of the files cannot be read, is not a regular file, is larger than 256
    /// MiB, or is a rollback journal of a transaction across several databases.
    pub fn digest(&self) -> Result<ChainHash, Fault> {
        self.copy(None).map(|(_, digest)| digest)
    }

    /// Reads all files of the database, and copies them if `copy` is given. Returns the identity of
    /// each file, and the digest of all of them.
    fn copy(&self, copy: Option<&Path>) -> Result<(Vec<Stamp>, ChainHash), Fault> {
        let mut hash = Sha256::new();
        let mut stamps = Vec::new();
        for mut file in self.files()? {
            let failed = |doing: &'static str| {
                let path = file.path.clone();
                move |error: io::Error| Fault::new(&path, format!("{doing}: {error}"))
            };
            let mut out = None;
            if let Some(copy) = copy {
                let path = beside(copy, file.suffix);
                let opened = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path);
                out = Some(opened.map_err(failed("cannot be copied"))?);
            }
            let mut buffer = vec![0; 64 * 1024];
            let mut left = MAX_BYTES;
            loop {
                let count = match file.file.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(failed("cannot be read")(error)),
                };
                left = left
                    .checked_sub(count as u64)
                    .ok_or_else(|| Fault::new(&file.path, TOO_LARGE))?;
                hash.update(&buffer[..count]);
                if let Some(out) = &mut out {
                    out.write_all(&buffer[..count])
                        .map_err(failed("cannot be copied"))?;
                }
                file.tail.take(&buffer[..count]);
            }
            if file.suffix == "-journal" && file.tail.0 == JOURNAL_MAGIC {
                return Err(Fault::new(
                    &file.path,
                    "belongs to a transaction across several databases",
                ));
            }
            stamps.push(file.stamp);
        }
        Ok((stamps, hash.finalize().into()))
    }

    /// Opens the database and those of its accompanying files that exist.
    fn files(&self) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        for suffix in [""].into_iter().chain(BESIDE) {
            let name = format!("{FILE}{suffix}");
            let path = self.file.with_file_name(&name);
            match open(self.directory.as_fd(), &name) {
                Ok((file, stamp)) => parts.push(Part {
                    path,
                    suffix,
                    file,
                    stamp,
                    tail: Tail::default(),
                }),
                Err(Refused::Missing) if !suffix.is_empty() => {}
                Err(refused) => return Err(Fault::new(&path, refused.what())),
            }
        }
        Ok(parts)
    }
}

const TOO_LARGE: &str = "is larger than 256 MiB";

/// Open file that is part of a database.
struct Part {
    path: PathBuf,
    suffix: &'static str,
    file: File,
    stamp: Stamp,
    tail: Tail,
}

/// Last eight bytes that were read.
#[derive(Default)]
struct Tail([u8; 8]);

impl Tail {
    fn take(&mut self, bytes: &[u8]) {
        for byte in &bytes[bytes.len().saturating_sub(8)..] {
            self.0.rotate_left(1);
            self.0[7] = *byte;
        }
    }
}

/// Identity and version of a file: device, inode, size, and the times of the last modification and
/// status change in nanoseconds (`inode(7)`). Any write changes it.
#[derive(PartialEq)]
struct Stamp([i128; 5]);

impl Stamp {
    fn of(stat: &FileStat) -> Self {
        let time = |seconds, nanos: i128| i128::from(seconds) * 1_000_000_000 + nanos;
        Self([
            i128::from(stat.st_dev),
            i128::from(stat.st_ino),
            i128::from(stat.st_size),
            time(stat.st_mtime, stat.st_mtime_nsec as i128),
            time(stat.st_ctime, stat.st_ctime_nsec as i128),
        ])
    }
}

/// Reason why a file was not opened.
enum Refused {
    Missing,
    Other(String),
}

impl Refused {
    fn what(self) -> String {
        match self {
            Self::Missing => "is missing".into(),
            Self::Other(what) => what,
        }
    }
}

/// Opens a regular file for reading, without following a symbolic link or blocking on a FIFO.
fn open(directory: impl AsFd, name: &str) -> Result<(File, Stamp), Refused> {
    let other = |errno: Errno| Refused::Other(io::Error::from(errno).to_string());
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file =
        openat(directory, name, flags | OFlag::O_CLOEXEC, Mode::empty()).map_err(|errno| {
            match errno {
                Errno::ENOENT => Refused::Missing,
                Errno::ELOOP => Refused::Other("is a symbolic link".into()),
                errno => other(errno),
            }
        })?;
    let stat = fstat(&file).map_err(other)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Refused::Other("is not a regular file".into()));
    }
    if stat.st_size as u64 > MAX_BYTES {
        return Err(Refused::Other(TOO_LARGE.into()));
    }
    Ok((file.into(), Stamp::of(&stat)))
}

/// Prefix of the names of the directories that hold copies.
const STAGE: &str = "import-";

/// Creates a private directory for a copy in `directory`. It is removed when dropped.
///
/// # Errors
/// The I/O error if the directory cannot be created.
pub fn stage_directory(directory: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(STAGE)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(directory)
}

/// Removes copies left behind in `directory` by a power cut. No other process may be using the
/// directory.
///
/// # Errors
/// The I/O error if `directory` cannot be read or a copy cannot be removed.
pub fn remove_left_stages(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(STAGE);
        if is_ours && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn stamp_of_a_file_changes_with_each_nanosecond() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("file")).unwrap();
        for (seconds, nanos) in [(5, 0), (5, 1), (6, 0), (1_700_000_000, 999_999_999)] {
            let time = UNIX_EPOCH + Duration::new(seconds, nanos);
            file.set_modified(time).unwrap();
            let Stamp([_, _, size, modified, _]) = Stamp::of(&fstat(&file).unwrap());
            let expected = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            assert_eq!((size, modified), (0, expected));
        }
    }

    #[test]
    fn database_that_is_removed_after_it_was_found_is_a_fault() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(Schema::ALL[0].directory());
        fs::create_dir(&path).unwrap();
        fs::write(path.join(FILE), "").unwrap();
        let source = find(root.path()).source.unwrap();
        fs::remove_file(path.join(FILE)).unwrap();
        let fault = source.digest().unwrap_err();
        assert_eq!(fault, Fault::new(&path.join(FILE), "is missing"));
    }
}
