# SPDX-License-Identifier: GPL-2.0
"""A WireGuard peer that is a part of the script, so that it sends and reads whatever a test wants:
the handshake as its initiator, and data messages. The ciphers are those of OpenSSL, which Python
itself is linked with."""

import ctypes
import hashlib
import hmac
import os
import select
import socket
import struct
import time

from world import inside

INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4
HEADER_LEN, TAG_LEN = 16, 16
UDP_SEGMENT, UDP_GRO = 103, 104

_crypto = ctypes.CDLL("libcrypto.so.3")
for _name in ("EVP_PKEY_new_raw_private_key", "EVP_PKEY_new_raw_public_key", "EVP_PKEY_CTX_new",
              "EVP_CIPHER_CTX_new", "EVP_chacha20_poly1305"):
    getattr(_crypto, _name).restype = ctypes.c_void_p
_P = ctypes.c_void_p
_CHACHA = _P(_crypto.EVP_chacha20_poly1305())
_CONTEXT = _P(_crypto.EVP_CIPHER_CTX_new())
_X25519, _GET_TAG, _SET_TAG = 1034, 0x10, 0x11


def _must(result):
    if result != 1:
        raise RuntimeError("OpenSSL refuses")


def seal(key, counter, plain, more=b""):
    """ChaCha20-Poly1305; the tag is behind the text."""
    out, tag = ctypes.create_string_buffer(len(plain) + 16), ctypes.create_string_buffer(16)
    size = ctypes.c_int()
    _must(_crypto.EVP_EncryptInit_ex(_CONTEXT, _CHACHA, None, key, struct.pack("<IQ", 0, counter)))
    if more:
        _must(_crypto.EVP_EncryptUpdate(_CONTEXT, None, ctypes.byref(size), more, len(more)))
    if plain:
        _must(_crypto.EVP_EncryptUpdate(_CONTEXT, out, ctypes.byref(size), plain, len(plain)))
    _must(_crypto.EVP_EncryptFinal_ex(_CONTEXT, ctypes.create_string_buffer(16),
                                      ctypes.byref(size)))
    _must(_crypto.EVP_CIPHER_CTX_ctrl(_CONTEXT, _GET_TAG, 16, tag))
    return out.raw[:len(plain)] + tag.raw


def unseal(key, counter, sealed, more=b""):
    """What was sealed; None if it is not authentic."""
    plain, tag = sealed[:-16], sealed[-16:]
    out, size = ctypes.create_string_buffer(len(plain) + 16), ctypes.c_int()
    _must(_crypto.EVP_DecryptInit_ex(_CONTEXT, _CHACHA, None, key, struct.pack("<IQ", 0, counter)))
    _must(_crypto.EVP_CIPHER_CTX_ctrl(_CONTEXT, _SET_TAG, 16, tag))
    if more:
        _must(_crypto.EVP_DecryptUpdate(_CONTEXT, None, ctypes.byref(size), more, len(more)))
    if plain:
        _must(_crypto.EVP_DecryptUpdate(_CONTEXT, out, ctypes.byref(size), plain, len(plain)))
    good = _crypto.EVP_DecryptFinal_ex(_CONTEXT, ctypes.create_string_buffer(16),
                                       ctypes.byref(size))
    return out.raw[:len(plain)] if good == 1 else None


def _private(key):
    return _P(_crypto.EVP_PKEY_new_raw_private_key(_X25519, None, key, 32))


def public_key(private):
    """The public key that belongs to a private one."""
    key, out, size = _private(private), ctypes.create_string_buffer(32), ctypes.c_size_t(32)
    _must(_crypto.EVP_PKEY_get_raw_public_key(key, out, ctypes.byref(size)))
    return out.raw


def _shared(private, public):
    own, theirs = _private(private), _P(_crypto.EVP_PKEY_new_raw_public_key(_X25519, None, public, 32))
    context = _P(_crypto.EVP_PKEY_CTX_new(own, None))
    out, size = ctypes.create_string_buffer(32), ctypes.c_size_t(32)
    _must(_crypto.EVP_PKEY_derive_init(context))
    _must(_crypto.EVP_PKEY_derive_set_peer(context, theirs))
    _must(_crypto.EVP_PKEY_derive(context, out, ctypes.byref(size)))
    return out.raw


def _hash(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def _kdf(key, data, count):
    """`count` keys out of one."""
    secret = hmac.digest(key, data, hashlib.blake2s)
    keys, last = [], b""
    for number in range(1, count + 1):
        last = hmac.digest(secret, last + bytes([number]), hashlib.blake2s)
        keys.append(last)
    return keys


class Peer:
    """One peer, with a socket in a netns."""

    def __init__(self, net, address, private, theirs, endpoint):
        self.private, self.theirs, self.endpoint = private, theirs, endpoint
        with inside(net):
            self.sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                                      socket.SOCK_DGRAM)
        self.sock.bind((address, 0))
        self.sock.connect(endpoint)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.counter = 0

    def connect(self):
        """Begins a session."""
        for _ in range(10):
            if self._handshake():
                # From here on the other side may send, too.
                self.sock.send(self.seal(b""))
                return self
            time.sleep(0.05)  # it takes no more than one handshake in 20 ms
        raise TimeoutError("there is no answer to handshakes")

    def _handshake(self):
        self.sock.send(self.initiation())
        end = time.monotonic() + 1
        while select.select([self.sock], [], [], max(end - time.monotonic(), 0))[0]:
            if self.take_response(self.sock.recv(65536)):
                return True
        return False

    def initiation(self):
        """The first message of a handshake."""
        self.own = os.urandom(4)
        chain = _hash(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
        mixed = _hash(_hash(chain, b"WireGuard v1 zx2c4 Jason@zx2c4.com"), self.theirs)
        self._secret = os.urandom(32)
        ephemeral = public_key(self._secret)
        chain, = _kdf(chain, ephemeral, 1)
        mixed = _hash(mixed, ephemeral)
        chain, key = _kdf(chain, _shared(self._secret, self.theirs), 2)
        static = seal(key, 0, public_key(self.private), mixed)
        mixed = _hash(mixed, static)
        self._chain, key = _kdf(chain, _shared(self.private, self.theirs), 2)
        now = time.time_ns()
        stamp = struct.pack(">QI", (1 << 62) + 10 + now // 10**9, now % 10**9)
        message = (struct.pack("<I", INITIATION) + self.own + ephemeral + static
                   + seal(key, 0, stamp, mixed))
        return message + hashlib.blake2s(message, key=_hash(b"mac1----", self.theirs),
                                         digest_size=16).digest() + bytes(16)

    def take_response(self, answer):
        """Whether a message answers the initiation; it begins the session."""
        if len(answer) != 92 or answer[0] != RESPONSE or answer[8:12] != self.own:
            return False
        theirs = answer[12:44]
        chain, = _kdf(self._chain, theirs, 1)
        chain, = _kdf(chain, _shared(self._secret, theirs), 1)
        chain, = _kdf(chain, _shared(self.private, theirs), 1)
        chain, _, _ = _kdf(chain, bytes(32), 3)
        self.sending, self.receiving = _kdf(chain, b"", 2)
        self.index = answer[4:8]
        self.counter = 0
        return True

    def seal(self, packet, counter=None, index=None, padded=True):
        """The data message of a packet; the next one, if its counter is not given."""
        if counter is None:
            counter = self.counter
        self.counter = max(self.counter, counter + 1)
        packet += bytes(-len(packet) % 16) if padded else b""
        return (struct.pack("<I4sQ", DATA, index or self.index, counter)
                + seal(self.sending, counter, packet))

    def open(self, message):
        """Counter and content of a data message for this session, with its padding, or None."""
        if len(message) < HEADER_LEN + TAG_LEN or message[:8] != b"\4\0\0\0" + self.own:
            return None
        counter, = struct.unpack_from("<Q", message, 8)
        plain = unseal(self.receiving, counter, message[HEADER_LEN:])
        return None if plain is None else (counter, plain)

    def send_train(self, messages):
        """Sends messages as one UDP GSO packet: all are as long as the first, but for the last, which
        may be shorter."""
        size = len(messages[0])
        assert all(len(message) == size for message in messages[:-1]) and len(messages[-1]) <= size
        self.sock.sendmsg([b"".join(messages)], [(socket.IPPROTO_UDP, UDP_SEGMENT,
                                                  struct.pack("=H", size))])

    def close(self):
        self.sock.close()
