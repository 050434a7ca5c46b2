// SPDX-License-Identifier: GPL-2.0
//! Mounts in the current mount namespace, of file systems in memory and of
//! what is there already.

use rustix::fs::{fchmod, mkdirat, openat, symlinkat, Mode, OFlags, CWD};
use rustix::mount::{
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, FsMountFlags,
    FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags,
};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A file system in memory that is mounted nowhere yet.
pub struct Memory(OwnedFd);

impl Memory {
    /// An empty one, which everybody can look into.
    pub fn new() -> io::Result<Self> {
        Self::with_mode("755")
    }

    /// An empty one with this mode.
    pub fn with_mode(mode: &str) -> io::Result<Self> {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "mode", mode)?;
        fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        Ok(Self(fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            attributes,
        )?))
    }

    /// Its root.
    pub fn as_fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Makes a file that everybody can read, whatever the umask is.
    pub fn file(&self, name: impl AsRef<OsStr>, content: &[u8]) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let mut file = File::from(openat(&self.0, name.as_ref(), flags, mode)?);
        fchmod(&file, mode)?;
        file.write_all(content)
    }

    /// Makes a folder.
    pub fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(mkdirat(&self.0, name.as_ref(), Mode::from_raw_mode(0o755))?)
    }

    /// Makes a link.
    pub fn link(&self, name: impl AsRef<OsStr>, target: &Path) -> io::Result<()> {
        Ok(symlinkat(target, &self.0, name.as_ref())?)
    }

    /// One of its files, to be mounted.
    pub fn tree(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        Ok(open_tree(&self.0, name, flags)?)
    }
}

/// A copy of the mount at `path` with all below it, mounted nowhere yet.
pub fn tree(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path.as_ref(), flags)?)
}

/// Mounts over what is at `path`; over a link, not over what it leads to.
pub fn mount_over(what: impl AsFd, path: &Path) -> io::Result<()> {
    let what: BorrowedFd<'_> = what.as_fd();
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(what, "", CWD, path, flags)?)
}
