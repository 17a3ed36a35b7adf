"""VP9 and AV1 with three spatial layers in one stream (SVC), published by a browser; what holds for a simulcast as well is in `test_simulcast.py`."""

import pytest
from browser.layers import WIDTHS, longest_gap, opener
from rig.device import start_device, wait_until
from rig.hub import Hub, start_hub
from rig.network import Link, make_link

pytestmark = [pytest.mark.root, pytest.mark.alone]

ROOM = "layers"
SMALL, MIDDLE, BIG = WIDTHS
FULL_KBPS = 2_400
"""Carries all layers (1.2 Mbit/s) with room to spare."""


either = pytest.mark.parametrize("codec", ["vp9", "av1"])
"""The codecs with layers in one stream."""
paths = pytest.mark.parametrize("one", [True, False], ids=["v1", "v0"])
"""One peer connection (`/rtc/v1`), or two (`/rtc`)."""


@pytest.fixture
def link(stage) -> Link:
    return make_link(stage, delay_ms=10, rate_kbps=FULL_KBPS)


@pytest.fixture
def hub(stage, link) -> Hub:
    return start_hub(stage, address=link.left_address, namespace=link.left, log_level="debug")


@pytest.fixture
def browse(stage, playwright, link, hub):
    """Opens a page at one end of the link: `browse("left", script, user)`."""
    return opener(stage, playwright, link, hub, ROOM)


@either
@paths
def test_a_browser_is_seen_in_its_own_codec(browse, codec, one):
    browse("left", "publish_layers.js", "anna", dynacast=False, codec=codec, one=one)
    ben = browse("right", "watch_layers.js", "ben", one=one)
    ben.wait_width(BIG, timeout=30)
    figures = ben.figures("video")
    seen = ben.page.evaluate(
        """async (id) => (await window.tracks.video.receiver.getStats()).get(id).mimeType""", figures["codecId"]
    )
    assert seen == f"video/{codec.upper()}"


@either
@paths
def test_who_wishes_for_less_gets_a_smaller_layer_of_the_same_stream(browse, measured, codec, one):
    browse("left", "publish_layers.js", "anna", dynacast=False, codec=codec, one=one)
    ben = browse("right", "watch_layers.js", "ben", one=one)
    ben.wait_width(BIG, timeout=30)
    for quality, width in (("LOW", SMALL), ("HIGH", BIG), ("MEDIUM", MIDDLE), ("HIGH", BIG)):
        begin = ben.now()
        ben.take_quality(quality)
        ben.wait_width(width, timeout=10)
        took = ben.now() - begin
        ben.page.wait_for_timeout(2_000)
        gap = longest_gap(ben.seen(since=begin - 0.5))
        measured(f"{quality}: after {took:.2f} s, longest gap {gap * 1000:.0f} ms")
        assert gap < 0.5, f"{quality}: the picture stood still for {gap:.2f} s"
    figures = ben.figures("video")
    assert figures["packetsLost"] == 0, "the numbers of what is left out are not closed up"


@either
def test_a_second_codec_that_is_ready_is_not_asked_for(browse, codec):
    anna = browse("left", "publish_layers.js", "anna", dynacast=True, codec=codec, backup=True)
    ben = browse("right", "watch_layers.js", "ben")
    ben.wait_width(BIG, timeout=30)
    more = "[...room.localParticipant.videoTrackPublications.values()].flatMap((publication) => [...publication.track.simulcastCodecs.keys()])"
    assert anna.page.evaluate(more) == []


@either
def test_who_begins_while_a_device_is_there_publishes_what_it_decodes(stage, link, hub, browse, codec):
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    desk.login(ROOM)
    browse("left", "publish_layers.js", "anna", dynacast=False, codec=codec)
    texture = desk.texture(960, 540)
    player = desk.play("anna", view=texture.view)
    wait_until(lambda: desk.get(player, "Player", "Width") == BIG, f"pictures {BIG} wide", 20)


@either
def test_a_device_that_comes_after_it_was_begun_gets_the_sound(stage, link, hub, browse, codec):
    browse("left", "publish_layers.js", "anna", dynacast=False, codec=codec)
    ben = browse("right", "watch_layers.js", "ben")
    ben.wait_width(BIG, timeout=30)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    desk.login(ROOM)
    desk.play("anna")
    desk.wait("PlayerFirstFrame", lambda signal: signal.args == ["anna", "audio_received"])
    ben.wait_picture(since=ben.now(), timeout=5)
