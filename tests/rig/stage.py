"""The stage of one test: everything that the test started, ended in reverse order and checked."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig.program import Program


class Stage:
    """Owns the programs and files of one test.

    Its folder is short (`/tmp/zego-…`), because the path of a Unix socket may not be longer than 107 bytes.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zego-", dir="/tmp"))
        self.programs: list[Program] = []
        self._endings: list[tuple[str, Callable[[], Any]]] = []
        self._names: dict[str, int] = {}

    def path(self, name: str) -> Path:
        """A path in the stage's folder for a file `name`; another one each time."""
        stem, dot, suffix = name.partition(".")
        count = self._names[name] = self._names.get(name, 0) + 1
        return self.folder / (name if count == 1 else f"{stem}-{count}{dot}{suffix}")

    def start(self, name: str, argv: list[str], **options: Any) -> Program:
        """Starts a program that ends with the stage; options are those of `Program`. A second `door` is `door-2`."""
        count = self._names[name] = self._names.get(name, 0) + 1
        name = name if count == 1 else f"{name}-{count}"
        program = Program(name, argv, self.folder / f"{name}.log", **options)
        self.programs.append(program)
        self.at_end(name, program.end)
        return program

    def at_end(self, what: str, ending: Callable[[], Any]) -> None:
        """Calls `ending` when the stage is cleared; what came last goes first."""
        self._endings.append((what, ending))

    def clear(self) -> list[str]:
        """Ends everything and removes every file; returns what went wrong at it."""
        troubles = []
        while self._endings:
            what, ending = self._endings.pop()
            try:
                ending()
            except Exception as error:  # one bad ending must not keep the others from happening
                troubles.append(f"{what}: {error}")
        shutil.rmtree(self.folder, ignore_errors=True)
        return troubles

    def logs(self, lines: int = 60) -> list[tuple[str, str]]:
        """The end of every program's log."""
        return [(p.name, "\n".join(p.output().splitlines()[-lines:])) for p in self.programs if p.log.exists()]
