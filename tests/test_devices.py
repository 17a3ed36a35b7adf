"""Cameras, microphones and speakers: what there is, changing them in the middle of a call, volumes, and pulling them out."""

import shutil
import time
from pathlib import Path
from statistics import median

import pytest
from dbus_fast import Variant

from rig.bus import BusError
from rig.call import watch
from rig.device import Device, wait_until
from rig.flow import judge
from rig.sound import WavWatch, find_beeps, longest_silence, read_wav, write_tone

ONE_HZ, OTHER_HZ = 1000.0, 1600.0
"""Two tones of whole periods in 5 ms, so that neither is heard as the other."""


def state(device: Device, device_id: str) -> str:
    return device.get(device.find_device(device_id), "Device", "State")


def heard(path: Path, seconds: float) -> list[float]:
    """Peak levels, in dBFS, of the beeps that a speaker plays from now on for some time."""
    begin = len(read_wav(path))
    time.sleep(seconds)
    return [beep.peak for beep in find_beeps(read_wav(path)[begin:], level_dbfs=-50)]


def test_every_device_says_what_it_is(device, tmp_path):
    """Stable ids, formats, the default one, and which are not there."""
    wav = write_tone(tmp_path / "in.wav", ONE_HZ)
    door = device(
        "door",
        hub=None,
        microphone=f"file:{wav}",
        more_cameras=("pattern:2", f"file:{tmp_path}/none.y4m"),
        more_microphones=("tone", "alsa:Nowhere,3"),
    )
    devices = {d["DeviceID"]: d for d in door.objects("Device").values()}
    assert {i: (d["Kind"], d["State"], d["Default"]) for i, d in devices.items()} == {
        "pattern": ("camera", "available", True),
        "pattern:2": ("camera", "available", False),
        f"file:{tmp_path}/none.y4m": ("camera", "unplugged", False),
        f"file:{wav}": ("microphone", "available", True),
        "tone": ("microphone", "available", False),
        "alsa:Nowhere,3": ("microphone", "unplugged", False),
        "null": ("speaker", "available", True),
    }
    assert {"pixel_format": "YU12", "width": 640, "height": 480, "fps": 60.0} in devices["pattern"]["Formats"]
    sound = {"min_rate": 48000, "max_rate": 48000, "min_channels": 1, "max_channels": 1}
    assert devices[f"file:{wav}"]["Formats"] == devices["tone"]["Formats"] == [sound]
    assert devices["null"]["Formats"] == [{**sound, "min_channels": 2, "max_channels": 2}], "speakers are stereo"
    assert devices[f"file:{tmp_path}/none.y4m"]["Formats"] == []
    assert (devices["pattern"]["Volume"], devices["tone"]["Volume"], devices["tone"]["Muted"]) == (-1, 100, False)
    assert all(d["BusyOwner"] == "" for d in devices.values())


@pytest.mark.paired
def test_another_microphone_in_the_middle_of_a_call(hub, device, tmp_path, measured):
    """The other side hears one, then the other, and at most a second of neither."""
    one, other = write_tone(tmp_path / "one.wav", ONE_HZ), write_tone(tmp_path / "other.wav", OTHER_HZ)
    door = device("door", camera="none", microphone=f"file:{one}", more_microphones=(f"file:{other}",))
    desk = device("desk", speaker="wav")
    for d in (door, desk):
        d.login("lobby")
    publisher = door.publish("door")
    desk.play("door")
    time.sleep(2)
    begin = len(read_wav(desk.speaker))
    door.call("UseDevice", door.find_device(f"file:{other}"), 0)
    assert door.get(publisher, "Publisher", "Microphone") == door.find_device(f"file:{other}")
    assert (state(door, f"file:{one}"), state(door, f"file:{other}")) == ("available", "in_use")
    time.sleep(2)
    samples = read_wav(desk.speaker)[begin:]
    gap = longest_silence(samples, [ONE_HZ, OTHER_HZ])
    measured(f"{gap * 1000:.0f} ms of silence")
    assert gap < 1
    assert longest_silence(samples[-48000:], [OTHER_HZ]) < 0.1, "the other microphone is heard at the end"


@pytest.mark.paired
def test_another_camera_for_one_channel_only(hub, device, measured):
    """Two channels with the same camera; one changes it: its pictures go on within a second, the other's do not notice."""
    door, desk = device("door", microphone="none", more_cameras=("pattern", "pattern:2"), width=320, height=240), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("main")
    aux = door.publish("aux", channel=1)
    assert door.get(aux, "Publisher", "Camera") == door.find_device("pattern")
    views = {name: desk.texture(320, 240) for name in ("main", "aux")}
    recorders = {}
    for name, view in views.items():
        desk.play(name, view=view.view)
        recorders[name] = desk.record(view)
    for recorder in recorders.values():
        recorder.wait_for_frames(15)
    begin = time.monotonic()
    time.sleep(0.5)
    door.call("UseDevice", door.find_device("pattern:2"), 1)
    assert door.get(aux, "Publisher", "Camera") == door.find_device("pattern:2")
    assert {state(door, "pattern"), state(door, "pattern:2")} == {"in_use"}
    time.sleep(2)
    end = time.monotonic() - 0.5
    frames = {name: recorder.stop() for name, recorder in recorders.items()}
    main = judge(frames["main"], begin=begin, end=end)
    shown = [f.at for f in frames["aux"] if begin <= f.at <= end]
    gap = max(b - a for a, b in zip(shown, shown[1:], strict=False)) * 1000
    measured(f"changed channel: {gap:.0f} ms without a picture; the other: {main}")
    assert gap < 1000
    assert main.in_order and main.corrupt == 0 and main.longest_gap_ms < 500
    # The other channel's camera can be switched off by itself, too.
    mark = desk.mark()
    door.call("EnableCamera", False, 1)
    desk.wait("RemoteDeviceStateUpdate", lambda s: s.args[:2] == ["aux", "camera"], after=mark)
    wait_until(lambda: state(door, "pattern:2") == "available", "the camera to be released")
    assert state(door, "pattern") == "in_use"
    shown = views["main"].newest
    views["main"].next(shown + 5)


@pytest.mark.paired
def test_another_speaker_in_the_middle_of_a_call(hub, device, stage, tmp_path, measured):
    """What is played goes on at the other speaker within a second."""
    tone = write_tone(tmp_path / "tone.wav", ONE_HZ)
    other = stage.path("other.wav")
    door = device("door", camera="none", microphone=f"file:{tone}")
    desk = device("desk", speaker="wav", more_speakers=(f"file:{other}",))
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    desk.play("door")
    wait_until(lambda: desk.speaker.exists() and find_beeps(read_wav(desk.speaker)), "the tone")
    assert state(desk, f"file:{desk.speaker}") == "in_use"
    before, after = WavWatch(desk.speaker), WavWatch(other)
    time.sleep(1)
    desk.call("UseDevice", desk.find_device(f"file:{other}"), 0)
    time.sleep(1.5)
    for watch in (before, after):
        watch.stop()
    gap = after.first_growth() - before.last_growth()
    measured(f"{gap * 1000:.0f} ms between the speakers")
    assert gap < 1
    assert longest_silence(read_wav(other)[4800:], [ONE_HZ]) < 1
    assert (state(desk, f"file:{desk.speaker}"), state(desk, f"file:{other}")) == ("available", "in_use")


@pytest.mark.paired
def test_volumes_and_mutes_are_heard(hub, device, measured):
    """Each of them by the level that arrives: the beep is made at -12 dBFS, half of it is 6 dB less, twice 6 dB more."""
    door, desk = device("door", camera="none"), device("desk", speaker="wav")
    for d in (door, desk):
        d.login("lobby")
    publisher = door.publish("door")
    player = desk.play("door")
    microphone, speaker = door.find_device("tone"), desk.find_device(f"file:{desk.speaker}")
    wait_until(lambda: desk.speaker.exists() and find_beeps(read_wav(desk.speaker)), "the first beep")

    def set_volume(where: Device, path: str, kind: str, name: str, value: int) -> None:
        where.set(path, kind, name, Variant("i", value))
        assert where.get(path, kind, name) == value

    def level(what: str) -> float:
        time.sleep(0.4)  # what was on its way is not meant
        levels = heard(desk.speaker, 2.1)
        measured(f"{what}: {', '.join(f'{level:.1f}' for level in levels) or 'nothing'} dBFS")
        return median(levels) if levels else -100

    as_made = level("as made")
    assert abs(as_made + 12) < 1.5
    for what, where, path, kind, name, value, normal, difference in (
        ("microphone 50", door, microphone, "Device", "Volume", 50, 100, -6),
        ("speaker 50", desk, speaker, "Device", "Volume", 50, 100, -6),
        ("capture volume 200", door, publisher, "Publisher", "CaptureVolume", 200, 100, 6),
        ("play volume 50", desk, player, "Player", "Volume", 50, 100, -6),
        ("play volume 200", desk, player, "Player", "Volume", 200, 100, 6),
    ):
        set_volume(where, path, kind, name, value)
        assert abs(level(what) - as_made - difference) < 1.5, what
        set_volume(where, path, kind, name, normal)
    for what, where, path, name in (
        ("microphone muted", door, microphone, "Muted"),
        ("speaker muted", desk, speaker, "Muted"),
    ):
        where.set(path, "Device", name, Variant("b", True))
        assert level(what) == -100, what
        where.set(path, "Device", name, Variant("b", False))
    desk.call("MuteSpeaker", True)
    assert level("MuteSpeaker") == -100
    desk.call("MuteSpeaker", False)
    set_volume(desk, player, "Player", "Volume", 0)
    assert level("play volume 0") == -100
    set_volume(desk, player, "Player", "Volume", 100)
    assert abs(level("as made again") - as_made) < 1.5


def test_a_device_s_volume_does_not_survive_the_engine(device):
    door = device("door", hub=None)
    tone = door.find_device("tone")
    mark = door.mark()
    door.set(tone, "Device", "Volume", Variant("i", 30))
    changed = door.wait("PropertiesChanged", lambda s: s.path == tone, after=mark)
    assert changed.args[1] == {"Volume": 30}
    door.set(tone, "Device", "Muted", Variant("b", True))
    door.call("CreateEngine", {})
    door.call("DestroyEngine")
    assert (door.get(tone, "Device", "Volume"), door.get(tone, "Device", "Muted")) == (100, False)
    for value, code in ((Variant("i", 101), 1000017), (Variant("i", -1), 1000017), (Variant("s", "loud"), 1000017)):
        with pytest.raises(BusError) as refused:
            door.set(tone, "Device", "Volume", value)
        assert refused.value.code == code
    with pytest.raises(BusError) as refused:
        door.set(door.find_device("pattern"), "Device", "Volume", Variant("i", 50))
    assert (refused.value.name, refused.value.code) == ("org.zegod1.Error.Unsupported", 1000006)


def unplugged(device: Device, kind: str, path: str, mark: int) -> None:
    """Waits for everything that is told of a device that went away while it was used."""
    failure = device.wait("LocalDeviceException", after=mark)
    assert failure.args[:3] == [kind, 6, path]
    assert failure.args[3].endswith("[1006006]")
    assert device.wait("DeviceStateChanged", after=mark).args == [kind, 1, path]
    wait_until(lambda: device.get(path, "Device", "State") == "unplugged", "the state")


@pytest.mark.paired
def test_a_camera_pulled_out_and_plugged_in_again(hub, device, stage, clip, measured):
    """The call goes on: sound, and the other direction. The picture is back within 2 s of the camera."""
    file = stage.path("camera.y4m")
    shutil.copy(clip, file)
    door, desk = device("door", camera=f"file:{file}", more_cameras=("pattern",)), device("desk", speaker="wav")
    for d in (door, desk):
        d.login("lobby")
    publisher = door.publish("door")
    desk.publish("desk")
    view, back = desk.texture(), door.texture()
    desk.play("door", view=view.view)
    door.play("desk", view=back.view)
    view.next()
    back.next()
    camera = door.find_device(f"file:{file}")
    mark = door.mark()
    other_way = door.record(back)
    other_way.wait_for_frames(15)
    begin = time.monotonic()
    file.unlink()
    unplugged(door, "camera", camera, mark)
    assert len(heard(desk.speaker, 2.1)) >= 2, "the sound goes on"
    assert door.get(publisher, "Publisher", "State") == "publishing"
    shown = view.newest
    plugged = time.monotonic()
    shutil.copy(clip, stage.folder / "next.y4m")
    (stage.folder / "next.y4m").rename(file)
    assert door.wait("DeviceStateChanged", lambda s: s.args[1] == 0, after=mark).args == ["camera", 0, camera]
    view.next(shown + 1, timeout=5)
    took = time.monotonic() - plugged
    flow = judge(other_way.stop(), begin=begin, end=time.monotonic() - 0.5)
    measured(f"a picture {took * 1000:.0f} ms after it was plugged in; the other direction: {flow}")
    assert took < 2
    assert flow.corrupt == 0 and flow.in_order and flow.share >= 0.97
    assert state(door, f"file:{file}") == "in_use"
    assert len(door.signals("LocalDeviceException", mark)) == 1
    assert not [s for s in door.signals("PublisherStateUpdate", mark)], "the stream was never interrupted"
    # Another one may be chosen while it is away.
    mark = door.mark()
    file.unlink()
    unplugged(door, "camera", camera, mark)
    shown = view.newest
    door.call("UseDevice", door.find_device("pattern"), 0)
    view.next(shown + 5)
    assert door.get(publisher, "Publisher", "Camera") == door.find_device("pattern")


def test_a_microphone_pulled_out_and_plugged_in_again(hub, device, stage, measured):
    """The picture goes on; the sound is back within 2 s of the microphone."""
    file = write_tone(stage.path("microphone.wav"), ONE_HZ)
    door, desk = device("door", microphone=f"file:{file}"), device("desk", speaker="wav")
    view = watch(door, desk)
    microphone = door.find_device(f"file:{file}")
    wait_until(lambda: desk.speaker.exists() and find_beeps(read_wav(desk.speaker)), "the tone")
    mark = door.mark()
    file.unlink()
    unplugged(door, "microphone", microphone, mark)
    time.sleep(0.5)
    shown = view.newest
    assert not heard(desk.speaker, 1), "nothing is heard without a microphone"
    view.next(shown + 5)
    plugged, begin = time.monotonic(), len(read_wav(desk.speaker))
    write_tone(file, ONE_HZ)
    assert door.wait("DeviceStateChanged", lambda s: s.args[1] == 0, after=mark).args == ["microphone", 0, microphone]
    wait_until(lambda: desk.speaker.exists() and find_beeps(read_wav(desk.speaker)[begin:]), "the tone again", timeout=5)
    took = time.monotonic() - plugged
    measured(f"heard {took * 1000:.0f} ms after it was plugged in")
    assert took < 2
    assert state(door, f"file:{file}") == "in_use"


def test_a_speaker_pulled_out_and_plugged_in_again(hub, device, stage, measured):
    """A speaker in a folder that goes: the player goes on, and is heard within 2 s when the folder is back."""
    dock = stage.folder / "dock"
    dock.mkdir()
    wav = dock / "out.wav"
    door, desk = device("door"), device("desk", speaker=f"file:{wav}")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    view = desk.texture()
    player = desk.play("door", view=view.view)
    wait_until(lambda: wav.exists() and find_beeps(read_wav(wav)), "a beep")
    speaker = desk.find_device(f"file:{wav}")
    mark = desk.mark()
    shutil.rmtree(dock)
    unplugged(desk, "speaker", speaker, mark)
    shown = view.newest
    view.next(shown + 5)
    assert desk.get(player, "Player", "State") == "playing"
    plugged = time.monotonic()
    dock.mkdir()
    assert desk.wait("DeviceStateChanged", lambda s: s.args[1] == 0, after=mark).args == ["speaker", 0, speaker]
    wait_until(wav.exists, "the speaker to be taken up again")
    took = time.monotonic() - plugged
    measured(f"{took * 1000:.0f} ms after it was plugged in")
    assert took < 2
    wait_until(lambda: find_beeps(read_wav(wav)), "a beep again")
    assert state(desk, f"file:{wav}") == "in_use"


def test_a_device_that_comes_while_nothing_runs_is_told(device, stage):
    """Noticed, and nothing wakes up for it in between."""
    file = stage.folder / "late.wav"
    door = device("door", hub=None, more_microphones=(f"file:{file}",))
    late = door.find_device(f"file:{file}")
    time.sleep(0.5)
    assert door.wakeups(3) == 0
    mark = door.mark()
    write_tone(file, ONE_HZ)
    assert door.wait("DeviceStateChanged", after=mark).args == ["microphone", 0, late]
    assert state(door, f"file:{file}") == "available"
    file.unlink()
    assert door.wait("DeviceStateChanged", lambda s: s.args[1] == 1, after=mark).args == ["microphone", 1, late]
    assert not door.signals("LocalDeviceException"), "nobody used it"
