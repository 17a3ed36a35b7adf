"""What runs, what rests and what is left: shutdown, standby, views, several players."""

import os
import time

import numpy as np
import pytest
from dbus_fast import Variant

from rig.bar import read_bar
from rig.device import options, wait_until
from rig.flow import judge
from rig.recorder import record_pipe
from rig.sound import find_beeps, read_wav

STANDBY_KIB = 15 * 1024
DIRECTION_KIB = 60 * 1024


def test_standby_sleeps_and_is_small(hub, device, measured):
    """Created but in no room: no periodic wake-ups, 15 MB at most."""
    door = device("door")
    door.call("CreateEngine", options(app_id=1234567890))
    time.sleep(1)
    cpu = door.cpu_seconds()
    woken, used = door.wakeups(10), door.cpu_seconds() - cpu
    size = door.memory_kib("VmRSS")
    measured(f"{woken} wake-ups and {used * 1000:.0f} ms of CPU in 10 s, {size / 1024:.1f} MB")
    assert woken == 0
    assert size <= STANDBY_KIB


def test_after_a_call_it_sleeps_again(hub, device, measured):
    """Logged out: nothing wakes up, and the next calls leave no thread, descriptor or socket more than the first."""
    door, desk = device("door"), device("desk")

    def call_once() -> None:
        for d in (door, desk):
            d.login("lobby")
            d.publish(d.name)
        view = door.texture()
        door.play("desk", view=view.view)
        view.next()
        view.close()
        door.call("DestroyTextureRenderer", view.view)
        for d in (door, desk):
            d.call("LogoutRoom", "")
        time.sleep(1)

    call_once()
    threads, files = len(door.sleeps()), len(door.open_files())
    call_once()
    call_once()
    woken = door.wakeups(5)
    measured(
        f"{woken} wake-ups in 5 s, {door.memory_kib('VmRSS') / 1024:.1f} MB held, {door.memory_kib() / 1024:.1f} MB peak"
    )
    assert woken == 0
    assert len(door.sleeps()) <= threads, door.sleeps()
    assert len(door.open_files()) <= files, door.open_files()
    assert not {"camera", "microphone", "video encoder", "video decoder"} & {t.split(" ", 1)[1] for t in door.sleeps()}


def test_memory_of_each_direction(hub, device, measured):
    """At most 60 MB peak for a device that only sends, and for one that only receives."""
    sender, receiver = device("sender"), device("receiver", microphone="none", camera="none")
    sender.login("lobby")
    sender.publish("sender")
    receiver.login("lobby")
    view = receiver.texture()
    receiver.play("sender", view=view.view)
    recorder = receiver.record(view)
    recorder.wait_for_frames(150)
    for d in (sender, receiver):
        measured(f"{d.name}: {d.memory_kib() / 1024:.1f} MB peak")
        assert d.memory_kib() <= DIRECTION_KIB


def test_sigterm_leaves_everything_in_order(hub, device, measured):
    """Within 2 s: out of the room, so that the others are told, and gone from the bus with exit status 0."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
        d.publish(d.name)
    view = door.texture()
    door.play("desk", view=view.view)
    view.next()
    mark = desk.mark()
    took = door.program.end(timeout=2)
    assert door.program.process.returncode == 0
    told = desk.wait("RoomUserUpdate", lambda s: s.args[1] == 1, after=mark, timeout=2)
    assert told.args[2] == [["door", "door"]]
    assert [s[0] for s in desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1, after=mark).args[2]] == ["door"]
    assert not door.bus.name_has_owner("org.zegod1")
    measured(f"ended {took * 1000:.0f} ms after SIGTERM")


def test_a_power_cut_is_noticed_by_the_others(stage, device):
    """A device that vanishes is taken out of the room once the hub's heartbeat time is over."""
    from rig.hub import start_hub

    hub = start_hub(stage, extra="heartbeat_timeout_s = 3")
    door, desk = device("door", hub=hub), device("desk", hub=hub)
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    desk.wait("RoomStreamUpdate")
    mark = desk.mark()
    door.program.kill()
    assert desk.wait("RoomUserUpdate", lambda s: s.args[1] == 1, after=mark, timeout=15).args[2] == [["door", "door"]]


@pytest.mark.alone
@pytest.mark.any_server
def test_several_players_at_once_are_mixed(hub, device):
    """One device plays two others while it publishes: each in its own view, both voices on one speaker."""
    door, gate = device("door", microphone="tone"), device("gate", microphone="tone:1700")
    desk = device("desk", speaker="wav")
    for d in (door, gate, desk):
        d.login("lobby")
        d.publish(d.name)
    recorders = {}
    for name in ("door", "gate"):
        view = desk.texture()
        desk.play(name, view=view.view)
        recorders[name] = desk.record(view)
    for recorder in recorders.values():
        recorder.wait_for_frames(15)
    begin = time.monotonic()
    time.sleep(4)
    for name, recorder in recorders.items():
        flow = judge(recorder.stop(), begin=begin, end=begin + 3.5)
        assert flow.corrupt == 0 and flow.in_order and flow.share >= 0.97, f"{name}: {flow}"
    assert len(desk.objects("Player")) == 2
    desk.call("LogoutRoom", "")
    samples = read_wav(desk.speaker)
    assert len(find_beeps(samples, 1000.0)) >= 3
    assert len(find_beeps(samples, 1700.0)) >= 3, "the second voice is not in the mix"


def test_preview_needs_no_room(device):
    """The own camera in a view: mirrored unless asked otherwise, and over when it is stopped."""
    door = device("door", hub=None)
    view = door.texture()
    door.call("StartPreview", options(view=view.view, mirror=False))
    frame = view.next()
    assert read_bar(frame.luma), "the bar is readable"
    assert frame.captured_ns > 0, "the own camera's capture time is known"
    assert abs(time.monotonic() - frame.captured_ns / 1e9) < 2
    door.call("StopPreview", 0)
    door.call("StartPreview", options(view=view.view))
    time.sleep(0.3)
    frame = view.next(view.newest)
    assert read_bar(frame.luma) is None and read_bar(frame.luma[:, ::-1]), "mirrored"
    door.call("StopPreview", 0)
    time.sleep(0.3)
    before = view.newest
    time.sleep(0.5)
    assert view.newest == before


def test_a_bgrx_texture_of_another_size_is_scaled(hub, device):
    """`XR24` at the size that the client asked for, and again after it asked for another."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    view = desk.texture(320, 240, format="XR24")
    desk.play("door", view=view.view)
    frame = view.next()
    assert frame.pixels.shape == (240, 320, 4) and read_bar(frame.luma)
    assert (frame.source_width, frame.source_height) == (640, 480)
    desk.call("UpdateTextureRendererSize", view.view, 960, 720)
    wait_until(lambda: view.superseded, "the old mapping to say that it is superseded")
    larger = desk.open_texture(view.view)
    frame = larger.next()
    assert frame.pixels.shape == (720, 960, 4)
    # 16 luma rows of the source are 24 here: the reader looks at the upper part of them.
    assert read_bar(frame.luma)
    grey = np.abs(frame.pixels[:12, :, 0].astype(int) - frame.pixels[:12, :, 2]).mean()
    assert grey < 12, "the bar is black and white in every channel"


def test_a_texture_is_sealed_and_read_only(device):
    """What a client may do with the memory of a view: map it to read, and nothing else."""
    import fcntl
    import mmap

    door = device("door", hub=None)
    view = door.texture()
    seals = fcntl.fcntl(view.memory, 1034)  # F_GET_SEALS
    assert seals & 0b10111 == 0b10111, f"sealed against seals, shrinking, growing and writing by others: {seals:#b}"
    for attempt in (
        lambda: os.write(view.memory, b"x"),
        lambda: os.ftruncate(view.memory, 0),
        lambda: mmap.mmap(view.memory, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
    ):
        with pytest.raises(PermissionError):
            attempt()


@pytest.mark.paired
def test_pipe_and_null_views(stage, hub, device):
    """Y4M to the caller's descriptor; a stalled reader costs only its own frames; a null view counts what it is given."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
        d.publish(d.name)
    read_end, write_end = os.pipe()
    view = desk.call("CreatePlatformView", {"kind": Variant("s", "pipe"), "fd": Variant("h", 0)}, fds=[write_end])[0]
    os.close(write_end)
    recorder = record_pipe(stage, read_end)
    desk.play("door", view=view)
    recorder.wait_for_frames(60)
    flow = judge(recorder.frames(), begin=0, end=time.monotonic())
    assert flow.corrupt == 0 and flow.in_order and flow.share >= 0.97, flow
    desk.call("StopPlaying", "door")
    desk.call("DestroyPlatformView", view)
    assert recorder.program.wait(3) == 0, "the pipe ends with its view"

    stalled_read, stalled_write = os.pipe()
    stalled = door.call("CreatePlatformView", {"kind": Variant("s", "pipe"), "fd": Variant("h", 0)}, fds=[stalled_write])[0]
    os.close(stalled_write)
    door.play("desk", view=stalled)
    time.sleep(1)
    texture = desk.texture()
    desk.play("door", view=texture.view)
    number = texture.next().number
    assert texture.next(number + 20, timeout=3), "the device goes on sending"
    os.close(stalled_read)

    null = desk.call("CreatePlatformView", {"kind": Variant("s", "null")})[0]
    desk.call("StopPlaying", "door")
    desk.play("door", view=null)

    def frames_shown() -> int:
        return next(v["FramesShown"] for v in desk.objects("View").values() if v["ViewID"] == null)

    wait_until(lambda: frames_shown() > 30, "frames in the null view", 5)


@pytest.mark.any_server
def test_a_stream_is_waited_for(hub, device, measured):
    """Playing what is not there yet is no error: it plays as soon as somebody publishes it."""
    door, desk = device("door"), device("desk")
    desk.login("lobby")
    view = desk.texture()
    path, state = desk.call("StartPlaying", "door", options(view=view.view))
    assert state == 1 and desk.get(path, "Player", "State") == "play_requesting"
    door.login("lobby")
    door.publish("door")
    desk.wait("PlayerStateUpdate", lambda s: s.args[:2] == ["door", 2])
    view.next()
    desk.call("StopPlaying", "door")
    desk.call("StopPlaying", "door")  # of a known, stopped stream: no error


@pytest.mark.any_server
def test_the_first_frame_comes_at_once(hub, device, measured):
    """400 ms at most from the call of StartPlaying to the first picture in the view."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    time.sleep(1)
    times = []
    for _ in range(5):
        view = desk.texture()
        recorder = desk.record(view)
        begin = time.monotonic()
        desk.call("StartPlaying", "door", options(view=view.view))
        first = recorder.wait_for_frames(1)[0]
        times.append((first.at - begin) * 1000)
        recorder.stop()
        desk.call("StopPlaying", "door")
        desk.call("DestroyTextureRenderer", view.view)
        time.sleep(0.7)
    measured(f"first frame after StartPlaying, ms: {', '.join(f'{t:.0f}' for t in times)}")
    assert sorted(times)[2] <= 400


@pytest.mark.any_server
def test_the_first_frame_comes_at_once_after_a_login(hub, device, measured):
    """400 ms at most from the call of StartPlaying straight after LoginRoom, while the connection is still being made."""
    door, desk = device("door"), device("desk")
    door.login("lobby")
    door.publish("door")
    times = []
    for _ in range(7):
        view = desk.texture()
        recorder = desk.record(view)
        desk.login("lobby")
        begin = time.monotonic()
        desk.call("StartPlaying", "door", options(view=view.view))
        first = recorder.wait_for_frames(1)[0]
        times.append((first.at - begin) * 1000)
        recorder.stop()
        desk.call("LogoutRoom", "lobby")
        desk.call("DestroyTextureRenderer", view.view)
        time.sleep(0.7)  # who asks for key frames all the time gets fewer
    measured(f"first frame after a login and StartPlaying, ms: {', '.join(f'{t:.0f}' for t in times)}")
    assert sorted(times)[3] <= 400
