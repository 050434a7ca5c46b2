# SPDX-License-Identifier: GPL-2.0
"""TCP streams that have to arrive as they were sent."""

import hashlib
import os
import select
import socket
import time

from actor import Actor
from tap import check
from world import inside


def send(number, stop, pause):
    """Sends a stream by the socket of that number until told to stop; its size and digest."""
    sock, stop = socket.socket(fileno=number), socket.socket(fileno=stop)
    block = os.urandom(256 << 10)
    digest, at, size = hashlib.sha256(), 0, 0
    while not select.select([stop], [], [], 0)[0]:
        if select.select([], [sock], [], 0.1)[1]:
            sent = sock.send(block[at:at + (8 << 10)], socket.MSG_DONTWAIT)
            time.sleep(pause)
            digest.update(block[at:at + sent])
            at = (at + sent) % len(block)
            size += sent
    sock.shutdown(socket.SHUT_WR)
    sock.close()
    return size, digest.hexdigest()


def receive(number, counter):
    """Receives a stream to its end, keeping count for whoever is interested."""
    sock = socket.socket(fileno=number)
    digest, size = hashlib.sha256(), 0
    while data := sock.recv(1 << 20):
        digest.update(data)
        size += len(data)
        os.pwrite(counter, str(size).encode(), 0)
    return size, digest.hexdigest()


class Stream:
    """A TCP stream from one netns to another, with a pause after each 8 KiB: the processor is wanted
    for what is tested."""

    def __init__(self, what, source, target, address, pause=0.005):
        self.what = what
        with inside(target):
            listener = socket.create_server((address, 0))
        with inside(source):
            sender = socket.create_connection(listener.getsockname(), 10)
        receiver = listener.accept()[0]
        listener.close()
        self.stop, told = socket.socketpair()
        self.counter = os.memfd_create("count")
        self.sender, self.receiver = Actor(), Actor()
        self.sender.start(send, sender.fileno(), told.fileno(), pause)
        self.receiver.start(receive, receiver.fileno(), self.counter)
        for sock in (sender, receiver, told):
            sock.close()

    def count(self):
        return int(os.pread(self.counter, 20, 0) or 0)

    def finish(self):
        """Whether all came through as it was."""
        self.stop.send(b".")
        sent, received = self.sender.result(), self.receiver.result()
        check(sent == received, f"the stream {self.what} is alive and as it was sent", sent,
              received)
        self.sender.end()
        self.receiver.end()
