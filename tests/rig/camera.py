"""A camera that plays a known clip: the `feeder` tool at the other end of a FIFO."""

import os
from dataclasses import dataclass
from pathlib import Path

from rig.places import program
from rig.program import Program
from rig.stage import Stage


@dataclass
class ClipCamera:
    """A FIFO, and the feeder that plays into it."""

    source: str
    """The camera's name in a configuration."""
    clip: Path
    feeder: Program
    log: Path

    def made(self) -> list[tuple[int, float]]:
        """Number and time (CLOCK_MONOTONIC, s) of every frame that was handed over to the device."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(int(words[0]), int(words[1]) / 1e9) for words in lines if len(words) == 2]


def clip_camera(stage: Stage, clip: Path) -> ClipCamera:
    """A camera that begins to play when a device opens it."""
    fifo, log = stage.path("camera.y4m"), stage.path("camera.txt")
    os.mkfifo(fifo)
    log.touch()
    feeder = stage.start("feeder", [program("feeder"), str(clip), str(fifo), f"--log={log}"])
    return ClipCamera(f"file:{fifo}", clip, feeder, log)
