# SPDX-License-Identifier: GPL-2.0
"""wg-rootless and files as people have them."""

import os

from alice import HOME, NOT_SET_UP, TOOL, key, said, tunnel_file, tunneled, write
from tap import check, scenario
from world import sh


@scenario
def files_as_people_have_them():
    """What wg-quick takes, or a hint."""
    odd = tunnel_file(Address="10.9.0.2/24 fd09::2/64", MTU="", Table="", SaveConfig="false", DNS="10.9.0.1 corp.example")
    status, text = tunneled("ip -br addr; getent ahostsv4 web.example", write("odd.conf", odd))
    check(status == 0 and "fd09::2/64" in text and "10.9.0.1 " in text and "Warning" not in text,
          "lists with spaces, empty values", text)
    off = write("odd.conf", tunnel_file(Table="off", PostUp="ip route add default dev %i", PreDown="true"))
    status, text = tunneled("ip route", off)
    check(status == 0 and "default" not in text and "Table = off" in text and "--table auto" in text
          and text.count("Warning") == 2 and "PostUp, PreDown are left out" in text, "Table = off with commands: a hint", text)
    status, text = said(TOOL, "--table", "auto", off, "ip", "route")
    check("default dev wg0" in text or "default dev odd" in text, "which helps", text)
    hook = write("odd.conf", tunnel_file(PrivateKey=None, PreUp="wg set %i private-key <(pass wg)"))
    status, text = tunneled("true", hook)
    check(status == NOT_SET_UP and "--private-key" in text, "a command that sets the key: a hint", text)
    write("key", key())
    status, text = said(TOOL, "--private-key", "key", "--wait", "20", hook, "true")
    check(status == 0, "which helps", text)
    with open(write("odd.conf", ""), "wb") as file:
        file.write(b"\xef\xbb\xbf" + tunnel_file().encode())
    status, text = tunneled("true", "odd.conf")
    check(status == NOT_SET_UP and "byte order mark" in text, "as Notepad saves it", text)
    sh(f"mkdir -p {HOME}/.config/wireguard && cp -p {HOME}/wg0.conf {HOME}/.config/wireguard/home.conf; "
       f"chown -R alice: {HOME}/.config && chmod 644 {HOME}/.config/wireguard/home.conf; chmod 755 {HOME}/.config/wireguard")
    status, text = said(TOOL, "home", "sh", "-c", "echo $WG_ROOTLESS")
    check(status == 0 and text.endswith("home\n") and "read by everybody" in text, "by its name in ~/.config/wireguard", text)
    os.chmod(f"{HOME}/.config/wireguard", 0o700)
    status, text = said(TOOL, "home", "sh", "-c", "echo $WG_ROOTLESS")
    check((status, text) == (0, "home\n"), "a folder that nobody else can enter is as good", text)
    text = tunnel_file(PostUp="true", PostDown="true")
    status = said("sh", "-c", f"{TOOL} odd.conf echo begun 2>/dev/full", timeout=60) if write("odd.conf", text) else None
    check(status == (0, "begun\n"), "warnings that cannot be written stop nothing", status)
