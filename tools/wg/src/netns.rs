// SPDX-License-Identifier: GPL-2.0
//! Network namespaces: opening one by the name that ip(1) gave it, and
//! finding the name of one that the kernel only gives a number for.

use crate::netlink::attrs::{attrs, i32_of};
use crate::netlink::message::Message;
use crate::netlink::socket::Netlink;
use crate::uapi::{NETNSA_FD, NETNSA_NSID, NETNSA_PID, RTGENMSG_LEN, RTM_GETNSID};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Where ip(1) keeps its names.
pub const FOLDER: &str = "/var/run/netns";

/// Opens the netns of that name.
pub fn open(name: &[u8]) -> io::Result<File> {
    File::open(Path::new(FOLDER).join(OsStr::from_bytes(name)))
}

/// What is known about the netns with a given netnsid.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its name, if it has one.
    pub name: Option<Vec<u8>>,
    /// Whether process 1 is in it.
    pub init: bool,
}

/// Looks for the netns that has this netnsid in ours. Whatever goes wrong just
/// leaves it without a name.
pub fn identify(nsid: i32) -> Known {
    let Ok(mut netlink) = Netlink::open(libc::NETLINK_ROUTE) else {
        return Known::default();
    };
    let mut names: Vec<Vec<u8>> = std::fs::read_dir(FOLDER)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().into_vec()))
        .collect();
    // A netns may have two names; the answer should not depend on the disk.
    names.sort();
    let name = names.into_iter().find(|name| {
        open(name).is_ok_and(|file| {
            let fd = file.as_raw_fd().unsigned_abs();
            nsid_of(&mut netlink, NETNSA_FD, fd) == Some(nsid)
        })
    });
    let init = name.is_none() && nsid_of(&mut netlink, NETNSA_PID, 1) == Some(nsid);
    Known { name, init }
}

/// The netnsid of the netns that the fd or PID leads to, if it has one.
pub fn nsid_of(netlink: &mut Netlink, kind: u16, number: u32) -> Option<i32> {
    let flags = NLM_F_REQUEST | NLM_F_ACK;
    let mut message = Message::rtnl(RTM_GETNSID, flags, &[0; RTGENMSG_LEN]);
    message.put_u32(kind, number).ok()?;
    let mut nsid = None;
    let asked = netlink.ask(&mut message, |answer| {
        let list = answer.get(RTGENMSG_LEN..).unwrap_or_default();
        for (kind, value) in attrs(list).map_while(Result::ok) {
            if kind == NETNSA_NSID {
                nsid = i32_of(value);
            }
        }
        Ok(())
    });
    asked.ok()?;
    nsid.filter(|nsid| *nsid >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_netns_has_no_name() {
        assert_eq!(identify(i32::MAX), Known::default());
    }
}
