# SPDX-License-Identifier: GPL-2.0
"""How long bought sockets last: from the move until other sockets replace them, whether or not the
device is up."""

import os
import socket
import time

import house
import netlink as nl
import world
from actor import Actor
from house import AF, BOTH, NAMES, PORT, User, acts, all_go_on, nft, udp_sockets
from tap import check, scenario
from world import inside, sh


def bought(her, uid=1000):
    """What is wrong about her sockets in the initial netns."""
    found = her.sockets()
    problems = []
    if set(found) != set(BOTH):
        problems.append(f"sockets of {set(found)}")
    problems += [f"{NAMES[family]}: {one}" for family, one in found.items()
                 if one.uid != uid or not one.inode]
    return problems


def down_and_up(her, who=None):
    for up in (False, True):
        (who or her.owner)(nl.link_up, "wg0", up).or_raise()


@scenario
def down():
    """A device that is down has the sockets that were bought for it."""
    her = house.alice
    her.device(up=False)
    first = her.sockets()
    check(not bought(her), "a device that is down has sockets, and they are hers", *bought(her))
    check(not world.ports(her.net) & {(4, PORT), (6, PORT)}, "and none in its own netns",
          world.udp_sockets(her.net))
    her.owner(nl.link_up, "wg0").or_raise()
    check(all_go_on(her) == house.EVERYTHING and her.sockets() == first,
          "up, it has the same, and all goes on", first, her.sockets())
    her.owner(nl.link_down, "wg0").or_raise()
    check(her.sockets() == first, "down again, it has the same", first, her.sockets())

    # Now each end has a session: what far sends is sent.
    before, heard = received(her), heard_from(her)
    refused = {family: is_refused(family) for family in BOTH}
    with inside("far"):
        for family in BOTH:
            for _ in range(2):
                sh(f"ping -c 3 -i 0.01 -W 0.2 {house.INSIDE[family]}.1 || :")
                # And without one it sends handshakes.
                meet_anew(family)
    found = her.sockets()
    check(not any(refused.values()), "what is sent to it meanwhile finds a port", refused)
    check(all(not one.waiting for one in found.values()), "and does not wait in the sockets", found)
    check(heard_from(her) == heard, "it is not looked at", heard, heard_from(her))
    her.owner(nl.link_up, "wg0").or_raise()
    time.sleep(0.2)
    check(received(her) == before, "nor does it arrive later", before, received(her))
    check(all_go_on(her) == house.EVERYTHING and her.sockets() == first,
          "up again, it has the same and all goes on", first, her.sockets())
    acts("a rule for her uid, after down and up,", nft("meta skuid 1000 drop"))


def received(her):
    """Packets that came out of her device."""
    with inside(her.net), open("/proc/self/net/dev", encoding="ascii") as file:
        return next(int(line.split(":")[1].split()[1]) for line in file
                    if line.strip().startswith("wg0:"))


def meet_anew(family):
    """Has the far end know her as before, but for the session."""
    key = house.public["hers"]
    nl.wg_set(f"wg{family}", peers=[
        nl.peer(key, flags=1),
        nl.peer(key, endpoint=("10.9.0.1" if family == 4 else "fd09::1", PORT),
                allowed=[f"{house.INSIDE[family]}.1/32"])]).or_raise()


def heard_from(her):
    """What her device counts as received from its peers."""
    return {one["endpoint"]: one["rx"] for one in her.get()["peers"].values()}


def is_refused(family):
    """Whether the far end is told that nobody has her port."""
    with inside("far"):
        sock = socket.socket(AF[family], socket.SOCK_DGRAM)
    with sock:
        sock.connect(("10.9.0.1" if family == 4 else "fd09::1", PORT))
        sock.settimeout(0.2)
        try:
            sock.send(b"anybody?")
            sock.recv(10)
        except TimeoutError:
            return False
        except ConnectionRefusedError:
            return True
    return False


@scenario
def nothing_shown():
    """Down and up need nothing, and make nothing, whoever does it."""
    with User() as her:
        her.device()
        first = her.sockets()
        check(not bought(her), "the sockets are hers", *bought(her))
        her.owner(house.close_credentials)
        down_and_up(her)
        check(her.sockets() == first, "down and up with nothing shown: the same sockets", first,
              her.sockets())
        root = Actor(os.setns, her.net, os.CLONE_NEWNET)
        down_and_up(her, root)
        check(her.sockets() == first, "the same if root does it", first, her.sockets())
        root.end()
        her.refused("another port with nothing shown", "EPERM", "CAP_NET_ADMIN",
                    request=lambda: her.owner(nl.wg_set, "wg0", port=6090))
        her.owner(nl.link_down, "wg0").or_raise()
        her.refused("another port with nothing shown, down,", "EPERM", "CAP_NET_ADMIN",
                    request=lambda: her.owner(nl.wg_set, "wg0", port=6090))
        her.owner(nl.link_up, "wg0").or_raise()
        found = all_go_on(her)
        check(found == house.EVERYTHING, "all goes on", found)


@scenario
def replaced():
    """Another port makes other sockets, a move home ends them."""
    her = house.alice
    for up in (True, False):
        state = "up" if up else "down"
        her.device(up=up)
        first = her.sockets()
        her.buy(port=6091).or_raise()
        second = her.sockets()
        check(not bought(her) and not {one.inode for one in first.values()} &
              {one.inode for one in second.values()},
              f"another port makes new sockets, which are hers, {state}", first, second)
        check(not udp_sockets("init", PORT), f"the old ones are gone, {state}",
              udp_sockets("init", PORT))
        answer = her.owner(nl.wg_set, "wg0", port=6091)
        check(answer.name == "OK" and her.sockets() == second,
              f"the port that it has makes none, {state}", answer, second, her.sockets())
        her.take_home()
        found = udp_sockets(her.net, 6091)
        check(not her.sockets() and set(found) == (set(BOTH) if up else set()),
              f"at home it is an ordinary device, {state}", her.sockets(), found)
        her.device(up=up)
        with inside(her.net):
            nl.link_del("wg0").or_raise()
        check(not udp_sockets("init", PORT), f"they go with the device, {state}",
              udp_sockets("init", PORT))


@scenario
def ordinary():
    """A device that shows nothing has root's sockets, and none while it is down."""
    with inside(house.ordinary):
        before = udp_sockets("init", house.ORDINARY_PORT)
        check(set(before) == set(BOTH) and all(one.uid == 0 for one in before.values()),
              "an ordinary device has root's sockets", before)
        nl.link_down("wg1").or_raise()
        check(not udp_sockets("init", house.ORDINARY_PORT), "down, it has none",
              udp_sockets("init", house.ORDINARY_PORT))
        nl.link_up("wg1").or_raise()
        check(set(udp_sockets("init", house.ORDINARY_PORT)) == set(BOTH), "up, it has some again")
    # Who sets it up does not matter: that is not what buys.
    brought_up = Actor(house.become_owner, 1000, (f"{house.CGROUPS}/{house.HERS}",))
    try:
        net = brought_up.net()
        nl.link_add("wg7").or_raise()
        nl.wg_set("wg7", port=6099).or_raise()
        nl.link_move("wg7", net).or_raise()
        brought_up(nl.link_up, "wg7").or_raise()
        found = udp_sockets("init", 6099)
        check(set(found) == set(BOTH), "one that she was handed and brings up has some", found)
        os.close(net)
    finally:
        brought_up.end()
    check(world.until(lambda: not udp_sockets("init", 6099)), "it goes with her netns",
          udp_sockets("init", 6099))


HALL = (160, 161)


def become_guest(uid, cgroups):
    """With credentials in the netns `hall' as well."""
    with inside("hall"):
        house.keep_credentials(HALL)
    house.become_owner(uid, cgroups)


@scenario
def netns_ends():
    """Bought sockets keep no netns alive."""
    sh("ip netns add hall; ip -n hall link set lo up; ip netns set hall 4712")
    with User(as_owner=become_guest) as her:
        her.device(bought=False)
        hall = her.owner(os.open, "/run/netns/hall", os.O_RDONLY)
        answer = her.owner(nl.wg_set, "wg0", netns_fd=hall, **house.proof(HALL))
        check(answer.name == "OK" and set(udp_sockets("hall", her.port)) == set(BOTH),
              "she has sockets in a netns that will not last", answer)
        for fd in (hall, *HALL):
            her.owner(os.close, fd)
        sh("ip netns del hall")
        check(world.until(lambda: "4712" not in sh("ip netns list-id")), "it ends", her.get())
        with inside(her.net):
            check(world.until(lambda: not nl.link_get("wg0")["carrier"]), "the carrier drops",
                  nl.link_get("wg0"))
        answer = her.buy()
        check(answer.name == "OK" and not bought(her), "she can buy others", answer, *bought(her))
        check(all_go_on(her) == house.EVERYTHING, "and all goes on", her.get())


@scenario
def ends():
    """They end with her netns, and her processes, and leave nothing."""
    before = world.udp_sockets("init")
    files = count_files()
    for _ in range(5):
        with User() as her:
            her.device()
    world.until(lambda: not udp_sockets("init", house.OTHERS_PORT), 10)
    left = world.udp_sockets("init") - before
    check(not left, "when her netns ends, so do they", left)
    check(world.until(lambda: count_files() <= files + 2, 10), "and the files that they have",
          files, count_files())


def count_files():
    with open("/proc/sys/fs/file-nr", encoding="ascii") as file:
        return int(file.read().split()[0])
