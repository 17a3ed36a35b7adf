"""Recordings in a browser: `<video>` plays them to their end."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from browser.chromium import start_chromium
from rig.device import Device, options, start_device, wait_until
from rig.hub import start_hub
from rig.island import make_island
from rig.movie import Movie
from rig.stage import Stage
from sdk.client import start_peer

pytestmark = [pytest.mark.root, pytest.mark.alone]


PLAY = Path(__file__).parent / "browser" / "play_file.js"


def start(device: Device, file: Path, stream: str = "") -> None:
    fd = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        device.call("StartRecording", stream, 0, options(), fds=[fd])
    finally:
        os.close(fd)


def length(file: Path) -> float:
    """Seconds until the last packet."""
    movie = Movie(file)
    return max(at for kind in ("video", "audio") for at in movie.times(kind))


def play(page, file: Path, stage: Stage) -> dict:
    """Plays a file in a page of its own folder."""
    html = stage.folder / "page.html"
    html.write_text("<!doctype html><title>recording</title>")
    page.goto(html.as_uri())
    return page.evaluate(PLAY.read_text().rstrip().rstrip(";"), {"url": file.as_uri(), "milliseconds": 40_000})


def test_a_browser_plays_every_kind_of_recording_to_its_end(stage, playwright, measured):
    """A complete one, one of a killed daemon, one whose picture changes its size, and a received VP8 stream."""
    island = make_island(stage)
    hub = start_hub(stage, address=island.address, namespace=island.namespace)
    files = {name: stage.path(f"{name}.mp4") for name in ("complete", "killed", "sizes", "vp8")}

    door = start_device(stage, "door", hub=hub, namespace=island.namespace)
    door.call("StartPreview", options())
    start(door, files["complete"])
    time.sleep(4)
    door.call("StopRecording", "")
    start(door, files["sizes"])
    time.sleep(2)
    door.call("SetVideoConfig", options(encode_width=320, encode_height=240), 0)
    time.sleep(2)
    door.call("StopRecording", "")
    start(door, files["killed"])
    time.sleep(4)
    door.program.kill()

    desk = start_device(stage, "desk", hub=hub, namespace=island.namespace)
    desk.login("lobby")
    start_peer(stage, hub, "ben", "lobby", namespace=island.namespace, publish="ben-cam")
    view = desk.texture()
    player = desk.play("ben-cam", view=view.view, timeout=30)
    view.next(timeout=30)
    wait_until(lambda: desk.get(player, "Player", "VideoCodec") == "VP8", "VP8")
    start(desk, files["vp8"], "ben-cam")
    desk.wait("RecordingStateUpdate", lambda s: s.args[1] == 1 and s.args[3]["duration_ms"] > 4000, timeout=30)
    desk.call("StopRecording", "ben-cam")
    tag = ["-show_entries", "stream=codec_name,codec_tag_string", "-select_streams", "v", "-of", "csv=p=0"]
    found = subprocess.run(["ffprobe", "-v", "error", *tag, str(files["vp8"])], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["vp8,vp08"]
    vp8 = Movie(files["vp8"])
    assert len(vp8.pictures()) > 30 and vp8.stream("audio")

    browser = start_chromium(stage, playwright, island, hub, flags=("--allow-file-access-from-files",))
    page = browser.new_page()
    for name, file in files.items():
        played = play(page, file, stage)
        measured(f"{name}: {played}")
        seconds = length(file)
        assert played["outcome"] == "ended", f"{name}: {played}"
        assert abs(played["time"] - seconds) < 0.5, f"{name} lasts {seconds} s: {played}"
        assert played["corrupted"] == 0 and played["pictures"] > 5 * seconds and played["soundBytes"] > 1000, f"{name}: {played}"
        if name == "sizes":
            assert played["sizes"] == ["640x480", "320x240"]
