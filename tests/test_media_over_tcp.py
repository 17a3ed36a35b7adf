"""Where no UDP gets through, sound and pictures come by TCP; a link that is too narrow for them does not make them old."""

import time

import pytest
from browser.chromium import HubPage, start_chromium
from sdk.client import start_peer

from rig.device import start_device, wait_until
from rig.hub import start_hub
from rig.island import Island
from rig.network import block_udp, ip, make_link

pytestmark = pytest.mark.root

ROOM = "lobby"


@pytest.fixture
def link(stage):
    return make_link(stage, delay_ms=5)


@pytest.fixture
def hub(stage, link):
    return start_hub(stage, address=link.left_address, namespace=link.left)


@pytest.fixture
def door(stage, link, hub):
    """A device beside the hub, where UDP works."""
    door = start_device(stage, "door", hub=hub, namespace=link.left, speaker="wav")
    door.login(ROOM)
    door.publish("door-cam")
    return door


def check_frames(frames, seconds, least=25):
    """They flow, intact and in order."""
    counters = [frame.counter for frame in frames]
    intact = [counter for counter in counters if counter is not None]
    assert len(intact) >= 0.95 * len(counters) and intact == sorted(intact), counters
    assert len(frames) >= least * seconds, f"{len(frames)} frames in {seconds:g} s"


@pytest.mark.alone
@pytest.mark.parametrize("connections", ["one", "two"])
def test_an_sdk_has_media_without_udp(stage, link, hub, door, connections):
    block_udp(link.right)
    anna = start_peer(
        stage,
        hub,
        "anna",
        ROOM,
        namespace=link.right,
        publish="anna-cam",
        two_connections=connections == "two",
        sees="door-cam",
    )
    texture = door.texture()
    recorder = door.record(texture)
    door.play("anna-cam", view=texture.view, timeout=20)
    recorder.wait_for_frames(1)
    time.sleep(2)
    begin = time.monotonic()
    check_frames(anna.watch("door-cam", 5), 5)
    check_frames([frame for frame in recorder.stop() if begin <= frame.at < begin + 5], 5)


@pytest.mark.alone
def test_a_browser_has_media_without_udp(stage, playwright, link, hub, door):
    block_udp(link.right)
    chromium = start_chromium(stage, playwright, Island(link.right, link.right_address), hub)
    anna = HubPage(chromium, hub, "anna", ROOM)
    anna.open()
    anna.join()
    anna.publish()
    anna.wait_stream("door-cam")
    texture = door.texture(640, 480, format="XR24")
    door.play("anna-web", view=texture.view, timeout=20)
    assert texture.next(timeout=15)
    seen = [counter for _, counter, _, _ in anna.watch("door-cam", 5)]
    assert len([counter for counter in seen if counter is not None]) > 50, seen


@pytest.mark.alone
def test_a_narrow_line_drops_pictures_and_keeps_nothing_old(stage, link, hub, door, measured):
    """For ten seconds the line carries a third of what is sent: then the picture is of now, and nobody else noticed."""
    block_udp(link.right)
    anna = start_peer(stage, hub, "anna", ROOM, namespace=link.right, sees="door-cam")
    ben = start_peer(stage, hub, "ben", ROOM, namespace=link.left, sees="door-cam")
    # From here on the SDK's frames are compared with those of one that has UDP.
    link.limit(400)
    time.sleep(2)
    check_frames(ben.watch("door-cam", 8), 8)
    link.limit(0)
    time.sleep(4)
    begin = time.monotonic()
    check_frames(anna.watch("door-cam", 4), 4, least=20)
    here = {frame.counter: frame.at for frame in ben.frames("door-cam") if frame.at > begin}
    late = [frame.at - here[frame.counter] for frame in anna.frames("door-cam") if frame.counter in here]
    measured(f"over TCP frames are shown {1000 * sorted(late)[len(late) // 2]:.0f} ms after those over UDP")
    assert len(late) > 40 and sorted(late)[len(late) // 2] < 0.5
    assert int(hub_memory_kib(hub)) < 200 * 1024


def hub_memory_kib(hub) -> int:
    """The most memory that the hub had so far."""
    with open(f"/proc/{hub.program.pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])


@pytest.mark.paired
def test_a_device_has_media_without_udp(stage, link, hub, door, measured):
    """It tries UDP first, so its first frame comes a little later."""
    block_udp(link.right)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    begun = time.monotonic()
    desk.login(ROOM)
    desk.publish("desk-cam")
    recorders = []
    for device, stream in ((desk, "door-cam"), (door, "desk-cam")):
        texture = device.texture()
        recorders.append(device.record(texture))
        device.play(stream, view=texture.view, timeout=20)
    for recorder in recorders:
        recorder.wait_for_frames(15)
    measured(f"in the room, publishing and playing after {time.monotonic() - begun:.1f} s")
    time.sleep(1)
    begin = time.monotonic()
    time.sleep(5)
    for recorder in recorders:
        check_frames([frame for frame in recorder.stop() if begin <= frame.at < begin + 5], 5)


@pytest.mark.alone
def test_a_device_on_a_narrow_line_publishes_what_is_of_now(stage, link, hub, measured):
    """For ten seconds the line carries a third of what it publishes: less is made, it does not get later and later, and then it is of now."""
    block_udp(link.right)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    desk.login(ROOM)
    publisher = desk.publish("desk-cam")
    ben = start_peer(stage, hub, "ben", ROOM, namespace=link.left, sees="desk-cam")
    before = [frame for frame in ben.watch("desk-cam", 4) if frame.counter is not None]
    check_frames(before, 4)
    fps = 30
    made = min(frame.at - frame.counter / fps for frame in before)

    def late(seconds: float) -> list[float]:
        """How much later than the quickest one pictures are shown."""
        frames = ben.watch("desk-cam", seconds)
        return sorted(frame.at - made - frame.counter / fps for frame in frames if frame.counter is not None)

    link.limit(400)
    time.sleep(3)
    narrow, waiting = [], []
    for _ in range(7):
        narrow += late(1)
        waiting.append(send_queue(link.right))
    link.limit(0)
    wide = time.monotonic()
    # What the receiver holds back by itself since then it gives up slowly.
    wait_until(lambda: (times := late(1)) and len(times) >= 20 and times[len(times) // 2] < 0.5, "pictures of now", 25)
    narrow.sort()
    middle = narrow[len(narrow) // 2] if narrow else float("inf")
    measured(f"late: {1000 * middle:.0f} ms on the narrow line ({len(narrow)} pictures), of now {time.monotonic() - wide:.1f} s after it is wide again")
    measured(f"on their way meanwhile: {waiting} bytes")
    assert middle < 4.0 and len(narrow) >= 20
    assert max(waiting) < 32_768, "what waits in the kernel gets old"
    assert desk.get(publisher, "Publisher", "State") == "publishing"
    assert [s.args[1] for s in desk.signals("RoomStateUpdate")] == [1, 2], "the room was never left"


def test_a_device_that_has_udp_uses_it(stage, link, hub, door):
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    desk.login(ROOM)
    desk.publish("desk-cam")
    time.sleep(3)
    assert not tcp_media(link.right), "a connection that nobody needs"
    listening = ip("netns", "exec", link.right, "ss", "-Htln")
    assert not listening, "nobody can connect to a device"


def send_queue(namespace: str) -> int:
    """Bytes that a namespace's connections of media have taken and the hub has not."""
    return sum(int(line.split()[2]) for line in tcp_media(namespace).splitlines())


def tcp_media(namespace: str) -> str:
    """Connections of a namespace to the hub's TCP port of media."""
    return ip("netns", "exec", namespace, "ss", "-Htn", "dport", "=", ":7882")
