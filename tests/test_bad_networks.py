"""Networks as they are in the field: flapping links, heavy loss, another interface, IPv6 alone, names that resolve late.

As in `test_network.py`, nobody calls anything: what ran runs again by itself, and `door`, beside the hub, hears nothing of it.
"""

import os
import time
from pathlib import Path

import pytest

from rig.broken_line import BACK, LOST, RECOVERY, Call, call_over, in_time, make_call, outage, states, story, told
from rig.device import options, start_device, wait_until
from rig.hub import start_hub
from rig.network import Link, ip, make_link

pytestmark = pytest.mark.root


def nobody_came_or_went(call: Call, desk_mark: int, door_mark: int) -> None:
    """`door` heard nothing, and each has the other once."""
    heard = story(call.door, door_mark)
    assert not heard, f"door heard of it: {heard}"
    assert not call.desk.signals("RoomUserUpdate", desk_mark) and not call.desk.signals("RoomStreamUpdate", desk_mark)
    for device, other in ((call.door, call.desk), (call.desk, call.door)):
        (room,) = device.objects("Room").values()
        assert [user[0] for user in room["Users"]] == [other.name]
        assert [stream["StreamID"] for stream in device.objects("Stream").values()] == [other.name]


@pytest.mark.parametrize("kind", ["down", "silent"])
def test_a_flapping_link_leaves_nothing_behind(stage, measured, kind):
    """Two seconds without, two with, for a minute: each state is told once and in turn, and it ends in the call as it was."""
    c = make_call(stage)
    c.start()
    begin, end = {"down": (c.link.down, c.link.up), "silent": (c.link.cut, c.link.mend)}[kind]
    marks = c.desk.mark(), c.door.mark()
    for _ in range(15):
        begin()
        time.sleep(2)
        end()
        since = time.monotonic()
        time.sleep(2)
    times = c.flows_again(since)
    wait_until(lambda: states(c.desk, "RoomStateUpdate", marks[0])[-1:] in ([], [BACK]), "the last word to be that it is back")
    heard = states(c.desk, "RoomStateUpdate", marks[0])
    measured(f"{len(heard) // 2} outages told; door sees {times['door']:.2f}, desk sees {times['desk']:.2f} s")
    assert heard == [LOST, BACK] * (len(heard) // 2)
    assert max(times.values()) <= RECOVERY
    nobody_came_or_went(c, *marks)


def test_heavy_loss_ends_nothing(stage, measured):
    """Of 20 seconds with 30 % loss each way the call is left, and three seconds later it is as it was."""
    c = make_call(stage)
    c.start()
    marks = c.desk.mark(), c.door.mark()
    c.link.lose(30)
    time.sleep(20)
    since = time.monotonic()
    c.link.lose(0)
    times = c.flows_again(since)
    wait_until(lambda: states(c.desk, "RoomStateUpdate", marks[0])[-1:] in ([], [BACK]), "desk to be connected")
    heard = states(c.desk, "RoomStateUpdate", marks[0])
    measured(f"told {heard}; door sees {times['door']:.2f}, desk sees {times['desk']:.2f} s after it")
    assert heard in ([], [LOST, BACK])
    assert max(times.values()) <= RECOVERY
    nobody_came_or_went(c, *marks)


def test_another_address_during_an_outage(stage, measured):
    """The cable comes back with no address, then with another one than before: as from another DHCP server."""
    c = make_call(stage)
    c.start()
    times = []
    for host, without in ((9, 0.0), (10, 1.5)):

        def back(host: int = host, without: float = without) -> None:
            ip("-n", c.link.right, "link", "set", "eth0", "up")
            c.link.move(f"10.77.0.{host}", without)

        times.append(outage(c, c.link.down, back, seconds=5))
    measured(told(times))
    assert max(times[0].values()) <= RECOVERY and max(times[1].values()) <= RECOVERY + 1.5, told(times)


def test_a_silent_line_is_found_again_at_whatever_moment(stage, measured):
    """Whatever attempt is on its way when the line carries again, it is not waited for: 13 lengths of an outage."""
    c = make_call(stage)
    c.start()
    times = [outage(c, c.link.cut, c.link.mend, seconds=8 + 0.5 * step) for step in range(13)]
    measured(told(times))
    in_time(times)


ROUTER = "10.99.0.1"
"""The hub's address behind both lines."""


def use(link: Link, name: str) -> None:
    """Makes `eth0` or `eth1` the way to everything."""
    ip("-n", link.right, "route", "replace", "default", "dev", name)


def test_the_default_route_moves_to_another_interface(stage, measured):
    """From cable to another network and back while publishing: by a changed route, and because the first one goes down."""
    link = make_link(stage, delay_ms=5)
    make_link(stage, delay_ms=5, beside=link)
    ip("-n", link.left, "address", "add", f"{ROUTER}/32", "dev", "lo")
    c = call_over(stage, link, start_hub(stage, address=ROUTER, namespace=link.left), interfaces=(ROUTER,))
    c.start()
    times = [outage(c, lambda: None, lambda name=name: use(link, name), seconds=0) for name in ("eth1", "eth0", "eth1", "eth0")]
    # As network managers have it: both have a route, the better one goes and comes.
    ip("-n", link.right, "route", "add", "default", "dev", "eth1", "metric", "600")
    for change in (link.down, link.up):
        times.append(outage(c, lambda: None, change, seconds=0))
    measured(told(times))
    in_time(times)


def test_ipv6_alone_carries_a_call(stage, measured):
    """No IPv4 address anywhere; the link goes and comes."""
    link = make_link(stage, delay_ms=5)
    for namespace, address in ((link.left, "fd77::1"), (link.right, "fd77::2")):
        ip("-n", namespace, "address", "flush", "dev", "eth0", "scope", "global")
        ip("-n", namespace, "address", "add", f"{address}/64", "dev", "eth0", "nodad")
    c = call_over(stage, link, start_hub(stage, address="[fd77::1]", namespace=link.left))
    c.start()

    def up() -> None:
        # The kernel takes global IPv6 addresses away from an interface that goes down.
        ip("-n", link.right, "link", "set", "eth0", "up")
        ip("-n", link.right, "address", "replace", "fd77::2/64", "dev", "eth0", "nodad")

    times = [outage(c, link.down, up, seconds=5), outage(c, link.cut, link.mend, seconds=8)]
    measured(told(times))
    in_time(times)


def test_a_server_that_restarts_while_the_device_is_offline(stage, measured):
    """The old room is gone when `desk` comes back: it joins the new one, and is there once."""
    c = make_call(stage)
    c.start()
    marks = c.desk.mark(), c.door.mark()
    c.link.down()
    c.desk.wait("RoomStateUpdate", lambda s: tuple(s.args[1:3]) == LOST, after=marks[0])
    c.hub.program.kill()
    c.door.wait("RoomStateUpdate", lambda s: tuple(s.args[1:3]) == LOST, after=marks[1])
    c.hub = start_hub(stage, address=c.link.left_address, namespace=c.link.left)
    c.door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=marks[1])
    time.sleep(3)
    since = time.monotonic()
    c.link.up()
    times = c.flows_again(since)
    times["told"] = c.desk.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=marks[0]).at - since
    measured(told([times]))
    in_time([times])
    for device, other, mark in ((c.door, c.desk, marks[1]), (c.desk, c.door, marks[0])):
        assert states(device, "RoomStateUpdate", mark) == [LOST, BACK]
        (room,) = device.objects("Room").values()
        assert [user[0] for user in room["Users"]] == [other.name]
        assert [stream["StreamID"] for stream in device.objects("Stream").values()] == [other.name]


def test_a_name_that_resolves_later(stage, measured):
    """A login at a server whose name nobody knows yet goes on trying, and gets in soon after the name is known."""
    link = make_link(stage, delay_ms=5)
    folder = Path("/etc/netns") / link.right
    folder.mkdir(parents=True)
    hosts, resolver = folder / "hosts", folder / "resolv.conf"
    stage.at_end("names", lambda: (hosts.unlink(), resolver.unlink(), os.rmdir(folder)))
    hosts.write_text("127.0.0.1 localhost\n")
    resolver.write_text(f"nameserver {link.left_address}\n")
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    wishes = options(token=hub.token("desk", "lobby"), server="ws://rooms.test:7880", wait=False)
    assert desk.call("LoginRoom", "lobby", "desk", "", wishes)[1] == 1
    time.sleep(6)
    assert states(desk, "RoomStateUpdate", 0) == [(1, 0)]
    since = time.monotonic()
    with hosts.open("a") as file:
        file.write(f"{link.left_address} rooms.test\n")
    there = desk.wait("RoomStateUpdate", lambda s: s.args[1] == 2)
    measured(f"connected {there.at - since:.2f} s after the name is known")
    assert there.at - since <= RECOVERY
