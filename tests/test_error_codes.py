"""Every error code that the sources can give out is produced by some test, from bad input or a real fault."""

import ast
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from dbus_fast import Variant
from livekit.protocol import rtc as wire

from rig.bus import BusError
from rig.device import ENGINE, ROOT, SERVICE, Device, options
from rig.faulty_server import start_faulty_server
from rig.places import ROOT as CHECKOUT

SOURCES = ["daemon/src", "hub/src", "protocol/src/id.rs", "protocol/src/token.rs", "protocol/src/token"]
"""Where codes are given out. The table of errors itself and the words for codes only describe them."""

ELSEWHERE = {
    1000014: "tests/test_refusals.py",
    1002050: "tests/test_refusals.py",
    1002076: "tests/test_refusals.py",
    1002077: "tests/test_refusals.py",
    1002078: "tests/test_refusals.py",
    1002079: "tests/test_refusals.py",
    1003023: "tests/test_refusals.py",
    1003028: "tests/test_refusals.py",
    1003072: "tests/test_refusals.py",
    1006002: "tests/test_refusals.py",
    1002073: "tests/test_hub_limits.py",
    1003025: "tests/test_hub_limits.py",
    1002051: "tests/test_comeback.py",
    1002053: "tests/test_comeback.py",
    1003020: "tests/test_comeback.py",
    1003021: "tests/test_comeback.py",
    1004020: "tests/test_comeback.py",
    1009015: "tests/test_comeback.py",
    1000066: "tests/test_scenarios.py",
    1002014: "tests/test_rooms.py",
    1002015: "tests/test_rooms.py",
    1002016: "tests/test_rooms.py",
    1002017: "tests/test_rooms.py",
    1002034: "tests/test_rooms.py",
    1002055: "tests/test_kick.py",
    1002056: "tests/test_tokens.py",
    1002057: "tests/test_room_service.py",
    1002071: "tests/test_messages.py",
    1002072: "tests/test_messages.py",
    1002082: "tests/test_tokens.py",
    1002086: "tests/test_kick.py",
    1003030: "tests/test_snapshot.py",
    1003053: "tests/test_rooms.py",
    1004030: "tests/test_snapshot.py",
    1006031: "tests/test_levels.py",
    1010014: "tests/test_recording.py",
    1010017: "tests/test_recording.py",
    1002080: "tests/test_tokens.py",
    1003099: "tests/test_whip_device.py",
    1004001: "tests/test_whip_device.py",
    1004002: "tests/test_whip.py",
    1004025: "tests/test_whip_device.py",
    1004099: "tests/test_whip_device.py",
    1006004: "tests/test_device_states.py",
    1006005: "tests/lab/run",
    1006006: "tests/test_devices.py",
}
"""Codes that another test produces: where. That program must have the code in it, not only in its words."""

NOT_PRODUCED = {
    1000099: "a bug by definition: a test that could produce it would be a reason to repair it",
    1002074: "the system has no random numbers: cannot be brought about",
}
"""Codes that no test produces: why."""

SIGNATURES = {"SetAudioConfig": "a{sv}i", "SetStreamExtraInfo": "ss"}
"""Methods that only this test calls."""


def call(device: Device, method: str, *body: object) -> Callable[[], list]:
    """A call to be tried."""
    if method in SIGNATURES:
        return lambda: device.bus.call(SERVICE, ROOT, ENGINE, method, SIGNATURES[method], body)
    return lambda: device.call(method, *body)


def login(device: Device, room: str = "lobby", user: str = "caller", name: str = "", token: str | None = None):
    token = device.hub.token(user or "caller", room or "lobby") if token is None else token
    return call(device, "LoginRoom", room, user, name, options(token=token))


def bad_input(idle: Device, busy: Device, several: Device, folder: Path) -> list[tuple[int, Callable[[], list]]]:
    """The code, and how to get it. `idle` is in no room, `busy` in one, `several` in as many as can be."""
    text = folder / "text.y4m"
    text.write_text("this is no video\n")
    publisher, player = "/org/zegod1/publisher/0", next(iter(busy.objects("Player")))
    return [
        (1000002, call(idle, "StartPublishing", "mine", {})),
        (1000002, call(idle, "StartPlaying", "yours", {})),
        (1000006, call(idle, "CreatePlatformView", {"kind": Variant("s", "kms")})),
        (1000015, call(busy, "StartPlaying", "", {})),
        (1000016, call(busy, "StartPlaying", "a b", {})),
        (1000017, call(busy, "StartPlaying", "yours", options(view_mode=3))),
        (1000017, call(busy, "StartPlaying", "yours", options(background_color=0x01000000))),
        (1000017, call(busy, "StartPlaying", "yours", options(audio=False, video=False))),
        (1000017, call(busy, "StopPreview", 4)),
        (1000017, lambda: busy.set(player, "Player", "Volume", Variant("i", 201))),
        (1000017, lambda: busy.set(player, "Player", "Volume", Variant("s", "loud"))),
        (1000017, lambda: busy.set(player, "Player", "VideoLayer", Variant("s", "huge"))),
        (1000017, lambda: busy.set(publisher, "Publisher", "CaptureVolume", Variant("i", -1))),
        (1001000, call(idle, "CreateEngine", options(app_id=0))),
        (1001020, call(busy, "CreateEngine", options(room_mode=1))),
        (1002001, login(busy, "lobby", busy.name)),
        (1002002, call(busy, "LogoutRoom", "cellar")),
        (1002005, login(idle, user="")),
        (1002006, login(idle, user="a b")),
        (1002007, login(idle, user="x" * 64)),
        (1002009, login(idle, name="a\x07b")),
        (1002010, login(idle, name="x" * 256)),
        (1002011, login(idle, room="")),
        (1002012, login(idle, room="a/b")),
        (1002013, login(idle, room="x" * 128)),
        (1002018, login(several, "attic", "somebody-else")),
        (1002033, login(idle, token=idle.hub.token("caller", "cellar"))),
        (1002037, login(several, "one-too-many", several.name)),
        (1002067, login(idle, token="")),
        (1002075, login(idle, token="eyJhbGciOiJIUzI1NiJ9")),
        (1003001, call(busy, "StopPublishing", "never")),
        (1003001, call(busy, "SetStreamExtraInfo", "never", "x")),
        (1003002, call(busy, "SetVideoConfig", options(bitrate=9), 0)),
        (1003002, call(busy, "SetAudioConfig", options(bitrate=511), 0)),
        (1003010, call(busy, "SetVideoConfig", {"codec": Variant("s", "H265")}, 0)),
        (1003051, call(busy, "StartPublishing", "other", options(channel=1, extra_info="x" * 1024))),
        (1003070, call(several, "StartPublishing", "mine", {})),
        (1004011, call(busy, "StopPlaying", "never")),
        (1004070, call(several, "StartPlaying", "yours", {})),
        (1006001, call(idle, "StartPreview", {})),
        (1009001, call(busy, "SendBroadcastMessage", "lobby", "")),
        (1009002, call(busy, "SendBroadcastMessage", "lobby", "x" * 1025)),
    ]


BROUGHT_ABOUT = {1004010, 1009010, 1000003, 1002052, 1002099, 1006003}
"""What the tests below produce one by one."""


def code_of(attempt: Callable[[], list]) -> int | None:
    """The code with which a call is refused, if it is."""
    try:
        attempt()
    except BusError as error:
        assert error.name.startswith("org.zegod1.Error."), error
        return error.code
    return None


def table(hub, device, stage) -> list[tuple[int, Callable[[], list]]]:
    text = stage.folder / "text.y4m"
    idle, busy, several = device("idle", camera=f"file:{text}"), device("busy"), device("several")
    busy.login("lobby")
    busy.publish("busy", video=False)
    busy.call("StartPlaying", "later", {})
    several.call("CreateEngine", options(room_mode=1))
    for room in ("a", "b", "c", "d", "e"):
        several.login(room)
    return bad_input(idle, busy, several, stage.folder)


def codes_of_the_sources() -> dict[int, str]:
    """Every code that the sources name outside their tests: a file that does."""
    known = {int(code.replace("_", "")) for code in re.findall(r"row\((\d_\d+_\d+)", table_of_errors())}
    found = {}
    for source in SOURCES:
        path = CHECKOUT / source
        for file in sorted(path.rglob("*.rs")) if path.is_dir() else [path]:
            if "tests" in file.relative_to(CHECKOUT).parts or file.stem.endswith("tests"):
                continue
            code = re.sub(r"//.*", "", file.read_text().split("#[cfg(test)]")[0])
            for number in re.findall(r"\b1_0\d\d_\d{3}\b", code):
                found.setdefault(int(number.replace("_", "")), str(file.relative_to(CHECKOUT)))
    return {code: file for code, file in found.items() if code in known}


def constants(program: Path) -> list[str]:
    """The constants of a Python program: numbers and texts, without those that only describe."""
    nodes = list(ast.walk(ast.parse(program.read_text())))
    words = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return [str(node.value) for node in nodes if isinstance(node, ast.Constant) and id(node) not in words]


def table_of_errors() -> str:
    return (CHECKOUT / "protocol/src/error/codes.rs").read_text()


def test_bad_input_gives_its_code(hub, device, stage):
    wrong = []
    for number, (code, attempt) in enumerate(table(hub, device, stage)):
        got = code_of(attempt)
        if got != code:
            wrong.append(f"row {number}: {got} instead of {code}")
    assert not wrong, "\n".join(wrong)


def test_every_code_of_the_sources_is_produced(hub, device, stage):
    """A new code in the sources needs a row here, or the name of the test that produces it."""
    sources = codes_of_the_sources()
    assert len(sources) > 50, "the sources were not found"
    here = {code for code, _ in table(hub, device, stage)} | BROUGHT_ABOUT
    missing = {code: file for code, file in sources.items() if code not in here | set(ELSEWHERE) | set(NOT_PRODUCED)}
    assert not missing, f"no test produces {missing}"
    for code, file in ELSEWHERE.items():
        numbers = re.findall(r"\b1\d{6}\b", " ".join(constants(CHECKOUT / file)))
        assert str(code) in numbers, f"{file} does not produce {code}"
    stale = (set(ELSEWHERE) | set(NOT_PRODUCED)) & here
    assert not stale, f"produced here, so no exception: {stale}"


def test_a_message_without_a_link(hub, device):
    """The server is gone: a message is refused at once."""
    door = device("door")
    door.login("lobby")
    door.publish("door", video=False)
    mark = door.mark()
    hub.program.kill()
    door.wait("RoomStateUpdate", lambda s: s.args[1:3] == [1, 1002051], after=mark, timeout=20)
    assert code_of(call(door, "SendBroadcastMessage", "lobby", "hello")) == 1009010
    assert code_of(call(door, "SetRoomExtraInfo", "lobby", "mode", "night")) == 1002052


def test_a_server_that_has_trouble_with_a_text(stage, hub, device):
    """It says that something went wrong, and not what."""
    server = start_faulty_server(stage, hub.url)
    door = device("door")
    door.login("lobby", server=server.url)
    door.publish("door", video=False)
    os.kill(hub.program.pid, signal.SIGSTOP)
    answers: list[int | None] = []
    asking = threading.Thread(target=lambda: answers.append(code_of(call(door, "SetStreamExtraInfo", "door", "front"))))
    asking.start()
    trouble = wire.RequestResponse(reason=wire.RequestResponse.UNCLASSIFIED_ERROR)
    try:
        while asking.is_alive():
            # Nobody but the device knows the number of its request.
            for trouble.request_id in range(1, 10):
                server.say(wire.SignalResponse(request_response=trouble).SerializeToString())
            asking.join(0.1)
    finally:
        os.kill(hub.program.pid, signal.SIGCONT)
    assert answers == [1002099]


def test_a_device_that_may_not_be_opened(stage, device, clip):
    """A camera that only somebody else may read; an administrator's right to read everything is taken from the daemon."""
    camera = stage.path("camera.y4m")
    shutil.copy(clip, camera)
    camera.chmod(0)
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
    door = device("door", camera=f"file:{camera}", prefix=prefix)
    error = door.refusal("StartPreview", {})
    assert (error.name, error.code) == ("org.zegod1.Error.DeviceFailed", 1006003)
    camera.chmod(0o600)
    door.call("StartPreview", {})


def test_nothing_to_record(stage, device):
    """Pictures of a channel that only sends sound."""
    door = device("door")
    door.login("lobby")
    door.publish("door", video=False)
    with stage.path("nothing.mp4").open("wb") as file:
        error = door.refusal("StartRecording", "door", 0, options(audio=False), fds=[file.fileno()])
    assert error.code == 1000003


def test_one_stream_too_many(hub, device):
    """20 can be played or waited for; the next is refused, and takes nobody's view."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    view = desk.texture()
    desk.play("door", view=view.view)
    for number in range(19):
        desk.call("StartPlaying", f"later-{number}", {})
    error = desk.refusal("StartPlaying", "one-too-many", options(view=view.view))
    assert (error.name, error.code) == ("org.zegod1.Error.TooManyStreams", 1004010)
    before = view.next().number
    assert view.next(before + 10), "the view still shows what it showed"
    assert len(desk.objects("Player")) == 20
    desk.call("StopPlaying", "later-0")
    desk.call("StartPlaying", "one-too-many", {})
