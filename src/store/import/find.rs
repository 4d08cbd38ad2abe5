//! Where the Python server's state lies, and a copy of it to read: nothing of theirs is changed,
//! not even by SQLite, which would tidy up after a power cut.

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
use crate::os::files::own_as_directory;
use crate::store::database::beside;

/// The name of the Python server's database.
pub const FILE: &str = "auth_server.db";
/// What SQLite keeps beside a database and means part of it (<https://sqlite.org/tempfiles.html>).
const BESIDE: [&str; 2] = ["-wal", "-journal"];
/// Largest file that is read, in bytes: a database of 10,000 users has 5 MB.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Most directories that are told of.
const MAX_FAULTS: usize = 20;
/// The last bytes of a journal that names another one (<https://sqlite.org/fileformat2.html>).
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// The schemas that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schema {
    /// The first one.
    B8c4e2f1a903,
    /// With temporary passwords apart.
    C3a91d4e2b70,
}

impl Schema {
    /// The newest first: it counts.
    const ALL: [Self; 2] = [Self::C3a91d4e2b70, Self::B8c4e2f1a903];

    /// Its revision, as Alembic names it.
    pub fn revision(self) -> &'static str {
        match self {
            Self::B8c4e2f1a903 => "b8c4e2f1a903",
            Self::C3a91d4e2b70 => "c3a91d4e2b70",
        }
    }

    fn directory(self) -> String {
        format!("1_{}", self.revision())
    }
}

/// What stands in the way: which file, and why. It never holds a value of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The file or directory.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl Fault {
    /// That `file` is not as it must be.
    pub fn new(file: &Path, what: impl std::fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            what: what.to_string(),
        }
    }
}

/// A database of the Python server.
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// Its schema, by its directory's name.
    pub schema: Schema,
    directory: OwnedFd,
}

/// A private copy of a database of the Python server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Staged {
    /// The copy.
    pub copy: PathBuf,
    /// What it is a copy of.
    pub file: PathBuf,
    /// Its schema, by its directory's name.
    pub schema: Schema,
    /// SHA-256 of the file, followed by what lay beside it.
    pub digest: ChainHash,
}

/// What was found in a directory.
pub struct Found {
    /// The database that counts.
    pub source: Option<Source>,
    /// What stands in the way.
    pub faults: Vec<Fault>,
}

/// Looks for state of the Python server in `root`. Directories `temp-…` are left from an interrupted
/// migration and count for nothing.
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
            Some("lies where no version of the Python server that is known keeps it".to_owned())
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
            // Other directories, such as lost+found, may be closed to us and are nobody's business.
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

const UNKNOWN: &str = "holds state of a version of the Python server that is not known";

/// Whether a directory's name is one of the Python server's: a number, `_`, and Alembic's revision.
fn is_version(name: &str) -> bool {
    name.split_once('_').is_some_and(|(number, revision)| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && revision.len() == 12
            && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The database in the directory `name` of a version; `None` when there is none.
fn version(top: &File, path: &Path, name: &str) -> Result<Option<Source>, String> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = openat(top, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::ELOOP | Errno::ENOTDIR => "is no directory".to_owned(),
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
                return Err(format!("{FILE} is missing, and {name} is there"));
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
    /// Copies the database, and what lies beside it, into the directory `into`, which is private.
    ///
    /// # Errors
    /// It cannot be read, is no regular file or too large, was changed meanwhile, or there is no
    /// room for the copy.
    pub fn stage(&self, into: &Path) -> Result<Staged, Fault> {
        let copy = into.join(FILE);
        let (copied, digest) = self.copy(Some(&copy))?;
        let again: Vec<_> = self.files()?.into_iter().map(|part| part.stamp).collect();
        if copied != again {
            return Err(Fault::new(
                &self.file,
                "was written to while it was read: stop the Python server",
            ));
        }
        Ok(Staged {
            copy,
            file: self.file.clone(),
            schema: self.schema,
            digest,
        })
    }

    /// What [`Staged::digest`] would be.
    ///
    /// # Errors
    /// As [`Source::stage`].
    pub fn digest(&self) -> Result<ChainHash, Fault> {
        self.copy(None).map(|(_, digest)| digest)
    }

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
                    .open(&path)
                    .and_then(|out| own_as_directory(&path).map(|()| out));
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
                    "is part of a change of several databases",
                ));
            }
            stamps.push(file.stamp);
        }
        Ok((stamps, hash.finalize().into()))
    }

    /// The database and what lies beside it, open.
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

/// An open file of a database.
struct Part {
    path: PathBuf,
    suffix: &'static str,
    file: File,
    stamp: Stamp,
    tail: Tail,
}

/// The last bytes of what was read.
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

/// Which file it is, and whether it was changed.
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

/// Opens a regular file to read. A FIFO in its place must not hang, a link not lead elsewhere.
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
        return Err(Refused::Other("is no regular file".into()));
    }
    if stat.st_size as u64 > MAX_BYTES {
        return Err(Refused::Other(TOO_LARGE.into()));
    }
    Ok((file.into(), Stamp::of(&stat)))
}

/// The beginning of the names of directories that copies are made in.
const STAGE: &str = "import-";

/// A new private directory for a copy, in `directory`, removed when it is dropped.
///
/// # Errors
/// It cannot be made.
pub fn stage_directory(directory: &Path) -> io::Result<tempfile::TempDir> {
    let made = tempfile::Builder::new()
        .prefix(STAGE)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(directory)?;
    own_as_directory(made.path())?;
    Ok(made)
}

/// Removes copies that a power cut left in `directory`, which no other process works in.
///
/// # Errors
/// One cannot be removed.
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
