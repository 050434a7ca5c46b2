# SPDX-License-Identifier: GPL-2.0
"""Which calls there are in a module, by its file: of amd64, as insmod takes it."""

import os
import re
import struct
from typing import NamedTuple

SHT_SYMTAB, SHT_RELA, SHF_EXECINSTR, STT_FUNC, STT_SECTION = 2, 4, 4, 2, 3
R_X86_64_PC32, R_X86_64_PLT32 = 2, 4
CALL = 0xe8
# What the kernel has that allocates for a packet, or makes others of it.
ALLOCATES = re.compile(r"alloc_skb|page_frag_refill|skb_gso_segment|skb_checksum_help|skb_cow_data|"
                       r"pskb_expand_head|pskb_pull_tail|pskb_trim|skb_clone|skb_copy$|skb_copy_expand")


class Call(NamedTuple):
    """A call: where it returns to, in which section, and who calls whom."""
    section: str
    returns: int
    caller: str
    callee: str

    def address(self, module="wireguard"):
        """Where it returns to, now that the module is loaded."""
        with open(f"/sys/module/{module}/sections/{self.section}", encoding="ascii") as file:
            return int(file.read(), 16) + self.returns

    def __str__(self):
        return " -> ".join("::".join(plain(name).split("::")[-3:]) for name in (self.caller, self.callee))


def plain(symbol):
    """The last words of a mangled name of Rust's; any other name as it is."""
    if not symbol.startswith("_R"):
        return symbol
    # Without what refers back to other parts, and what tells crates apart.
    rest = re.sub(r"B[0-9a-zA-Z]*_|(?<=[CMNXtv])s[0-9a-zA-Z]*_(?=[0-9NC])", "", symbol[2:])
    words = []
    while found := re.search(r"(\d+)_?(?=[A-Za-z_])", rest):
        end = found.end() + int(found[1])
        words.append(rest[found.end():end])
        rest = rest[end:]
    return "::".join(word for word in words if word != "wireguard")


class Module:
    """A module's file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        offset, = struct.unpack_from("<Q", self.data, 40)
        count, names = struct.unpack_from("<HH", self.data, 60)
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, offset + 64 * number)
                         for number in range(count)]
        self.names = [self._string(self.sections[names][4] + section[0]) for section in self.sections]
        table = next(section for section in self.sections if section[1] == SHT_SYMTAB)
        strings = self.sections[table[6]][4]
        # (name, type, section, value, size)
        self.symbols = []
        for at in range(table[4], table[4] + table[5], 24):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", self.data, at)
            self.symbols.append((self._string(strings + name), info & 15, section, value, size))
        self.functions = {}
        for name, kind, section, value, size in self.symbols:
            if kind == STT_FUNC and section < len(self.sections):
                self.functions.setdefault(section, []).append((value, value + size, name))

    def _string(self, at):
        return self.data[at:self.data.index(b"\0", at)].decode()

    def function(self, section, offset):
        """The function that is there."""
        return next((name for start, end, name in self.functions.get(section, ())
                     if start <= offset < end), None)

    def calls(self):
        """All calls by name, and those within a section."""
        found = set()
        relocated = {}
        for section in self.sections:
            if section[1] != SHT_RELA or not self.sections[section[7]][2] & SHF_EXECINSTR:
                continue
            for at in range(section[4], section[4] + section[5], 24):
                offset, info, addend = struct.unpack_from("<QQq", self.data, at)
                relocated[section[7], offset] = (info & 0xffffffff, self.symbols[info >> 32], addend)
        for (section, offset), (kind, symbol, addend) in relocated.items():
            if kind not in (R_X86_64_PC32, R_X86_64_PLT32) \
                    or self.data[self.sections[section][4] + offset - 1] != CALL:
                continue
            name = self.function(symbol[2], addend + 4) if symbol[1] == STT_SECTION else symbol[0]
            found.add(Call(self.names[section], offset + 4, self.function(section, offset), name))
        for section, functions in self.functions.items():
            starts = {start: name for start, _, name in functions}
            base = self.sections[section][4]
            for start, end, name in functions:
                for offset in range(start, end - 4):
                    if self.data[base + offset] == CALL and (section, offset + 1) not in relocated:
                        to, = struct.unpack_from("<i", self.data, base + offset + 1)
                        if callee := starts.get(offset + 5 + to):
                            found.add(Call(self.names[section], offset + 5, name, callee))
        return found

    def allocating(self):
        """The calls that may come to an allocation of the kernel's for a packet."""
        calls = [call for call in self.calls() if call.caller and call.callee]
        names = {call.callee for call in calls if ALLOCATES.search(call.callee)}
        while more := {call.caller for call in calls if call.callee in names} - names:
            names |= more
        return sorted(call for call in calls if call.callee in names)


def of_module():
    """Those of the module that is tested."""
    return Module(f"/lib/modules/{os.uname().release}/updates/wireguard.ko").allocating()
