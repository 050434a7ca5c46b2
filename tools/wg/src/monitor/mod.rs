// SPDX-License-Identifier: GPL-2.0
//! `wg monitor`: what happens to devices, as it happens.
//!
//! The kernel multicasts events. Devices of userspace implementations tell of
//! nothing by themselves: they are asked once a second, and what is different
//! then is told.

mod json;
mod poll;
mod text;

use crate::error::{errno_text, quote, warn, Failure, Result};
use crate::event::{Event, Kind};
use crate::json::{DeviceJson, Wanted};
use crate::kernel::events::{Events, Links, NoEvents};
use crate::model::Device;
use crate::pretty::Pretty;
use crate::terminal::Output;
use crate::{backend, cmd::help, userspace};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::Write;

const USAGE: &str = "monitor [DEV] [--state] [--json]";

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    device: Option<Vec<u8>>,
    state: bool,
    json: bool,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self> {
        let mut options = Self::default();
        for &arg in args {
            match arg {
                b"--state" => options.state = true,
                b"--json" => options.json = true,
                _ if arg.starts_with(b"-") || options.device.is_some() => {
                    return Err(help::usage(USAGE));
                }
                name => options.device = Some(name.to_vec()),
            }
        }
        Ok(options)
    }
}

/// Runs the command.
pub fn run(args: &[&[u8]]) -> Result<()> {
    if let [b"-h" | b"--help" | b"help"] = args {
        help::usage(USAGE).report();
        return Ok(());
    }
    let options = Options::parse(args)?;
    let mut monitor = Monitor {
        show: Show::new(&options),
        kernel: None,
        asked: poll::Asked::default(),
        device: options.device,
    };
    monitor.begin()?;
    monitor.go_on()
}

/// How events are printed.
struct Show {
    out: Output,
    json: bool,
    /// Whether the state comes first.
    state: bool,
    pretty: Pretty,
}

impl Show {
    fn new(options: &Options) -> Self {
        Self {
            out: Output::default(),
            json: options.json,
            state: options.state,
            pretty: Pretty::new(),
        }
    }

    fn event(&mut self, event: &Event) {
        // What cannot be written is told by `flush`.
        let _ = if self.json {
            crate::json::line(&mut self.out, &json::EventJson(event)).map_err(Into::into)
        } else {
            text::line(&mut self.out, event, self.pretty.paint)
        };
    }

    fn state(&mut self, device: &Device) {
        let wanted = Wanted {
            field: None,
            secrets: self.pretty.secrets,
        };
        let _ = if self.json {
            let device = DeviceJson { device, wanted };
            crate::json::line(&mut self.out, &json::StateJson(device)).map_err(Into::into)
        } else {
            // Times are told as so long ago.
            let now = Pretty::new().now;
            let pretty = Pretty { now, ..self.pretty };
            pretty
                .print(&mut self.out, device)
                .and_then(|()| self.out.write_all(b"\n"))
        };
    }

    /// Writes what there is; an error if nobody reads it.
    fn flush(&mut self) -> Result<()> {
        std::mem::take(&mut self.out).finish()
    }
}

/// What the kernel tells.
struct Kernel {
    events: Events,
    links: Links,
    /// The one interface that is wanted.
    ifindex: Option<u32>,
}

struct Monitor {
    show: Show,
    kernel: Option<Kernel>,
    asked: poll::Asked,
    /// The one device that is wanted.
    device: Option<Vec<u8>>,
}

impl Monitor {
    /// Starts to listen, and then reads the state, so that nothing is missed in
    /// between. The kernel takes that for the wish to be told of sessions that
    /// end too.
    fn begin(&mut self) -> Result<()> {
        match self.device.clone() {
            Some(name) if userspace::connect(&name).is_some() => {
                let device = backend::get(&name, "Unable to access interface")?;
                self.add_userspace(device);
            }
            Some(name) => {
                let (events, links) = join().map_err(|why| why.failure())?;
                let device = backend::get(&name, "Unable to access interface")?;
                let ifindex = index_of(&device.name);
                self.kernel = Some(Kernel {
                    events,
                    links,
                    ifindex,
                });
                self.begin_with(&device);
            }
            None => {
                let names = userspace::list().unwrap_or_default();
                match join() {
                    Ok((events, links)) => {
                        self.kernel = Some(Kernel {
                            events,
                            links,
                            ifindex: None,
                        });
                    }
                    Err(why) if names.is_empty() => return Err(why.failure()),
                    Err(why) => {
                        for line in why.failure().lines {
                            warn(line);
                        }
                    }
                }
                if self.kernel.is_some() {
                    self.read_kernels();
                }
                for name in names {
                    if let Ok(device) = backend::get(&name, "Unable to access interface") {
                        self.add_userspace(device);
                    }
                }
            }
        }
        self.show.flush()
    }

    fn begin_with(&mut self, device: &Device) {
        if self.show.state {
            self.show.state(device);
        }
    }

    fn add_userspace(&mut self, device: Device) {
        warn(format!(
            "{} is a userspace device, which tells nothing by itself: it is asked once a second, \
             and the end of sessions is not told.",
            quote(&device.name)
        ));
        self.begin_with(&device);
        self.asked.add(device);
    }

    /// Reads the kernel's devices. What cannot be read has gone, most likely.
    fn read_kernels(&mut self) {
        let names = match &self.device {
            Some(name) => vec![name.clone()],
            None => crate::kernel::list().unwrap_or_default(),
        };
        for name in names {
            if let Ok(device) = crate::kernel::get(&name) {
                self.begin_with(&device);
            }
        }
    }

    /// Prints what happens, until the one device that is wanted has gone.
    fn go_on(mut self) -> Result<()> {
        loop {
            self.wait()?;
            let gone = self.take()?;
            self.show.flush()?;
            if gone {
                return Ok(());
            }
        }
    }

    /// Waits for something to print.
    fn wait(&self) -> Result<()> {
        let mut fds = Vec::new();
        if let Some(kernel) = &self.kernel {
            fds.push(PollFd::new(&kernel.events, PollFlags::IN));
            fds.push(PollFd::new(&kernel.links, PollFlags::IN));
        }
        let second = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let timeout = (!self.asked.is_empty() || self.kernel.is_none()).then_some(&second);
        match rustix::event::poll(&mut fds, timeout) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(Failure::os("Unable to wait for events", &errno.into())),
        }
    }

    /// Prints what has come; whether the one device that is wanted has gone.
    fn take(&mut self) -> Result<bool> {
        let mut gone = false;
        let mut missed = false;
        if let Some(kernel) = &mut self.kernel {
            let Kernel {
                events,
                links,
                ifindex,
            } = kernel;
            let is_wanted = |index| ifindex.is_none_or(|wanted| wanted == index);
            let show = &mut self.show;
            let taken = events.take(|event| {
                if is_wanted(event.ifindex) {
                    missed |= event.kind == Kind::Overrun;
                    show.event(&event);
                }
            });
            if let Err(error) = taken {
                if error.raw_os_error() != Some(libc::ENOBUFS) {
                    return Err(Failure::os("Unable to receive events", &error));
                }
                missed = true;
                let mut event = Event::now(Kind::Overrun, self.device.as_deref().unwrap_or(b""));
                event.count = 0;
                show.event(&event);
            }
            let taken = links.take(|index, name| {
                if is_wanted(index) {
                    gone |= ifindex.is_some();
                    let mut event = Event::now(Kind::DeviceGone, name);
                    event.ifindex = index;
                    show.event(&event);
                }
            });
            if let Err(error) = taken {
                // Whether the interface is still there is seen by looking.
                missed = true;
                if error.raw_os_error() != Some(libc::ENOBUFS) {
                    return Err(Failure::os("Unable to listen to interfaces", &error));
                }
            }
            if missed {
                gone |= self.device.as_deref().is_some_and(|name| {
                    let index = index_of(name);
                    index.is_none() || index != *ifindex
                });
            }
        }
        if missed && !gone {
            // Also asks for the rest to be told again.
            self.read_kernels();
        }
        let show = &mut self.show;
        self.asked.ask(|event| show.event(&event));
        if self.device.is_some() && self.kernel.is_none() {
            gone |= self.asked.is_empty();
        }
        Ok(gone)
    }
}

fn index_of(name: &[u8]) -> Option<u32> {
    let name = std::str::from_utf8(name).ok()?;
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )
    .ok()?;
    rustix::net::netdevice::name_to_index(&socket, name).ok()
}

fn join() -> std::result::Result<(Events, Links), NoEvents> {
    Ok((Events::join()?, Links::join().map_err(NoEvents::Refused)?))
}

impl NoEvents {
    fn failure(self) -> Failure {
        const WHAT: &str = "Unable to listen to events";
        match self {
            NoEvents::Unknown => Failure::new(format!(
                "{WHAT}: this kernel's wireguard module does not tell of any."
            ))
            .and("wg monitor needs the module that this tool came with."),
            NoEvents::Refused(refused) => {
                let failure = Failure::new(format!("{WHAT}: {}", errno_text(refused.errno)));
                match refused.errno {
                    libc::EPERM => failure
                        .and("This takes CAP_NET_ADMIN over this network namespace; try as root."),
                    libc::EPROTONOSUPPORT => {
                        failure.and("The wireguard module is not loaded; load it with modprobe.")
                    }
                    _ => failure,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let options = Options::parse(&[b"--json", b"wg0", b"--state"]).unwrap();
        assert!(options.json && options.state);
        assert_eq!(options.device.as_deref(), Some(&b"wg0"[..]));
        assert_eq!(Options::parse(&[]).unwrap(), Options::default());
        assert!(Options::parse(&[b"wg0", b"wg1"]).is_err());
        assert!(Options::parse(&[b"--yaml"]).is_err());
    }

    #[test]
    fn the_loopback_has_an_index() {
        assert_eq!(index_of(b"lo"), Some(1));
        assert_eq!(index_of(b"no such"), None);
    }
}
