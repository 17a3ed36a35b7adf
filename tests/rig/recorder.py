"""Records every frame that a view shows: with the `probe` tool, which is woken as soon as a frame is there."""

import os
from dataclasses import dataclass
from pathlib import Path

from rig.places import program
from rig.program import Program
from rig.stage import Stage
from rig.texture import Texture


@dataclass(frozen=True)
class Shown:
    """One frame that was shown."""

    at: float
    """CLOCK_MONOTONIC seconds."""
    number: int
    """Number in the view; counts from 1."""
    counter: int | None
    """The bar's frame counter, unwrapped by nobody; None when the bar was not intact."""
    latency_ms: int
    """From the making of the frame to `at`."""
    captured_ns: int
    """The view's own capture time, 0 = unknown."""
    flash: bool
    difference: float | None
    """With a clip to compare with: the worst block's mean luma difference from the clip's frame."""


class Recorder:
    """A running `probe`."""

    def __init__(self, probe: Program, log: Path):
        self.program = probe
        self.log = log

    def frames(self) -> list[Shown]:
        """What was shown so far, in order."""
        shown = []
        for line in self.log.read_text().splitlines():
            words = line.split()
            if len(words) != 7:
                continue  # the line that is being written
            at, number, counter, latency, captured, flash, difference = words
            shown.append(
                Shown(
                    int(at) / 1e9,
                    int(number),
                    None if counter == "-" else int(counter),
                    -1 if latency == "-" else int(latency),
                    int(captured),
                    flash == "1",
                    None if difference == "-" else float(difference),
                )
            )
        return shown

    def wait_for_frames(self, count: int, timeout: float = 10.0) -> list[Shown]:
        """Waits until `count` frames with an intact bar were shown."""
        self.program.wait_until(
            lambda: sum(f.counter is not None for f in self.frames()) >= count, f"{count} frames", timeout
        )
        return self.frames()

    def stop(self) -> list[Shown]:
        """Ends the recording; everything that was shown."""
        self.program.end()
        return self.frames()


def record_texture(stage: Stage, texture: Texture, *, clip: Path | None = None) -> Recorder:
    """Records the frames of an opened texture view. `clip` is the Y4M that the camera plays, to compare with."""
    log = stage.path("shown.txt")
    memory, wakeup = os.dup(texture.memory), os.dup(texture.wakeup)
    try:
        argv = [program("probe"), "texture", str(memory), str(wakeup), f"--log={log}"]
        argv += [f"--clip={clip}"] if clip else []
        log.touch()
        probe = stage.start("probe", argv, pass_fds=(memory, wakeup))
    finally:
        os.close(memory)
        os.close(wakeup)
    probe.wait_for_line("^ready$")
    return Recorder(probe, log)


def record_pipe(stage: Stage, read_end: int, *, clip: Path | None = None) -> Recorder:
    """Records the frames of a Y4M pipe, whose read end it takes over."""
    log = stage.path("shown.txt")
    argv = [program("probe"), "y4m", f"--log={log}", *([f"--clip={clip}"] if clip else [])]
    log.touch()
    probe = stage.start("probe", argv, stdin=read_end)
    os.close(read_end)
    probe.wait_for_line("^ready$")
    return Recorder(probe, log)


def unwrap(counters: list[int]) -> list[int]:
    """Frame counters without the jump from 65535 to 0."""
    result, offset, previous = [], 0, None
    for counter in counters:
        if previous is not None and counter - previous < -32768:
            offset += 65536
        elif previous is not None and counter - previous > 32768:
            offset -= 65536
        previous = counter
        result.append(counter + offset)
    return result


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0–1) of `values` lie; of none, NaN."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
