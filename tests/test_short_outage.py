"""A line that is gone for longer than packets are kept to be sent again: pictures go on when it is back, and nobody waits for what is lost."""

import time
from itertools import pairwise

import pytest
from sdk.client import start_peer

from rig.device import start_device
from rig.hub import start_hub
from rig.network import make_link

pytestmark = [pytest.mark.root, pytest.mark.alone]

GONE = 1.5
"""Seconds without a line. The hub and libwebrtc keep packets for one."""
LATE = 0.5
"""Seconds after its return until the picture moves. Who waits for what is lost stands still for up to three in all."""


@pytest.mark.parametrize("whose", ["subscriber", "publisher"])
def test_the_picture_moves_again_as_soon_as_the_line_is_back(stage, measured, whose):
    link = make_link(stage, delay_ms=10)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    near, far = link.left, link.right
    door = start_device(stage, "door", hub=hub, namespace=far if whose == "publisher" else near)
    door.login("lobby")
    door.publish("door-cam")
    anna = start_peer(stage, hub, "anna", "lobby", namespace=far if whose == "subscriber" else near, sees="door-cam")
    time.sleep(4)
    late = []
    for _ in range(3):
        begin = time.monotonic()
        link.cut()
        time.sleep(GONE)
        link.mend()
        time.sleep(3.5)
        shown = [frame.at for frame in anna.frames("door-cam") if frame.at > begin - 0.5]
        late.append(max(after - before for before, after in pairwise(shown)) - GONE)
    measured(f"the {whose}'s line: {', '.join(f'{1000 * seconds:.0f}' for seconds in late)} ms after it")
    assert max(late) < LATE, late
