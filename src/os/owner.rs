//! Acting as the owner of the state directory instead of as root. Whatever the owner put there, such
//! as a symbolic link, then gives access to nothing that the owner cannot access.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{
    getegid, geteuid, getgroups, setegid, seteuid, setgroups, setresgid, setresuid, Gid, Uid, User,
};

const ROOT: Uid = Uid::from_raw(0);

/// Returns the owner of `directory` and its group, if this process is root and another user owns it.
/// The group is the user's primary one or, for a user without an entry in the user database, the
/// directory's.
///
/// # Errors
/// The I/O error if the directory cannot be examined (`stat(2)`), except that it does not exist, or
/// the user database cannot be read (`getpwuid_r(3)`).
fn other_owner(directory: &Path) -> io::Result<Option<(Uid, Gid)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let owner = Uid::from_raw(found.uid());
    if owner.is_root() {
        return Ok(None);
    }
    let group = User::from_uid(owner)?.map_or(Gid::from_raw(found.gid()), |user| user.gid);
    Ok(Some((owner, group)))
}

/// Returns whether this process is root and another user owns `directory`.
///
/// # Errors
/// The I/O error if the directory or its owner cannot be examined (`stat(2)`, `getpwuid_r(3)`).
pub fn is_anothers(directory: &Path) -> io::Result<bool> {
    other_owner(directory).map(|owner| owner.is_some())
}

/// Returns the name of the user who owns `directory`, if this process can find out.
pub fn name(directory: &Path) -> Option<String> {
    let owner = Uid::from_raw(fs::metadata(directory).ok()?.uid());
    User::from_uid(owner).ok()?.map(|user| user.name)
}

/// Becomes the owner of `directory` for good, without other groups, if this process is root and
/// another user owns it.
///
/// # Errors
/// The I/O error if the directory or its owner cannot be examined (`stat(2)`, `getpwuid_r(3)`), or
/// the user or groups cannot be changed (`setresuid(2)`, `setgroups(2)`).
pub fn become_owner(directory: &Path) -> io::Result<()> {
    if let Some((uid, gid)) = other_owner(directory)? {
        setgroups(&[gid])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
    }
    Ok(())
}

/// Calls `act` with the rights of the owner of `directory`, if this process is root and another user
/// owns it, and takes those of root again afterwards. The real user remains root, so the owner cannot
/// send signals to this process (`kill(2)`).
///
/// # Errors
/// The I/O error if the directory or its owner cannot be examined (`stat(2)`, `getpwuid_r(3)`), or
/// the user or groups cannot be changed (`setresuid(2)`, `setgroups(2)`).
pub fn as_owner<T>(directory: &Path, act: impl FnOnce() -> T) -> io::Result<T> {
    let Some((uid, gid)) = other_owner(directory)? else {
        return Ok(act());
    };
    let (group, groups) = (getegid(), getgroups()?);
    setgroups(&[gid])?;
    setegid(gid)?;
    seteuid(uid)?;
    let value = act();
    seteuid(ROOT)?;
    setegid(group)?;
    setgroups(&groups)?;
    Ok(value)
}
