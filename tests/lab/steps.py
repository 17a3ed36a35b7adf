"""Running tests one after the other, and telling how they went."""

import contextlib
import time
from pathlib import Path

from agent import Agent, CommandFailed


class Steps:
    """A report that grows: parts, steps, and what was seen in them."""

    def __init__(self, guest: Agent):
        self.guest = guest
        self.passed = self.failed = 0
        self._notes = []

    def part(self, title: str, steps) -> None:
        """Runs a group of steps. One that fails skips the rest of its group: they build on each other."""
        print(f"== {title}", flush=True)
        with contextlib.suppress(_Failed):
            steps()

    @contextlib.contextmanager
    def step(self, title: str):
        """One thing that must hold."""
        self._notes, begin = [], time.monotonic()
        try:
            yield
        except (AssertionError, CommandFailed, OSError, ValueError, KeyError, StopIteration) as error:
            self.failed += 1
            print(f"   FAILED  {title}", flush=True)
            self._print([*self._notes, str(error) or type(error).__name__])
            raise _Failed from error
        self.passed += 1
        print(f"   ok      {title} ({time.monotonic() - begin:.1f} s)", flush=True)
        self._print(self._notes)

    @staticmethod
    def _print(texts) -> None:
        for text in texts:
            for line in text.strip().splitlines():
                print(f"           {line}", flush=True)

    def note(self, text: str) -> None:
        """What was seen in this step."""
        self._notes.append(text)

    @staticmethod
    def expect(holds: bool, otherwise: str) -> None:
        """Fails the step unless something holds."""
        if not holds:
            raise AssertionError(otherwise)

    def explain(self) -> None:
        """What the services said, for whoever has to find out why."""
        print("== What the services said")
        said = self.guest.run("journalctl -u zegod -u zegohub -u lab-desk -o short-precise --no-pager | "
                              "grep -v pam_unix | tail -100; uptime")
        print(said.output + said.errors)

    def keep(self, folder: Path) -> None:
        """Fetches what the guest wrote."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("door.y4m", "desk.y4m", "heard.wav", "monitor.log"):
            with contextlib.suppress(OSError):
                (folder / name).write_bytes(self.guest.read(f"/tmp/{name}"))


class _Failed(Exception):
    """A step failed and was told about."""
