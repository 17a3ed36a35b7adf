"""The intercom example: a C program that needs nothing but D-Bus."""

import re
import subprocess

import pytest

from rig.device import wait_until
from rig.places import ROOT


@pytest.fixture(scope="module")
def intercom(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The example, compiled as its first lines say."""
    program = tmp_path_factory.mktemp("examples") / "intercom"
    source = ROOT / "docs/guide/examples/intercom.c"
    libraries = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libsystemd"], check=True, capture_output=True, text=True
    ).stdout.split()
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", "-O2", *warnings, "-o", str(program), str(source), *libraries], check=True)
    return str(program)


def pictures(program) -> list[tuple[int, int]]:
    """How many pictures came, and how bright the newest one was, once a second."""
    return [(int(n), int(b)) for n, b in re.findall(r"^(\d+) pictures, brightness (\d+)$", program.output(), re.M)]


def test_an_intercom_in_c_publishes_and_reads_pictures(stage, hub, device, intercom):
    door, desk = device("door"), device("desk", fps=30)
    desk.login("lobby")
    desk.publish("desk")
    program = stage.start(
        "intercom",
        [intercom, "lobby", "door", hub.token("door", "lobby"), "door", "desk"],
        environment={"DBUS_SYSTEM_BUS_ADDRESS": door.address},
    )
    program.wait_for_line("PlayerStateUpdate desk: state 2, code 0")
    program.wait_until(lambda: len(pictures(program)) > 4, "four seconds of pictures", 15)
    (first, _), *_, (last, brightness) = pictures(program)[1:]
    assert last - first >= 20 * (len(pictures(program)) - 2), pictures(program)
    assert 20 < brightness < 235, "a test picture is neither black nor white"
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0 and s.args[2][0][0] == "door")

    program.end()
    wait_until(lambda: not any(door.objects(kind) for kind in ("Room", "Publisher", "Player")), "the end of the call")


def test_a_killed_intercom_leaves_nothing_running(stage, hub, device, intercom):
    door = device("door")
    program = stage.start(
        "intercom",
        [intercom, "lobby", "door", hub.token("door", "lobby"), "door", "nobody"],
        environment={"DBUS_SYSTEM_BUS_ADDRESS": door.address},
    )
    program.wait_for_line("PublisherStateUpdate door: state 2, code 0")
    program.kill()
    left = ("Room", "Publisher", "Player", "View")
    wait_until(lambda: not any(door.objects(kind) for kind in left), "everything of the program's to end")


def test_a_refusal_says_what_to_do(device, hub, intercom):
    door = device("door")
    done = subprocess.run(
        [intercom, "lobby", "door", "not a token", "door", "desk"],
        capture_output=True,
        text=True,
        timeout=20,
        env={"DBUS_SYSTEM_BUS_ADDRESS": door.address},
    )
    assert done.returncode == 1
    assert re.fullmatch(r"intercom: LoginRoom: .+ \[1002\d{3}\]\n", done.stderr), done.stderr
