// SPDX-License-Identifier: GPL-2.0
//! Has the programs of a mount namespace ask the tunnel's name servers, and
//! nobody outside.
//!
//! The files are on file systems in memory that have no place of their own, so
//! there is nothing to remove, and nobody else can see them.
//!
//! A file that is mounted over another falls off when somebody outside renames
//! a new file over that one, as whoever manages the machine's network does with
//! resolv.conf. So for a user `/etc` itself is covered, by a folder that has all
//! that is in there ([`cover_etc`]). Who may write to `/etc`, root or a container,
//! would write to that folder; there single files are covered ([`cover_file`]).

use crate::dns::Dns;
use crate::mounts::{mount_over, Memory};
use crate::nsswitch::without_services_outside;
use crate::textfile;
use rustix::fs::{access, openat, Access, Mode, OFlags, CWD};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wg::error::{describe, warn, Failure, Result};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// What our own begins with.
const MADE_HERE: &[u8] = b"# made by wg-rootless";
const NSSWITCH_CONF: &str = "/etc/nsswitch.conf";
/// Where openSUSE has it, unless the machine has one of its own.
const NSSWITCH_OF_VENDOR: &str = "/usr/etc/nsswitch.conf";
/// Folders with the sockets of daemons that answer from outside, whoever asks.
const DAEMONS: [&str; 3] = [
    "systemd/resolve", // its varlink socket is asked by nss-resolve and resolvectl
    "nscd",
    "avahi-daemon",
];

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of this machine, seen by the command only.
    Command,
    /// Those of a container that runs already.
    Container,
}

/// Has programs ask these servers.
pub fn take_effect(dns: &Dns, whose: Whose) -> Result<()> {
    let (nsswitch, text) = nsswitch()?;
    let resolv_conf = dns.resolv_conf();
    let mut files = vec![(RESOLV_CONF, resolv_conf.as_bytes())];
    if let Some(text) = &text {
        files.push((nsswitch, text));
    }
    match whose {
        Whose::Command if access("/etc", Access::WRITE_OK).is_err() => {
            // In there it is where all look first.
            let files = files.iter().map(|(path, text)| (name_of(path), *text));
            cover_etc(&files.collect::<Vec<_>>())
                .map_err(|error| Failure::os("Unable to mount over /etc", &error))?;
        }
        Whose::Command => {
            for (path, text) in files {
                cover_file(path, text).map_err(|error| not_covered(path, &error))?;
            }
        }
        Whose::Container => {
            for (path, text) in files {
                if let Err(error) = cover_file(path, text) {
                    warn(format_args!(
                        "name servers are left alone: unable to mount over {path}: {}",
                        describe(&error)
                    ));
                    return Ok(());
                }
            }
        }
    }
    cover_daemons(&resolv_conf)
}

/// Writes the servers down anew where they took effect before. False if they
/// did not.
pub fn renew(dns: &Dns) -> Result<bool> {
    let old = textfile::read(RESOLV_CONF).unwrap_or_default();
    if !old.starts_with(MADE_HERE) || dns.servers.is_empty() {
        return Ok(dns.servers.is_empty());
    }
    // The place is our own, but what is in it may be a link by now.
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, RESOLV_CONF, flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|fd| fs::File::from(fd).write_all(dns.resolv_conf().as_bytes()))
        .map_err(|error| Failure::os(format!("Unable to write {RESOLV_CONF}"), &error))?;
    Ok(true)
}

/// Leaves it to this machine who is asked, and adds domains that short names
/// are looked for in.
pub fn add_domains(dns: &Dns) -> Result<()> {
    if dns.search.is_empty() {
        return Ok(());
    }
    let mut all = Dns::of_resolv_conf(&textfile::read(RESOLV_CONF).unwrap_or_default());
    all.search.splice(..0, dns.search.iter().cloned());
    let text = all.resolv_conf();
    if access("/etc", Access::WRITE_OK).is_err() {
        cover_etc(&[(name_of(RESOLV_CONF), text.as_bytes())])
            .map_err(|error| not_covered("/etc", &error))
    } else {
        cover_file(RESOLV_CONF, text.as_bytes()).map_err(|error| not_covered(RESOLV_CONF, &error))
    }
}

fn not_covered(path: &str, error: &io::Error) -> Failure {
    Failure::os(format!("Unable to mount over {path}"), error)
}

/// What is to take the place of nsswitch.conf, if anything: where there is no
/// such file the C library asks name servers only.
fn nsswitch() -> Result<(&'static str, Option<Vec<u8>>)> {
    for path in [NSSWITCH_CONF, NSSWITCH_OF_VENDOR] {
        match textfile::read(path) {
            Ok(text) => return Ok((path, without_services_outside(&text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Whoever asks outside because of what is in there would not be noticed.
            Err(error) => {
                return Err(Failure::os(format!("Unable to read {path}"), &error).and(
                    "It says who is asked for names, and has to name the tunnel's servers only.",
                ))
            }
        }
    }
    Ok((NSSWITCH_CONF, None))
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Covers `/etc` with a folder that has these files and all others that are in
/// there: files by links, so that new ones of the same name are seen; folders by
/// mounts, so that links out of them lead where they did.
fn cover_etc(files: &[(&str, &[u8])]) -> io::Result<()> {
    const OLD: &str = ".outside";
    let old = crate::mounts::tree("/etc")?;
    let memory = Memory::new()?;
    memory.folder(OLD)?;
    let mut folders = Vec::new();
    for entry in fs::read_dir("/etc")? {
        let entry = entry?;
        let name = entry.file_name();
        if files.iter().any(|(file, _)| name == *file) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            // Relative to where it stands.
            memory.link(&name, &fs::read_link(entry.path())?)?;
        } else if kind.is_dir() {
            memory.folder(&name)?;
            folders.push(entry.path());
        } else {
            memory.link(&name, &Path::new("/etc").join(OLD).join(&name))?;
        }
    }
    for (name, text) in files {
        memory.file(name, text)?;
    }
    // While they can still be seen.
    let folders: Vec<_> = folders
        .into_iter()
        .filter_map(|path| Some((crate::mounts::tree(&path).ok()?, path)))
        .collect();
    mount_over(memory.as_fd(), Path::new("/etc"))?;
    mount_over(&old, &Path::new("/etc").join(OLD))?;
    for (tree, path) in folders {
        mount_over(&tree, &path)?;
    }
    Ok(())
}

/// Covers one file, or the link that is in its place: not what that leads to,
/// which may be replaced. Where there is none an empty one is made.
fn cover_file(path: &str, text: &[u8]) -> io::Result<()> {
    if let Err(error) = fs::symlink_metadata(path) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)?;
    }
    let memory = Memory::new()?;
    let name = name_of(path);
    memory.file(name, text)?;
    mount_over(&memory.tree(name)?, Path::new(path))
}

/// Covers the folders of daemons outside. In place of their sockets there are
/// files, to which nobody can connect.
fn cover_daemons(resolv_conf: &str) -> Result<()> {
    for run in ["/run", "/var/run"] {
        if run == "/var/run" && same("/run", run) {
            continue;
        }
        for daemon in DAEMONS {
            let path = Path::new(run).join(daemon);
            let Ok(entries) = fs::read_dir(&path) else {
                continue;
            };
            let names = entries.flatten().map(|entry| entry.file_name());
            let covered = Memory::new().and_then(|memory| {
                for name in names {
                    let text = match name.to_str() {
                        Some("resolv.conf" | "stub-resolv.conf") => resolv_conf.as_bytes(),
                        _ => b"",
                    };
                    memory.file(&name, text)?;
                }
                mount_over(memory.as_fd(), &path)
            });
            covered.map_err(|error| not_covered(&path.to_string_lossy(), &error))?;
        }
    }
    Ok(())
}

fn same(a: &str, b: &str) -> bool {
    let identity = |path: &str| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    matches!((identity(a), identity(b)), (Ok(a), Ok(b)) if a == b)
}
