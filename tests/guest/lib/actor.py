# SPDX-License-Identifier: GPL-2.0
"""Processes that act in a scenario: with their own rights, namespaces and descriptors."""

import array
import ctypes
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import traceback

WG = os.environ.get("WG_OURS", "wg-ours")


def wg(args, stdin=None):
    """Runs the tool; its status, output and errors."""
    done = subprocess.run([WG, *args], close_fds=False, text=True, input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr


class Actor:
    """A process that calls functions for us. `become` is called in it first."""

    _channels = set()

    def __init__(self, become=None, *args):
        ours, its = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            # Else an actor would not see that its channel is closed while a later one lives.
            for channel in Actor._channels:
                channel.close()
            try:
                self._serve(its, become, args)
            finally:
                os._exit(0)
        its.close()
        self.channel = ours
        Actor._channels.add(ours)
        self._receive()

    @staticmethod
    def _serve(channel, become, args):
        def answer(value):
            data = pickle.dumps(value)
            channel.sendall(struct.pack("=I", len(data)) + data)

        def call(function, args, kwargs):
            try:
                return True, function(*args, **kwargs)
            except Exception:  # goes to whoever called
                return False, traceback.format_exc()

        answer(call(become, args, {}) if become else (True, None))
        while size := channel.recv(4, socket.MSG_WAITALL):
            data = channel.recv(struct.unpack("=I", size)[0], socket.MSG_WAITALL)
            answer(call(*pickle.loads(data)))

    def _receive(self):
        size = self.channel.recv(4, socket.MSG_WAITALL)
        if not size:
            raise RuntimeError("the actor died")
        good, value = pickle.loads(
            self.channel.recv(struct.unpack("=I", size)[0], socket.MSG_WAITALL))
        if not good:
            raise RuntimeError("in an actor:\n" + value)
        return value

    def start(self, function, *args, **kwargs):
        """Has it begin with a call; `result` waits for the end."""
        data = pickle.dumps((function, args, kwargs))
        self.channel.sendall(struct.pack("=I", len(data)) + data)

    def has_answered(self):
        """Whether `result` would not have to wait."""
        return bool(select.select([self.channel], [], [], 0)[0])

    def result(self):
        return self._receive()

    def __call__(self, function, *args, **kwargs):
        self.start(function, *args, **kwargs)
        return self._receive()

    def wg(self, *args, stdin=None):
        """Runs the tool; its status, output and errors."""
        return self(wg, [str(arg) for arg in args], stdin)

    def net(self):
        """A descriptor of its netns."""
        return os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def end(self):
        Actor._channels.discard(self.channel)
        self.channel.close()
        os.waitpid(self.pid, 0)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.end()


def take(who, number):
    """Takes over a descriptor of another process, pidfd_getfd() being what root may use."""
    pidfd = os.pidfd_open(who.pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, number, 0)
    os.close(pidfd)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return fd


def drop_user(uid=1000):
    """Becomes a user without rights."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Else /proc/self would belong to root, and she could not map her ids.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)


def new_namespaces(flags=os.CLONE_NEWUSER | os.CLONE_NEWNET):
    """What `unshare -Urn` does."""
    uid, gid = os.getuid(), os.getgid()
    os.unshare(flags)
    if flags & os.CLONE_NEWUSER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                           ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)


def drop_capabilities(*numbers):
    """Loses capabilities for good, also for what is executed later."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in numbers:
        if libc.prctl(24, number, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")
    header = struct.pack("=Ii", 0x20080522, 0)
    data = ctypes.create_string_buffer(24)
    libc.capget(header, data)
    words = array.array("I", data.raw)
    for number in numbers:
        for kind in range(3):
            words[number // 32 * 3 + kind] &= ~(1 << number % 32)
    if libc.capset(header, words.tobytes()):
        raise OSError(ctypes.get_errno(), "capset")
