// SPDX-License-Identifier: GPL-2.0
//! Name servers, for the programs in the current mount namespace.
//!
//! Files of our own are mounted over those that the C library reads. They are
//! on a file system in memory that has no place of its own, so there is
//! nothing to remove, and nobody else can see them.

use rustix::fs::{fchmod, openat, Mode, OFlags, CWD};
use rustix::mount::{
    fsconfig_create, fsmount, fsopen, move_mount, open_tree, FsMountFlags, FsOpenFlags,
    MountAttrFlags, MoveMountFlags, OpenTreeFlags,
};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use wg::error::{Failure, Result};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const NSSWITCH_CONF: &str = "/etc/nsswitch.conf";
/// Through this, programs would ask a cache that asks outside.
const NSCD_SOCKET: &str = "/run/nscd/socket";

/// Makes an empty file to mount over, if there is none: a container without a
/// network has no use for it, so far.
pub fn make_place() -> Result<()> {
    if Path::new(RESOLV_CONF).exists() {
        return Ok(());
    }
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(RESOLV_CONF)
        .map(drop)
        .map_err(|error| Failure::os(format!("Unable to make {RESOLV_CONF}"), &error))
}

/// What a file says about DNS.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// Name servers.
    pub servers: Vec<IpAddr>,
    /// Domains that short names are looked for in.
    pub search: Vec<String>,
}

impl Dns {
    /// Has programs ask these servers, and nobody else.
    pub fn take_effect(&self) -> Result<()> {
        let files = Files::new()
            .map_err(|error| Failure::os("Unable to make a file system in memory", &error))?;
        files
            .mount(RESOLV_CONF, &self.resolv_conf())
            .map_err(|error| {
                let failure = Failure::os(format!("Unable to mount over {RESOLV_CONF}"), &error);
                match error.kind() {
                    io::ErrorKind::NotFound => failure
                        .and("DNS = can only replace a file that is there: have an empty one made,")
                        .and("or leave the line out."),
                    _ => failure,
                }
            })?;
        // Where there is no such file the C library asks name servers only.
        if let Some(text) = fs::read_to_string(NSSWITCH_CONF)
            .ok()
            .and_then(|text| without_services_outside(&text))
        {
            mount_or_fail(&files, NSSWITCH_CONF, &text)?;
        }
        if Path::new(NSCD_SOCKET).exists() {
            mount_or_fail(&files, NSCD_SOCKET, "")?;
        }
        Ok(())
    }

    fn resolv_conf(&self) -> String {
        let mut text = String::from("# made by wg-rootless\n");
        if !self.search.is_empty() {
            let _ = writeln!(text, "search {}", self.search.join(" "));
        }
        for server in &self.servers {
            let _ = writeln!(text, "nameserver {server}");
        }
        text
    }
}

fn mount_or_fail(files: &Files, path: &str, content: &str) -> Result<()> {
    files
        .mount(path, content)
        .map_err(|error| Failure::os(format!("Unable to mount over {path}"), &error))
}

/// The text of nsswitch.conf without those ways to find a host that lead to a
/// daemon outside, such as systemd-resolved: it would answer from there. None
/// if there is no such way in it.
fn without_services_outside(text: &str) -> Option<String> {
    const INSIDE: [&str; 3] = ["files", "myhostname", "dns"];
    let mut changed = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let code = line.split('#').next().unwrap_or_default();
        let Some(services) = code.trim_start().strip_prefix("hosts:") else {
            lines.push(line.to_owned());
            continue;
        };
        let mut kept = Vec::new();
        let mut stays = true;
        // What is in brackets belongs to the service before it.
        for word in split_services(services) {
            if !word.starts_with('[') {
                stays = INSIDE.contains(&word);
            }
            if stays {
                kept.push(word);
            } else {
                changed = true;
            }
        }
        if !kept.contains(&"dns") {
            changed = true;
            kept.push("dns");
        }
        lines.push(format!("hosts: {}", kept.join(" ")));
    }
    changed.then(|| lines.join("\n") + "\n")
}

/// Words, and brackets with all that is in them.
fn split_services(mut text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    loop {
        text = text.trim_start();
        let end = if text.starts_with('[') {
            text.find(']').map(|end| end + 1)
        } else {
            text.find(|c: char| c == '[' || c.is_whitespace())
        };
        match (text, end) {
            ("", _) => return words,
            (_, end) => {
                let (word, rest) = text.split_at(end.unwrap_or(text.len()));
                words.push(word);
                text = rest;
            }
        }
    }
}

/// A file system in memory that is mounted nowhere.
struct Files(OwnedFd);

impl Files {
    fn new() -> io::Result<Self> {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        Ok(Self(fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            attributes,
        )?))
    }

    /// Puts a file with this content over `path`, or over what it links to.
    fn mount(&self, path: &str, content: &str) -> io::Result<()> {
        let name = path.replace('/', "-");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let mut file = fs::File::from(openat(&self.0, &name, flags, mode)?);
        // Whatever the umask is.
        fchmod(&file, mode)?;
        file.write_all(content.as_bytes())?;
        drop(file);
        let tree = open_tree(
            &self.0,
            &name,
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        )?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
        Ok(move_mount(&tree, "", CWD, path, flags)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_read() {
        let dns = Dns {
            servers: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            search: vec!["a.example".into(), "b.example".into()],
        };
        assert_eq!(
            dns.resolv_conf(),
            "# made by wg-rootless\nsearch a.example b.example\n\
             nameserver 10.0.0.1\nnameserver fd00::1\n"
        );
    }

    #[test]
    fn daemons_outside_are_not_asked() {
        let hosts = |services: &str| {
            without_services_outside(&format!("passwd: files sss\nhosts:{services}\n"))
        };
        for (before, after) in [
            (
                " mymachines resolve [!UNAVAIL=return] files myhostname dns",
                "files myhostname dns",
            ),
            (
                "\tfiles mdns4_minimal [NOTFOUND=return] dns # comment",
                "files dns",
            ),
            (
                " files[NOTFOUND = continue]resolve",
                "files [NOTFOUND = continue] dns",
            ),
            (" files", "files dns"),
            ("", "dns"),
        ] {
            assert_eq!(
                hosts(before).unwrap(),
                format!("passwd: files sss\nhosts: {after}\n")
            );
        }
        assert_eq!(hosts(" files dns"), None);
        assert_eq!(hosts("  files myhostname [SUCCESS=return] dns"), None);
        assert_eq!(without_services_outside("passwd: files\n"), None);
    }
}
