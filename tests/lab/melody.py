"""The known melody: what it sounds like, and whether a device played it."""

import array
import io
import math
import wave

NOTES = [400, 500, 620, 780, 980, 1220, 1520, 1900]
RATE = 48000
NOTE_SAMPLES = RATE // 2
WINDOW = RATE // 20
# Anything below this is silence.
QUIET = 500


def make() -> bytes:
    """Half a second of each note: 48 kHz, mono, 16 bit. Whole periods, so it can be repeated without a click."""
    samples = array.array("h")
    for hertz in NOTES:
        samples.extend(int(9000 * math.sin(2 * math.pi * hertz * index / RATE)) for index in range(NOTE_SAMPLES))
    return samples.tobytes()


def share(window, hertz: int) -> float:
    """How much of a window's power is in one frequency, from 0 to 1 (Goertzel's algorithm)."""
    factor = 2 * math.cos(2 * math.pi * hertz / RATE)
    before = last = 0.0
    for sample in window:
        before, last = last, sample + factor * last - before
    found = last * last + before * before - factor * last * before
    whole = sum(sample * sample for sample in window) * len(window) / 2
    return found / whole if whole else 0.0


def windows(wav: bytes) -> list:
    """The first channel, 50 ms at a time."""
    with wave.open(io.BytesIO(wav)) as file:
        assert file.getframerate() == RATE and file.getsampwidth() == 2, "not 48 kHz with 16 bits"
        samples = array.array("h", file.readframes(file.getnframes()))[::file.getnchannels()]
    return [samples[start:start + WINDOW] for start in range(0, len(samples) - WINDOW, WINDOW)]


def loudness(window) -> float:
    return math.sqrt(sum(sample * sample for sample in window) / len(window))


def judge(wav: bytes, least: int) -> str:
    """What was heard, in words: at least `least` changes of note, all in the melody's order; an emulated sound card may lose a
    note or two now and then. Raises AssertionError otherwise."""
    heard = []
    for window in windows(wav):
        if loudness(window) < QUIET:
            continue
        note = next((note for note in NOTES if share(window, note) > 0.8), None)
        # A window with the end of one note and the beginning of the next has neither.
        if note and heard[-1:] != [note]:
            heard.append(note)
    steps = [(NOTES.index(after) - NOTES.index(before)) % len(NOTES) for before, after in zip(heard, heard[1:])]
    wrong, lost = sum(step > 3 for step in steps), sum(step - 1 for step in steps if step <= 3)
    seen = f"{len(steps)} changes of note heard, {wrong} against the melody's order, {lost} notes lost"
    if len(steps) < least or wrong:
        raise AssertionError(f"{seen}; expected at least {least}, all in order; heard {heard}")
    return seen


def judge_beeps(wav: bytes, hertz: int, least: int) -> str:
    """What was heard, in words: at least `least` beeps of a frequency in silence. Raises AssertionError otherwise."""
    beeps, loud, other = 0, False, 0
    for window in windows(wav):
        now = loudness(window) > QUIET
        beeps += now and not loud
        other += now and share(window, hertz) < 0.5
        loud = now
    seen = f"{beeps} beeps of {hertz} Hz heard, {other} moments of other sound"
    if beeps < least or other > 2 * beeps:
        raise AssertionError(f"{seen}; expected at least {least} and hardly any other sound")
    return seen
