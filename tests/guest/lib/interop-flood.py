#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Keep a WireGuard responder busy: handshake initiations with a right MAC1 and
nothing right after it, in bursts, until killed.

usage: interop-flood.py SOURCE DESTINATION PORT PUBLIC-KEY BURST PAUSE
"""

import base64
import hashlib
import os
import socket
import struct
import sys
import time

source, destination, port, public_key, burst, pause = sys.argv[1:]

mac1_key = hashlib.blake2s(b"mac1----" + base64.b64decode(public_key)).digest()


def initiation():
    message = struct.pack("<II", 1, 0) + os.urandom(108)
    mac1 = hashlib.blake2s(message, digest_size=16, key=mac1_key).digest()
    return message + mac1 + bytes(16)


messages = [initiation() for _ in range(64)]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind((source, 0))
    s.connect((destination, int(port)))
    while True:
        for i in range(int(burst)):
            try:
                s.send(messages[i % len(messages)])
            except ConnectionRefusedError:
                pass  # not up yet, says an ICMP message
        time.sleep(float(pause))
