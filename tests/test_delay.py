"""The delay from one end to the other, `peer_to_peer_delay`, against the truth.

The truth is in the pictures: the simulated camera writes into each when it was made, and a probe sees when it is shown. Both ends run on
one machine, so that is one clock; what the devices take for the time of day is another matter.
"""

import subprocess
from statistics import median

import pytest

from rig.device import start_device
from rig.hub import start_hub
from rig.livekit import start_livekit
from rig.network import make_link

pytestmark = pytest.mark.alone

AGREEMENT_MS = 20
READINGS = 3
"""Quality signals that are compared, one every 3 s."""


def hour_slow() -> dict[str, str]:
    """The environment of a program whose wall clock is an hour slow. Its other clocks are right."""
    listed = subprocess.run(["dpkg", "-L", "libfaketime"], capture_output=True, text=True, check=True).stdout
    library = next(line for line in listed.splitlines() if line.endswith("/libfaketime.so.1"))
    return {"LD_PRELOAD": library, "FAKETIME": "-1h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def readings(door, desk) -> list[tuple[int, float]]:
    """Plays the pictures of `door` at `desk`: what its quality signals say, and what is true of the second before, in ms."""
    for one in (door, desk):
        one.login("lobby")
    door.publish("door")
    view = desk.texture()
    recorder = desk.record(view)
    # Without the sound, whose delay the field would be when it is the longer.
    desk.play("door", view=view.view, audio=False)
    recorder.wait_for_frames(30)
    found, mark = [], desk.mark()
    while len(found) < READINGS:
        signal = desk.wait("PlayerQualityUpdate", lambda s: "peer_to_peer_delay" in s.args[1], after=mark, timeout=15)
        mark = desk.bus.signals.index(signal) + 1
        shown = [f for f in recorder.frames() if f.counter is not None and 0 <= signal.at - f.at < 1]
        found.append((signal.args[1]["peer_to_peer_delay"], median(f.latency_ms for f in shown)))
    return found


@pytest.mark.root
@pytest.mark.parametrize("far", ["nobody", "publisher", "player"])
def test_the_delay_is_that_of_the_pictures(stage, measured, far):
    """Both near the hub, and either of them behind a line of 40 ms each way."""
    link = make_link(stage, delay_ms=0 if far == "nobody" else 40)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    door = start_device(stage, "door", hub=hub, namespace=link.right if far == "publisher" else link.left)
    desk = start_device(stage, "desk", hub=hub, namespace=link.left if far == "publisher" else link.right)
    found = readings(door, desk)
    measured(f"said and true, ms: {found}")
    assert all(abs(said - true) <= AGREEMENT_MS for said, true in found), found
    if far != "nobody":
        assert min(said for said, _ in found) >= 40, "the line is part of it"


@pytest.mark.parametrize("wrong", ["publisher", "player"])
def test_a_wrong_wall_clock_changes_nothing(stage, measured, wrong):
    """One of them is an hour slow."""
    hub = start_hub(stage)
    door = start_device(stage, "door", hub=hub, environment=hour_slow() if wrong == "publisher" else None)
    desk = start_device(stage, "desk", hub=hub, environment=hour_slow() if wrong == "player" else None)
    found = readings(door, desk)
    measured(f"said and true, ms: {found}")
    assert all(abs(said - true) <= AGREEMENT_MS for said, true in found), found


def test_it_is_left_out_where_the_server_takes_the_clocks_apart(stage):
    """LiveKit's server passes the capture time on without what relates the publisher's clock to its own."""
    hub = start_livekit(stage)
    door, desk = (start_device(stage, name, hub=hub) for name in ("door", "desk"))
    for one in (door, desk):
        one.login("lobby")
    door.publish("door")
    desk.play("door", view=desk.texture().view)
    quality = desk.wait("PlayerQualityUpdate", lambda s: s.args[1].get("video_render_fps", 0) > 5, timeout=20).args[1]
    assert "mos" in quality
    assert "peer_to_peer_delay" not in quality
