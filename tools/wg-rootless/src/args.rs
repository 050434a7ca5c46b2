// SPDX-License-Identifier: GPL-2.0
//! The command line.

use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use wg::error::{quote, Failure, Result};
use wg::uapi::IFNAME_MAX;

/// Help that fits on a screen.
const HELP: &str = "\
Usage: wg-rootless [-i NAME] FILE [--] [COMMAND [ARGUMENT...]]
       wg-rootless [-i NAME] -n PID FILE

Runs COMMAND (or your shell) with a WireGuard tunnel of the kernel as its only
network, set up from FILE as wg-quick(8) would do it. This takes no rights:
the tunnel lives in namespaces of your own, and ends with the command; its
packets leave from where you are now, as those of any program of yours.

  -n, --netns-of PID    no command: put the tunnel into the network namespace
                        of a process of yours, such as one in a container
  -i, --interface NAME  name of the interface (that of FILE without .conf)
  -h, --help            this
  -V, --version         version

  wg-rootless wg0.conf curl https://example.org
  podman unshare wg-rootless wg0.conf podman run --network host IMAGE

Exit status: the command's; 125 if the tunnel cannot be had, 126 if the command
cannot be run, 127 if there is none. wg-rootless(1) tells the rest.";

/// What the user wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Job {
    /// Some text.
    Print(String),
    /// A command with a tunnel; the shell, if it is empty.
    Run {
        /// What tunnel.
        tunnel: Tunnel,
        /// The command and its arguments.
        command: Vec<OsString>,
    },
    /// A tunnel for a process that is there.
    Join {
        /// What tunnel.
        tunnel: Tunnel,
        /// Which process.
        pid: u32,
    },
}

/// Which tunnel the user wants.
#[derive(Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What it is to be like.
    pub file: PathBuf,
    /// What its interface is called.
    pub interface: String,
}

/// Reads the command line, program name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Job> {
    read(Parser::from_iter(args)).map_err(|complaint| match complaint {
        Complaint::Usage(text) => Failure::new(format!("wg-rootless: {text}"))
            .and("`wg-rootless --help' tells how it is used."),
        Complaint::Value(failure) => failure,
    })
}

enum Complaint {
    Usage(String),
    Value(Failure),
}

impl From<lexopt::Error> for Complaint {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

fn read(mut parser: Parser) -> std::result::Result<Job, Complaint> {
    let mut pid = None;
    let mut interface = None;
    let file = loop {
        match parser.next()? {
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Job::Print(HELP.into())),
            Some(Arg::Short('V') | Arg::Long("version")) => {
                return Ok(Job::Print(format!(
                    "wg-rootless {}",
                    env!("CARGO_PKG_VERSION")
                )));
            }
            Some(Arg::Short('n') | Arg::Long("netns-of")) => {
                pid = Some(pid_of(&parser.value()?).map_err(Complaint::Value)?);
            }
            Some(Arg::Short('i') | Arg::Long("interface")) => {
                interface = Some(name_of(&parser.value()?).map_err(Complaint::Value)?);
            }
            Some(Arg::Value(file)) => break PathBuf::from(file),
            Some(other) => return Err(other.unexpected().into()),
            None => return Err(Complaint::Usage("which FILE describes the tunnel?".into())),
        }
    };
    let mut command: Vec<OsString> = parser.raw_args()?.collect();
    if command.first().is_some_and(|word| word == "--") {
        command.remove(0);
    }
    let interface = interface.unwrap_or_else(|| name_from(&file));
    let tunnel = Tunnel { file, interface };
    match pid {
        None => Ok(Job::Run { tunnel, command }),
        Some(pid) if command.is_empty() => Ok(Job::Join { tunnel, pid }),
        Some(_) => Err(Complaint::Usage(
            "with --netns-of there is no COMMAND: the process is there already".into(),
        )),
    }
}

fn pid_of(word: &OsStr) -> Result<u32> {
    let pid = word.to_str().and_then(|text| text.parse::<i32>().ok());
    match pid.and_then(|pid| u32::try_from(pid).ok()) {
        Some(pid) if pid > 0 => Ok(pid),
        _ => Err(Failure::new(format!(
            "--netns-of: {} is not the number of a process",
            quote(word.as_encoded_bytes())
        ))
        .and("For one in a container: podman inspect --format {{.State.Pid}} NAME")),
    }
}

fn name_of(word: &OsStr) -> Result<String> {
    match word.to_str() {
        Some(name) if is_name(name) => Ok(name.to_owned()),
        _ => Err(Failure::new(format!(
            "--interface: {} is not a name for an interface",
            quote(word.as_encoded_bytes())
        ))
        .and(format!(
            "It has at most {IFNAME_MAX} characters: letters, digits and _=+.-"
        ))),
    }
}

/// The name that wg-quick would take, where it would take one at all.
fn name_from(file: &Path) -> String {
    file.file_name()
        .and_then(OsStr::to_str)
        .and_then(|name| name.strip_suffix(".conf"))
        .filter(|name| is_name(name))
        .unwrap_or("wg0")
        .to_owned()
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_=+.-".contains(c);
    (1..=IFNAME_MAX).contains(&name.len())
        && name.chars().all(allowed)
        && ![".", "..", "lo", "all", "default"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Job> {
        parse(["wg-rootless"].iter().chain(words).map(OsString::from))
    }

    fn running(words: &[&str]) -> (Tunnel, Vec<OsString>) {
        match parsed(words).unwrap() {
            Job::Run { tunnel, command } => (tunnel, command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_follows_the_file_is_the_command() {
        let (tunnel, command) = running(&["a/wg7.conf", "curl", "-n", "1", "--", "-h"]);
        assert_eq!(tunnel.file, Path::new("a/wg7.conf"));
        assert_eq!(tunnel.interface, "wg7");
        assert_eq!(command, ["curl", "-n", "1", "--", "-h"]);
        let (_, command) = running(&["wg0.conf", "--", "--odd", "--"]);
        assert_eq!(command, ["--odd", "--"]);
        let (tunnel, command) = running(&["-i", "x", "--", "-file"]);
        assert_eq!((tunnel.interface.as_str(), command.len()), ("x", 0));
        assert_eq!(tunnel.file, Path::new("-file"));
    }

    #[test]
    fn interfaces_are_called_like_files_if_they_can_be() {
        for (file, name) in [
            ("/etc/wireguard/home.conf", "home"),
            ("/dev/fd/63", "wg0"),
            ("too-long-for-a-name.conf", "wg0"),
            ("lo.conf", "wg0"),
            (".conf", "wg0"),
            ("größe.conf", "wg0"),
        ] {
            assert_eq!(running(&[file]).0.interface, name, "{file}");
        }
    }

    #[test]
    fn a_process_can_be_joined() {
        let job = parsed(&["--netns-of=77", "wg0.conf"]).unwrap();
        assert!(matches!(job, Job::Join { pid: 77, .. }));
        let failure = parsed(&["-n", "77", "wg0.conf", "true"]).unwrap_err();
        assert!(failure.lines[0].contains("no COMMAND"));
    }

    #[test]
    fn wrong_words_are_named() {
        for (words, part) in [
            (&[][..], "which FILE"),
            (&["-x"], "-x"),
            (&["--netns-of"], "--netns-of"),
            (&["-n", "0", "f"], "`0' is not the number"),
            (&["-n", "-1", "f"], "`-1' is not the number"),
            (&["-n", "4294967296", "f"], "is not the number"),
            (&["-i", "a/b", "f"], "`a/b' is not a name"),
            (&["-i", "0123456789abcdef", "f"], "is not a name"),
        ] {
            let failure = parsed(words).unwrap_err();
            assert!(failure.lines[0].contains(part), "{:?}", failure.lines);
            assert!(failure.lines.len() == 2);
        }
    }

    #[test]
    fn help_fits_on_a_screen() {
        assert_eq!(parsed(&["-h"]).unwrap(), Job::Print(HELP.into()));
        assert!(HELP.lines().count() < 25);
        assert!(HELP.lines().all(|line| line.len() < 80));
    }
}
