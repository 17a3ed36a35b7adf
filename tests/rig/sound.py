"""The beep of the `tone` microphone, found again in a WAV file that a speaker is writing."""

import threading
import time
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 48_000
WINDOW = 240
"""Samples of one look, 5 ms: five periods of the 1 kHz beep."""


@dataclass(frozen=True)
class Beep:
    """One beep."""

    begin: float
    """Seconds from the file's first sample."""
    length: float
    """Seconds."""
    peak: float
    """Peak level in dBFS."""
    frequency: float
    """Hz."""


def read_wav(path: Path) -> np.ndarray:
    """The samples of a 16-bit mono or stereo WAV file, mono, -1 to 1. A file still being written will do."""
    return read_sides(path).mean(axis=1)


def read_sides(path: Path) -> np.ndarray:
    """As `read_wav`, one column for each channel of the file. One without its header yet has no samples."""
    data = path.read_bytes()
    if not data:
        return np.empty((0, 1), np.float32)
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"{path}: not a WAV file")
    at, channels, rate = 12, 1, RATE
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            channels, rate = int.from_bytes(body[2:4], "little"), int.from_bytes(body[4:8], "little")
        if name == b"data":
            # The size in the header may lag behind the file.
            body = data[at + 8 :] if at + 8 + size >= len(data) - 8192 else body
            break
        at += 8 + size + size % 2
    else:
        raise ValueError(f"{path}: no samples in it")
    if rate != RATE:
        raise ValueError(f"{path}: {rate} Hz, not {RATE}")
    samples = np.frombuffer(body[: len(body) // (2 * channels) * 2 * channels], "<i2")
    return samples.reshape(-1, channels).astype(np.float32) / 32768


def find_beeps(samples: np.ndarray, frequency: float = 1000.0, level_dbfs: float = -26.0) -> list[Beep]:
    """Every stretch of `samples` in which a tone of about `frequency` is louder than `level_dbfs` (peak)."""
    # One bin of a Fourier transform per window; 5 ms hold a whole number of periods, so none leaks.
    amplitude = 10 ** (loudness(samples, frequency) / 20)
    loud = np.flatnonzero(amplitude > 10 ** (level_dbfs / 20))
    beeps = []
    for run in np.split(loud, np.flatnonzero(np.diff(loud) > 2) + 1):
        if len(run) == 0:
            continue
        first, last = run[0] * WINDOW, (run[-1] + 1) * WINDOW
        piece = samples[first:last]
        # The onset is finer than the window: the first sample at a quarter of the beep's level.
        around = max(first - WINDOW, 0)
        near = np.abs(samples[around : first + WINDOW])
        onset = around + int(np.argmax(near > amplitude[run].max() / 4))
        crossings = np.count_nonzero(np.diff(np.signbit(piece)))
        peak = 20 * np.log10(max(float(np.abs(piece).max()), 1e-6))
        beeps.append(Beep(onset / RATE, (last - onset) / RATE, peak, crossings * RATE / 2 / len(piece)))
    return beeps


def write_tone(path: Path, frequency: float, peak_dbfs: float = -12.0, seconds: float = 1.0) -> Path:
    """Writes a WAV file with a tone that goes on when the file is looped: whole periods only."""
    return write_tones(path, [frequency], peak_dbfs, seconds)


def write_tones(path: Path, frequencies: list[float], peak_dbfs: float = -12.0, seconds: float = 1.0) -> Path:
    """As `write_tone`, with a channel for each of the tones."""
    time_of = np.arange(int(RATE * seconds)) / RATE
    tones = np.sin(2 * np.pi * np.outer(time_of, frequencies))
    samples = (tones * 32767 * 10 ** (peak_dbfs / 20)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(frequencies))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def loudness(samples: np.ndarray, frequency: float) -> np.ndarray:
    """How loud a tone is, in dBFS (peak), for each 5 ms of `samples`."""
    count = len(samples) // WINDOW
    windows = samples[: count * WINDOW].reshape(count, WINDOW)
    turning = np.exp(-2j * np.pi * frequency * np.arange(WINDOW) / RATE)
    return 20 * np.log10(np.maximum(np.abs(windows @ turning) * 2 / WINDOW, 1e-6))


def tone_level(samples: np.ndarray, frequency: float) -> float:
    """How loud a tone is in `samples` of one channel, in dBFS (peak): the median of windows of 250 ms.

    Their shape keeps what else is there at least 70 dB down, so tones that are 40 Hz apart do not show in each other.
    """
    window = np.blackman(RATE // 4)
    count = len(samples) // len(window)
    turning = np.exp(-2j * np.pi * frequency * np.arange(len(window)) / RATE) * window
    found = np.abs(samples[: count * len(window)].reshape(count, -1) @ turning) * 2 / window.sum()
    return float(20 * np.log10(max(np.median(found), 1e-6)))


def separation(sides: np.ndarray, left: float, right: float) -> tuple[float, float]:
    """How much louder, in dB, each side's own tone is there than the other side's tone."""
    own = tone_level(sides[:, 0], left), tone_level(sides[:, 1], right)
    other = tone_level(sides[:, 0], right), tone_level(sides[:, 1], left)
    return own[0] - other[0], own[1] - other[1]


def longest_silence(samples: np.ndarray, frequencies: list[float], level_dbfs: float = -26.0) -> float:
    """Seconds of the longest stretch in which none of these tones is louder than `level_dbfs`."""
    heard = np.max([loudness(samples, frequency) for frequency in frequencies], axis=0) > level_dbfs
    edges = np.flatnonzero(np.concatenate(([True], heard, [True])))
    return float((np.diff(edges).max() - 1) * WINDOW / RATE)


def heard_again(path: Path, frequency: float, since: float) -> float | None:
    """When (CLOCK_MONOTONIC, s) the tone began that is heard now, in a WAV file that a speaker is writing.

    `since` when it was never away since then. None while it is not heard for half a second, or for a second since then.
    """
    now = time.monotonic()
    if now - since < 1.0:
        return None
    heard = loudness(read_end(path, now - since), frequency) > -26.0
    silent = np.flatnonzero(~heard)
    runs = [run for run in np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1) if len(run)]
    # A lost packet is no pause: what is away for less than 100 ms in between is nearly concealed.
    pauses = [run for run in runs if run[0] == 0 or len(run) * WINDOW >= RATE / 10]
    if not pauses:
        return since if len(heard) * WINDOW >= RATE / 2 else None
    left = len(heard) - 1 - pauses[-1][-1]
    return now - left * WINDOW / RATE if left * WINDOW >= RATE / 2 else None


def read_end(path: Path, seconds: float) -> np.ndarray:
    """The last `seconds` of a 16-bit stereo WAV file that is being written, mono; less when it is shorter."""
    with path.open("rb") as file:
        samples = (path.stat().st_size - 44) // 4
        wanted = min(samples, int(seconds * RATE))
        file.seek(44 + (samples - wanted) * 4)
        data = np.frombuffer(file.read(wanted * 4), "<i2")
    return data.reshape(-1, 2).astype(np.float32).mean(axis=1) / 32768


class WavWatch:
    """Notes when a WAV file grows, so that a sample's place in it tells when it was played."""

    def __init__(self, path: Path):
        self.path = path
        self._grown: list[tuple[float, float, int]] = []
        """Of each growth: the last look before it, the first look after it (s, CLOCK_MONOTONIC), the size then (bytes)."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="wav-watch", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        size = 0
        before = time.monotonic()
        while not self._stop.wait(0.002):
            try:
                now_size = self.path.stat().st_size
            except FileNotFoundError:
                continue
            now = time.monotonic()
            if now_size != size:
                size = now_size
                self._grown.append((before, now, size))
            before = now

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def first_growth(self) -> float:
        """When the file was first seen to grow (CLOCK_MONOTONIC, s)."""
        return self._grown[0][1]

    def last_growth(self) -> float:
        """When the file was last seen to grow (CLOCK_MONOTONIC, s)."""
        return self._grown[-1][1]

    def beeps(self, frequency: float = 1000.0) -> list[tuple[float, Beep]]:
        """Every beep with the time (CLOCK_MONOTONIC, s) at which its first sample was written."""
        if not self._grown:
            return []
        befores, afters, sizes = (np.array(column) for column in zip(*self._grown, strict=True))
        found = []
        sides = read_sides(self.path)
        channels = sides.shape[1]
        for beep in find_beeps(sides.mean(axis=1), frequency):
            end_of_sample = 44 + (int(beep.begin * RATE) + 1) * 2 * channels
            index = int(np.searchsorted(sizes, end_of_sample))
            # The first growth that was seen may hold more than one period: it tells no time.
            if 0 < index < len(sizes):
                # The machine may keep the watch from looking for a while: the file grew evenly meanwhile.
                share = (end_of_sample - sizes[index - 1]) / (sizes[index] - sizes[index - 1])
                found.append((float(befores[index] + share * (afters[index] - befores[index])), beep))
        return found
