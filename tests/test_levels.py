"""Sound levels and voice activity: what a caller who asked is told, and who is told nothing."""

import subprocess
import time
import wave

import numpy as np
import pytest

from rig.bus import BusClient
from rig.device import ENGINE, METHODS, ROOT, SERVICE, options
from rig.places import program

LEVELS = ("CapturedSoundLevelUpdate", "RemoteSoundLevelUpdate")
VOICES = ("CapturedVoiceActivityUpdate", "RemoteVoiceActivityUpdate")
RATE = 48_000


def write_wav(path, samples):
    """Writes samples from -1 to 1 as a WAV file that a microphone can play."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return f"file:{path}"


def sine(dbfs, seconds=2):
    """A tone whose RMS level is `dbfs`."""
    return 10 ** (dbfs / 20) * np.sqrt(2) * np.sin(2 * np.pi * 500 * np.arange(RATE * seconds) / RATE)


def call_of(devices):
    """Both publish, `desk` plays `door`."""
    for device in devices:
        device.login("lobby")
        device.publish(device.name)
    devices[1].play(devices[0].name)


@pytest.mark.parametrize("dbfs", [-12, -30, -48])
def test_levels_follow_the_sound_at_both_ends(stage, device, measured, dbfs):
    """0 is -60 dBFS, 100 is full scale, linear in dB; the far end measures what was encoded and decoded."""
    source = write_wav(stage.path("tone.wav"), sine(dbfs))
    door, desk = device("door", microphone=source, camera="none"), device("desk", camera="none")
    call_of([door, desk])
    for one in (door, desk):
        one.call("StartSoundLevelMonitor", options())
    expected = (dbfs + 60) / 60 * 100
    desk.wait("RemoteSoundLevelUpdate", lambda s: abs(s.args[0].get("door", 0) - expected) < 5)
    marks = door.mark(), desk.mark()
    time.sleep(1)
    captured = [s.args[0] for s in door.signals(LEVELS[0], marks[0])]
    remote = [s.args[0]["door"] for s in desk.signals(LEVELS[1], marks[1])]
    measured(f"{dbfs} dBFS: captured {np.median(captured):.1f}, remote {np.median(remote):.1f}, expected {expected:.1f}")
    assert abs(np.median(captured) - expected) < 1
    assert abs(np.median(remote) - expected) < 5
    assert 7 <= len(captured) <= 12, "the default is every 100 ms"


def test_only_who_asked_is_told_and_only_until_it_leaves(device):
    """Unicast; each caller has its own interval; StopSoundLevelMonitor and leaving the bus end it."""
    door = device("door", camera="none")
    door.call("CreateEngine", options())
    other = BusClient(door.address)
    other.match(f"type='signal',sender='{SERVICE}'")

    def ask(client, method, *body):
        return client.call(SERVICE, ROOT, ENGINE, method, METHODS[method], body)

    mark = len(other.signals)
    ask(other, "StartSoundLevelMonitor", options(interval_ms=500))
    time.sleep(1.6)
    # They come in pairs: none is counted of which the second half is on its way.
    ask(other, "StopSoundLevelMonitor")
    time.sleep(0.1)
    told = [s for s in other.signals[mark:] if s.member in LEVELS]
    assert [s.args for s in told if s.member == LEVELS[0]] == [[0.0]] * (len(told) // 2), "no microphone is open"
    assert [s.args for s in told if s.member == LEVELS[1]] == [[{}]] * (len(told) // 2), "nothing is played"
    assert 2 <= len(told) // 2 <= 5
    assert not door.signals(LEVELS[0]), "somebody else asked"
    mark = len(other.signals)
    door.call("StartSoundLevelMonitor", options(vad=True))
    door.wait(VOICES[1])
    assert not [s for s in other.signals[mark:] if s.member in LEVELS + VOICES], "it does not listen any more"
    ask(other, "StartSoundLevelMonitor", options(interval_ms=100))
    other.wait_signal(LEVELS[0], after=mark)
    other.close()
    door.call("StopSoundLevelMonitor")
    door.call("StopSoundLevelMonitor")
    door.wakeups(0.5)  # what was on its way arrives
    asleep = door.wakeups(2)
    assert asleep <= 6, f"nobody listens, yet it woke up {asleep} times in 2 s"


def test_wrong_options_are_refused_and_disturb_nothing(device):
    """1006031 for an interval that is out of range; what runs goes on."""
    door = device("door", camera="none")
    door.call("StartSoundLevelMonitor", options())
    for interval in (0, 99, 3001, 4_000_000_000):
        error = door.refusal("StartSoundLevelMonitor", options(interval_ms=interval))
        assert error.code == 1006031 and error.name.endswith("InvalidArgument"), error
        assert "100 to 3000" in error.message
    mark = door.mark()
    door.wait(LEVELS[0], after=mark)
    assert not door.signals(VOICES[0]), "voice activity was not asked for"


def test_a_muted_microphone_has_level_0(device):
    """MuteMicrophone shows at once at both ends; the unmuted tone is back afterwards."""
    door, desk = device("door", camera="none"), device("desk", camera="none")
    call_of([door, desk])
    door.call("StartSoundLevelMonitor", options())
    desk.call("StartSoundLevelMonitor", options())
    door.wait(LEVELS[0], lambda s: s.args[0] > 50)
    desk.wait(LEVELS[1], lambda s: s.args[0]["door"] > 50)
    door.call("MuteMicrophone", True)
    time.sleep(1)
    marks = door.mark(), desk.mark()
    time.sleep(2)
    assert {s.args[0] for s in door.signals(LEVELS[0], marks[0])} == {0.0}
    assert max(s.args[0]["door"] for s in desk.signals(LEVELS[1], marks[1])) < 5
    mark = door.mark()
    door.call("MuteMicrophone", False)
    door.wait(LEVELS[0], lambda s: s.args[0] > 50, after=mark)


@pytest.mark.paired
def test_speech_is_a_voice_and_noise_is_none(stage, device, measured):
    """Voice activity of synthetic speech and of steady noise, at the microphone and at the far end of a call."""
    speech = stage.path("speech.wav")
    subprocess.run([program("clipgen"), "speech", "6", str(speech)], check=True)
    noise = write_wav(stage.path("noise.wav"), np.random.default_rng(7).normal(0, 0.05, RATE * 6))
    door = device("door", microphone=f"file:{speech}", camera="none")
    desk = device("desk", microphone=noise, camera="none")
    call_of([door, desk])
    door.play("desk")
    for one in (door, desk):
        one.call("StartSoundLevelMonitor", options(vad=True))
    time.sleep(2)
    marks = door.mark(), desk.mark()
    time.sleep(6)

    def share(values):
        return sum(values) / len(values)

    spoken = share([s.args[0] for s in door.signals(VOICES[0], marks[0])])
    heard = share([s.args[0]["door"] for s in desk.signals(VOICES[1], marks[1])])
    hissed = share([s.args[0] for s in desk.signals(VOICES[0], marks[1])])
    heard_noise = share([s.args[0]["desk"] for s in door.signals(VOICES[1], marks[0])])
    measured(f"voice: speech {spoken:.0%} here, {heard:.0%} there; noise {hissed:.0%} here, {heard_noise:.0%} there")
    assert spoken >= 0.8 and heard >= 0.8
    assert hissed <= 0.02 and heard_noise <= 0.05
