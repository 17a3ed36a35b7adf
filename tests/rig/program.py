"""One child process: started, listened to, ended by its own pid."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class ProgramError(AssertionError):
    """A program did not do what it was started for; the message ends with its log."""


class Program:
    """A running program. Its output goes to one log file; the kernel ends it should the test run itself die."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        namespace: str | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        pass_fds: Sequence[int] = (),
        cwd: Path | None = None,
    ):
        self.name = name
        self.log = log
        self.exit_wanted = 0
        """The exit status that ending it by SIGTERM should give."""
        self._accounted = False
        command = ["setpriv", "--pdeathsig", "KILL", "--"]
        if namespace:
            command += ["ip", "netns", "exec", namespace]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*command, *argv],
                stdin=stdin,
                stdout=out if stdout is None else stdout,
                stderr=out,
                env={**os.environ, **(environment or {})},
                pass_fds=pass_fds,
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        """The program's own pid: everything before it in the command line replaced itself."""
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text(errors="replace")

    def fail(self, what: str) -> ProgramError:
        """An error about this program, with the end of its log."""
        tail = "\n".join(self.output().splitlines()[-40:])
        return ProgramError(f"{self.name}: {what}\n--- end of {self.log} ---\n{tail}")

    def wait_until(self, ready: Callable[[], bool], what: str, timeout: float = 10.0) -> None:
        """Waits until `ready()`; fails when the program ends first or the time is up."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise self.fail(f"ended with {self.process.returncode} before {what}")
            if time.monotonic() > deadline:
                raise self.fail(f"no sign of {what} within {timeout:g} s")
            time.sleep(0.01)

    def wait_for_line(self, pattern: str, timeout: float = 10.0) -> re.Match[str]:
        """Waits for a line of output that `pattern` is found in."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.search(pattern, self.output(), re.MULTILINE)
            if match:
                found.append(match)
            return bool(match)

        self.wait_until(look, f"a line like {pattern!r}", timeout)
        return found[0]

    def wait(self, timeout: float = 10.0) -> int:
        """Waits for it to end by itself; its exit status."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.fail(f"still running after {timeout:g} s") from None
        self._accounted = True
        return status

    def end(self, timeout: float = 5.0) -> float:
        """Ends it by SIGTERM and checks how it ends; returns the seconds that took.

        Harmless when it was ended, waited for or killed already; one that ended by itself, unseen, is a failure.
        """
        if self.process.stdin:
            self.process.stdin.close()
        if not self.running:
            if not self._accounted and self.process.returncode != self.exit_wanted:
                self._accounted = True
                raise self.fail(f"ended by itself with status {self.process.returncode}")
            return 0.0
        self._accounted = True
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            threads = self.threads()
            self.process.kill()
            self.process.wait()
            raise self.fail(f"did not end within {timeout:g} s of SIGTERM; its threads: {threads}") from None
        if status not in (self.exit_wanted, -signal.SIGTERM):
            raise self.fail(f"ended with status {status} at SIGTERM")
        return time.monotonic() - begin

    def threads(self) -> str:
        """What each of its threads does: name, state and, where it sleeps, what it waits for in the kernel (proc(5))."""
        said = []
        # They may end while they are looked at.
        with contextlib.suppress(OSError):
            for task in sorted(Path(f"/proc/{self.pid}/task").iterdir(), key=lambda task: int(task.name)):
                name, state = (task / "stat").read_text().partition("(")[2].rpartition(") ")[::2]
                said.append(f"{name} {state[0]} {(task / 'wchan').read_text()}")
        return ", ".join(said)

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        self._accounted = True
        if self.running:
            self.process.kill()
            self.process.wait()
