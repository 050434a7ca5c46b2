// SPDX-License-Identifier: GPL-2.0
//! The command line.

use crate::dns::Dns;
use crate::publish::Publish;
use crate::quick::{Instead, Table};
use crate::registry::{self, Record};
use crate::setup::find_file;
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wg::error::{quote, Failure, Result};
use wg::uapi::IFNAME_MAX;

/// Help that fits on a screen.
pub const HELP: &str = "\
Usage: wg-rootless [OPTION...] FILE [--] [COMMAND [ARGUMENT...]]
       wg-rootless [OPTION...] -n PID FILE
       wg-rootless exec NAME [--] [COMMAND [ARGUMENT...]]
       wg-rootless { list | status NAME | sync NAME [FILE] | down NAME }

Runs COMMAND (or your shell) with a WireGuard tunnel of the kernel as its only
IP network, set up from FILE as wg-quick(8) would do it. This takes no rights:
the tunnel lives in namespaces of your own, and ends with the last command in
it. A second command with the same FILE joins it.

  -n, --netns-of PID      no command: give the tunnel to the network namespace
                          of a process of yours, such as one in a container
      --replace-default   and take away the routes that are in its way there
  -i, --interface NAME    name of the interface (that of FILE without .conf)
      --name NAME         name of the tunnel (the same)
  -w, --wait SECONDS      for a handshake; without one, fail and say why
      --dns LIST          name servers and domains, in place of FILE's
      --table TABLE       as `Table =', in place of FILE's
      --private-key PATH  read the key from there, in place of FILE's
  -p, --publish [ADDRESS:]PORT:PORT[/udp]  have a port outside lead inside
      --host-port PORT    have that port of 127.0.0.1 lead to this machine's
      --strict            hide D-Bus and other sockets of programs outside
  -h, --help              this; wg-rootless(1) has the rest, and exit statuses
  -V, --version           version";

/// What the user wants.
#[derive(Debug)]
pub enum Job {
    /// Some text.
    Print(String),
    /// A command with a tunnel; the shell, if it is empty.
    Run {
        /// What tunnel.
        wanted: Box<Wanted>,
        /// The command and its arguments.
        command: Vec<OsString>,
    },
    /// A command in a tunnel that is up.
    Exec {
        /// Which one.
        name: String,
        /// The command and its arguments.
        command: Vec<OsString>,
    },
    /// A tunnel for a process that is there.
    Give {
        /// What tunnel.
        wanted: Box<Wanted>,
        /// Which process.
        pid: u32,
    },
    /// All tunnels.
    List {
        /// As JSON.
        json: bool,
    },
    /// The state of a tunnel.
    Status {
        /// Which one.
        name: String,
        /// As JSON.
        json: bool,
    },
    /// What its file says now.
    Sync {
        /// Which tunnel.
        name: String,
        /// Another file.
        file: Option<PathBuf>,
        /// Only endpoints of peers that do not answer.
        endpoints: bool,
    },
    /// The end of a tunnel.
    Down {
        /// Which one.
        name: String,
    },
}

/// Which tunnel the user wants.
#[derive(Debug, Default)]
pub struct Wanted {
    /// What it is to be like.
    pub file: PathBuf,
    /// What it is called.
    pub name: String,
    /// Whether it is called so by the user.
    pub named: bool,
    /// What its interface is called.
    pub interface: String,
    /// Whether it is called so by the user.
    pub interface_named: bool,
    /// What takes the place of something in the file.
    pub instead: Instead,
    /// How long to wait for a handshake.
    pub wait: Option<Duration>,
    /// Ports that lead in.
    pub publish: Vec<Publish>,
    /// Ports that lead out to this machine.
    pub host_ports: Vec<u16>,
    /// Whether to hide sockets of programs outside.
    pub strict: bool,
    /// Whether to remove routes that are in the way.
    pub replace_default: bool,
}

impl Wanted {
    /// An option that wants another tunnel than this one.
    pub fn not_as(&self, record: &Record) -> Option<&'static str> {
        [
            ("--dns", self.instead.dns.is_some()),
            ("--table", self.instead.table.is_some()),
            ("--private-key", self.instead.private_key.is_some()),
            ("--strict", self.strict && !record.strict),
            (
                "--interface",
                self.interface_named && self.interface != record.interface,
            ),
        ]
        .into_iter()
        .find_map(|(option, differs)| differs.then_some(option))
    }
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

impl From<Failure> for Complaint {
    fn from(failure: Failure) -> Self {
        Self::Value(failure)
    }
}

/// A value of an option that is none.
fn bad(option: &str, reason: impl std::fmt::Display) -> Complaint {
    Complaint::Value(
        Failure::new(format!("{option}: {reason}"))
            .and("`wg-rootless --help' tells how it is used."),
    )
}

fn read(mut parser: Parser) -> std::result::Result<Job, Complaint> {
    let mut pid = None;
    let mut interface = None;
    let mut name = None;
    let mut wanted = Wanted::default();
    // What can only stand before a file.
    let mut optioned = false;
    let file = loop {
        let argument = parser.next()?;
        match argument {
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Job::Print(HELP.into())),
            Some(Arg::Short('V') | Arg::Long("version")) => {
                return Ok(Job::Print(format!(
                    "wg-rootless {}",
                    env!("CARGO_PKG_VERSION")
                )));
            }
            Some(Arg::Short('n') | Arg::Long("netns-of")) => {
                pid = Some(pid_of(&parser.value()?)?);
            }
            Some(Arg::Short('i') | Arg::Long("interface")) => {
                interface = Some(name_of(&parser.value()?)?);
            }
            Some(Arg::Long("name")) => name = Some(tunnel_of(&parser.value()?)?),
            Some(Arg::Short('w') | Arg::Long("wait")) => {
                let text = text(&mut parser)?;
                let seconds = text.parse().ok().filter(|&seconds| seconds > 0);
                let seconds = seconds.ok_or_else(|| {
                    let shown = quote(text.as_bytes());
                    bad("--wait", format_args!("{shown} is not a number of seconds"))
                })?;
                wanted.wait = Some(Duration::from_secs(u64::from(u32::min(seconds, 86400))));
            }
            Some(Arg::Long("dns")) => {
                let dns = wanted.instead.dns.get_or_insert_with(Dns::default);
                dns.add(&text(&mut parser)?)
                    .map_err(|reason| bad("--dns", reason))?;
            }
            Some(Arg::Long("table")) => {
                let table = Table::parse(&text(&mut parser)?);
                wanted.instead.table = Some(table.map_err(|reason| bad("--table", reason))?);
            }
            Some(Arg::Long("private-key")) => {
                wanted.instead.private_key = Some(parser.value()?.into());
            }
            Some(Arg::Short('p') | Arg::Long("publish")) => {
                let publish = Publish::parse(&text(&mut parser)?);
                wanted
                    .publish
                    .push(publish.map_err(|reason| bad("--publish", reason))?);
            }
            Some(Arg::Long("host-port")) => {
                let text = text(&mut parser)?;
                let port = text.parse().ok().filter(|&port| port > 0);
                let wrong = || format!("{} is not a port", quote(text.as_bytes()));
                wanted
                    .host_ports
                    .push(port.ok_or_else(|| bad("--host-port", wrong()))?);
            }
            Some(Arg::Long("strict")) => wanted.strict = true,
            Some(Arg::Long("replace-default")) => wanted.replace_default = true,
            Some(Arg::Value(word)) => {
                let verb = word.to_str().filter(|word| VERBS.contains(word));
                match verb {
                    None => break find_file(Path::new(&word)),
                    Some(verb) if optioned => {
                        return Err(Complaint::Usage(format!(
                            "options do not stand before {verb}; a file of this name is ./{verb}"
                        )))
                    }
                    Some(verb) => return read_verb(verb, parser),
                }
            }
            Some(other) => return Err(other.unexpected().into()),
            None => return Err(Complaint::Usage("which FILE describes the tunnel?".into())),
        }
        optioned = true;
    };
    let command = command_of(&mut parser)?;
    (wanted.named, wanted.interface_named) = (name.is_some(), interface.is_some());
    wanted.interface = interface.unwrap_or_else(|| name_from(&file));
    wanted.name = name
        .or_else(|| {
            stem(&file)
                .filter(|name| registry::is_name(name))
                .map(Into::into)
        })
        .unwrap_or_else(|| wanted.interface.clone());
    wanted.file = file;
    let wanted = Box::new(wanted);
    match pid {
        None if wanted.replace_default => Err(Complaint::Usage(
            "--replace-default is for --netns-of: a command has no other routes".into(),
        )),
        None => Ok(Job::Run { wanted, command }),
        Some(_) if wanted.strict || !wanted.publish.is_empty() || !wanted.host_ports.is_empty() => {
            Err(Complaint::Usage(
                "--strict, --publish and --host-port are for a COMMAND, not for --netns-of".into(),
            ))
        }
        Some(pid) if command.is_empty() => Ok(Job::Give { wanted, pid }),
        Some(_) => Err(Complaint::Usage(
            "with --netns-of there is no COMMAND: the process is there already".into(),
        )),
    }
}

/// Words in the place of a file that are about tunnels that are up.
const VERBS: [&str; 5] = ["exec", "list", "status", "sync", "down"];

fn read_verb(verb: &str, mut parser: Parser) -> std::result::Result<Job, Complaint> {
    let mut names = Vec::new();
    let (mut json, mut endpoints) = (false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("json") if matches!(verb, "list" | "status") => json = true,
            Arg::Long("endpoints") if verb == "sync" => endpoints = true,
            Arg::Value(word) => {
                names.push(word);
                if verb == "exec" {
                    break;
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let mut names = names.into_iter();
    let job = match verb {
        "list" => Job::List { json },
        _ => {
            let which = || Complaint::Usage(format!("{verb}: which tunnel?"));
            let name = tunnel_of(&names.next().ok_or_else(which)?)?;
            match verb {
                "exec" => Job::Exec {
                    name,
                    command: command_of(&mut parser)?,
                },
                "status" => Job::Status { name, json },
                "down" => Job::Down { name },
                _ => Job::Sync {
                    name,
                    file: names.next().map(|word| find_file(Path::new(&word))),
                    endpoints,
                },
            }
        }
    };
    match names.next() {
        None => Ok(job),
        Some(word) => Err(Complaint::Usage(format!(
            "{verb}: {} is too much",
            quote(word.as_encoded_bytes())
        ))),
    }
}

/// All that is left: a command line of its own.
fn command_of(parser: &mut Parser) -> std::result::Result<Vec<OsString>, Complaint> {
    let mut command: Vec<OsString> = parser.raw_args()?.collect();
    if command.first().is_some_and(|word| word == "--") {
        command.remove(0);
    }
    Ok(command)
}

fn text(parser: &mut Parser) -> std::result::Result<String, Complaint> {
    Ok(parser.value()?.to_string_lossy().into_owned())
}

fn tunnel_of(word: &OsStr) -> Result<String> {
    match word.to_str() {
        Some(name) if registry::is_name(name) => Ok(name.to_owned()),
        _ => Err(Failure::new(format!(
            "{} is not a name for a tunnel",
            quote(word.as_encoded_bytes())
        ))
        .and("It has at most 64 characters: letters, digits and _=+.-@")),
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
    stem(file)
        .filter(|name| is_name(name))
        .unwrap_or("wg0")
        .to_owned()
}

/// The name of a file without its ending.
fn stem(file: &Path) -> Option<&str> {
    file.file_name()
        .and_then(OsStr::to_str)
        .and_then(|name| name.strip_suffix(".conf"))
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

    fn running(words: &[&str]) -> (Wanted, Vec<OsString>) {
        match parsed(words).unwrap() {
            Job::Run { wanted, command } => (*wanted, command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_follows_the_file_is_the_command() {
        let (wanted, command) = running(&["a/wg7.conf", "curl", "-n", "1", "--", "-h"]);
        assert_eq!(wanted.file, Path::new("a/wg7.conf"));
        assert_eq!((&*wanted.interface, &*wanted.name), ("wg7", "wg7"));
        assert_eq!(command, ["curl", "-n", "1", "--", "-h"]);
        let (_, command) = running(&["wg0.conf", "--", "--odd", "--"]);
        assert_eq!(command, ["--odd", "--"]);
        let (wanted, command) = running(&["-i", "x", "--", "-file"]);
        assert_eq!((wanted.interface.as_str(), command.len()), ("x", 0));
        assert_eq!(wanted.file, Path::new("-file"));
    }

    #[test]
    fn interfaces_and_tunnels_are_called_like_files_if_they_can_be() {
        for (file, interface, name) in [
            ("/etc/wireguard/home.conf", "home", "home"),
            ("/dev/fd/63", "wg0", "wg0"),
            (
                "too-long-for-an-interface.conf",
                "wg0",
                "too-long-for-an-interface",
            ),
            ("lo.conf", "wg0", "lo"),
            (".conf", "wg0", "wg0"),
            ("größe.conf", "wg0", "wg0"),
        ] {
            let (wanted, _) = running(&[file]);
            assert_eq!(
                (&*wanted.interface, &*wanted.name),
                (interface, name),
                "{file}"
            );
        }
        let (wanted, _) = running(&["--name", "work", "-i", "wg1", "a.conf"]);
        assert_eq!((&*wanted.interface, &*wanted.name), ("wg1", "work"));
    }

    #[test]
    fn options() {
        let (wanted, _) = running(&[
            "--dns=10.0.0.1,a.example",
            "--dns",
            "fd00::1",
            "--table",
            "auto",
            "-w5",
            "-p",
            "8080:80",
            "-p=127.0.0.1:1:2",
            "--host-port=631",
            "--strict",
            "--private-key",
            "k",
            "wg0.conf",
        ]);
        let dns = wanted.instead.dns.as_ref().unwrap();
        assert_eq!((dns.servers.len(), dns.search.len()), (2, 1));
        assert_eq!(wanted.wait, Some(Duration::from_secs(5)));
        assert_eq!(wanted.publish.len(), 2);
        assert_eq!(wanted.host_ports, [631]);
        assert!(wanted.strict && wanted.instead.table.is_some());
    }

    #[test]
    fn a_tunnel_for_a_process() {
        let job = parsed(&["--netns-of=77", "--replace-default", "wg0.conf"]).unwrap();
        assert!(matches!(job, Job::Give { pid: 77, wanted } if wanted.replace_default));
        let failure = parsed(&["-n", "77", "wg0.conf", "true"]).unwrap_err();
        assert!(failure.lines[0].contains("no COMMAND"));
    }

    #[test]
    fn verbs() {
        let parsed = |words: &[&str]| parsed(words).unwrap();
        assert!(matches!(parsed(&["list"]), Job::List { json: false }));
        assert!(matches!(
            parsed(&["list", "--json"]),
            Job::List { json: true }
        ));
        assert!(
            matches!(parsed(&["status", "a", "--json"]), Job::Status { name, json: true } if name == "a")
        );
        assert!(matches!(parsed(&["down", "a"]), Job::Down { name } if name == "a"));
        assert!(matches!(parsed(&["sync", "--endpoints", "a"]),
            Job::Sync { name, file: None, endpoints: true } if name == "a"));
        assert!(matches!(parsed(&["sync", "a", "./b.conf"]),
            Job::Sync { file: Some(file), .. } if file == Path::new("./b.conf")));
        assert!(matches!(parsed(&["exec", "a", "--", "ls", "--json"]),
            Job::Exec { name, command } if name == "a" && command == ["ls", "--json"]));
        assert!(matches!(parsed(&["./list", "x"]), Job::Run { .. }));
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
            (&["--name", "a/b", "f"], "`a/b' is not a name"),
            (&["-w", "0", "f"], "`0' is not a number of seconds"),
            (&["--dns", "1.2", "f"], "`1.2' is neither"),
            (&["--table", "x", "f"], "`x' is not"),
            (&["-p", "80", "f"], "`80' is not"),
            (&["--host-port", "0", "f"], "`0' is not a port"),
            (&["-n", "1", "--strict", "f"], "not for --netns-of"),
            (&["--replace-default", "f"], "for --netns-of"),
            (&["status"], "which tunnel"),
            (&["down", "a", "b"], "`b' is too much"),
            (&["list", "a"], "`a' is too much"),
            (&["down", "--json", "a"], "--json"),
            (&["-i", "x", "list"], "./list"),
        ] {
            let failure = parsed(words).unwrap_err();
            assert!(failure.lines[0].contains(part), "{:?}", failure.lines);
            assert!(failure.lines.len() == 2);
        }
    }

    #[test]
    fn help_fits_on_a_screen() {
        assert!(matches!(parsed(&["-h"]).unwrap(), Job::Print(text) if text == HELP));
        assert!(HELP.lines().count() < 33);
        assert!(HELP.lines().all(|line| line.len() < 80));
    }
}
