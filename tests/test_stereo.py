"""Two channels from the microphone to the speaker: what is left stays left, and mono goes with it."""

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from browser.chromium import HubPage, start_chromium
from rig.device import options, start_device, wait_until
from rig.hub import Hub, start_hub
from rig.island import Island, make_island
from rig.movie import Movie
from rig.places import program
from rig.sound import RATE, read_sides, separation, tone_level, write_tone, write_tones
from sdk.client import start_peer

pytestmark = pytest.mark.alone

LEFT, RIGHT, MIDDLE = 440.0, 1000.0, 700.0
"""Hz of what a stereo microphone hears at its sides, and of what a mono one hears."""
APART = 30.0
"""dB that the sides must be apart."""
SECONDS = 3
ROOM = "lobby"


@pytest.fixture
def sides(tmp_path) -> str:
    """A microphone that hears a tone of its own at each side."""
    return f"file:{write_tones(tmp_path / 'sides.wav', [LEFT, RIGHT])}"


@pytest.fixture
def middle(tmp_path) -> str:
    """A microphone with one channel."""
    return f"file:{write_tone(tmp_path / 'middle.wav', MIDDLE)}"


def heard(speaker: Path, *frequencies: float) -> np.ndarray:
    """What a speaker plays in some seconds from now, one column a side, once all these tones are heard."""

    def last(seconds: float) -> np.ndarray:
        return read_sides(speaker)[-int(seconds * RATE) :]

    def is_there() -> bool:
        recent = last(0.5).mean(axis=1) if speaker.exists() else np.empty(0)
        return len(recent) >= RATE // 2 and all(tone_level(recent, hertz) > -40 for hertz in frequencies)

    wait_until(is_there, f"{frequencies} Hz at {speaker.name}")
    time.sleep(SECONDS + 0.5)
    return last(SECONDS)


def sends_stereo(device, **wishes) -> None:
    device.call("SetAudioConfig", options(**(wishes or {"preset": 2})), 0)


@pytest.mark.any_server
@pytest.mark.parametrize("preset", [2, 4], ids=["standard", "high"])
def test_left_arrives_left_and_right_arrives_right(hub, device, sides, measured, preset):
    """ZEGO's stereo presets, from one device to another, at the level that they had."""
    door, desk = device("door", microphone=sides, camera="none"), device("desk", camera="none", speaker="wav")
    sends_stereo(door, preset=preset)
    for one in (door, desk):
        one.login(ROOM)
    door.publish("door")
    desk.play("door")
    sound = heard(desk.speaker, LEFT, RIGHT)
    apart = separation(sound, LEFT, RIGHT)
    levels = tone_level(sound[:, 0], LEFT), tone_level(sound[:, 1], RIGHT)
    measured(f"{apart[0]:.0f} and {apart[1]:.0f} dB apart at {levels[0]:.1f} and {levels[1]:.1f} dBFS")
    assert min(apart) > APART, apart
    assert levels == pytest.approx((-12, -12), abs=1)


@pytest.mark.any_server
def test_mono_and_stereo_are_heard_together(hub, device, sides, middle, measured):
    """A mono stream is on both sides alike, also beside a stereo one; a stereo microphone's mono stream has both its sides."""
    stereo = device("stereo", microphone=sides, camera="none", speaker="wav")
    mono = device("mono", microphone=middle, camera="none")
    mixed = device("mixed", microphone=sides, camera="none")
    listener = device("listener", camera="none", speaker="wav")
    sends_stereo(stereo)
    for one in (stereo, mono, mixed, listener):
        one.login(ROOM)
    for one in (stereo, mono):
        one.publish(one.name)
        listener.play(one.name)
    sound = heard(listener.speaker, LEFT, RIGHT, MIDDLE)
    apart = separation(sound, LEFT, RIGHT)
    both = [tone_level(sound[:, side], MIDDLE) for side in (0, 1)]
    measured(f"stereo beside mono {apart[0]:.0f} and {apart[1]:.0f} dB apart; mono {both[0]:.1f} and {both[1]:.1f} dBFS")
    assert min(apart) > APART, apart
    assert both == pytest.approx([-12, -12], abs=1) and abs(both[0] - both[1]) < 0.1

    mixed.publish("mixed")
    stereo.play("mixed")
    sound = heard(stereo.speaker, LEFT, RIGHT)
    assert (sound[:, 0] == sound[:, 1]).all(), "a mono stream alone"
    for hertz in (LEFT, RIGHT):
        assert tone_level(sound[:, 0], hertz) == pytest.approx(-18, abs=1), "half of each side"


def test_a_mono_microphone_is_sent_to_both_sides(device, middle):
    door, desk = device("door", microphone=middle, camera="none"), device("desk", camera="none", speaker="wav")
    sends_stereo(door, channels=2)
    for one in (door, desk):
        one.login(ROOM)
    door.publish("door")
    desk.play("door")
    sound = heard(desk.speaker, MIDDLE)
    assert [tone_level(sound[:, side], MIDDLE) for side in (0, 1)] == pytest.approx([-12, -12], abs=1)


def test_channels_change_only_before_publishing(device, sides):
    """Other channels are refused while the channel publishes, and the stream goes on as it was; its bit rate may change."""
    door, desk = device("door", microphone=sides, camera="none"), device("desk", camera="none", speaker="wav")
    for one in (door, desk):
        one.login(ROOM)
    door.publish("door")
    desk.play("door")
    mark = door.mark()
    for wish in ({"channels": 2}, {"preset": 2}, {"preset": 4, "bitrate": 64}):
        error = door.refusal("SetAudioConfig", options(**wish), 0)
        assert error.code == 1000066 and error.name.endswith("InvalidArgument"), error
    for wish in ({"channels": 1}, {"preset": 3}, {"bitrate": 32}):
        door.call("SetAudioConfig", options(**wish), 0)
    door.call("SetAudioConfig", options(channels=2), 1)
    sound = heard(desk.speaker, LEFT, RIGHT)
    assert (sound[:, 0] == sound[:, 1]).all(), "it is mono as before"
    assert not door.signals("PublisherStateUpdate", mark)

    door.call("StopPublishing", "")
    sends_stereo(door, channels=2, bitrate=56)
    door.publish("door")
    assert min(separation(heard(desk.speaker, LEFT, RIGHT), LEFT, RIGHT)) > APART
    assert door.refusal("SetAudioConfig", options(channels=1), 0).code == 1000066
    assert door.refusal("SetAudioConfig", options(channels=3), 0).code == 1000017


def test_zegoctl_sets_channels(device):
    door = device("door", camera="none")

    def audio(*words: str) -> subprocess.CompletedProcess:
        line = [program("zegoctl"), "--bus", door.address, "--json", "audio-config", *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=20)

    done = audio("--preset", "2")
    assert done.returncode == 0 and json.loads(done.stdout) == {"channel": 0}, done
    door.login(ROOM)
    door.publish("door")
    refused = audio("--channels", "1")
    assert refused.returncode == 1 and "1000066" in refused.stderr, refused
    assert audio("--channels", "2", "--bitrate", "96").returncode == 0


def test_a_stereo_stream_is_recorded_in_stereo(stage, device, sides, measured):
    """What is captured and what is received; the file says two channels."""
    door, desk = device("door", microphone=sides, camera="none"), device("desk", camera="none", speaker="wav")
    sends_stereo(door, preset=4)
    for one in (door, desk):
        one.login(ROOM)
    door.publish("door")
    desk.play("door")
    heard(desk.speaker, LEFT, RIGHT)
    files = {door: (stage.path("captured.mp4"), ""), desk: (stage.path("remote.mp4"), "door")}
    for one, (path, stream) in files.items():
        with path.open("w+b") as file:
            one.call("StartRecording", stream, 0, options(video=False), fds=[file.fileno()])
    time.sleep(SECONDS)
    for one, (path, stream) in files.items():
        mark = one.mark()
        one.call("StopRecording", stream)
        one.wait("RecordingStateUpdate", lambda s, stream=stream: s.args[:3] == [stream, 2, 0], after=mark)
        movie = Movie(path)
        assert movie.stream("audio")["channels"] == 2
        apart = separation(movie.sides()[RATE // 2 :], LEFT, RIGHT)
        measured(f"{path.stem}: {apart[0]:.0f} and {apart[1]:.0f} dB apart")
        assert min(apart) > APART, apart


@pytest.fixture
def island(stage) -> Island:
    return make_island(stage)


@pytest.fixture
def island_hub(stage, island) -> Hub:
    return start_hub(stage, address=island.address, namespace=island.namespace)


@pytest.mark.root
@pytest.mark.parametrize("transport", ["v0", "v1"])
def test_a_browser_plays_both_sides(stage, playwright, island, island_hub, sides, measured, transport):
    """Chromium decodes two channels of a device's stream."""
    door = start_device(stage, "door", hub=island_hub, namespace=island.namespace, microphone=sides, camera="none")
    sends_stereo(door)
    door.login(ROOM)
    door.publish("door")
    anna = HubPage(start_chromium(stage, playwright, island, island_hub), island_hub, "anna", ROOM)
    anna.open(transport=transport)
    anna.join()
    anna.wait_stream("door", video="none")
    # The first of it, before the sound has come and settled, is no measure.
    deadline = time.monotonic() + 15
    wanted, apart, level = 10 ** (-12 / 20), 0.0, 0.0
    while (level < 0.8 * wanted or apart < APART) and time.monotonic() < deadline:
        (left, left_other), (right_other, right) = np.maximum(anna.hear_sides("door", 1, [LEFT, RIGHT]), 1e-6)
        level = min(left, right)
        apart = 20 * np.log10(min(left / left_other, right / right_other))
    measured(f"{apart:.0f} dB apart at {level:.3f}")
    assert apart > APART and level == pytest.approx(wanted, rel=0.2), f"{apart} dB apart, level {level}"


@pytest.mark.root
def test_a_device_plays_both_sides_of_an_sdk(stage, island, island_hub, measured):
    """LiveKit's Python SDK says in its offer that it has two channels; with two connections it does not, and sends one."""
    door = start_device(
        stage, "door", hub=island_hub, namespace=island.namespace, microphone="none", camera="none", speaker="wav"
    )
    door.login(ROOM)
    start_peer(stage, island_hub, "anna", ROOM, namespace=island.namespace, publish="anna", stereo=True)
    door.play("anna")
    apart = separation(heard(door.speaker, LEFT, RIGHT), LEFT, RIGHT)
    measured(f"{apart[0]:.0f} and {apart[1]:.0f} dB apart")
    assert min(apart) > APART, apart
