// SPDX-License-Identifier: GPL-2.0
//! Which processes are in a tunnel: those whose network namespace is its.
//! Nobody keeps a list of them, so none can be wrong.

use rustix::fs::{statx, AtFlags, StatxFlags, CWD};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// What tells a namespace from all others of its time. When it has gone the
/// kernel soon gives its number to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// The namespaces that make up the inside of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Where the interface is.
    pub net: Identity,
    /// Whose rights it takes.
    pub user: Identity,
    /// The mount that is the root of all paths, with the files about name
    /// servers. This number no other mount will have until the next boot.
    pub root: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its number.
    pub pid: u32,
    /// What it is called.
    pub command: String,
}

impl Identity {
    /// That of the namespace of a process, `self` being this one.
    pub fn of(pid: &str, kind: &str) -> io::Result<Self> {
        let data = fs::metadata(format!("/proc/{pid}/ns/{kind}"))?;
        Ok(Self {
            device: data.dev(),
            inode: data.ino(),
        })
    }
}

impl Inside {
    /// Those of a process, `self` being this one.
    pub fn of(pid: &str) -> io::Result<Self> {
        Ok(Self {
            net: Identity::of(pid, "net")?,
            user: Identity::of(pid, "user")?,
            root: root_of(pid)?,
        })
    }

    /// The processes in this network namespace, as far as they can be looked at.
    pub fn members(&self) -> Vec<Member> {
        let mut found: Vec<_> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                Identity::of(&pid.to_string(), "net").is_ok_and(|net| net == self.net)
            })
            .map(|pid| Member {
                pid,
                command: command(pid),
            })
            .collect();
        found.sort_by_key(|member| member.pid);
        found
    }

    /// A process that is in all of these namespaces.
    pub fn one(&self) -> Option<u32> {
        let inside = |pid: &u32| Self::of(&pid.to_string()).is_ok_and(|inside| inside == *self);
        let members = self.members().into_iter().map(|member| member.pid);
        members.into_iter().find(inside)
    }
}

fn root_of(pid: &str) -> io::Result<u64> {
    // STATX_MNT_ID_UNIQUE. A kernel before 6.8 answers with a number that others
    // may have later.
    let unique = StatxFlags::from_bits_retain(0x4000) | StatxFlags::MNT_ID;
    let found = statx(CWD, format!("/proc/{pid}/root"), AtFlags::empty(), unique)?;
    Ok(found.stx_mnt_id)
}

fn command(pid: u32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    wg::error::escape(name.trim_ascii())
}

/// When a process began, in ticks since the boot: with its number, that is a
/// name which no other process has.
pub fn began(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may have anything in it but this.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_one() {
        let inside = Inside::of("self").unwrap();
        let own = std::process::id();
        assert!(inside.members().iter().any(|member| member.pid == own));
        assert!(inside.one().is_some());
        assert!(inside.root > 0);
        let elsewhere = Inside {
            root: inside.root + 1,
            ..inside
        };
        assert!(elsewhere.one().is_none());
        assert!(began(own).unwrap() > 0);
        assert_eq!(began(0), None);
    }
}
