"""Whoever cannot reach the hub's media has it relayed by a TURN server of its operator's, with credentials of the hub's."""

import re
import time

import pytest
from browser.chromium import HubPage, start_chromium
from sdk.client import start_peer

from rig.coturn import PORT, credentials, start_coturn
from rig.device import start_device, wait_until
from rig.endpoint import start_endpoint
from rig.hub import start_hub
from rig.island import Island
from rig.network import allow_only, block_udp, make_link
from rig.whip import Loop

pytestmark = pytest.mark.root

ROOM = "lobby"
SECRET = "north-and-south"


@pytest.fixture
def link(stage):
    """Beside the hub there is a way to everything; on the other side everything but the hub's media."""
    link = make_link(stage, delay_ms=5)
    block_udp(link.right, 7882)
    return link


@pytest.fixture
def coturn(stage, link):
    return start_coturn(stage, link.left_address, namespace=link.left, secret=SECRET)


@pytest.fixture
def hub(stage, link, coturn):
    turn = f'[turn]\nurls = ["turn:{link.left_address}:{PORT}"]\nsecret = "{SECRET}"\nttl_s = 600\n'
    return start_hub(stage, address=link.left_address, namespace=link.left, extra=f"tcp_port = 0\n{turn}")


@pytest.fixture
def door(stage, link, hub):
    """A device beside the hub."""
    door = start_device(stage, "door", hub=hub, namespace=link.left)
    door.login(ROOM)
    door.publish("door-cam")
    return door


def check_relayed(hub, coturn, user: str) -> None:
    """It made a relay each time a user joined, and the relay's name says when it ends."""
    sids = re.findall(rf"{user} joins as (PA_\w+)", hub.program.output())
    assert sids
    for sid in sids:
        ends = re.findall(rf"user <(\d+):{sid}>.*ALLOCATE processed, success", coturn.output())
        assert ends, coturn.output()[-3000:]
        assert all(500 < int(end) - time.time() < 700 for end in ends)


@pytest.mark.alone
def test_an_sdk_is_relayed(stage, link, hub, coturn, door):
    anna = start_peer(stage, hub, "anna", ROOM, namespace=link.right, publish="anna-cam", sees="door-cam")
    texture = door.texture()
    door.play("anna-cam", view=texture.view, timeout=20)
    assert texture.next(timeout=15)
    assert len(anna.watch("door-cam", 4)) > 80
    check_relayed(hub, coturn, "anna")


@pytest.mark.alone
@pytest.mark.parametrize("transport", ["v1", "v0"])
def test_a_browser_is_relayed(stage, playwright, link, hub, coturn, door, transport):
    island = Island(link.right, link.right_address)
    anna = HubPage(start_chromium(stage, playwright, island, hub), hub, "anna", ROOM)
    anna.open(transport=transport)
    anna.join()
    anna.publish()
    texture = door.texture()
    door.play("anna-web", view=texture.view, timeout=20)
    assert texture.next(timeout=15)
    anna.wait_stream("door-cam")
    assert len(anna.watch("door-cam", 2)) > 20
    assert not anna.console
    check_relayed(hub, coturn, "anna")


def test_a_device_is_relayed(stage, link, hub, coturn, door, measured):
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    begun = time.monotonic()
    desk.login(ROOM)
    desk.publish("desk-cam")
    for device, stream in ((desk, "door-cam"), (door, "desk-cam")):
        texture = device.texture()
        device.play(stream, view=texture.view, timeout=20)
        assert texture.next(timeout=15)
    measured(f"in the room, publishing and playing after {time.monotonic() - begun:.1f} s")
    check_relayed(hub, coturn, "desk")


@pytest.mark.parametrize("way", ["whip", "whep"])
def test_a_session_at_the_hub_s_endpoint_is_relayed(stage, link, hub, coturn, door, way, measured):
    """The device hears of the relay with the answer, and the same session goes on by it."""
    desk = start_device(stage, "desk", namespace=link.right)
    shown = door if way == "whip" else desk
    texture = shown.texture()
    where = {f"{way}_url": f"{hub.http}/{way}/v1?stream={'desk' if way == 'whip' else 'door'}-cam", f"{way}_token": hub.token("desk", ROOM)}
    begun = time.monotonic()
    if way == "whip":
        desk.publish("desk-cam", **where)
        door.play("desk-cam", view=texture.view)
    else:
        desk.play("door-cam", view=texture.view, **where)
    measured(f"{way}: media connected after {time.monotonic() - begun:.1f} s")
    assert texture.next(timeout=20)
    measured(f"{way}: pictures after {time.monotonic() - begun:.1f} s")
    check_relayed(hub, coturn, "desk")
    assert hub.program.output().count("desk joins as") == 1


def test_a_session_at_an_endpoint_that_does_not_restart_ice_is_followed_by_a_relayed_one(stage, link, coturn, measured):
    allow_only(link.right, udp=PORT)
    loop = Loop(stage, link.left_address, link.left)
    endpoint = start_endpoint(stage, loop)
    endpoint.patch = 405
    name, password = credentials(SECRET, "desk")
    turn = f'<turn:{link.left_address}:{PORT}?transport=udp>; rel="ice-server"; username="{name}"; credential="{password}"'
    endpoint.links = [f'<stun:{link.left_address}:{PORT}>; rel="ice-server"', turn]
    desk = start_device(stage, "desk", namespace=link.right)
    begun = time.monotonic()
    desk.publish("desk-cam", whip_url=f"{endpoint.url}/whip")
    measured(f"published after {time.monotonic() - begun:.1f} s")
    wait_until(lambda: min(endpoint.received.get(kind, 0) for kind in ("audio", "video")) > 20, "sound and pictures there")
    assert ["typ relay" in post.body for post in endpoint.of("POST")] == [False, True]
    assert re.search(rf"user <{name}>.*ALLOCATE processed, success", coturn.output())
