// SPDX-License-Identifier: GPL-2.0
//! Processes that copy between ports on two sides of a wall.
//!
//! What listens on one side of the wall is opened there, and given to a process
//! on the other side, which copies. There is such a process only where it is
//! asked for. It is no child of the command, which would not expect one, and
//! ends when the command does, however that ends: it holds a pidfd of it.

use crate::datagrams;
use rustix::event::{poll, PollFd, PollFlags};
use rustix::net::{
    recvmsg, sendmsg, socketpair, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage,
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{getpid, pidfd_open, PidfdFlags};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use wg::error::{Failure, Result};

/// The word by which this program is told to relay.
pub const WORD: &str = "--internal-relay";
/// Names the process in front of the one that relays.
const LAUNCH: &str = "launch";

/// What the process that relays gets.
#[derive(Clone, Copy, Debug)]
pub enum Given {
    /// A TCP socket that listens.
    Listener,
    /// A UDP socket.
    Datagrams,
    /// A Unix socket through which a listener will come.
    Channel,
}

impl Given {
    fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Datagrams => "datagrams",
            Self::Channel => "channel",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Listener, Self::Datagrams, Self::Channel];
        all.into_iter().find(|given| given.word() == word)
    }
}

/// A port of this machine that is to be found inside as well. The process that
/// copies is outside, and waits for what listens inside.
pub struct HostPort {
    port: u16,
    channel: OwnedFd,
}

impl HostPort {
    /// To be called outside.
    pub fn prepare(port: u16) -> Result<Self> {
        let fail = |error: io::Error| Failure::os("--host-port", &error);
        let (channel, its) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| fail(errno.into()))?;
        spawn(its, Given::Channel, port)?;
        Ok(Self { port, channel })
    }

    /// To be called inside.
    pub fn open(self) -> Result<()> {
        let fail = |error: io::Error| {
            let what = format!("--host-port: unable to listen at port {} inside", self.port);
            Failure::os(what, &error)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).map_err(fail)?;
        let fds = [listener.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        sendmsg(
            &self.channel,
            &[IoSlice::new(b"l")],
            &mut control,
            SendFlags::NOSIGNAL,
        )
        .map(drop)
        .map_err(|errno| fail(errno.into()))
    }
}

/// Starts a process that relays to a port of its own 127.0.0.1, in the network
/// that this process is in now, by one that is in between and ends at once.
pub fn spawn(input: OwnedFd, given: Given, port: u16) -> Result<()> {
    let fail = |error: io::Error| Failure::os("Unable to start a process that relays", &error);
    let command = pidfd_open(getpid(), PidfdFlags::empty()).map_err(|errno| fail(errno.into()))?;
    let status = Command::new("/proc/self/exe")
        .args([WORD, LAUNCH, given.word(), &port.to_string()])
        .current_dir("/")
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(command))
        .stderr(Stdio::null())
        .status()
        .map_err(fail)?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new("Unable to start a process that relays"))
    }
}

/// What a process does that was started with [`WORD`]: standard input is what
/// it is given, standard output a pidfd of the command.
pub fn run(args: &[String]) -> io::Result<()> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
    let [launch @ .., given, port] = args else {
        return Err(wrong());
    };
    if launch == [LAUNCH] {
        let child = Command::new("/proc/self/exe")
            .args([WORD, given, port])
            .spawn()?;
        drop(child);
        return Ok(());
    }
    // Signals of the terminal are the command's.
    rustix::process::setsid()?;
    let port = port.parse().map_err(|_| wrong())?;
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let command = rustix::stdio::stdout();
    let listener = match Given::from_word(given).ok_or_else(wrong)? {
        Given::Datagrams => return datagrams::serve(&UdpSocket::from(input), port, command),
        Given::Listener => input,
        Given::Channel => receive(&input)?,
    };
    serve(&TcpListener::from(listener), port, command)
}

fn receive(channel: &OwnedFd) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        channel,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    fds.next()
        .and_then(|mut fds| fds.next())
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Copies for all who connect, until the command ends.
fn serve(listener: &TcpListener, port: u16, command: BorrowedFd<'_>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    loop {
        let mut wait = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::from_borrowed_fd(command, PollFlags::IN),
        ];
        match poll(&mut wait, None) {
            Err(rustix::io::Errno::INTR) => continue,
            done => done?,
        };
        if !wait[1].revents().is_empty() {
            return Ok(());
        }
        // It may have gone, and there may be no descriptor left for it.
        if let Ok((from, _)) = listener.accept() {
            // No thread, no connection: the other end sees it end.
            let _ = thread::Builder::new().spawn(move || connect(from, port));
        }
    }
}

fn connect(from: TcpStream, port: u16) {
    let joined = || -> io::Result<()> {
        from.set_nonblocking(false)?;
        let to = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpStream::connect((Ipv6Addr::LOCALHOST, port)))?;
        let (from_too, to_too) = (from.try_clone()?, to.try_clone()?);
        let back = thread::Builder::new().spawn(move || copy(&to_too, &from_too))?;
        copy(&from, &to);
        let _ = back.join();
        Ok(())
    };
    let _ = joined();
}

/// Copies to the end, and passes the end on.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    if io::copy(&mut from, &mut to).is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn both_directions_are_copied() {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = service.local_addr().unwrap().port();
        let front = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(front.local_addr().unwrap()).unwrap();
        let (from, _) = front.accept().unwrap();
        let relay = thread::spawn(move || connect(from, port));
        let (mut served, _) = service.accept().unwrap();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        served.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        served.write_all(b"answer").unwrap();
        drop(served);
        text.clear();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
        relay.join().unwrap();
    }
}
