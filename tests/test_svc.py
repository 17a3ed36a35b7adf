"""VP9 with three spatial layers in one stream (SVC), published by a browser."""

import pytest
from browser.layers import WIDTHS, opener
from rig.hub import Hub, start_hub
from rig.network import Link, make_link

pytestmark = [pytest.mark.root, pytest.mark.alone]

ROOM = "layers"
SMALL, _, BIG = WIDTHS
KBPS = 4_000
"""Carries everything with room to spare."""


@pytest.fixture
def link(stage) -> Link:
    return make_link(stage, delay_ms=10, rate_kbps=KBPS)


@pytest.fixture
def hub(stage, link) -> Hub:
    return start_hub(stage, address=link.left_address, namespace=link.left, log_level="debug")


@pytest.fixture
def browse(stage, playwright, link, hub):
    """Opens a page at one end of the link: `browse("left", script, user)`."""
    return opener(stage, playwright, link, hub, ROOM)


@pytest.mark.parametrize("one", [True, False], ids=["v1", "v0"])
def test_a_browser_is_seen_in_vp9(browse, one):
    browse("left", "publish_layers.js", "anna", dynacast=False, codec="vp9", one=one)
    ben = browse("right", "watch_layers.js", "ben", one=one)
    ben.wait_width(BIG, timeout=30)
    figures = ben.figures("video")
    codec = ben.page.evaluate(
        """async (id) => (await window.tracks.video.receiver.getStats()).get(id).mimeType""", figures["codecId"]
    )
    assert codec == "video/VP9"
