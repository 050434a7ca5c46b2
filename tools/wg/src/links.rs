// SPDX-License-Identifier: GPL-2.0
//! Names and numbers of the interfaces of another netns.
//!
//! Nothing here may ever answer with an interface of our own netns.

use crate::netlink::attrs::{attrs, i32_of, string_of};
use crate::netlink::message::Message;
use crate::netlink::socket::Netlink;
use crate::netns::nsid_of;
use crate::uapi::{
    IFINFOMSG_LEN, IFLA_IFNAME, IFLA_TARGET_NETNSID, NETNSA_FD, NETNSA_PID, RTM_GETLINK,
};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

/// The interfaces of a netns that can be looked into.
pub struct Links(Source);

enum Source {
    /// rtnetlink, asked about the netns with this nsid, or that of the socket.
    Netlink(Netlink, Option<i32>),
    /// What /proc tells everybody: those that have an IPv6 address.
    Proc(Vec<Link>),
}

#[derive(Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    name: Vec<u8>,
}

impl Links {
    /// Those of the netns with this nsid in ours.
    pub fn of_nsid(nsid: i32) -> Option<Self> {
        asked_by_nsid(nsid).or_else(|| process_one(nsid))
    }

    /// Those of an open netns.
    pub fn of_file(file: &File) -> Option<Self> {
        let fd = file.as_raw_fd().unsigned_abs();
        let nsid = number_of(NETNSA_FD, fd);
        nsid.and_then(asked_by_nsid)
            .or_else(|| asked_inside(file))
            .or_else(|| nsid.and_then(process_one))
    }

    /// Those of the netns of a process.
    pub fn of_pid(pid: u32) -> Option<Self> {
        open_netns_of(pid)
            .and_then(|file| Self::of_file(&file))
            .or_else(|| number_of(NETNSA_PID, pid).and_then(asked_by_nsid))
            .or_else(|| of_proc(pid))
    }

    /// The name of an interface.
    pub fn name(&mut self, index: u32) -> Option<Vec<u8>> {
        match &mut self.0 {
            Source::Netlink(netlink, nsid) => {
                let number = i32::try_from(index).ok().filter(|number| *number > 0)?;
                let link = ask(netlink, *nsid, number, None)?;
                Some(link.name).filter(|_| link.index == index)
            }
            Source::Proc(list) => {
                let link = list.iter().find(|link| link.index == index);
                link.map(|link| link.name.clone())
            }
        }
    }

    /// The number of an interface, which may go by another name as well.
    pub fn index(&mut self, name: &[u8]) -> Option<u32> {
        match &mut self.0 {
            Source::Netlink(netlink, nsid) => Some(ask(netlink, *nsid, 0, Some(name))?.index),
            Source::Proc(list) => {
                let link = list.iter().find(|link| link.name == name);
                link.map(|link| link.index)
            }
        }
    }

    /// Whether there are no others than those that can be seen.
    pub fn are_all(&self) -> bool {
        matches!(self.0, Source::Netlink(..))
    }

    /// Those in a list, for tests.
    #[cfg(test)]
    pub fn listed(list: &[(u32, &[u8])]) -> Self {
        let link = |&(index, name): &(u32, &[u8])| Link {
            index,
            name: name.to_vec(),
        };
        Self(Source::Proc(list.iter().map(link).collect()))
    }
}

/// Whether this is the netns that we are in.
pub fn is_own(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    let own = std::fs::metadata("/proc/thread-self/ns/net").map(identity);
    matches!((own, file.metadata().map(identity)), (Ok(own), Ok(it)) if own == it)
}

/// The netns of a process, which takes the right to trace it.
pub fn open_netns_of(pid: u32) -> Option<File> {
    if !proc_counts_as_we_do() {
        return None;
    }
    File::open(format!("/proc/{pid}/ns/net")).ok()
}

fn number_of(kind: u16, number: u32) -> Option<i32> {
    nsid_of(&mut Netlink::open(libc::NETLINK_ROUTE).ok()?, kind, number)
}

/// Takes CAP_NET_ADMIN over that netns.
fn asked_by_nsid(nsid: i32) -> Option<Links> {
    usable(Netlink::open(libc::NETLINK_ROUTE).ok()?, Some(nsid))
}

/// Takes CAP_SYS_ADMIN over that netns, and here. A thread of its own enters
/// the netns; the socket that it opens stays there.
fn asked_inside(file: &File) -> Option<Links> {
    let netlink = std::thread::scope(|scope| {
        let inside = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(file.as_fd(), kind).ok()?;
            Netlink::open(libc::NETLINK_ROUTE).ok()
        };
        let thread = std::thread::Builder::new().spawn_scoped(scope, inside);
        thread.ok()?.join().ok()?
    })?;
    usable(netlink, None)
}

/// Every netns has its loopback, as number 1.
fn usable(mut netlink: Netlink, nsid: Option<i32>) -> Option<Links> {
    ask(&mut netlink, nsid, 1, None)?;
    Some(Links(Source::Netlink(netlink, nsid)))
}

/// Takes no right, if process 1 is in that netns.
fn process_one(nsid: i32) -> Option<Links> {
    let links = of_proc(1)?;
    (number_of(NETNSA_PID, 1) == Some(nsid)).then_some(links)
}

/// What /proc tells of the netns of a process, without any right. An interface
/// has no link-local peers if it has no address.
fn of_proc(pid: u32) -> Option<Links> {
    if !proc_counts_as_we_do() {
        return None;
    }
    let text = std::fs::read(format!("/proc/{pid}/net/if_inet6")).ok()?;
    Some(Links(Source::Proc(parse_addresses(&text))))
}

/// Whether /proc numbers processes as our PID namespace does: it tells our own
/// number from its namespace down to ours.
fn proc_counts_as_we_do() -> bool {
    std::fs::read("/proc/self/status").is_ok_and(|status| has_one_number(&status))
}

fn has_one_number(status: &[u8]) -> bool {
    status
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"NSpid:"))
        .is_some_and(|numbers| words(numbers).count() == 1)
}

/// Lines of address, number, and three more in hexadecimal, and the name.
fn parse_addresses(text: &[u8]) -> Vec<Link> {
    let link = |line| {
        let mut words = words(line).skip(1);
        let index = std::str::from_utf8(words.next()?).ok()?;
        Some(Link {
            index: u32::from_str_radix(index, 16).ok()?,
            name: words.nth(3)?.to_vec(),
        })
    };
    text.split(|&byte| byte == b'\n').filter_map(link).collect()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// Asks for the interface with this number, or with this name if that is 0.
fn ask(netlink: &mut Netlink, nsid: Option<i32>, index: i32, name: Option<&[u8]>) -> Option<Link> {
    const INDEX_AT: usize = 4;
    let mut header = [0; IFINFOMSG_LEN];
    header[INDEX_AT..INDEX_AT + 4].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::rtnl(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, &header);
    if let Some(name) = name {
        message.put_str(IFLA_IFNAME, name).ok()?;
    }
    if let Some(nsid) = nsid {
        message.put(IFLA_TARGET_NETNSID, &nsid.to_ne_bytes()).ok()?;
    }
    let mut link = None;
    let asked = netlink.ask(&mut message, |answer| {
        link = read(answer, nsid);
        Ok(())
    });
    asked.ok()?;
    link
}

/// Reads the answer. A kernel that does not know of asking by nsid would tell
/// of our own netns, and not repeat the nsid.
fn read(answer: &[u8], nsid: Option<i32>) -> Option<Link> {
    let (header, list) = answer.split_at_checked(IFINFOMSG_LEN)?;
    let index = u32::try_from(i32_of(&header[4..8])?).ok()?;
    let (mut name, mut answered) = (None, None);
    for (kind, value) in attrs(list).map_while(Result::ok) {
        match kind {
            IFLA_IFNAME => name = Some(string_of(value).to_vec()),
            IFLA_TARGET_NETNSID => answered = i32_of(value),
            _ => {}
        }
    }
    let link = Link { index, name: name? };
    (nsid.is_none() || answered == nsid).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &[u8] = b"lo";

    #[test]
    fn the_real_kernel_answers() {
        let file = open_netns_of(std::process::id()).unwrap();
        assert!(is_own(&file));
        let netlink = Netlink::open(libc::NETLINK_ROUTE).unwrap();
        let mut links = usable(netlink, None).unwrap();
        assert_eq!(links.name(1).as_deref(), Some(LOOPBACK));
        assert_eq!(links.index(LOOPBACK), Some(1));
        for index in [0, 0x7fff_ffff, u32::MAX] {
            assert_eq!(links.name(index), None);
        }
        assert_eq!(links.index(b"no such link"), None);
        assert_eq!(links.index(b"a name that no link can have"), None);
    }

    #[test]
    fn a_netns_that_is_not_there() {
        assert!(Links::of_nsid(i32::MAX).is_none());
        assert!(Links::of_pid(i32::MAX.unsigned_abs()).is_none());
        assert!(!is_own(&File::open("/dev/null").unwrap()));
    }

    #[test]
    fn addresses_in_proc() {
        let text = b"fe800000000000000000000000000001 02 40 20 80     eth0\n\
                     00000000000000000000000000000001 1a2b 80 10 80       lo\n\
                     nonsense\nfe80 xx 40 20 80 bad\n";
        let list = parse_addresses(text);
        let told: Vec<_> = list
            .iter()
            .map(|link| (link.index, &link.name[..]))
            .collect();
        assert_eq!(told, [(2, &b"eth0"[..]), (0x1a2b, LOOPBACK)]);
        let mut links = Links(Source::Proc(list));
        assert_eq!(links.name(2).as_deref(), Some(&b"eth0"[..]));
        assert_eq!(links.index(b"eth0"), Some(2));
        assert_eq!((links.name(3), links.index(b"eth1")), (None, None));
    }

    #[test]
    fn a_foreign_proc_is_noticed() {
        assert!(has_one_number(b"Pid:\t7\nNSpid:\t7\nx"));
        assert!(!has_one_number(b"Pid:\t70\nNSpid:\t70\t7\nx"));
        assert!(!has_one_number(b"Pid:\t70\n"));
    }

    #[test]
    fn an_answer_about_another_netns_does_not_count() {
        let answer = |nsid: Option<i32>| {
            let mut message = Message::raw();
            message.put_str(IFLA_IFNAME, LOOPBACK).unwrap();
            if let Some(nsid) = nsid {
                let nsid = nsid.to_ne_bytes();
                message.put(IFLA_TARGET_NETNSID, &nsid).unwrap();
            }
            let mut header = [0; IFINFOMSG_LEN];
            header[4..8].copy_from_slice(&1i32.to_ne_bytes());
            [&header, message.as_bytes()].concat()
        };
        let link = Link {
            index: 1,
            name: LOOPBACK.to_vec(),
        };
        assert_eq!(read(&answer(None), None), Some(link));
        assert!(read(&answer(Some(3)), Some(3)).is_some());
        assert!(read(&answer(Some(4)), Some(3)).is_none());
        assert!(read(&answer(None), Some(3)).is_none());
        assert!(read(&[0; 7], None).is_none());
    }
}
