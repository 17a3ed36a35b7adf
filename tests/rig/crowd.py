"""Many participants at once: the tool `load`, started and asked."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from rig import tokens
from rig.hub import Hub
from rig.places import program
from rig.program import Program
from rig.stage import Stage


@dataclass
class Crowd:
    """A running `load`. Its participants stay until it is asked to end."""

    tool: Program
    seconds: float

    def wait_measuring(self, timeout: float = 90.0) -> None:
        """Waits until everything flows and the time that counts begins."""
        self.tool.wait_for_line("^measuring$", timeout)

    def report(self) -> dict[str, Any]:
        """What was measured, when it is over: see `Report` in `tests/load/src/report.rs`."""
        self.wait_measuring()
        return json.loads(self.tool.wait_for_line(r"^\{.*\}$", self.seconds + 15).group())

    def leave(self) -> None:
        """Everybody leaves."""
        self.tool.process.stdin.close()
        assert self.tool.wait() == 0


def start_crowd(stage: Stage, hub: Hub, *words: str, seconds: float = 5.0, namespace: str | None = None) -> Crowd:
    """Starts `load` with these options (`--publishers=1`, `--members=4`, `--simulcast` …; see its `--help`)."""
    argv = [program("load"), hub.url, f"--app={tokens.APP_ID}", f"--secret={tokens.SECRET}", f"--seconds={seconds:g}", *words]
    return Crowd(stage.start("load", argv, stdin=subprocess.PIPE, namespace=namespace), seconds)
