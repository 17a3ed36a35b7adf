"""Commands in the guest, through its agent (guest/agent.py)."""

import base64
import io
import json
import socket
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Outcome:
    """What a command left."""

    status: int
    output: str
    errors: str


class CommandFailed(Exception):
    """A command ended with another status than 0."""

    def __init__(self, command: str, outcome: Outcome):
        # Not all of it: it may hold a token.
        what = command if len(command) < 100 else command[:100] + " …"
        super().__init__(f"`{what}` ended with status {outcome.status}\n{outcome.output}{outcome.errors}".rstrip())
        self.outcome = outcome


class Agent:
    """Runs commands in one guest. Every command has a connection of its own, so several may run at a time."""

    def __init__(self, port: int):
        self._port = port

    def _ask(self, command: str, user: str, stdin: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        request = {"command": command, "user": user, "stdin": base64.b64encode(stdin).decode(), "timeout": timeout}
        with socket.create_connection(("127.0.0.1", self._port), timeout=timeout + 30) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = connection.makefile("rb").readline()
        if not line:
            raise OSError("the guest's agent hung up")
        answer = json.loads(line)
        return answer["status"], base64.b64decode(answer["output"]), base64.b64decode(answer["errors"])

    def run(self, command: str, user: str = "root", stdin: bytes = b"", timeout: float = 120) -> Outcome:
        """Runs a shell command as a user. After `timeout` seconds it is ended with status 124."""
        status, output, errors = self._ask(command, user, stdin, timeout)
        return Outcome(status, output.decode(errors="replace"), errors.decode(errors="replace"))

    def check(self, command: str, user: str = "root", stdin: bytes = b"", timeout: float = 120) -> str:
        """As `run`, for a command that must succeed; returns what it printed."""
        outcome = self.run(command, user, stdin, timeout)
        if outcome.status != 0:
            raise CommandFailed(command, outcome)
        return outcome.output

    def wait(self, patience: float) -> None:
        """Waits until the agent answers."""
        end = time.monotonic() + patience
        while True:
            try:
                self.check("true", timeout=5)
                return
            except (OSError, ValueError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def push(self, files: list[Path], folder: str) -> None:
        """Copies files into a folder of the guest."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for file in files:
                archive.add(file, file.name)
        self.check(f"mkdir -p {folder} && tar -C {folder} --no-same-owner -xf -", stdin=packed.getvalue())

    def write(self, path: str, content: str | bytes) -> None:
        """Makes a file of the guest."""
        content = content.encode() if isinstance(content, str) else content
        self.check(f"mkdir -p $(dirname {path}) && cat > {path}", stdin=content)

    def read(self, path: str) -> bytes:
        """A file of the guest."""
        status, output, errors = self._ask(f"cat {path}", "root", b"", 120)
        if status != 0:
            raise OSError(errors.decode(errors="replace").strip())
        return output
