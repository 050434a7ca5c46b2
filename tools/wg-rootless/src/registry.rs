// SPDX-License-Identifier: GPL-2.0
//! Tunnels by name: a file for each in the user's runtime folder says where it
//! is, so that other commands find it. That it is there says nothing: a tunnel
//! lives for as long as a process is in it.

use crate::members::{began, Inside};
use rustix::fs::{flock, FlockOperation};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wg::error::{quote, say, Failure, Result};

/// As long as a name of a tunnel may be.
const LONGEST: usize = 64;

/// What is known about a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The file that it was made from.
    pub file: PathBuf,
    /// What tells whether that file has changed.
    pub version: Version,
    /// Its interface.
    pub interface: String,
    /// The interface's public key.
    pub public_key: String,
    /// The peers' public keys.
    pub peers: Vec<String>,
    /// Where it is.
    pub inside: Inside,
    /// Whether it was given to a process that had been there before.
    pub container: bool,
    /// Whether sockets of programs outside are hidden.
    pub strict: bool,
    /// Who made it, and when that process began.
    pub maker: (u32, u64),
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Version {
    /// That of a regular file; a pipe has none.
    pub fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            changed: (data.mtime(), data.mtime_nsec()),
        })
    }
}

impl Record {
    /// Whether its maker is still setting it up: then nobody can look at it.
    fn is_in_the_making(&self) -> bool {
        let (pid, when) = self.maker;
        began(pid) == Some(when) && Inside::of(&pid.to_string()).is_err()
    }

    /// A process in the tunnel, through which others can enter.
    pub fn entrance(&self) -> Option<u32> {
        // A command may be one that cannot be looked at either.
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            // In this order: it may become its command between the two.
            let in_the_making = self.is_in_the_making();
            let found = self.inside.one();
            if found.is_some() || !in_the_making || Instant::now() > end {
                return found;
            }
            // It is about to become its command.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether there is anybody in it.
    pub fn is_alive(&self) -> bool {
        // In this order: its maker may become its command between the two.
        self.is_in_the_making() || self.inside.one().is_some()
    }
}

/// Whether this can be the name of a tunnel.
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_=+.-@".contains(c);
    (1..=LONGEST).contains(&name.len())
        && name.chars().all(allowed)
        && !name.starts_with(['.', '-'])
}

/// The name of a tunnel, held: nobody else sets one up under it meanwhile.
pub struct Held {
    name: String,
    path: PathBuf,
    file: File,
}

impl Held {
    /// Waits until nobody else holds the name. None where there is no folder
    /// for names that can be written to.
    pub fn take(name: &str) -> Result<Option<Self>> {
        let Some(folder) = folder() else {
            return Ok(None);
        };
        let fail =
            |error: io::Error| Failure::os(format!("Unable to use {}", folder.display()), &error);
        // Without a place for it a tunnel is as good, but alone.
        let made = DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&folder);
        if made.is_err() {
            return Ok(None);
        }
        let path = folder.join(name);
        let mut told = false;
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(fail)?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                if !told {
                    say(format_args!(
                        "waiting for another wg-rootless that sets up {}",
                        quote(name.as_bytes())
                    ));
                    told = true;
                }
                flock(&file, FlockOperation::LockExclusive).map_err(|errno| fail(errno.into()))?;
            }
            // Whoever held it may have removed it.
            let same = |there: &fs::Metadata, held: &fs::Metadata| there.ino() == held.ino();
            if matches!((&fs::metadata(&path), &file.metadata()), (Ok(there), Ok(held)) if same(there, held))
            {
                let name = name.to_owned();
                return Ok(Some(Self { name, path, file }));
            }
        }
    }

    /// What is written down under the name, if it is about a tunnel that lives.
    pub fn record(&mut self) -> Option<Record> {
        self.file.rewind().ok()?;
        read(&mut self.file).filter(Record::is_alive)
    }

    /// Writes it down.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record).unwrap_or_default();
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(&text))
            .map_err(|error| {
                Failure::os(format!("Unable to write {}", self.path.display()), &error)
            })
    }

    /// Forgets the tunnel.
    pub fn forget(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// All tunnels that live, by name. Records of others are removed.
pub fn all() -> Vec<(String, Record)> {
    let mut found = Vec::new();
    let entries = folder().map(fs::read_dir);
    for entry in entries.into_iter().flatten().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(mut file) = File::open(entry.path()) else {
            continue;
        };
        match read(&mut file) {
            Some(record) if record.is_alive() => found.push((name, record)),
            // Not while somebody is about to write one.
            _ => {
                if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// The tunnel of this name.
pub fn find(name: &str) -> Result<Record> {
    let all = all();
    let names: Vec<_> = all.iter().map(|(name, _)| name.clone()).collect();
    all.into_iter()
        .find(|(found, _)| found == name)
        .map(|(_, record)| record)
        .ok_or_else(|| {
            let failure = Failure::new(format!("There is no tunnel {}", quote(name.as_bytes())));
            if std::env::var_os(crate::command::MARK).is_some() {
                return failure.and(
                    "From inside of a tunnel no tunnels can be seen; ask where it was started.",
                );
            }
            failure.and(match &names[..] {
                [] => "None of yours is up; `wg-rootless FILE' makes one.".to_owned(),
                names => format!("There are: {}", names.join(", ")),
            })
        })
}

fn read(file: &mut File) -> Option<Record> {
    let mut text = Vec::new();
    file.take(64 << 10).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The folder for names: one that is the user's own, and goes with the boot.
fn folder() -> Option<PathBuf> {
    let own = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|data| data.is_dir() && data.uid() == geteuid().as_raw())
    };
    let told = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = PathBuf::from(format!("/run/user/{}", geteuid().as_raw()));
    let root = geteuid().is_root().then(|| PathBuf::from("/run"));
    [told, Some(usual), root]
        .into_iter()
        .flatten()
        .filter(|path| path.is_absolute())
        .find(own)
        .map(|path| path.join("wg-rootless"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["wg0", "my-provider_de.1", "a@b"] {
            assert!(is_name(good));
        }
        for bad in ["", ".", "..", "a/b", "a b", "-x", "ü", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn only_regular_files_have_versions() {
        assert!(Version::of(Path::new("/dev/null")).is_none());
        let own = std::env::current_exe().unwrap();
        assert_eq!(Version::of(&own), Version::of(&own));
        assert!(Version::of(&own).is_some());
    }
}
