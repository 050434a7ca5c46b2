// SPDX-License-Identifier: GPL-2.0
//! Namespaces: making them, and entering those of another process.

use crate::members::{Identity, Inside};
use nix::sched::{unshare, CloneFlags};
use rustix::mount::{mount_change, MountPropagationFlags};
use rustix::process::{getegid, geteuid, pidfd_open, Pid, PidfdFlags};
use rustix::thread::{
    capabilities, move_into_thread_name_spaces, CapabilitySet, ThreadNameSpaceType,
};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use wg::error::{Failure, Result};

/// Gets what it takes to make the other namespaces: by a user namespace in
/// which the user has her own id and all capabilities, until she runs a
/// program. Who has the capabilities already, such as root in a container
/// (`podman unshare`), keeps them and all of her ids.
pub fn gain_rights() -> Result<()> {
    let wanted = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN;
    if capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted)) {
        return Ok(());
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| no_user_namespace(&errno.into()))?;
    // Whoever may drop groups could get at files that are closed to a group.
    map("setgroups", "deny")?;
    map("uid_map", &format!("{uid} {uid} 1"))?;
    map("gid_map", &format!("{gid} {gid} 1"))
}

fn map(name: &str, content: &str) -> Result<()> {
    fs::write(format!("/proc/self/{name}"), content).map_err(|error| no_user_namespace(&error))
}

/// Enters new network and mount namespaces. From here on no packet can leave
/// but through the tunnel.
pub fn leave() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).map_err(|errno| {
        let error = io::Error::from(errno);
        let failure = Failure::os("Unable to make network and mount namespaces", &error);
        advise(
            failure,
            &error,
            &["user.max_net_namespaces", "user.max_mnt_namespaces"],
        )
    })?;
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", flags).map_err(|errno| {
        Failure::os(
            "Unable to keep mounts from being seen outside",
            &errno.into(),
        )
    })
}

/// Lets the command listen on all ports, as far as the network is its own.
/// Where that is refused it is no reason to stop.
pub fn allow_low_ports() {
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/// Lets the command ping without capabilities, as most distributions let
/// everybody. Where that is refused it is no reason to stop.
pub fn allow_ping() {
    let gid = getegid();
    let _ = fs::write(
        "/proc/sys/net/ipv4/ping_group_range",
        format!("{gid} {gid}"),
    );
}

/// A process whose namespaces are to be entered.
pub struct Target {
    pid: u32,
    process: OwnedFd,
}

impl Target {
    /// Finds the process.
    pub fn find(pid: u32) -> Result<Self> {
        let process = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
            .map_err(|errno| Failure::os(format!("Unable to find process {pid}"), &errno.into()))?;
        Ok(Self { pid, process })
    }

    /// Enters its network namespace, through its user namespace if need be.
    pub fn enter_net(&self) -> Result<()> {
        if self.shares("net") {
            return Err(Failure::new(format!(
                "Process {} is in the network namespace that this was started in",
                self.pid
            ))
            .and("Its tunnel needs one of its own: start it with `unshare --user --net' or,")
            .and("for a container, with `podman run --network none'."));
        }
        let direct = self.enter(ThreadNameSpaceType::NETWORK);
        let entered = match direct {
            Err(rustix::io::Errno::PERM) if !self.shares("user") => {
                self.enter(ThreadNameSpaceType::USER | ThreadNameSpaceType::NETWORK)
            }
            other => other,
        };
        entered.map_err(|errno| {
            let failure = Failure::os(
                format!(
                    "Unable to enter the network namespace of process {}",
                    self.pid
                ),
                &errno.into(),
            );
            match errno {
                rustix::io::Errno::PERM => failure
                    .and(
                        "It has to belong to a user namespace of yours. If it belongs to podman's,",
                    )
                    .and("try: podman unshare wg-rootless ..."),
                _ => failure,
            }
        })
    }

    /// Enters all of its namespaces that make up a tunnel's inside. The folder
    /// that this process is in stays the same, by its name.
    pub fn enter_all(&self) -> Result<()> {
        let folder = std::env::current_dir();
        let mut kinds = ThreadNameSpaceType::NETWORK | ThreadNameSpaceType::MOUNT;
        if !self.shares("user") {
            kinds |= ThreadNameSpaceType::USER;
        }
        self.enter(kinds).map_err(|errno| {
            let what = format!("Unable to enter the tunnel of process {}", self.pid);
            let failure = Failure::os(what, &errno.into());
            match errno {
                rustix::io::Errno::PERM => {
                    failure.and("From inside of a tunnel no tunnel can be entered.")
                }
                _ => failure,
            }
        })?;
        folder
            .and_then(std::env::set_current_dir)
            .map_err(|error| Failure::os("Unable to go to the current folder inside", &error))
    }

    /// Becomes somebody who may make files in its user namespace, if this user
    /// is nobody in there.
    pub fn become_somebody() {
        const OVERFLOW: u32 = 65534;
        if geteuid().as_raw() == OVERFLOW {
            let _ = rustix::thread::set_thread_gid(rustix::process::Gid::ROOT);
            let _ = rustix::thread::set_thread_uid(rustix::process::Uid::ROOT);
        }
    }

    /// Whether it still is in these namespaces.
    pub fn is_inside(&self, inside: &Inside) -> bool {
        Inside::of(&self.pid.to_string()).is_ok_and(|found| found == *inside)
    }

    /// Enters its mount namespace; false if that is the one of this process.
    pub fn enter_mounts(&self) -> Result<bool> {
        if self.shares("mnt") {
            return Ok(false);
        }
        // Who is nobody in the user namespace of its files can make none there.
        let mount = ThreadNameSpaceType::MOUNT;
        let entered = match self.shares("user") {
            true => self.enter(mount),
            false => self
                .enter(ThreadNameSpaceType::USER | mount)
                .or_else(|_| self.enter(mount)),
        };
        entered.map_err(|errno| {
            Failure::os(
                format!(
                    "Unable to enter the mount namespace of process {}",
                    self.pid
                ),
                &errno.into(),
            )
        })?;
        Ok(true)
    }

    fn enter(&self, kinds: ThreadNameSpaceType) -> rustix::io::Result<()> {
        move_into_thread_name_spaces(self.process.as_fd(), kinds)
    }

    /// Whether the process and this one are in the same namespace.
    fn shares(&self, kind: &str) -> bool {
        let own = Identity::of("self", kind);
        let its = Identity::of(&self.pid.to_string(), kind);
        matches!((own, its), (Ok(own), Ok(its)) if own == its)
    }
}

fn no_user_namespace(error: &io::Error) -> Failure {
    let failure = Failure::os("Unable to make a user namespace", error);
    advise(
        failure,
        error,
        &[
            "kernel.unprivileged_userns_clone",
            "user.max_user_namespaces",
            "kernel.apparmor_restrict_unprivileged_userns",
        ],
    )
}

/// Says which of the settings that can forbid a namespace does so here.
fn advise(failure: Failure, error: &io::Error, settings: &[&str]) -> Failure {
    match error.raw_os_error() {
        Some(libc::EINVAL) => return failure.and("This kernel is built without such namespaces."),
        Some(libc::ENOSPC) => {
            let limits = settings.iter().filter(|name| name.starts_with("user."));
            return failure
                .and("Their limit is reached. The administrator can raise it with sysctl:")
                .and(limits.copied().collect::<Vec<_>>().join(" "));
        }
        _ => {}
    }
    let culprit = settings.iter().find_map(|name| {
        let value = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
        cure(name, value.trim())
    });
    failure.and(culprit.unwrap_or_else(|| {
        "Something here forbids it to users: a container or sandbox that this runs in, or a \
         security module."
            .to_owned()
    }))
}

/// What the administrator can do, if this value of a setting is a reason.
fn cure(name: &str, value: &str) -> Option<String> {
    match (name, value) {
        ("kernel.apparmor_restrict_unprivileged_userns", "1") => Some(format!(
            "AppArmor keeps users from having rights in there: the administrator can allow it \
             with a profile\nfor wg-rootless that has `userns,', or to all with: sysctl {name}=0"
        )),
        ("kernel.unprivileged_userns_clone", "0") => Some(format!(
            "The administrator can allow it with: sysctl {name}=1"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_forbid_are_named() {
        for (name, bad, good) in [
            ("kernel.unprivileged_userns_clone", "0", "1"),
            ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ] {
            assert!(cure(name, bad)
                .unwrap()
                .contains(&format!("sysctl {name}=")));
            assert_eq!(cure(name, good), None);
        }
    }

    #[test]
    fn a_limit_is_named() {
        let error = io::Error::from_raw_os_error(libc::ENOSPC);
        let failure = advise(Failure::silent(1), &error, &["user.max_net_namespaces"]);
        assert_eq!(failure.lines[1], "user.max_net_namespaces");
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let failure = Target::find(i32::MAX.unsigned_abs()).err().unwrap();
        assert!(failure.lines[0].contains("No such process"));
    }

    #[test]
    fn the_own_namespace_is_no_target() {
        let target = Target::find(std::process::id()).unwrap();
        assert!(target.shares("net") && target.shares("user"));
        let failure = target.enter_net().unwrap_err();
        assert!(failure.lines[0].contains("this was started in"));
        assert!(!target.enter_mounts().unwrap());
    }
}
