"""Recordings: what ffmpeg and a browser make of them, and what ends them."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.call import watch
from rig.device import Device, options
from rig.hub import start_hub
from rig.movie import Movie
from rig.places import program
from rig.recorder import unwrap

pytestmark = pytest.mark.paired

SECONDS = 6.0


def start(device: Device, file: Path, stream: str = "", **wishes: object) -> None:
    """Starts a recording into a new file; nobody but the daemon keeps it open."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        # The message carries the place of the descriptor among those sent with it.
        device.call("StartRecording", stream, 0, options(**wishes), fds=[fd])
    finally:
        os.close(fd)


def finish(device: Device, stream: str = "") -> dict:
    """Stops a recording; what the last signal says of it."""
    mark = device.mark()
    device.call("StopRecording", stream)
    return device.wait("RecordingStateUpdate", lambda s: s.args[:3] == [stream, 2, 0], after=mark).args[3]


def record(device: Device, file: Path, stream: str = "", seconds: float = SECONDS, **wishes: object) -> Movie:
    """A recording of some seconds."""
    start(device, file, stream, **wishes)
    time.sleep(seconds)
    told = finish(device, stream)
    assert told["size"] == file.stat().st_size
    return Movie(file)


def check_pictures(movie: Movie, seconds: float, *, share: float = 0.9, timely: bool = True) -> None:
    """Every picture is whole, they come in order and (`timely`) at their times, and about as many as the camera made."""
    video = movie.stream("video")
    assert (video["width"], video["height"]) == (640, 480)
    pictures = movie.pictures()
    bars = [p.bar for p in pictures]
    assert all(bars), f"{bars.count(None)} of {len(bars)} bars are damaged"
    counters = unwrap([bar.counter for bar in bars])
    assert all(after > before for before, after in zip(counters, counters[1:], strict=False)), "out of order"
    made = counters[-1] - counters[0] + 1
    assert made >= 25 * seconds * share, f"only {made} pictures were made in {seconds} s"
    assert len(pictures) >= share * made, f"{len(pictures)} of {made}"
    # Time in the movie passes as it passed for the camera.
    for picture in pictures if timely else []:
        elapsed = (picture.bar.made_ms - bars[0].made_ms) & 0xFFFF
        assert abs((picture.at - pictures[0].at) * 1000 - elapsed) < 45, f"{picture.at} s, made after {elapsed} ms"


def check_sound(movie: Movie, seconds: float, channels: int) -> None:
    audio = movie.stream("audio")
    assert (audio["codec_name"], audio["channels"], audio["sample_rate"]) == ("opus", channels, "48000")
    assert len(movie.beeps()) >= int(seconds) - 1


def test_what_a_preview_shows_is_recorded_with_sound(stage, device, measured):
    """Nothing is published: an encoder and the microphone are started for the recording, and let go after it."""
    door = device("door", hub=None)
    door.call("StartPreview", options())
    movie = record(door, stage.path("preview.mp4"))
    assert movie.stream("video")["codec_name"] == "h264"
    check_pictures(movie, SECONDS)
    check_sound(movie, SECONDS, 1)
    apart = movie.apart_ms()
    measured(f"beep after flash {min(apart):+.0f} to {max(apart):+.0f} ms; {movie.about['format']['size']} bytes")
    assert len(apart) >= SECONDS - 2 and max(map(abs, apart)) <= 80
    states = {d["DeviceID"]: d["State"] for d in door.objects("Device").values() if d["Kind"] != "speaker"}
    assert (states["pattern"], states["tone"]) == ("in_use", "available")


def test_captured_and_remote_streams_are_recorded_during_a_call(hub, stage, device, measured):
    """One encode serves the call and the recording; what is received is recorded as it comes."""
    door, desk = device("door"), device("desk")
    watch(door, desk)
    files = {"captured": stage.path("captured.mp4"), "remote": stage.path("remote.mp4")}
    start(door, files["captured"])
    start(desk, files["remote"], "door")
    time.sleep(SECONDS)
    # It is told every second.
    told = [s.args[3] for s in desk.signals("RecordingStateUpdate") if s.args[:2] == ["door", 1]]
    assert len(told) >= SECONDS - 2
    assert [t["duration_ms"] for t in told] == sorted(t["duration_ms"] for t in told) and told[-1]["size"] > 0
    finish(door)
    told = finish(desk, "door")
    assert told["state"] == "finished" and told["duration_ms"] > (SECONDS - 1.5) * 1000
    for name, channels in (("captured", 1), ("remote", 2)):
        movie = Movie(files[name])
        check_pictures(movie, SECONDS - 1)
        check_sound(movie, SECONDS - 1, channels)
        apart = movie.apart_ms()
        measured(f"{name}: beep after flash {min(apart):+.0f} to {max(apart):+.0f} ms")
        assert len(apart) >= SECONDS - 3 and max(map(abs, apart)) <= 80
    threads = [t.split(" ", 1)[1] for t in door.sleeps()]
    assert threads.count("video encoder") == 1, "the recording had an encoder of its own"


def test_a_recording_goes_on_when_publishing_begins_and_ends(hub, stage, device):
    door = device("door")
    door.call("StartPreview", options())
    file = stage.path("mixed.mp4")
    start(door, file)
    time.sleep(2)
    door.login("lobby")
    door.publish("door")
    time.sleep(2)
    door.call("StopPublishing", "")
    time.sleep(2)
    finish(door)
    movie = Movie(file)
    # A new encoder begins with a key frame; the pictures before it are not in the file.
    check_pictures(movie, 5, share=0.8)
    check_sound(movie, 5, 1)


def test_a_recording_goes_on_while_the_room_server_is_gone(stage, device):
    """The encoder works on for it when the network takes nothing."""
    hub = start_hub(stage)
    door = device("door", hub=hub)
    door.login("lobby")
    door.publish("door")
    file = stage.path("outage.mp4")
    start(door, file)
    time.sleep(2)
    mark = door.mark()
    hub.program.kill()
    door.wait("RoomStateUpdate", lambda s: s.args[1:3] == [1, 1002051], after=mark, timeout=15)
    time.sleep(3)
    finish(door)
    movie = Movie(file)
    check_pictures(movie, 5, share=0.8)
    check_sound(movie, 5, 1)
    times = movie.times("video")
    assert max(after - before for before, after in zip(times, times[1:], strict=False)) < 0.7


def test_only_sound_or_only_pictures(stage, device):
    door = device("door", hub=None)
    door.call("StartPreview", options())
    movie = record(door, stage.path("sound.mp4"), seconds=2.5, video=False)
    assert movie.stream("video") is None
    check_sound(movie, 2, 1)
    movie = record(door, stage.path("pictures.mp4"), seconds=2.5, audio=False)
    assert movie.stream("audio") is None
    check_pictures(movie, 2)


def test_another_size_in_the_middle_is_followed(stage, device):
    """The parameter sets change: every picture after it decodes at its own size."""
    door = device("door", hub=None)
    door.call("StartPreview", options())
    file = stage.path("sizes.mp4")
    start(door, file)
    time.sleep(2)
    door.call("SetVideoConfig", options(encode_width=320, encode_height=240), 0)
    time.sleep(2)
    finish(door)
    movie = Movie(file)
    pictures = movie.pictures()
    assert len(pictures) > 80
    # ffmpeg brings all of them to the first size.
    assert sum(p.bar is None for p in pictures) <= 2
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=width,height", "-of", "csv=p=0", str(file)],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    sizes = list(dict.fromkeys(line.strip(",") for line in shown))
    assert sizes == ["640,480", "320,240"]


def test_a_muted_microphone_is_silence_and_a_disabled_camera_a_still(stage, device):
    door = device("door", hub=None)
    door.call("StartPreview", options())
    file = stage.path("mutes.mp4")
    start(door, file)
    time.sleep(2.2)
    door.call("MuteMicrophone", True)
    door.call("EnableCamera", False, 0)
    time.sleep(3)
    door.call("MuteMicrophone", False)
    door.call("EnableCamera", True, 0)
    time.sleep(2.2)
    finish(door)
    movie = Movie(file)
    times = movie.times("video")
    steps = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert 2.5 < max(steps) < 4, f"the longest still is {max(steps):.2f} s"
    assert times[-1] > 6
    beeps = [b.begin for b in movie.beeps()]
    assert max(after - before for before, after in zip(beeps, beeps[1:], strict=False)) > 2.5, beeps


def kill_and_check(device, file, measured) -> None:
    """Kills a device that records into a file: at most the last second is not in it."""
    killed = time.monotonic()
    device.program.kill()
    movie = Movie(file)
    lost = movie.pictures()[-1].bar.age_ms(killed)
    measured(f"the last {lost} ms are lost")
    assert lost <= 1000
    assert abs(movie.times("audio")[-1] - movie.times("video")[-1]) < 0.7, "both are there"


def test_a_killed_daemon_leaves_a_file_that_lacks_at_most_the_last_second(stage, device, measured):
    door = device("door", hub=None)
    door.call("StartPreview", options())
    file = stage.path("killed.mp4")
    start(door, file)
    time.sleep(4.3)
    kill_and_check(door, file, measured)


def test_a_killed_daemon_leaves_what_it_received(hub, stage, device, measured):
    """The same of a stream of somebody else."""
    door, desk = device("door"), device("desk")
    watch(door, desk)
    file = stage.path("killed.mp4")
    start(desk, file, "door")
    desk.wait("RecordingStateUpdate", lambda s: s.args[1] == 1 and s.args[3]["duration_ms"] > 2500, timeout=8)
    kill_and_check(desk, file, measured)


def test_a_recording_is_on_the_disk_every_second(hub, stage, device, measured):
    """A kill leaves to the kernel what is not on the disk yet, a power cut does not."""
    door, desk = device("door"), device("desk")
    watch(door, desk)
    desk.call("StartPreview", options())
    calls = stage.path("calls.txt")
    strace = ["strace", "-f", "-y", "-ttt", "-e", "trace=fdatasync,write", "-o", str(calls), "-p", str(desk.program.pid)]
    tracer = stage.start("strace", strace)
    tracer.wait_for_line(r"attached")
    files = {"captured": stage.path("captured.mp4"), "remote": stage.path("remote.mp4")}
    start(desk, files["captured"])
    start(desk, files["remote"], "door")
    time.sleep(SECONDS)
    # strace ends with the signal that it was sent.
    tracer.kill()
    for name, file in files.items():
        lines = [line.split() for line in calls.read_text().splitlines() if f"<{file}>" in line]
        synced = [float(words[1]) for words in lines if words[2].startswith("fdatasync(")]
        gaps = [after - before for before, after in zip(synced, synced[1:], strict=False)]
        measured(f"{name}: {len(synced)} times in {SECONDS:g} s, {max(gaps, default=SECONDS):.2f} s apart at most")
        assert len(synced) >= SECONDS - 2 and max(gaps) <= 1.0, gaps
        kinds = [words[2].split("(")[0] for words in lines]
        assert ("write", "write") not in zip(kinds, kinds[1:], strict=False), "what was written waits for nothing"


def test_it_ends_with_its_caller(stage, device):
    """A descriptor ends with who gave it."""
    door = device("door", hub=None)
    door.call("StartPreview", options())
    file = stage.path("caller.mp4")
    ctl = stage.start("ctl", [program("zegoctl"), "--bus", door.address, "record", "-o", str(file)])
    door.wait("RecordingStateUpdate", lambda s: s.args[1] == 1 and s.args[3]["duration_ms"] > 1000)
    mark = door.mark()
    ctl.kill()
    door.wait("RecordingStateUpdate", lambda s: s.args[:3] == ["", 2, 0], after=mark)
    check_pictures(Movie(file), 1)


def test_it_ends_with_its_stream_and_with_the_engine(hub, stage, device):
    door, desk = device("door"), device("desk")
    watch(door, desk)
    files = [stage.path("stream.mp4") for _ in range(2)]
    start(desk, files[0], "door")
    start(door, files[1])
    desk.wait("RecordingStateUpdate", lambda s: s.args[1] == 1 and s.args[3]["duration_ms"] > 1000)
    mark = desk.mark()
    desk.call("StopPlaying", "door")
    desk.wait("RecordingStateUpdate", lambda s: s.args[:3] == ["door", 2, 0], after=mark)
    desk.call("StopRecording", "door")
    mark = door.mark()
    door.call("DestroyEngine")
    door.wait("RecordingStateUpdate", lambda s: s.args[:3] == ["", 2, 0], after=mark)
    # Before a stream's first report of its clock, arrival has to do for its time.
    check_pictures(Movie(files[0]), 1, timely=False)
    check_pictures(Movie(files[1]), 1)
    assert not [f for f in door.open_files() if f.endswith(".mp4")]


def flows(view, seconds: float = 1.5) -> bool:
    """Whether pictures go on in a view."""
    newest = view.newest
    time.sleep(seconds)
    return view.newest - newest > 10 * seconds


@pytest.fixture
def small_disk(stage) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = stage.folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk_ends_the_recording_and_nothing_else(stage, device, small_disk):
    """Its code tells, and what fitted plays."""
    door = device("door", hub=None, bitrate_kbps=4000)
    view = door.texture()
    door.call("StartPreview", options(view=view.view))
    file = small_disk / "full.mp4"
    start(door, file)
    ended = door.wait("RecordingStateUpdate", lambda s: s.args[1] != 1, timeout=40)
    assert ended.args[:3] == ["", 0, 1010017]
    assert ended.args[3]["reason"] == "recording_disk_full" and "[1010017]" in ended.args[3]["message"]
    assert ended.args[3]["size"] == file.stat().st_size, "half a fragment was left"
    assert flows(view)
    # Stopping what has ended is no mistake, and room makes a new one possible.
    door.call("StopRecording", "")
    copy = stage.path("full.mp4")
    shutil.move(file, copy)
    check_pictures(Movie(copy), 0.5)
    start(door, small_disk / "again.mp4")
    finish(door)


def pipe_to(device: Device) -> int:
    """A recording into a pipe; its read end."""
    reader, writer = os.pipe()
    try:
        device.call("StartRecording", "", 0, options(), fds=[writer])
    finally:
        os.close(writer)
    return reader


def test_a_pipe_s_reader_gets_it_while_it_is_recorded(stage, device):
    door = device("door", hub=None)
    door.call("StartPreview", options())
    reader = pipe_to(door)
    file = stage.path("piped.mp4")
    with file.open("wb") as out, os.fdopen(reader, "rb") as pipe:
        thread = threading.Thread(target=lambda: shutil.copyfileobj(pipe, out, 4096))
        thread.start()
        time.sleep(3)
        finish(door)
        thread.join(10)
    check_pictures(Movie(file), 2.5)


def test_a_reader_that_goes_away_or_does_not_read_ends_only_the_recording(device):
    door = device("door", hub=None)
    view = door.texture()
    door.call("StartPreview", options(view=view.view))
    reader = pipe_to(door)
    door.wait("RecordingStateUpdate", lambda s: s.args[1] == 1)
    mark = door.mark()
    os.close(reader)
    ended = door.wait("RecordingStateUpdate", lambda s: s.args[1] != 1, after=mark)
    assert ended.args[:3] == ["", 0, 1010014]
    assert flows(view)
    mark = door.mark()
    reader = pipe_to(door)
    ended = door.wait("RecordingStateUpdate", lambda s: s.args[1] != 1, after=mark, timeout=40)
    assert ended.args[:3] == ["", 0, 1010014]
    os.close(reader)
    assert flows(view)


def test_refusals_say_what_is_missing(stage, device):
    door = device("door", hub=None)
    file = stage.path("refused.mp4")
    fd = os.open(file, os.O_RDWR | os.O_CREAT)
    readable = os.open(file, os.O_RDONLY)

    def code(stream: str = "", fd: int = fd, **wishes: object) -> int:
        return door.refusal("StartRecording", stream, 0, options(**wishes), fds=[fd]).code

    assert code() == 1003001
    assert code("nobody") == 1004011
    assert door.refusal("StopRecording", "").code == 1003001
    assert door.refusal("StopRecording", "nobody").code == 1004011
    door.call("StartPreview", options())
    assert code(fd=readable) == 1000017
    assert code(audio=False, video=False) == 1000017
    start(door, stage.path("first.mp4"))
    assert code() == 1000017, "it is recorded already"
    finish(door)
    assert file.stat().st_size == 0
    os.close(fd)
    os.close(readable)


def test_zegoctl_records_for_some_seconds_or_until_ctrl_c(stage, device):
    door = device("door", hub=None)
    door.call("StartPreview", options())
    file = stage.path("ctl.mp4")
    ctl = [program("zegoctl"), "--bus", door.address]
    done = subprocess.run([*ctl, "--json", "record", "-o", str(file), "--seconds", "2"], capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["size"] == file.stat().st_size and 1200 <= told["duration_ms"] <= 3500
    check_pictures(Movie(file), 1.5)
    recording = stage.start("record", [*ctl, "record", "-o", str(file), "--video-only"])
    door.wait("RecordingStateUpdate", lambda s: s.args[1] == 1 and s.args[3]["duration_ms"] > 1000, after=door.mark())
    os.kill(recording.pid, 2)
    assert recording.wait() == 0
    assert "s, " in recording.output() and "bytes" in recording.output()
    movie = Movie(file)
    assert movie.stream("audio") is None
    check_pictures(movie, 1)


