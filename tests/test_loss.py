"""A call over a bad line: 2 % random loss and 40 ms each way between two network namespaces."""

import time

import pytest

from rig.camera import clip_camera
from rig.device import start_device
from rig.flow import judge
from rig.hub import start_hub
from rig.network import make_link

pytestmark = pytest.mark.paired

SECONDS = 15
WRONG_PICTURE = 20.0
"""Mean luma difference of a block that no encoding explains (the clip's own is 3 to 8 at this bit rate)."""


@pytest.mark.root
def test_a_lossy_line_delays_pictures_but_never_spoils_them(stage, clip, measured):
    """Uplink and downlink of a device behind a bad line: at least 97 % intact, and no corrupt picture shown.

    The hub and `door` are on the good side. `door` films a known clip, so that its whole picture is checked at
    `desk`; `desk` films the pattern, of which the bar is.
    """
    link = make_link(stage, delay_ms=40, loss_percent=2)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    camera = clip_camera(stage, clip)
    door = start_device(stage, "door", hub=hub, namespace=link.left, camera=camera.source)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    for device in (door, desk):
        device.login("lobby")
        device.publish(device.name)
    recorders = {}
    for device, other, known in ((desk, door, clip), (door, desk, None)):
        view = device.texture()
        recorders[device.name] = device.record(view, clip=known)
        device.play(other.name, view=view.view)
    for recorder in recorders.values():
        recorder.wait_for_frames(30)
    begin = time.monotonic()
    end = begin + SECONDS
    time.sleep(SECONDS + 1.5)

    frames = recorders["desk"].stop()
    made = [number for number, at in camera.made() if begin <= at <= end]
    down = judge(frames, begin=begin, end=end, made=made)
    up = judge(recorders["door"].stop(), begin=begin, end=end)
    worst = max(f.difference for f in frames if f.difference is not None)
    measured(f"down the line: {down}, worst block {worst:.1f}")
    measured(f"up the line: {up}")
    counts = link.finish()
    measured(f"the line: {counts}")
    lost = counts["left_to_right_lost"] + counts["right_to_left_lost"]
    assert lost / (counts["left_to_right_packets"] + counts["right_to_left_packets"]) > 0.01, "the line was bad"
    for flow in (down, up):
        assert flow.corrupt == 0
        assert flow.in_order
        assert flow.made >= SECONDS * 28
        assert flow.share >= 0.97
    assert worst < WRONG_PICTURE, "a corrupt picture was shown"


@pytest.mark.root
def test_logins_over_a_lossy_line_do_not_hang(stage, measured):
    """Thirty logins with 5 % loss: one in ten loses a packet of its handshake, which is made good a second later."""
    link = make_link(stage, delay_ms=40, loss_percent=5)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    door = start_device(stage, "door", hub=hub, namespace=link.left)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    door.login("lobby")
    door.publish("door")
    seconds = []
    for _ in range(30):
        desk.login("lobby")
        mark, begin = desk.mark(), time.monotonic()
        desk.play("door")
        heard = desk.wait("PlayerFirstFrame", after=mark, timeout=20)
        seconds.append(heard.at - begin)
        desk.call("LogoutRoom", "lobby")
    seconds.sort()
    measured(f"first sound after {seconds[15]:.2f} s (median), {seconds[-1]:.2f} s (worst)")
    assert seconds[-1] < 8, seconds
