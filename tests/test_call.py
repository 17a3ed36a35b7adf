"""Two devices in a room: what one's camera and microphone make arrives at the other's view and speaker."""

import time

import pytest

from rig import tokens
from rig.device import Device, wait_until
from rig.flow import judge
from rig.sound import WavWatch

pytestmark = pytest.mark.alone

SECONDS = 15


def call_each_other(door: Device, desk: Device, room: str = "lobby"):
    """Logs both in, lets both publish and play; the views that they play in."""
    for device in (door, desk):
        device.login(room)
        device.publish(device.name)
    views = {}
    for device, other in ((door, desk), (desk, door)):
        views[device.name] = device.texture()
        device.play(other.name, view=views[device.name].view)
    return views


@pytest.mark.any_server
def test_frames_and_beeps_arrive_both_ways(hub, device, measured):
    """640x480 at 30 fps for 15 s: at least 99 % of the frames made, intact and in order; sound and picture together."""
    door, desk = device("door", speaker="wav"), device("desk", speaker="wav")
    views = call_each_other(door, desk)
    recorders = {d.name: d.record(views[d.name]) for d in (door, desk)}
    watches = {d.name: WavWatch(d.speaker) for d in (door, desk)}
    for recorder in recorders.values():
        recorder.wait_for_frames(15)
    begin = time.monotonic()
    time.sleep(SECONDS + 0.5)
    end = begin + SECONDS
    for watcher, maker in ((desk, door), (door, desk)):
        frames = recorders[watcher.name].stop()
        flow = judge(frames, begin=begin, end=end)
        measured(f"{maker.name} to {watcher.name}: {flow}")
        assert flow.in_order
        assert flow.corrupt == 0
        assert flow.made >= SECONDS * 29, "the camera did not make 30 frames a second"
        assert flow.share >= 0.99

        watches[watcher.name].stop()
        beeps = [(at, beep) for at, beep in watches[watcher.name].beeps() if begin <= at <= end]
        assert len(beeps) >= SECONDS - 1, f"{len(beeps)} beeps in {SECONDS} s"
        flashes = [f.at for f, before in zip(frames[1:], frames, strict=False) if f.flash and not before.flash]
        apart = [min((at - flash for flash in flashes), key=abs) * 1000 for at, _ in beeps]
        measured(
            f"{maker.name} to {watcher.name}: beep after flash {sorted(apart)[len(apart) // 2]:+.0f} ms "
            f"({min(apart):+.0f} to {max(apart):+.0f}), beep {beeps[0][1].frequency:.0f} Hz, {beeps[0][1].peak:.1f} dBFS"
        )
        assert max(map(abs, apart)) <= 80
        lengths = sorted(beep.length for _, beep in beeps)
        assert abs(lengths[len(lengths) // 2] - 0.1) < 0.02, "the beeps came through whole"


@pytest.mark.any_server
def test_what_the_other_side_is_told(hub, device):
    """The signals and objects that belong to a call, from login to logout."""
    door, desk = device("door", fps=30), device("desk")
    room = door.login("lobby", token=tokens.livekit_token("door", "lobby", grants={"canUpdateOwnMetadata": True}))
    states = [s.args[1] for s in door.signals("RoomStateUpdate")]
    assert states == [1, 2], "connecting, then connected"
    assert door.get(room, "Room", "State") == "connected"
    assert door.get(room, "Room", "UserID") == "door"
    assert not door.signals("RoomUserUpdate"), "no signal for an empty list"

    door.publish("door", extra_info="hello")
    desk.login("lobby")
    added = desk.wait("RoomUserUpdate")
    assert added.args == ["lobby", 0, [["door", "door"]]]
    stream = desk.wait("RoomStreamUpdate")
    assert stream.args[1] == 0
    assert [s[:3] for s in stream.args[2]] == [["door", "door", "door"]]
    names = [s.member for s in desk.bus.signals if s.member in ("RoomStateUpdate", "RoomUserUpdate", "RoomStreamUpdate")]
    assert names == ["RoomStateUpdate", "RoomStateUpdate", "RoomUserUpdate", "RoomStreamUpdate"]
    assert [u for u in desk.get(next(iter(desk.objects("Room"))), "Room", "Users")] == [["door", "door"]]
    assert door.wait("RoomUserUpdate").args == ["lobby", 0, [["desk", "desk"]]]
    (seen,) = desk.objects("Stream").values()
    assert (seen["StreamID"], seen["UserID"], seen["HasAudio"], seen["HasVideo"]) == ("door", "door", True, True)

    for kind in ("audio_captured", "video_captured", "audio_sent", "video_sent"):
        door.wait("PublisherFirstFrame", lambda s, kind=kind: s.args == ["door", kind])
    (publisher,) = door.objects("Publisher").values()
    assert (publisher["StreamID"], publisher["State"], publisher["VideoEncoder"]) == ("door", "publishing", "openh264")
    assert (publisher["Width"], publisher["Height"]) == (640, 480)

    view = desk.texture()
    path = desk.play("door", view=view.view)
    view.next()
    for kind in ("audio_received", "video_received", "video_rendered"):
        desk.wait("PlayerFirstFrame", lambda s, kind=kind: s.args == ["door", kind])
    assert desk.wait("PlayerVideoSizeChanged").args == ["door", 640, 480]
    assert desk.get(path, "Player", "State") == "playing"
    shown = desk.objects("View")[desk.get(path, "Player", "View")]
    assert (shown["ViewID"], shown["Source"]) == (view.view, "door")
    desk.wait("PlayerQualityUpdate", lambda s: s.args[1].get("video_recv_fps", 0) > 20, timeout=8)

    mark = desk.mark()
    door.call("StopPublishing", "")
    gone = desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1, after=mark)
    assert [s[0] for s in gone.args[2]] == ["door"]
    wait_until(lambda: not desk.objects("Stream"), "the stream's object to go")
    door.call("LogoutRoom", "lobby")
    left = desk.wait("RoomUserUpdate", lambda s: s.args[1] == 1, after=mark)
    assert left.args[2] == [["door", "door"]]
    wait_until(lambda: not door.objects("Room"), "the room's object to go")
    assert door.signals("RoomStateUpdate")[-1].args[1] == 0


@pytest.mark.any_server
def test_muting_is_seen_and_heard(hub, device):
    """A muted microphone is silent at the other side, which is told; the picture goes on."""
    door, desk = device("door"), device("desk", speaker="wav")
    call_each_other(door, desk)
    watch = WavWatch(desk.speaker)
    time.sleep(2.2)
    mark = desk.mark()
    door.call("MuteMicrophone", True)
    desk.wait("RemoteDeviceStateUpdate", lambda s: s.args == ["door", "microphone", 10], after=mark)
    quiet_from = time.monotonic() + 0.5
    time.sleep(2.7)
    quiet_to = time.monotonic()
    door.call("MuteMicrophone", False)
    desk.wait("RemoteDeviceStateUpdate", lambda s: s.args == ["door", "microphone", 0], after=mark)
    loud_from = time.monotonic() + 0.3
    time.sleep(2.5)
    watch.stop()
    beeps = [at for at, _ in watch.beeps()]
    assert not [at for at in beeps if quiet_from < at < quiet_to]
    assert [at for at in beeps if at < quiet_from - 0.5] and [at for at in beeps if at > loud_from]
