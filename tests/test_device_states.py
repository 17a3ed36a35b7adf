"""What others are told of a device that is off, and devices that come when a call runs already."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from rig.call import watch
from rig.camera import clip_camera
from rig.device import Device, start_device, wait_until
from rig.hub import start_hub
from rig.livekit import start_livekit
from rig.network import make_link
from rig.sound import find_beeps, read_wav, write_tone
from rig.telephony import ModemManager

OPEN, ZERO_FPS, UNPLUGGED, MUTE, INTERRUPTION = 0, 4, 6, 10, 11
"""Of ZegoRemoteDeviceState."""
MAY_EXPLAIN = {"canUpdateOwnMetadata": True}
"""What LiveKit's own server wants to see in a token of somebody who says why a device is off."""


def enter(device: Device) -> None:
    device.login("lobby", token=device.hub.token(device.name, "lobby", grants=MAY_EXPLAIN))


def told(device: Device, kind: str, mark: int = 0) -> list[int]:
    """Which states of the door's devices of this kind a device was told of."""
    return [s.args[2] for s in device.signals("RemoteDeviceStateUpdate", mark) if s.args[:2] == ["door", kind]]


def wait_state(device: Device, kind: str, state: int, mark: int = 0) -> float:
    """Waits until a device is told of this state of the door's device; when that was."""
    return device.wait("RemoteDeviceStateUpdate", lambda s: s.args == ["door", kind, state], after=mark, timeout=5).at


def plug(file: Path, content: Path) -> None:
    """Puts a simulated device there, in one piece."""
    shutil.copy(content, file.with_name(f".{file.name}"))
    file.with_name(f".{file.name}").rename(file)


def is_heard(speaker: Path, begin: int = 0) -> bool:
    return speaker.exists() and bool(find_beeps(read_wav(speaker)[begin:]))


@pytest.mark.any_server
def test_a_camera_that_gives_no_pictures_is_told(hub, device, stage, clip, measured):
    """It is open, and nothing comes: an exception and 4 for the others after five seconds, until the next picture."""
    camera = clip_camera(stage, clip)
    door, desk = device("door", camera=camera.source), device("desk")
    view = watch(door, desk, enter)
    mark, desk_mark = door.mark(), desk.mark()
    os.kill(camera.feeder.pid, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        failure = door.wait("LocalDeviceException", after=mark, timeout=8)
        assert failure.args[:3] == ["camera", 4, door.find_device(camera.source)]
        assert failure.args[3].endswith("[1006004]"), failure.args
        after = wait_state(desk, "camera", ZERO_FPS, desk_mark) - stopped
        assert 4.5 < after < 6.5
        assert door.get(door.find_device(camera.source), "Device", "State") == "in_use", "nobody else can have it"
        shown = view.newest
    finally:
        os.kill(camera.feeder.pid, signal.SIGCONT)
    going = time.monotonic()
    back = wait_state(desk, "camera", OPEN, desk_mark) - going
    view.next(shown)
    measured(f"told {after:.2f} s after its last picture; back after {back:.2f} s, seen after {time.monotonic() - going:.2f} s")
    assert back < 1 and time.monotonic() - going < 2
    assert told(desk, "camera", desk_mark) == [ZERO_FPS, OPEN]
    assert len(door.signals("LocalDeviceException", mark)) == 1


@pytest.mark.any_server
def test_a_camera_that_is_pulled_out_is_shown_to_the_others(hub, device, stage, clip, measured):
    """6 when it goes, also to who comes later, 0 when it is back; and its picture begins at once."""
    file = stage.path("camera.y4m")
    plug(file, clip)
    door, desk = device("door", camera=f"file:{file}"), device("desk")
    view = watch(door, desk, enter)
    assert told(desk, "camera") == [], "a device that works is not worth a word"

    mark = desk.mark()
    pulled = time.monotonic()
    file.unlink()
    after = wait_state(desk, "camera", UNPLUGGED, mark) - pulled
    (stream,) = desk.objects("Stream").values()
    assert (stream["VideoMuted"], stream["AudioMuted"]) == (True, False)
    late = device("late")
    enter(late)
    wait_state(late, "camera", UNPLUGGED)

    shown = view.newest
    plugged = time.monotonic()
    plug(file, clip)
    back = wait_state(desk, "camera", OPEN, mark)
    wait_state(late, "camera", OPEN)
    view.next(shown)
    seen = time.monotonic()
    measured(f"told {after:.2f} s after it was pulled; told {back - plugged:.2f} s, seen {seen - plugged:.2f} s after it is back")
    assert seen - plugged < 2
    assert (told(desk, "camera", mark), told(late, "camera")) == ([UNPLUGGED, OPEN], [UNPLUGGED, OPEN])
    assert told(desk, "microphone") == []

    # What the user wants comes before what the device can.
    mark = desk.mark()
    file.unlink()
    wait_state(desk, "camera", UNPLUGGED, mark)
    door.call("EnableCamera", False, 0)
    wait_state(desk, "camera", 9, mark)
    assert told(desk, "camera", mark) == [UNPLUGGED, 9]


def test_who_may_not_explain_mutes_only(stage, device, clip):
    """A token without the right to attributes, on a server that wants it: the camera looks switched off, as in other programs."""
    server = start_livekit(stage)
    file = stage.path("camera.y4m")
    plug(file, clip)
    door, desk = device("door", hub=server, camera=f"file:{file}"), device("desk", hub=server)
    watch(door, desk)
    file.unlink()
    wait_state(desk, "camera", 9)
    plug(file, clip)
    wait_state(desk, "camera", OPEN)
    assert told(desk, "camera") == [9, OPEN]


def test_a_telephone_call_is_shown_to_the_others(hub, device, stage):
    """11 while it lasts, also to who comes meanwhile; a mute of one's own is shown as that."""
    door, desk = device("door"), device("desk", speaker="wav")
    for d in (door, desk):
        enter(d)
    door.publish("door")
    desk.play("door")
    wait_until(lambda: is_heard(desk.speaker), "a beep")
    modem = ModemManager(stage, door)
    mark = desk.mark()
    call = modem.ring()
    wait_state(desk, "microphone", INTERRUPTION, mark)
    late = device("late")
    enter(late)
    wait_state(late, "microphone", INTERRUPTION)
    door.call("MuteMicrophone", True)
    wait_state(desk, "microphone", MUTE, mark)
    door.call("MuteMicrophone", False)
    begin = len(read_wav(desk.speaker))
    modem.change(call, 3, 7)
    wait_state(desk, "microphone", OPEN, mark)
    wait_until(lambda: is_heard(desk.speaker, begin), "a beep again")
    assert told(desk, "microphone", mark) == [INTERRUPTION, MUTE, INTERRUPTION, OPEN]
    assert told(desk, "camera") == []


@pytest.mark.any_server
@pytest.mark.paired
def test_a_microphone_that_comes_later_is_heard(hub, device, stage, tmp_path, measured):
    """A stream that began without sound, because `auto` found none: it gets a track when there is a microphone."""
    file, tone = stage.path("late.wav"), write_tone(tmp_path / "tone.wav", 1000.0)
    door = device("door", microphone="auto", more_microphones=(f"file:{file}",))
    desk = device("desk", speaker="wav")
    view = watch(door, desk)
    (publisher,) = door.objects("Publisher")
    (stream,) = desk.objects("Stream").values()
    assert (stream["HasAudio"], stream["HasVideo"]) == (False, True)
    assert door.get(publisher, "Publisher", "Microphone") == "/"
    microphone = door.find_device(f"file:{file}")
    door.call("UseDevice", microphone, 0)
    mark, gate = door.mark(), desk.mark()
    plugged = time.monotonic()
    plug(file, tone)
    wait_until(lambda: is_heard(desk.speaker), "the microphone")
    measured(f"heard {time.monotonic() - plugged:.2f} s after it was plugged in")
    assert time.monotonic() - plugged < 3
    (stream,) = desk.objects("Stream").values()
    assert (stream["HasAudio"], stream["HasVideo"]) == (True, True)
    assert door.get(publisher, "Publisher", "Microphone") == microphone
    view.next(view.newest + 5)
    assert not door.signals("PublisherStateUpdate", mark) and not desk.signals("PlayerStateUpdate", gate)
    assert not desk.signals("RoomStreamUpdate", gate), "it is the same stream"

    # From now on it is a microphone like any other.
    file.unlink()
    wait_state(desk, "microphone", UNPLUGGED if hub.program.name == "zegohub" else MUTE, gate)
    plug(file, tone)
    wait_state(desk, "microphone", OPEN, gate)


def test_a_camera_that_comes_later_is_seen(hub, device, stage, clip):
    """The same with pictures: chosen when it is there already, it begins at once."""
    door = device("door", camera="auto", more_cameras=("pattern",))
    desk = device("desk", speaker="wav")
    for d in (door, desk):
        d.login("lobby")
    publisher = door.publish("door")
    view = desk.texture()
    desk.play("door", view=view.view)
    wait_until(lambda: is_heard(desk.speaker), "a beep")
    assert view.newest == 0
    door.call("UseDevice", door.find_device("pattern"), 0)
    view.next()
    assert door.get(publisher, "Publisher", "Camera") == door.find_device("pattern")


def test_a_player_without_a_speaker_is_heard_when_there_is_one(hub, device, stage, measured):
    """Playing begins without it, and says so."""
    dock = stage.folder / "dock"
    wav = dock / "out.wav"
    door, desk = device("door"), device("desk", speaker=f"file:{wav}")
    view = watch(door, desk)
    speaker = desk.find_device(f"file:{wav}")
    failure = desk.wait("LocalDeviceException")
    assert (failure.args[0], failure.args[2]) == ("speaker", speaker)
    view.next(view.newest + 5)
    plugged = time.monotonic()
    dock.mkdir()
    wait_until(lambda: is_heard(wav), "a beep")
    measured(f"heard {time.monotonic() - plugged:.2f} s after it was plugged in")
    assert not [s for s in desk.signals("PlayerStateUpdate") if s.args[1] != 2 and s.args[2]]


@pytest.mark.root
def test_states_survive_a_cut_line(stage, clip):
    """What changed while the line was cut is told when it is back, what did not change is not told again."""
    link = make_link(stage, delay_ms=5)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    file, tone = stage.path("camera.y4m"), write_tone(stage.path("microphone.wav"), 1000.0)
    spare = Path(shutil.copy(tone, stage.folder / "spare.wav"))
    plug(file, clip)
    door = start_device(
        stage, "door", hub=hub, namespace=link.right, camera=f"file:{file}", microphone=f"file:{tone}"
    )
    desk = start_device(stage, "desk", hub=hub, namespace=link.left)
    view = watch(door, desk)
    tone.unlink()
    wait_state(desk, "microphone", UNPLUGGED)

    def cut(change) -> int:
        """Cuts the line, makes the change while it is cut, and mends it; what was told before."""
        mark, gate = desk.mark(), door.mark()
        link.cut()
        door.wait("RoomStateUpdate", lambda s: s.args[1] == 1, after=gate, timeout=15)
        change()
        link.mend()
        door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=gate, timeout=15)
        return mark

    gone = door.mark()

    def pull() -> None:
        file.unlink()
        door.wait("LocalDeviceException", lambda s: s.args[0] == "camera", after=gone)

    mark = cut(pull)
    wait_state(desk, "camera", UNPLUGGED, mark)
    assert told(desk, "microphone", mark) == [], "it was known"
    late = start_device(stage, "late", hub=hub, namespace=link.left)
    late.login("lobby")
    for kind in ("camera", "microphone"):
        wait_state(late, kind, UNPLUGGED)

    shown = view.newest

    def put_back() -> None:
        came = door.mark()
        plug(file, clip)
        door.wait("DeviceStateChanged", lambda s: s.args[:2] == ["camera", 0], after=came)

    mark = cut(put_back)
    wait_state(desk, "camera", OPEN, mark)
    view.next(shown + 5)
    mark = desk.mark()
    plug(tone, spare)
    wait_state(desk, "microphone", OPEN, mark)
    assert told(desk, "camera", mark) == []
