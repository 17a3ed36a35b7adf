"""Redundant sound (RFC 2198) of a browser: who takes it gets it, and a device gets what it repairs."""

import time

import numpy as np
import pytest
from browser.layers import LayersPage, opener
from rig.device import start_device, wait_until
from rig.hub import start_hub
from rig.network import make_link
from rig.sound import find_beeps, read_wav

pytestmark = pytest.mark.root

ROOM = "redundancy"
SECONDS = 18
LOSS_PERCENT = 10


@pytest.fixture
def link(stage):
    return make_link(stage, delay_ms=10)


@pytest.fixture
def hub(stage, link):
    """At the far end of the publisher's link, where everybody else is."""
    return start_hub(stage, address=link.right_address, namespace=link.right, log_level="debug")


@pytest.fixture
def browse(stage, playwright, link, hub):
    """Opens a page at one end of the link: `browse("left", script, user)`."""
    return opener(stage, playwright, link, hub, ROOM)


def repeated_share(page: LayersPage, seconds: float) -> float:
    """Of the packets that a page receives, how many bring something older, which it throws away because it has that."""
    before = page.figures("audio")
    time.sleep(seconds)
    after = page.figures("audio")
    received, discarded = (after[key] - before[key] for key in ("packetsReceived", "packetsDiscarded"))
    assert received > 40 * seconds, f"{received} packets in {seconds:g} s"
    return discarded / received


def desk_that_plays(stage, link, hub):
    desk = start_device(stage, "desk", hub=hub, namespace=link.right, speaker="wav")
    desk.login(ROOM)
    desk.play("anna")
    return desk


def missed_share(desk, seconds: float) -> float:
    """The share of the sound, 50 packets a second, that the device had nothing of for some seconds. What the browser sends to
    measure its bandwidth carries none, so neither packets nor their numbers say it."""
    mark = desk.mark()
    time.sleep(seconds)
    told = [signal.args[1] for signal in desk.signals("PlayerQualityUpdate", after=mark)]
    # The first one speaks of a time before.
    rates = [quality["audio_decode_fps"] for quality in told[1:]]
    assert len(rates) >= seconds / 3 - 2, f"{len(rates)} readings in {seconds:g} s"
    return 1 - sum(rates) / len(rates) / 50


@pytest.mark.alone
@pytest.mark.parametrize("red", [True, False], ids=["redundant", "plain"])
def test_a_browser_gets_what_is_published_and_a_device_whole_sound(stage, link, hub, browse, measured, red):
    anna = browse("left", "publish_beeps.js", "anna", red=red)
    ben = browse("right", "watch_layers.js", "ben")
    desk = desk_that_plays(stage, link, hub)
    expected = "audio/red" if red else "audio/opus"
    wait_until(lambda: anna.page.evaluate("window.sent()") == expected, f"{expected} in what is negotiated")
    wait_until(lambda: ben.page.evaluate("!!window.tracks.audio"), "sound at the other browser")
    time.sleep(3)
    repeated = repeated_share(ben, 4)
    measured(f"{repeated:.0%} of the packets of {expected} bring something older to a browser")
    assert repeated > 0.5 if red else repeated < 0.1

    begin = len(read_wav(desk.speaker))
    time.sleep(10)
    beeps = find_beeps(read_wav(desk.speaker)[begin:])
    assert len(beeps) >= 8, f"the device heard {len(beeps)} beeps in 10 s"
    steps = np.diff([beep.begin for beep in beeps])
    assert (np.abs(steps - 1) < 0.05).all(), f"not one a second: {steps}"
    missed = missed_share(desk, 12)
    assert missed < 0.02, f"the device missed {missed:.1%}"
    figures = ben.figures("audio")
    assert figures["packetsReceived"] > 500 and figures["packetsLost"] <= 2, figures


@pytest.mark.paired
def test_what_a_lossy_link_takes_is_repaired_for_a_device(stage, link, hub, browse, measured):
    missed = {}
    for red in (False, True):
        anna = browse("left", "publish_beeps.js", "anna", red=red)
        if not red:
            desk = desk_that_plays(stage, link, hub)
        expected = "audio/red" if red else "audio/opus"
        wait_until(lambda: anna.page.evaluate("window.sent()") == expected, f"{expected} in what is negotiated")
        time.sleep(4)
        link.lose(LOSS_PERCENT)
        missed[red] = missed_share(desk, SECONDS)
        link.lose(0)
        anna.page.context.browser.close()
        time.sleep(2)
    measured(f"sound that a device misses at {LOSS_PERCENT} % loss: {missed[False]:.1%}, with redundancy {missed[True]:.1%}")
    assert missed[False] > LOSS_PERCENT / 200, f"the link lost nothing: {missed[False]:.1%}"
    assert missed[True] < missed[False] / 2
