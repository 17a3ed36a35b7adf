"""A recording as other programs read it: with ffprobe and ffmpeg."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rig.bar import Bar, flash_is_on, read_bar
from rig.sound import RATE, Beep, find_beeps


@dataclass(frozen=True)
class Shown:
    """A picture of the movie."""

    at: float
    """Seconds from the movie's beginning."""
    bar: Bar | None
    flash: bool


class Movie:
    """A file that ffmpeg decodes; anything that it complains about is an error."""

    def __init__(self, path: Path, *, complete: bool = True):
        self.path = path
        self.complete = complete
        probe = self._run("ffprobe", "-of", "json", "-show_streams", "-show_format", "-count_packets", str(path))
        self.about = json.loads(probe)

    def _run(self, program: str, *words: str) -> bytes:
        done = subprocess.run([program, "-v", "error", *words], capture_output=True, timeout=60)
        complaints = done.stderr.decode(errors="replace").strip()
        if self.complete:
            assert done.returncode == 0 and not complaints, f"{program}: {done.returncode}\n{complaints}"
        return done.stdout

    def stream(self, kind: str) -> dict | None:
        """What ffprobe says about the `video` or `audio` track."""
        found = [s for s in self.about["streams"] if s["codec_type"] == kind]
        assert len(found) <= 1
        return found[0] if found else None

    def times(self, kind: str) -> list[float]:
        """When each packet of the track begins, in seconds."""
        out = self._run("ffprobe", "-of", "json", "-show_packets", "-select_streams", kind[0], str(self.path))
        return [float(packet["pts_time"]) for packet in json.loads(out)["packets"]]

    def pictures(self) -> list[Shown]:
        """Every picture, decoded."""
        video = self.stream("video")
        width, height = video["width"], video["height"]
        raw = self._run(
            "ffmpeg", "-i", str(self.path), "-map", "0:v", "-fps_mode", "passthrough", "-vf", f"scale={width}:{height}",
            "-enc_time_base", "1:90000", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-",
        )  # fmt: skip
        frames = np.frombuffer(raw, np.uint8).reshape(-1, height * 3 // 2, width)[:, :height]
        times = self.times("video")
        assert len(times) == len(frames), f"{len(times)} packets, {len(frames)} pictures"
        return [Shown(at, read_bar(f), flash_is_on(f)) for at, f in zip(times, frames, strict=True)]

    def sound(self, channels: int = 1) -> np.ndarray:
        """The sound, with silence where there is a gap, from the movie's beginning."""
        raw = self._run(
            "ffmpeg", "-i", str(self.path), "-map", "0:a", "-af", "aresample=async=1:first_pts=0", "-ac", str(channels),
            "-ar", str(RATE), "-f", "f32le", "-",
        )  # fmt: skip
        return np.frombuffer(raw, "<f4")

    def sides(self) -> np.ndarray:
        """The sound in stereo, a column for each side."""
        return self.sound(2).reshape(-1, 2)

    def beeps(self, frequency: float = 1000.0) -> list[Beep]:
        """The beeps in its sound."""
        return find_beeps(self.sound(), frequency)

    def flashes(self) -> list[float]:
        """When each flash began."""
        pictures = self.pictures()
        return [p.at for p, before in zip(pictures[1:], pictures, strict=False) if p.flash and not before.flash]

    def apart_ms(self) -> list[float]:
        """How much later than its flash each beep begins."""
        flashes = self.flashes()
        assert flashes, "no flash in it"
        found = []
        for beep in self.beeps():
            nearest = min((beep.begin - flash for flash in flashes), key=abs)
            # The movie may begin or end between the two.
            if abs(nearest) < 0.5:
                found.append(nearest * 1000)
        return found
