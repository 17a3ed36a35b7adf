"""The test's side of `peer.py`: starts one and reads what it saw."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig.hub import Hub
from rig.program import Program
from rig.stage import Stage

PEER = Path(__file__).with_name("peer.py")


@dataclass(frozen=True)
class Seen:
    """One frame that an SDK received."""

    at: float
    """CLOCK_MONOTONIC seconds."""
    counter: int | None
    """The bar's frame counter; None when the bar was not intact."""
    width: int
    height: int


class SdkFellSilent(AssertionError):
    """The SDK goes on decoding a stream, by its own statistics, and no longer hands the frames out.

    Seen now and then with livekit 1.2.1 on a busy machine, with LiveKit's server as with ours, at a participant that
    publishes while it begins to receive. It says nothing about what is tested here.
    """


class SdkPeer:
    """A running participant."""

    def __init__(self, program: Program, folder: Path, user: str):
        self.program, self.folder, self.user = program, folder, user

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it told so far under this name."""
        told = [json.loads(line) for line in self.program.output().splitlines() if line.startswith("{")]
        return [event for event in told if event["event"] == name]

    def wait(self, name: str, timeout: float = 15.0, **words: Any) -> dict[str, Any]:
        """Waits until it tells an event with these words."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [e for e in self.events(name) if words.items() <= e.items()]
            return bool(found)

        self.program.wait_until(look, f"{name} {words}", timeout)
        return found[0]

    def tell(self, command: str) -> None:
        """Gives it a command (see `peer.py`)."""
        stdin = self.program.process.stdin
        stdin.write(f"{command}\n".encode())
        stdin.flush()

    def frames(self, stream: str) -> list[Seen]:
        """The frames of a stream that it received so far."""
        file = self.folder / f"{stream}.frames"
        seen = []
        for line in file.read_text().splitlines() if file.exists() else []:
            words = line.split()
            if len(words) == 4:
                at, counter, width, height = words
                seen.append(Seen(float(at), None if counter == "-" else int(counter), int(width), int(height)))
        return seen

    def watch(self, stream: str, seconds: float) -> list[Seen]:
        """The frames of a stream that it receives from now on, for some seconds."""
        begin = time.monotonic()
        time.sleep(seconds)
        if not self.program.running:
            raise self.program.fail("ended while it was watched")
        return [frame for frame in self.frames(stream) if begin <= frame.at < begin + seconds]

    def decoded(self, stream: str) -> int:
        """How many frames of a stream it decoded so far, by its own statistics."""
        told = len(self.events("decoded"))
        self.tell(f"decoded {stream}")
        self.program.wait_until(lambda: len(self.events("decoded")) > told, "its statistics")
        return self.events("decoded")[-1]["frames"]

    def packets(self) -> int:
        """How many packets of sound it sent so far, by its own statistics."""
        told = len(self.events("packets"))
        self.tell("packets")
        self.program.wait_until(lambda: len(self.events("packets")) > told, "its statistics")
        return self.events("packets")[-1]["count"]

    def wait_frames(self, stream: str, count: int = 45, timeout: float = 12.0) -> None:
        """Waits until it received some frames of a stream."""
        self.wait("track", stream=stream, kind="video")
        deadline = time.monotonic() + timeout
        while len(self.frames(stream)) < count:
            if time.monotonic() > deadline:
                got, decoded = len(self.frames(stream)), self.decoded(stream)
                what = f"{got} frames of {stream} within {timeout:g} s; its statistics say {decoded}"
                raise SdkFellSilent(what) if decoded > got + count else self.program.fail(what)
            time.sleep(0.1)

    def wav(self, stream: str) -> Path:
        """What it heard of a stream."""
        return self.folder / f"{stream}.wav"


def start_peer(
    stage: Stage,
    hub: Hub,
    user: str,
    room: str,
    *,
    namespace: str | None,
    publish: str = "",
    codec: str = "vp8",
    stereo: bool = False,
    silent: bool = False,
    two_connections: bool = False,
    simulcast: bool = False,
    key: str = "",
    token: str | None = None,
    wait: bool = True,
    sees: str = "",
) -> SdkPeer:
    """Starts a participant and waits until it is in the room, publishes (if it is to), and receives the stream `sees`.

    A participant whose SDK falls silent meanwhile is started again.
    """
    for last_try in (False, False, True):
        folder = stage.path(f"sdk-{user}")
        folder.mkdir()
        argv = [sys.executable, str(PEER), "--url", hub.url, "--token", token or hub.token(user, room)]
        argv += ["--folder", str(folder), "--publish", publish, "--codec", codec]
        argv += ["--stereo"] if stereo else []
        argv += ["--silent"] if silent else []
        argv += ["--two-connections"] if two_connections else []
        argv += ["--simulcast"] if simulcast else []
        argv += ["--key", key] if key else []
        program = stage.start(f"sdk-{user}", argv, namespace=namespace, stdin=subprocess.PIPE)
        stage.at_end(f"input of {program.name}", program.process.stdin.close)
        peer = SdkPeer(program, folder, user)
        if not wait:
            break
        peer.wait("connected")
        if publish:
            peer.wait("published")
        if not sees:
            break
        try:
            peer.wait_frames(sees)
            break
        except SdkFellSilent as silence:
            if last_try:
                raise
            print(f"{user}: {silence}; once more")
            program.end()
    return peer
