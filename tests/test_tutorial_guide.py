"""The tutorial as it is printed: every line of docs/guide/tutorial.md is run, once for each of its three ways."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rig import tokens
from rig.device import Device
from rig.places import PROGRAMS, ROOT

GUIDE = ROOT / "docs/guide/tutorial.md"


def blocks(way: str) -> list[tuple[str, str]]:
    """The code of one way through the guide: language and text of each block."""
    found = re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, ways, text in found if way in (language, *ways.split())]


@pytest.fixture
def call(hub, device: Callable[..., Device]) -> Device:
    """The reader's device; in the room is somebody who publishes."""
    mine, other = device("mine"), device("other")
    other.login("room1", user="user2")
    other.publish("stream2")
    return mine


def run(argv: list[str], mine: Device, folder: Path, **more: str) -> str:
    environment = {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "DBUS_SYSTEM_BUS_ADDRESS": mine.address,
        "APP_ID": str(tokens.APP_ID),
        "ZEGO_SECRET": tokens.SECRET,
    }
    done = subprocess.run(argv, capture_output=True, text=True, timeout=90, cwd=folder, env=environment | more)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{mine.program.output()[-1500:]}"
    return done.stdout


def what_happened(mine: Device) -> list[tuple[str, int, int]]:
    """The states that the reader's device went through."""
    wanted = ("RoomStateUpdate", "PublisherStateUpdate", "PlayerStateUpdate")
    return [(s.member, *s.args[1:3]) for s in mine.bus.signals if s.member in wanted]


CALL = [
    *[("RoomStateUpdate", state, 0) for state in (1, 2)],
    *[("PublisherStateUpdate", state, 0) for state in (1, 2)],
    *[("PlayerStateUpdate", state, 0) for state in (1, 2)],
    ("PlayerStateUpdate", 0, 0),
    ("PublisherStateUpdate", 0, 0),
    ("RoomStateUpdate", 0, 0),
]


@pytest.mark.parametrize("way", ("zegoctl", "busctl"))
def test_the_guide_works_in_a_shell(call, tmp_path, way: str):
    script = "\n".join(text for _, text in blocks(way))
    # A person types the next line later than the listener begins.
    begun = "until grep -q 'is owned by' signals.txt; do sleep 0.02; done\n" if way == "busctl" else ""
    script = script.replace("listener=$!\n", f"listener=$!\n{begun}")
    # And goes on, after having it played, when it plays.
    plays = """until grep -q "PlayerStateUpdate.*[\\"']playing" signals.txt; do sleep 0.02; done\n"""
    script, found = re.subn(r"^(?=.*mute.* (on|true)$)", lambda _: plays, script, count=1, flags=re.MULTILINE | re.IGNORECASE)
    assert found == 1
    assert len(blocks(way)) >= 9
    run(["bash", "-euo", "pipefail", "-c", script], call, tmp_path)
    assert what_happened(call) == CALL
    signals = (tmp_path / "signals.txt").read_text()
    for member in ("RoomStateUpdate", "RoomUserUpdate", "RoomStreamUpdate", "PublisherStateUpdate", "PlayerStateUpdate"):
        assert member in signals, f"the listener missed {member}"
    left = {kind: call.objects(kind) for kind in ("Room", "Publisher", "Player", "View")}
    assert not any(left.values()), left


def test_the_guide_works_in_python(call, tmp_path):
    shell = "\n".join(text for language, text in blocks("python") if language == "sh")
    token = run(["bash", "-euo", "pipefail", "-c", f'{shell}\nprintf %s "$ZEGO_TOKEN"'], call, tmp_path)
    lines = "\n".join(text for language, text in blocks("python") if language == "python")
    body = "\n".join(f"    {line}" for line in lines.splitlines())
    script = tmp_path / "tutorial.py"
    script.write_text(f"async def main():\n{body}\n    print(told)\n\n\nimport asyncio\n\nasyncio.run(main())\n")
    told = run([sys.executable, str(script)], call, tmp_path, ZEGO_TOKEN=token)
    assert what_happened(call) == CALL
    for what in ("('users', 'room1', 0, [('user2', 'user2')])", "('streams', 'room1', 0", "('player', 'stream2', 2, 0)"):
        assert what in told, told
    left = {kind: call.objects(kind) for kind in ("Room", "Publisher", "Player", "View")}
    assert not any(left.values()), left
