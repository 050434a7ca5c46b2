// SPDX-License-Identifier: GPL-2.0
//! The words about the transit netns: which one, and with what credentials.

use crate::error::{describe, escape, quote, Failure, Result};
use crate::model::Device;
use crate::netns;
use crate::uapi::NETNSA_NSID_NOT_ASSIGNED;
use rustix::fs::{fstat, openat, FileType, Mode, OFlags, CWD};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The network namespace that the sockets are to move to, as it was spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitNetns(pub Vec<u8>);

/// The transit netns, found.
#[derive(Debug)]
pub enum Found {
    /// Opened by name or path; the file keeps the fd alive until it is sent.
    Fd(File),
    /// A process inside it.
    Pid(u32),
}

/// File descriptors of UDP sockets in the transit netns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// An IPv4 socket.
    pub v4: u32,
    /// An IPv6 socket; not needed where the kernel has no IPv6.
    pub v6: Option<u32>,
}

impl TransitNetns {
    /// Checks no more than the form.
    pub fn parse(word: &[u8]) -> std::result::Result<Self, String> {
        if word.is_empty() {
            return Err(format!("it is empty; {WANTED}"));
        }
        if word.contains(&0) {
            return Err(format!("there is a NUL byte in it; {WANTED}"));
        }
        Ok(Self(word.to_vec()))
    }

    /// Finds the netns the way ip(1) does: a name in its folder first, then a
    /// number as a PID; a value with a `/` is a path.
    pub fn find(&self) -> Result<Found> {
        if self.0.contains(&b'/') {
            let path = Path::new(OsStr::from_bytes(&self.0));
            return match open(path) {
                Ok(Some(file)) => Ok(Found::Fd(file)),
                Ok(None) => Err(Failure::new(format!(
                    "Unable to open transit-netns {self}: it is no network namespace"
                ))
                .and(format!("transit-netns: {WANTED}."))),
                Err(error) => {
                    let failure =
                        Failure::os(format!("Unable to open transit-netns {}", self), &error);
                    Err(match error.raw_os_error() {
                        Some(libc::EACCES | libc::EPERM) => failure.and(
                            "Opening the namespace of a process takes the right to trace it; \
                             its PID alone does without: transit-netns PID.",
                        ),
                        _ => failure,
                    })
                }
            };
        }
        match netns::open(&self.0) {
            Ok(file) => Ok(Found::Fd(file)),
            Err(error) => match self.pid() {
                Some(pid) => Ok(Found::Pid(pid)),
                None => Err(Failure::new(format!(
                    "Unable to find transit-netns {}: no such name in {} ({}), and it is no PID",
                    self,
                    netns::FOLDER,
                    describe(&error)
                ))
                .and(format!("transit-netns: {WANTED}."))),
            },
        }
    }

    /// The number, if this is one that could be a PID. A leading zero is
    /// refused: ip(1) would read it as octal, most people would not.
    fn pid(&self) -> Option<u32> {
        let digits = self.0.iter().all(u8::is_ascii_digit) && self.0.first() != Some(&b'0');
        let pid: i32 = std::str::from_utf8(&self.0).ok()?.parse().ok()?;
        u32::try_from(pid).ok().filter(|_| digits)
    }
}

/// Opens what a file of configuration names, unless it is something that is
/// changed by being opened, or waits: a device, or a pipe. Namespaces look like
/// regular files.
fn open(path: &Path) -> std::io::Result<Option<File>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let kind = FileType::from_raw_mode(fstat(openat(CWD, path, flags, Mode::empty())?)?.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Ok(None);
    }
    // What is there may be another one by now, but not wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(Some(openat(CWD, path, flags, Mode::empty())?.into()))
}

const WANTED: &str = "give a name of `ip netns', a PID, or a path such as /proc/PID/ns/net";

impl std::fmt::Display for TransitNetns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&quote(&self.0))
    }
}

impl Credentials {
    /// Reads `FD4[,FD6]`.
    pub fn parse(word: &[u8]) -> std::result::Result<Self, String> {
        let wanted = "give the numbers of one open IPv4 and one open IPv6 UDP socket, \
                      such as 100,101";
        let mut parts = word.split(|&byte| byte == b',');
        let mut next = || parts.next().map(fd_number);
        match (next(), next(), next()) {
            (Some(Some(v4)), None, None) => Ok(Self { v4, v6: None }),
            (Some(Some(v4)), Some(Some(v6)), None) => Ok(Self { v4, v6: Some(v6) }),
            _ => Err(format!("{} is not FD4[,FD6]; {wanted}", quote(word))),
        }
    }

    /// Fails for an fd that the caller did not open. The kernel would say so
    /// too, unless one of our own sockets took the number meanwhile: so this
    /// is asked before any of them is open.
    pub fn check_open(&self) -> Result<()> {
        for fd in [Some(self.v4), self.v6].into_iter().flatten() {
            let entry = format!("/proc/self/fd/{fd}");
            let missing = std::fs::read_link(entry)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
            // Without /proc the kernel has to say it.
            if missing && Path::new("/proc/self/fd").exists() {
                return Err(Failure::new(format!(
                    "Unable to modify interface: {}",
                    crate::error::errno_text(libc::EBADF)
                ))
                .and(format!(
                    "transit-credentials: fd {fd} is not open here. {}",
                    how_to_open(fd)
                )));
            }
        }
        Ok(())
    }
}

/// How a shell opens a credential.
pub fn how_to_open(fd: u32) -> String {
    format!(
        "Open a UDP socket as fd {fd} in the shell that runs wg, before it enters \
         other namespaces (bash: exec {fd}<>/dev/udp/127.0.0.1/9, or .../::1/9 for IPv6)."
    )
}

fn fd_number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let fd: RawFd = std::str::from_utf8(digits).ok()?.parse().ok()?;
    u32::try_from(fd).ok()
}

impl Found {
    /// The fd or PID as the kernel takes it.
    pub fn number(&self) -> u32 {
        match self {
            // An open file's fd is never negative.
            Found::Fd(file) => file.as_raw_fd().unsigned_abs(),
            Found::Pid(pid) => *pid,
        }
    }
}

/// The transit netns of a device, as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    place: Place,
    nsid: Option<i32>,
    mark_withheld: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Own,
    Gone,
    Number(i32),
    /// The netns of process 1, with this number.
    Init(i32),
    Name(Vec<u8>),
}

impl Shown {
    /// Finds out about the transit netns of a device.
    pub fn of(device: &Device) -> Self {
        Self::with(device, netns::identify)
    }

    /// Finds out about the transit netns with this number.
    pub fn of_nsid(nsid: Option<i32>) -> Self {
        Self::of(&Device {
            transit_nsid: nsid,
            ..Device::default()
        })
    }

    fn with(device: &Device, identify: impl FnOnce(i32) -> netns::Known) -> Self {
        let place = match device.transit_nsid {
            None => Place::Own,
            Some(NETNSA_NSID_NOT_ASSIGNED) => Place::Gone,
            Some(nsid) => match identify(nsid) {
                netns::Known {
                    name: Some(name), ..
                } => Place::Name(name),
                netns::Known { init: true, .. } => Place::Init(nsid),
                netns::Known { .. } => Place::Number(nsid),
            },
        };
        Self {
            place,
            nsid: device.transit_nsid,
            mark_withheld: device.fwmark != 0 && device.transit_fwmark == Some(0),
        }
    }

    /// For scripts.
    pub fn field(&self) -> Vec<u8> {
        match &self.place {
            Place::Own => b"(none)".to_vec(),
            Place::Gone => b"gone".to_vec(),
            Place::Number(nsid) | Place::Init(nsid) => format!("nsid {nsid}").into(),
            Place::Name(name) => name.clone(),
        }
    }

    /// For people; nothing about a device that has not moved.
    pub fn pretty(&self) -> Option<String> {
        match &self.place {
            Place::Own => None,
            Place::Gone => Some("gone (set a new one with `wg set DEV transit-netns ...')".into()),
            Place::Number(nsid) => Some(format!("nsid {nsid}")),
            Place::Init(nsid) => Some(format!("nsid {nsid} (the one of process 1)")),
            Place::Name(name) => Some(escape(name)),
        }
    }

    /// Whether it is the netns of the device itself, or not told.
    pub fn is_own(&self) -> bool {
        self.place == Place::Own
    }

    /// Whether it does not exist any more.
    pub fn is_gone(&self) -> bool {
        self.place == Place::Gone
    }

    /// Its number here.
    pub fn nsid(&self) -> Option<i32> {
        self.nsid.filter(|nsid| *nsid != NETNSA_NSID_NOT_ASSIGNED)
    }

    /// Its name, if ip(1) has one for it.
    pub fn name(&self) -> Option<&[u8]> {
        match &self.place {
            Place::Name(name) => Some(name),
            _ => None,
        }
    }

    /// What to say behind the mark.
    pub fn mark_note(&self) -> &'static str {
        if self.mark_withheld {
            " (kept, but not applied to transit packets)"
        } else {
            ""
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let one = Credentials { v4: 7, v6: None };
        assert_eq!(Credentials::parse(b"7"), Ok(one));
        let two = Credentials {
            v4: 100,
            v6: Some(101),
        };
        assert_eq!(Credentials::parse(b"100,101"), Ok(two));
        for bad in [
            "",
            ",",
            "1,",
            ",1",
            "1,2,3",
            "a",
            "-1",
            "+1",
            "1 ,2",
            "0x1",
            "2147483648",
            "99999999999999999999",
        ] {
            let complaint = Credentials::parse(bad.as_bytes()).unwrap_err();
            assert!(complaint.contains("FD4[,FD6]"), "{bad}");
        }
    }

    #[test]
    fn closed_credentials_are_named() {
        let closed = Credentials {
            v4: 0,
            v6: Some(987_654),
        };
        let failure = closed.check_open().unwrap_err();
        assert!(failure.lines[0].ends_with("Bad file descriptor"));
        assert!(failure.lines[1].contains("987654"));
    }

    #[test]
    fn a_number_is_a_pid() {
        let find = |word: &str| TransitNetns(word.into()).find();
        assert!(matches!(find("1"), Ok(Found::Pid(1))));
        for bad in ["01", "0", "-1", "1x", "4294967296", "no such name"] {
            assert!(find(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slash_makes_a_path() {
        let find = |word: &str| TransitNetns(word.into()).find();
        assert!(matches!(find("/proc/self/ns/net"), Ok(Found::Fd(_))));
        let failure = find("./1").unwrap_err();
        assert!(failure.lines[0].contains("`./1'"));
        // A device is not opened.
        let failure = find("/dev/null").unwrap_err();
        assert!(failure.lines[0].contains("no network namespace"));
    }

    #[test]
    fn empty_words_are_refused() {
        assert!(TransitNetns::parse(b"").is_err());
        assert!(TransitNetns::parse(b"a\0b").is_err());
        assert!(TransitNetns::parse(b"blue").is_ok());
    }

    fn shown(nsid: Option<i32>, mark: Option<u32>, known: netns::Known) -> Shown {
        let device = Device {
            fwmark: 7,
            transit_nsid: nsid,
            transit_fwmark: mark,
            ..Device::default()
        };
        Shown::with(&device, |_| known)
    }

    #[test]
    fn places() {
        let none = netns::Known::default;
        let own = shown(None, None, none());
        assert_eq!((own.pretty(), own.field()), (None, b"(none)".to_vec()));
        let gone = shown(Some(-1), None, none());
        assert!(gone.pretty().unwrap().starts_with("gone (set a new"));
        assert_eq!(gone.field(), b"gone");
        let number = shown(Some(3), None, none());
        assert_eq!(number.pretty().as_deref(), Some("nsid 3"));
        assert_eq!(number.field(), b"nsid 3");
        let named = netns::Known {
            name: Some(b"blue".to_vec()),
            init: false,
        };
        let named = shown(Some(3), None, named);
        assert_eq!(named.pretty().as_deref(), Some("blue"));
        assert_eq!(named.field(), b"blue");
        let init = netns::Known {
            name: None,
            init: true,
        };
        let init = shown(Some(0), None, init);
        assert!(init.pretty().unwrap().contains("process 1"));
        assert_eq!(init.field(), b"nsid 0");
    }

    #[test]
    fn a_withheld_mark_is_told() {
        let note = |mark| shown(None, mark, netns::Known::default()).mark_note();
        assert_eq!(note(None), "");
        assert_eq!(note(Some(7)), "");
        assert!(note(Some(0)).contains("not applied"));
    }
}
