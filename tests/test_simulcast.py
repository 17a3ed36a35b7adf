"""Three layers by a browser, as a simulcast or in one stream (SVC), and who gets which of them when: on the hub, and what depends on
wishes on LiveKit's own server, too."""

import pytest
from browser.layers import WIDTHS, longest_gap, opener
from dbus_fast import Variant
from rig.device import start_device, wait_until
from rig.hub import Hub, start_hub
from rig.livekit import start_livekit
from rig.network import Link, make_link

pytestmark = [pytest.mark.root, pytest.mark.alone]

ROOM = "layers"
SMALL, _, BIG = WIDTHS
FULL_KBPS = 2_400
"""Carries the best layer (1.2 Mbit/s) with room to spare; a third of it does not."""

NO_PICTURES_KBPS = 90
"""Carries the sound (48 kbit/s with its headers), and not even the smallest layer beside it."""


either = pytest.mark.parametrize("codec", ["vp8", "vp9"], ids=["simulcast", "svc"])
"""LiveKit's SDK publishes three encodings in VP8, and one with three spatial layers in VP9 (and in AV1)."""


def layers_on_any_server(*runs: str) -> pytest.MarkDecorator:
    """Runs a test with these servers, codecs and connections: `zegohub vp9 one`."""
    return pytest.mark.parametrize(("hub", "codec", "connections"), [run.split() for run in runs], indirect=["hub"], ids=runs)


@pytest.fixture
def link(stage) -> Link:
    return make_link(stage, delay_ms=10, rate_kbps=FULL_KBPS)


@pytest.fixture
def hub(stage, link, request) -> Hub:
    """The server under test."""
    if getattr(request, "param", "zegohub") == "livekit-server":
        return start_livekit(stage, address=link.left_address, namespace=link.left)
    return start_hub(stage, address=link.left_address, namespace=link.left, log_level="debug")


@pytest.fixture
def browse(stage, playwright, link, hub):
    """Opens a page at one end of the link: `browse("left", script, user)`."""
    return opener(stage, playwright, link, hub, ROOM)


@either
def test_a_link_cut_to_a_third_shows_a_smaller_layer_and_the_big_one_again_afterwards(link, browse, measured, codec):
    browse("left", "publish_layers.js", "anna", dynacast=False, codec=codec)
    ben = browse("right", "watch_layers.js", "ben")
    ben.wait_width(BIG, timeout=30)
    ben.page.wait_for_timeout(5_000)
    ben.wait_width(BIG, timeout=30)

    cut = ben.now()
    link.limit(FULL_KBPS // 3)
    ben.wait_smaller(BIG, timeout=5)
    down = ben.now() - cut
    ben.page.wait_for_timeout(5_000)
    gap = longest_gap(ben.seen(since=cut - 0.5))
    mended = ben.now()
    link.limit(FULL_KBPS)
    ben.wait_width(BIG, timeout=30)
    up = ben.now() - mended
    ben.page.wait_for_timeout(3_000)
    gap_up = longest_gap(ben.seen(since=mended - 0.5))
    measured(f"down in {down:.2f} s, longest gap {gap * 1000:.0f} ms; up in {up:.1f} s, longest gap {gap_up * 1000:.0f} ms")
    assert gap < 0.5, f"the picture stood still for {gap:.2f} s"
    assert gap_up < 0.5, f"the picture stood still for {gap_up:.2f} s on the way up"


def test_sound_stays_whole_where_pictures_find_no_room(link, browse, measured):
    browse("left", "publish_layers.js", "anna", dynacast=False)
    ben = browse("right", "watch_layers.js", "ben")
    ben.wait_width(BIG, timeout=30)

    link.limit(NO_PICTURES_KBPS)
    ben.wait_state("paused", timeout=15)
    before = ben.figures("audio")
    ben.page.wait_for_timeout(6_000)
    after = ben.figures("audio")
    received, lost = (after[key] - before[key] for key in ("packetsReceived", "packetsLost"))
    assert received >= 6 * 50 * 0.95, f"{received} packets of sound in 6 s"
    assert lost <= 0.02 * received, f"{lost} packets of sound lost, {received} received"

    mended = ben.now()
    link.limit(FULL_KBPS)
    ben.wait_state("active", timeout=20)
    ben.wait_picture(since=ben.now(), timeout=5)
    measured(f"sound: {received} packets in 6 s, {lost} lost; pictures back after {ben.now() - mended:.1f} s")


def test_a_device_takes_the_layer_that_its_player_wishes(stage, link, hub, browse):
    browse("left", "publish_layers.js", "anna", dynacast=False)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    desk.login(ROOM)
    texture = desk.texture(960, 540)
    player = desk.play("anna", view=texture.view)
    for word, width in (("big", BIG), ("small", SMALL), ("auto", BIG)):
        desk.set(player, "Player", "VideoLayer", Variant("s", word))
        wait_until(lambda: desk.get(player, "Player", "Width") == width, f"{word}: {width} wide", 15)


@layers_on_any_server("zegohub vp8 one", "zegohub vp8 two", "zegohub vp9 one", "zegohub av1 one", "livekit-server vp8 one")
def test_a_publisher_is_told_which_layers_nobody_takes(browse, codec, connections):
    one = connections == "one"
    anna = browse("left", "publish_layers.js", "anna", dynacast=True, codec=codec, one=one)
    anna.wait_qualities([], timeout=15)
    ben = browse("right", "watch_layers.js", "ben", one=one)
    anna.wait_qualities([0, 1, 2], timeout=5)
    ben.wait_width(BIG, timeout=30)
    ben.take_quality("LOW")
    ben.wait_width(SMALL, timeout=10)
    anna.wait_qualities([0], timeout=15)
    ben.take_quality("HIGH")
    anna.wait_qualities([0, 1, 2], timeout=5)
    ben.wait_width(BIG, timeout=20)


@layers_on_any_server("zegohub vp8 one", "livekit-server vp8 one")
def test_who_shows_a_picture_small_gets_a_small_one_and_who_hides_it_none(browse, codec, connections):
    one = connections == "one"
    browse("left", "publish_layers.js", "anna", dynacast=False, codec=codec, one=one)
    ben = browse("right", "watch_layers.js", "ben", one=one, adaptive=True)
    ben.wait_width(BIG, timeout=30)
    ben.show(SMALL)
    ben.wait_width(SMALL, timeout=10)
    ben.show(0)
    ben.wait_nothing(timeout=10)
    ben.show(BIG)
    ben.wait_width(BIG, timeout=20)
