"""The PyPI package `livekit`, unmodified: what every phone's SDK is, as seen from the hub and from a device."""

import re
import time

import numpy as np
import pytest

from rig.device import start_device, wait_until
from rig.hub import Hub
from rig.island import Island, make_island
from rig.recorder import unwrap
from rig.servers import SERVERS
from rig.sound import RATE, find_beeps, read_wav
from sdk.client import Seen, SdkPeer, start_peer

pytestmark = pytest.mark.root

ROOM = "lobby"
SECONDS = 10.0


@pytest.fixture
def island(stage) -> Island:
    return make_island(stage)


@pytest.fixture
def hub(stage, island, request) -> Hub:
    """A server where SDKs can reach it: the hub, and LiveKit's own for tests with the mark `any_server`."""
    start = SERVERS[getattr(request, "param", "zegohub")]
    return start(stage, address=island.address, namespace=island.namespace)


@pytest.fixture
def peer(stage, hub, island):
    """Starts a participant: `peer(user, publish=…)`."""

    def start(user: str, room: str = ROOM, **wishes: object) -> SdkPeer:
        return start_peer(stage, hub, user, room, namespace=island.namespace, **wishes)

    return start


def check_picture(frames: list[Seen], seconds: float, *, fps: float = 30.0) -> None:
    """At least 95 % of the frames that were made arrived, intact and in order."""
    counters = [frame.counter for frame in frames]
    intact = unwrap([counter for counter in counters if counter is not None])
    assert len(frames) >= 0.9 * seconds * fps, f"only {len(frames)} frames in {seconds:g} s"
    assert len(intact) >= 0.95 * len(frames), f"{len(frames) - len(intact)} of {len(frames)} bars are damaged"
    assert all(b > a for a, b in zip(intact, intact[1:])), f"frames out of order: {intact}"
    made = intact[-1] - intact[0] + 1
    assert len(intact) >= 0.95 * made, f"{made - len(intact)} of {made} frames are missing"
    assert {(frame.width, frame.height) for frame in frames} == {(640, 480)}


def check_beeps(wav, seconds: float) -> None:
    """The tone beeped once a second, and was silent between."""
    samples = read_wav(wav)[-int(seconds * RATE) :]
    beeps = [beep for beep in find_beeps(samples) if beep.length > 0.05]
    assert len(beeps) >= seconds - 2, f"only {len(beeps)} beeps in {seconds:g} s: {beeps}"
    assert all(beep.length < 0.2 for beep in beeps), beeps
    # The middle of a beep: its ends are faded by the codec.
    middles = [samples[int((b.begin + 0.02) * RATE) :][: RATE // 20] for b in beeps]
    pitches = [int(np.abs(np.fft.rfft(middle)).argmax()) * 20 for middle in middles if len(middle) == RATE // 20]
    assert all(abs(pitch - 1000) <= 20 for pitch in pitches), pitches
    steps = [b.begin - a.begin for a, b in zip(beeps, beeps[1:])]
    assert all(abs(step - round(step)) < 0.08 and round(step) >= 1 for step in steps), steps


@pytest.mark.any_server
@pytest.mark.parametrize("codec", ["vp8", "h264"])
@pytest.mark.parametrize("connections", ["one", "two"])
@pytest.mark.alone
def test_two_sdks_see_and_hear_each_other(peer, codec, connections):
    two = connections == "two"
    anna = peer("anna", publish="anna-cam", codec=codec, two_connections=two)
    ben = peer("ben", publish="ben-cam", codec=codec, two_connections=two, sees="anna-cam")
    for who, stream in ((anna, "ben-cam"), (ben, "anna-cam")):
        for kind in ("video", "audio"):
            who.wait("track", stream=stream, kind=kind)
    time.sleep(2)
    frames = ben.watch("anna-cam", 5)
    check_picture(frames, 5)
    check_picture([f for f in anna.frames("ben-cam") if frames[0].at <= f.at <= frames[-1].at], 5)
    check_beeps(ben.wav("anna-cam"), 5)
    check_beeps(anna.wav("ben-cam"), 5)


@pytest.mark.any_server
@pytest.mark.parametrize("connections", ["one", "two"])
def test_who_comes_after_another_has_left_is_received(peer, connections):
    two = connections == "two"
    ben = peer("ben", two_connections=two)
    for user in ("anna", "carl"):
        who = peer(user, publish=f"{user}-cam", two_connections=two)
        ben.wait("track", stream=f"{user}-cam", kind="audio")
        ben.wait_frames(f"{user}-cam")
        who.program.process.stdin.close()
        ben.wait("left", user=user)


@pytest.mark.any_server
def test_two_sdks_exchange_messages(peer):
    anna, ben, carl = peer("anna"), peer("ben"), peer("carl")
    anna.wait("joined", user="carl")
    anna.tell("data zego.broadcast * hello everybody")
    for who in (ben, carl):
        who.wait("data", user="anna", topic="zego.broadcast", text="hello everybody", reliable=True)
    ben.tell("data zego.command anna only for you")
    anna.wait("data", user="ben", topic="zego.command", text="only for you")
    # What was sent later is there, so what was not meant for carl would be too.
    ben.tell("data zego.broadcast * done")
    carl.wait("data", user="ben", text="done")
    assert [event["text"] for event in carl.events("data")] == ["hello everybody", "done"]


@pytest.mark.any_server
def test_muting_and_unpublishing_is_told(peer):
    anna, ben = peer("anna", publish="anna-cam"), peer("ben")
    ben.wait("track", stream="anna-cam", kind="audio")
    anna.tell("mute audio")
    ben.wait("muted", user="anna", stream="anna-cam")
    anna.tell("unmute audio")
    ben.wait("unmuted", user="anna", stream="anna-cam")
    anna.tell("unpublish")
    for kind in ("video", "audio"):
        ben.wait("ended", stream="anna-cam", kind=kind)


@pytest.mark.any_server
def test_a_publisher_says_who_may_receive_its_tracks(peer):
    anna = peer("anna", publish="anna-cam")
    ben = peer("ben", sees="anna-cam")
    anna.tell("permit none")
    wait_until(lambda: not ben.watch("anna-cam", 1), "the picture to stop")
    anna.tell("permit all")
    wait_until(lambda: len(ben.watch("anna-cam", 1)) > 20, "the picture to come back")


@pytest.mark.any_server
def test_an_sdk_stops_sending_while_it_is_silent(peer):
    anna = peer("anna", publish="anna-cam", silent=True)
    wait_until(lambda: anna.packets() > 0, "its sound to be sent")
    begin, before = time.monotonic(), anna.packets()
    time.sleep(5)
    rate = (anna.packets() - before) / (time.monotonic() - begin)
    assert 0 < rate < 10, f"{rate:.1f} packets/s of silence; without a pause it would be 50"


@pytest.mark.any_server
def test_the_newest_login_of_a_user_wins(peer):
    first = peer("anna")
    second = peer("anna")
    duplicate_identity = 2
    first.wait("disconnected", reason=duplicate_identity)
    assert second.program.running and not second.events("disconnected")


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"ttl": -3600}, 1002078),
        ({"secret": "0123456789abcdef0123456789abcdef"}, None),
        ({"app_id": 99}, None),
    ],
    ids=["expired", "wrong secret", "unknown app"],
)
def test_a_bad_token_is_refused(peer, hub, wishes, code):
    who = peer("anna", token=hub.token("anna", ROOM, **wishes), wait=False)
    message = who.wait("refused")["message"]
    assert re.search(r"\[10020\d\d\]", message), message
    if code:
        assert f"[{code}]" in message


@pytest.mark.alone
def test_an_sdk_and_a_device_see_and_hear_each_other(stage, hub, island, peer):
    door = start_device(stage, "door", hub=hub, namespace=island.namespace, speaker="wav")
    door.login(ROOM)
    door.publish("door-cam")
    anna = peer("anna", publish="anna-cam", sees="door-cam")
    for kind in ("video", "audio"):
        anna.wait("track", user="door", stream="door-cam", kind=kind)
    texture = door.texture(640, 480)
    door.play("anna-cam", view=texture.view)
    recorder = door.record(texture)
    recorder.wait_for_frames(1)
    time.sleep(2)

    frames = anna.watch("door-cam", SECONDS)
    check_picture(frames, SECONDS)
    check_beeps(anna.wav("door-cam"), SECONDS)
    begin, end = frames[0].at, frames[-1].at
    shown = [frame for frame in recorder.stop() if begin <= frame.at <= end]
    check_picture([Seen(frame.at, frame.counter, 640, 480) for frame in shown], SECONDS)
    check_beeps(door.speaker, SECONDS)

    door.call("SendBroadcastMessage", ROOM, "the door is open")
    anna.wait("data", user="door", topic="zego.broadcast", text="the door is open", reliable=True)
    anna.tell("data zego.broadcast * I come in")
    room, messages = door.wait("BroadcastMessageReceived").args
    assert (room, messages[0][:2]) == (ROOM, ["I come in", "anna"])


@pytest.mark.alone
def test_an_sdk_joins_a_device_that_publishes_h264_and_is_seen_in_h264(stage, hub, island, peer):
    door = start_device(stage, "door", hub=hub, namespace=island.namespace)
    anna = peer("anna", publish="anna-cam", codec="h264", two_connections=True)
    door.login(ROOM)
    texture = door.texture(640, 480)
    player = door.play("anna-cam", view=texture.view)
    recorder = door.record(texture)
    recorder.wait_for_frames(1)
    wait_until(lambda: door.get(player, "Player", "VideoCodec") == "H264", "the codec of the player")
    time.sleep(2)
    begin = time.monotonic()
    time.sleep(5)
    shown = [frame for frame in recorder.stop() if begin <= frame.at < begin + 5]
    check_picture([Seen(frame.at, frame.counter, 640, 480) for frame in shown], 5)
    assert anna.program.running
