// SPDX-License-Identifier: GPL-2.0
//! The tunnel for a command or a container, step by step.

use crate::args::Wanted;
use crate::command;
use crate::members::{began, Inside};
use crate::namespaces::{self, Target};
use crate::outside::Outside;
use crate::publish::{self, Publish};
use crate::quick::{self, File};
use crate::registry::{self, Held, Record, Version};
use crate::relay::HostPort;
use crate::resolver::{self, Whose};
use crate::rtnetlink::Rtnetlink;
use crate::{handshake, mtu, names, strict, surroundings, sync, tunnel};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use wg::error::{quote, warn, Failure, Result};

/// The tunnel for a command: that of its name, if it is up already, or a new one.
pub fn run(mut wanted: Wanted, words: &[OsString]) -> Result<Command> {
    let mut held = hold(&mut wanted)?;
    if let Some(record) = held.as_mut().and_then(Held::record) {
        drop(held);
        return join(&wanted, &record, words);
    }
    let outside = Outside::look_around()?;
    let ports = Ports::open(&wanted)?;
    // The kernel only lets those processes map their ids that may be looked
    // into, so this comes before there is a key in here.
    namespaces::gain_rights()?;
    let (file, record) = read(&mut wanted)?;
    let mtu = mtu::of(&file);
    let dns = file.dns.clone();
    let routed: Vec<_> = tunnel::routes(&file)
        .into_iter()
        .map(|(net, _)| net)
        .collect();
    namespaces::leave()?;
    Rtnetlink::open()?.loopback_up()?;
    tunnel::bring_up(&wanted.interface, mtu, file, &outside)?.keep();
    if wanted.strict {
        strict::hide_sockets()?;
    }
    if dns.servers.is_empty() {
        resolver::add_domains(&dns)?;
        if let Some(text) = names::advise(&routed) {
            warn(text);
        }
    } else {
        resolver::take_effect(&dns, Whose::Command)?;
    }
    namespaces::allow_ping();
    namespaces::allow_low_ports();
    if let Some(limit) = wanted.wait {
        handshake::wait(&wanted.interface, limit, &outside)?;
    }
    if let Some(held) = &mut held {
        held.write(&record.finish(std::process::id())?)?;
    }
    ports.start()?;
    Ok(command::prepare(words, &wanted.name))
}

/// A command in the tunnel of this name.
pub fn exec(name: &str, words: &[OsString]) -> Result<Command> {
    let record = registry::find(name)?;
    enter(name, &record)?;
    Ok(command::prepare(words, name))
}

/// The tunnel for a process that is there.
pub fn give(mut wanted: Wanted, pid: u32) -> Result<()> {
    let target = Target::find(pid)?;
    let mut held = hold(&mut wanted)?;
    if let Some(record) = held.as_mut().and_then(Held::record) {
        return Err(Failure::new(format!(
            "There is a tunnel {} already, from {}",
            quote(wanted.name.as_bytes()),
            record.file.display()
        ))
        .and(
            "Two with one key would take the session away from each other. `wg-rootless down' ends",
        )
        .and("that one; for another file of the same name --name gives this one another."));
    }
    let outside = Outside::look_around()?;
    let (file, record) = read(&mut wanted)?;
    let mtu = mtu::of(&file);
    let dns = file.dns.clone();
    target.enter_net()?;
    Rtnetlink::open()?.loopback_up()?;
    surroundings::make_way(&file, wanted.replace_default)?;
    let link = tunnel::bring_up(&wanted.interface, mtu, file, &outside)?;
    if let Some(limit) = wanted.wait {
        handshake::wait(&wanted.interface, limit, &outside)?;
    }
    // Before /proc is another one.
    let record = record.finish(pid)?;
    if !dns.servers.is_empty() {
        if target.enter_mounts()? {
            Target::become_somebody();
            resolver::take_effect(&dns, Whose::Container)?;
        } else {
            warn(format_args!(
                "DNS is left alone: process {pid} sees the same files as this one"
            ));
        }
    }
    if let Some(held) = &mut held {
        held.write(&record)?;
    }
    link.keep();
    Ok(())
}

/// Reads the file, and tells if another tunnel is from it already.
fn read(wanted: &mut Wanted) -> Result<(File, Draft)> {
    // Before it is read: what is written to it meanwhile counts as a change.
    let version = Version::of(&wanted.file);
    wg::harden();
    let file = quick::read(&wanted.file, std::mem::take(&mut wanted.instead))?;
    let record = Draft::of(wanted, &file, version);
    warn_of_twin(&wanted.name, &record);
    Ok((file, record))
}

/// Takes the name of the tunnel, if it is to have one that others can use.
fn hold(wanted: &mut Wanted) -> Result<Option<Held>> {
    // By another way the file may be another, or none.
    if let Ok(path) = std::fs::canonicalize(&wanted.file) {
        if path.is_file() {
            wanted.file = path;
        } else if !wanted.named {
            // What came through a pipe cannot come again.
            return Ok(None);
        }
    }
    let held = Held::take(&wanted.name)?;
    if held.is_none() {
        warn("there is no XDG_RUNTIME_DIR that can be written to, so no other command can join this tunnel");
    }
    Ok(held)
}

/// Enters a tunnel that is up.
fn join(wanted: &Wanted, record: &Record, words: &[OsString]) -> Result<Command> {
    let name = &wanted.name;
    if record.file != wanted.file {
        return Err(Failure::new(format!(
            "The tunnel {} is up, from another file: {}",
            quote(name.as_bytes()),
            record.file.display()
        ))
        .and("--name gives this one another name."));
    }
    if let Some(option) = wanted.not_as(record) {
        return Err(Failure::new(format!(
            "{option}: the tunnel {} is up already, without that",
            quote(name.as_bytes())
        ))
        .and("`wg-rootless down' ends it for all that are in it; --name makes another."));
    }
    if Version::of(&record.file).is_some_and(|version| version != record.version) {
        warn(format_args!(
            "{} has changed since the tunnel came up; `wg-rootless sync {name}' takes that over",
            record.file.display()
        ));
    }
    let outside = Outside::look_around()?;
    let ports = Ports::open(wanted)?;
    let fresh = sync::look_up_again(record);
    enter(name, record)?;
    sync::set_stale_endpoints(&record.interface, fresh)?;
    if let Some(limit) = wanted.wait {
        handshake::wait(&record.interface, limit, &outside)?;
    }
    ports.start()?;
    Ok(command::prepare(words, name))
}

fn enter(name: &str, record: &Record) -> Result<()> {
    let quoted = quote(name.as_bytes());
    if record.container {
        return Err(
            Failure::new(format!("The tunnel {quoted} is that of a container"))
                .and("To run something in there: podman exec"),
        );
    }
    let gone = || {
        Failure::new(format!(
            "There is no process left in {quoted} through which to enter"
        ))
        .and("Those that still use its network have left its other namespaces, or cannot be looked at.")
    };
    let pid = record.entrance().ok_or_else(gone)?;
    let target = Target::find(pid)?;
    if !target.is_inside(&record.inside) {
        return Err(gone());
    }
    target.enter_all()
}

/// Tells if another tunnel has the same key and the same peer: they would take
/// the session away from each other.
fn warn_of_twin(name: &str, draft: &Draft) {
    let twin = registry::all().into_iter().find(|(other, record)| {
        other != name
            && record.public_key == draft.0.public_key
            && record.peers.iter().any(|peer| draft.0.peers.contains(peer))
    });
    if let Some((other, _)) = twin {
        warn(format_args!(
            "the tunnel {} has the same key and peer: the two will take the session away from each other",
            quote(other.as_bytes())
        ));
    }
}

/// A record of a tunnel that is not up yet.
struct Draft(Record);

impl Draft {
    fn of(wanted: &Wanted, file: &File, version: Option<Version>) -> Self {
        let key = file.change.private_key.as_ref();
        let peers = file.change.peers.iter();
        Self(Record {
            file: wanted.file.clone(),
            version: version.unwrap_or_default(),
            interface: wanted.interface.clone(),
            public_key: key.map(|key| key.public().to_string()).unwrap_or_default(),
            peers: peers.map(|peer| peer.public_key.to_string()).collect(),
            // Not yet.
            inside: Inside::default(),
            container: false,
            strict: wanted.strict,
            maker: (0, 0),
        })
    }

    /// The tunnel is where that process is.
    fn finish(self, pid: u32) -> Result<Record> {
        let own = std::process::id() == pid;
        let place = if own {
            "self".to_owned()
        } else {
            pid.to_string()
        };
        let inside =
            Inside::of(&place).map_err(|error| Failure::os("Unable to look at /proc", &error))?;
        Ok(Record {
            inside,
            container: !own,
            maker: (pid, began(pid).unwrap_or_default()),
            ..self.0
        })
    }
}

/// Ports that are to lead in or out.
struct Ports {
    published: Vec<publish::Open>,
    of_host: Vec<HostPort>,
}

impl Ports {
    /// To be called outside.
    fn open(wanted: &Wanted) -> Result<Self> {
        let published = wanted.publish.iter().map(Publish::open);
        let of_host = wanted
            .host_ports
            .iter()
            .map(|&port| HostPort::prepare(port));
        Ok(Self {
            published: published.collect::<Result<_>>()?,
            of_host: of_host.collect::<Result<_>>()?,
        })
    }

    /// To be called inside.
    fn start(self) -> Result<()> {
        let mut published = self.published.into_iter();
        published.try_for_each(publish::Open::start)?;
        self.of_host.into_iter().try_for_each(HostPort::open)
    }
}

/// The file that is meant: by its path, or by its name in a folder for such files.
pub fn find_file(word: &Path) -> PathBuf {
    let is_name = word.to_str().is_some_and(registry::is_name);
    if !is_name || (word.exists() && !word.is_dir()) {
        return word.to_owned();
    }
    let home = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".config")));
    let folders = home
        .map(|home| home.join("wireguard"))
        .into_iter()
        .chain([PathBuf::from("/etc/wireguard")]);
    let mut name = word.as_os_str().to_owned();
    name.push(".conf");
    folders
        .map(|folder| folder.join(&name))
        .find(|path| path.exists())
        .unwrap_or_else(|| word.to_owned())
}
