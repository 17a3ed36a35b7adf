"""The D-Bus reference against the daemon that it describes."""

import json
import re
import subprocess
import sys

import pytest
from dbus_fast import Variant

from rig.bus import REFUSALS, BusError
from rig.device import options, wait_until
from rig.places import ROOT, program
from rig.reference import documented_errors, undocumented
from rig.stage import Stage

sys.path.append(str(ROOT / "docs/generator"))

import dbus  # noqa: E402
from introspection import Interface, Member  # noqa: E402


@pytest.fixture(scope="module")
def served() -> dict[str, Interface]:
    stage = Stage()
    try:
        yield dbus.served(stage)
    finally:
        troubles = stage.clear()
    assert not troubles, "\n".join(troubles)


def members(served: dict[str, Interface]) -> list[tuple[Interface, Member]]:
    return [(interface, member) for interface in served.values() for member in interface.members]


def test_the_reference_is_what_the_daemon_serves(served):
    assert dbus.DOCUMENT.read_text() == dbus.document(served), "run `make docs`"


def test_every_member_is_explained_and_every_method_names_its_errors(served):
    names = set(re.findall(r'"org\.zegod1\.Error\.(\w+)"', (ROOT / "protocol/src/error.rs").read_text()))
    assert len(served) == len(dbus.OBJECTS)
    for interface, member in members(served):
        what = f"{interface.name}.{member.name}"
        assert dbus.prose(member), f"{what} has no doc comment"
        assert all(argument.name for argument in member.arguments), f"{what} has an argument without a name"
        if member.kind == "method" or member.writable:
            errors = dbus.errors(member)
            assert errors is not None, f"{what}: say `Errors: A, B.` or `Errors: none.` in its doc comment"
            assert set(errors) <= names, f"{what} names unknown errors: {set(errors) - names}"


def test_every_command_exists_with_its_options(served):
    there = {f"{interface.name.rpartition('.')[2]}.{member.name}" for interface, member in members(served)}
    assert set(dbus.COMMANDS) <= there, "a command of a member that is not there"
    without = {f"{interface.name.rpartition('.')[2]}.{member.name}" for interface, member in members(served)
               if member.kind == "method" or member.writable} - set(dbus.COMMANDS)
    assert without == dbus.PROGRAMS_ONLY, "zegoctl has a command for everything else"
    for line in {line for interface, member in members(served) for line in dbus.commands(interface, member)}:
        words = line.replace("--json ", "").split()
        shown = subprocess.run([program("zegoctl"), words[1], "--help"], capture_output=True, text=True)
        assert words[0] == "zegoctl" and shown.returncode == 0, f"{line}: {shown.stderr}"
        for option in re.findall(r"--[a-z-]+", line):
            assert option in shown.stdout, f"{line}: there is no {option}"


def test_every_busctl_line_reaches_its_member(served, device):
    """What a line asks for may be refused, but by zegod and not because the line is wrong."""
    door = device("door", hub=None)
    engine = served["org.zegod1.Engine"]
    for member in engine.members:
        if member.kind == "signal" or "h" in (a.type for a in member.takes):
            continue
        (line,) = dbus.busctl(engine, "/org/zegod1", member)
        words = line.replace("'", "").split()
        if member.kind == "method":
            words = [_example(member, word) for word in words]
        called = subprocess.run(
            [words[0], f"--address={door.address}", *words[1:]], capture_output=True, text=True, timeout=30
        )
        message = called.stderr
        refused_by_zegod = re.search(r"\[\d{7}\]$", message.strip()) is not None
        assert called.returncode == 0 or refused_by_zegod, f"{line}\n{message}"
    assert door.program.running


@pytest.fixture
def call(hub, device):
    """A device that has one object of each interface, and whose other side has, too."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
        d.publish(d.name)
    wait_until(lambda: desk.objects("Stream"), "the stream")
    desk.play("door", view=desk.call("CreatePlatformView", options(kind="null"))[0])
    return desk


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def test_every_line_of_a_property_shows_it_or_sets_it(served, call):
    """Each object's properties, in a call: with busctl, and with the command of zegoctl that the reference names."""
    values = {"b": "true", "i": "50", "s": "auto"}
    shown = {}
    for name, interface in served.items():
        kind = name.rpartition(".")[2]
        # A camera has no volume to be set.
        paths = [path for path, found in call.objects(kind).items() if found.get("Kind") != "camera"]
        path = "/org/zegod1" if kind == "Engine" else paths[0]
        for member in interface.of("property"):
            for line in dbus.busctl(interface, path, member):
                words = [values[member.type] if word == "VALUE" else word for word in line.split()]
                command = [words[0], f"--address={call.address}", *words[1:]]
                done = subprocess.run(command, capture_output=True, text=True, timeout=30)
                assert done.returncode == 0, f"{line}\n{done.stderr}"
            line = dbus.commands(interface, member)[0]
            if line not in shown:
                command = [program("zegoctl"), "--bus", call.address, *line.split()[1:]]
                shown[line] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            # A list of such objects is under their plural.
            found = shown[line] if kind == "Engine" else shown[line][f"{kind.lower()}s"][0]
            assert snake_case(member.name) in found, f"{line} does not show {member.name}: {found}"


def test_a_refusal_that_the_reference_does_not_name_is_found(device):
    """What every run of the tests ends with."""
    named = documented_errors()
    assert len(named) > 40 and named["org.zegod1.Engine.DestroyEngine"] == set()
    door = device("door", hub=None)
    door.refusal("StopPreview", 7)
    wish, wrong = ("org.zegod1.Engine.StopPreview", "InvalidArgument"), ("org.zegod1.Engine.StopPreview", "RoomFull")
    assert wish in REFUSALS and undocumented([wish]) == []
    assert undocumented([wish, wrong]) == ["org.zegod1.Engine.StopPreview: RoomFull"]
    device_path = next(path for path, found in door.objects("Device").items() if found["Kind"] == "camera")
    with pytest.raises(BusError):
        door.set(device_path, "Device", "Volume", Variant("i", 10))
    assert ("org.zegod1.Device.Volume", "Unsupported") in REFUSALS


def _example(member: Member, word: str) -> str:
    """A value in place of a word in capitals: what its type takes."""
    found = re.search(rf"`{word.lower()}` ([a-z]+)", member.text)
    types = {a.name.upper(): a.type for a in member.takes} | ({word: found[1]} if found and word.isupper() else {})
    return {"b": "true", "h": "2", "o": "/org/zegod1/device/1"}.get(kind, "0") if (kind := types.get(word)) else word
