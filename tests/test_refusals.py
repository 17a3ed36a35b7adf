"""Wrong input: each kind gets its own error, by name and code, and what runs goes on undisturbed."""

import re
import socket
import time
from collections.abc import Callable

import pytest
from dbus_fast import Variant

from rig import tokens
from rig.bus import BusError
from rig.device import Device, configuration, options
from rig.flow import judge
from rig.network import free_port
from rig.places import program

ERROR = "org.zegod1.Error."
LONG = "x" * 256


def refused(device: Device, method: str, *body: object) -> Callable[[], BusError]:
    return lambda: device.refusal(method, *body)


def login(device: Device, room: str = "lobby", user: str = "caller", name: str = "", **wishes: object):
    token = wishes.pop("token", None)
    if token is None:
        token = device.hub.token(user or "caller", room or "lobby")
    return refused(device, "LoginRoom", room, user, name, options(token=token, **wishes))


def cases(idle: Device, busy: Device) -> list[tuple[str, Callable[[], BusError], str, int]]:
    """What is wrong, how to try it, the error's name and code. `idle` is in no room; `busy` is in a running call."""
    good = tokens.livekit_token("caller", "lobby")
    head, body, signature = good.split(".")
    return [
        # Tokens
        ("no token", login(idle, token=""), "AuthenticationFailed", 1002067),
        ("a token that is none", login(idle, token="nonsense"), "AuthenticationFailed", 1002079),
        ("a damaged token", login(idle, token=f"{head}.{body}.{signature[:-8]}AAAAAAAA"), "AuthenticationFailed", 1002033),
        ("another secret", login(idle, token=tokens.livekit_token("caller", "lobby", secret="y" * 32)), "AuthenticationFailed", 1002033),
        ("an expired token", login(idle, token=tokens.livekit_token("caller", "lobby", ttl=-120)), "AuthenticationFailed", 1002078),
        ("a token of another room", login(idle, token=tokens.livekit_token("caller", "cellar")), "AuthenticationFailed", 1002033),
        ("a token of another user", login(idle, token=tokens.livekit_token("somebody", "lobby")), "AuthenticationFailed", 1002077),
        ("a token of another app", login(idle, token=tokens.livekit_token("caller", "lobby", app_id=42)), "AuthenticationFailed", 1002076),
        # Identifiers
        ("an empty room id", login(idle, room=""), "InvalidArgument", 1002011),
        ("a space in the room id", login(idle, room="the lobby"), "InvalidArgument", 1002012),
        ("a room id of 128 bytes", login(idle, room=LONG[:128]), "InvalidArgument", 1002013),
        ("an empty user id", login(idle, user=""), "InvalidArgument", 1002005),
        ("a slash in the user id", login(idle, user="a/b"), "InvalidArgument", 1002006),
        ("a user id of 64 bytes", login(idle, user=LONG[:64]), "InvalidArgument", 1002007),
        ("a user name of 256 bytes", login(idle, name=LONG), "InvalidArgument", 1002010),
        ("an empty stream id", refused(busy, "StartPlaying", "", {}), "InvalidArgument", 1000015),
        ("a dot in the stream id", refused(busy, "StartPlaying", "a.b", {}), "InvalidArgument", 1000016),
        ("a stream id of 256 bytes", refused(busy, "StartPublishing", LONG, {}), "InvalidArgument", 1000014),
        # Options
        ("an unknown option", refused(idle, "LoginRoom", "lobby", "caller", "", {"tokn": Variant("s", good)}), "InvalidArgument", 1000017),
        ("an option of the wrong type", refused(idle, "LoginRoom", "lobby", "caller", "", {"token": Variant("u", 7)}), "InvalidArgument", 1000017),
        ("a channel that does not exist", refused(busy, "StartPublishing", "other", options(channel=4)), "InvalidArgument", 1000017),
        ("a texture without height", refused(busy, "CreateTextureRenderer", 640, 0, {}), "InvalidArgument", 1000017),
        ("an unknown kind of view", refused(busy, "CreatePlatformView", {"kind": Variant("s", "hologram")}), "InvalidArgument", 1000017),
        # States
        ("publishing without a room", refused(idle, "StartPublishing", "mine", {}), "NotLoggedIn", 1000002),
        ("a second login", refused(busy, "LoginRoom", "lobby", "desk", "", options(token=busy.hub.token("desk", "lobby"))), "AlreadyLoggedIn", 1002001),
        ("leaving an unknown room", refused(busy, "LogoutRoom", "cellar"), "RoomNotFound", 1002002),
        ("a busy channel", refused(busy, "StartPublishing", "second", {}), "ChannelBusy", 1003023),
        ("a stream id that is taken", refused(busy, "StartPublishing", "door", options(channel=1)), "StreamExists", 1003028),
        ("stopping what was never played", refused(busy, "StopPlaying", "unheard-of"), "NotPlaying", 1004011),
        ("a view that does not exist", refused(busy, "StartPlaying", "door", options(view=4711)), "ViewNotFound", 1000017),
        ("opening a view that does not exist", refused(busy, "OpenTexture", 4711), "ViewNotFound", 1000017),
        # The server
        ("no server there", login(idle, server=f"ws://127.0.0.1:{free_port()}", wait=True), "ServerUnreachable", 1002053),
        ("a server address that is none", login(idle, server="http//nowhere"), "InvalidArgument", 1000017),
    ]  # fmt: skip


@pytest.mark.paired
def test_each_refusal_has_its_name_and_code_and_disturbs_nothing(hub, device):
    door, desk = device("door"), device("desk")
    idle = device("idle")
    for d in (door, desk):
        d.login("lobby")
        d.publish(d.name)
    view = desk.texture()
    recorder = desk.record(view)
    desk.play("door", view=view.view)
    recorder.wait_for_frames(15)
    begin, mark = time.monotonic(), desk.mark()

    wrong = []
    for what, attempt, name, code in cases(idle, desk):
        if name == "ServerUnreachable":
            continue  # it is tried for as long as the configuration says: its own test below
        try:
            error = attempt()
        except Exception as other:  # the rest of the table is worth knowing too
            wrong.append(f"{what}: {other}")
            continue
        if (error.name, error.code) != (ERROR + name, code):
            wrong.append(f"{what}: wanted {name} {code}, got {error}")
        elif not re.fullmatch(r"\S.{15,} \[\d+\]", error.message):
            wrong.append(f"{what}: not a sentence that ends with its code: {error.message}")
        elif "eyJ" in error.message:
            wrong.append(f"{what}: the token is in the message: {error.message}")
    assert not wrong, "\n".join(wrong)

    while time.monotonic() < begin + 3:
        time.sleep(0.1)
    flow = judge(recorder.stop(), begin=begin, end=time.monotonic() - 0.3)
    assert flow.corrupt == 0 and flow.in_order and flow.share >= 0.99, f"the running call was disturbed: {flow}"
    assert not [s for s in desk.bus.signals[mark:] if s.member in ("RoomStateUpdate", "PlayerStateUpdate")]
    assert desk.get(next(iter(desk.objects("Room"))), "Room", "State") == "connected"
    assert not idle.objects("Room") and not idle.objects("Publisher"), "nothing is left of what was refused"
    assert "eyJ" not in idle.program.output() + desk.program.output() + hub.program.output(), "a token is in a log"
    idle.login("lobby", user="caller")


def test_a_token_without_the_right_to_publish(hub, device):
    door = device("door")
    door.login("lobby", token=hub.token("door", "lobby", publish=False))
    error = door.refusal("StartPublishing", "door", {})
    assert (error.name, error.code) == (f"{ERROR}Forbidden", 1003072)


def test_a_camera_that_is_not_there(hub, device):
    """The camera is missing: the call says so, and sound alone still works."""
    door = device("door", camera="v4l2:no-such-camera")
    door.login("lobby")
    error = door.refusal("StartPublishing", "door", {})
    assert (error.name, error.code) == (f"{ERROR}DeviceNotFound", 1006002)
    assert "no-such-camera" in error.message
    error = door.refusal("StartPreview", {})
    assert (error.name, error.code) == (f"{ERROR}DeviceNotFound", 1006002)
    door.publish("door", video=False)


def test_a_server_that_is_not_there(device):
    """The login goes on in the background; once the time to retry is used up, it has failed."""
    door = device("door", hub=None)
    room, state = door.call(
        "LoginRoom", "lobby", "door", "",
        options(server=f"ws://127.0.0.1:{free_port()}", token=tokens.livekit_token("door", "lobby"), wait=False),
    )  # fmt: skip
    assert state == 1
    assert door.get(room, "Room", "State") == "connecting"
    door.call("LogoutRoom", "lobby")
    assert not door.objects("Room")


def test_the_user_is_elsewhere(hub, device):
    """The same user logs in again: the newest wins, the other one is told why it is out."""
    first, second = device("first"), device("second")
    first.login("lobby", user="twin")
    first.publish("twin")
    mark = first.mark()
    second.login("lobby", user="twin")
    out = first.wait("RoomStateUpdate", lambda s: s.args[1] == 0, after=mark)
    assert out.args[2] == 1002050
    assert out.args[3]["reason"] == "kick_out"
    assert not first.objects("Publisher")


@pytest.mark.parametrize(
    ("program_name", "text", "said"),
    [
        ("zegod", '[camera]\nsource = "pattern"\nwitdh = 640\n', ["3", "witdh"]),
        ("zegod", '[camera]\nsource = "telescope"\n', ["2", "source", "telescope"]),
        ("zegod", "[video]\nbitrate_kbps = -5\n", ["2", "bitrate_kbps"]),
        ("zegod", "[camera\n", ["1"]),
        ("zegohub", 'listen = "127.0.0.1:0"\nudp_prot = 7\n', ["2", "udp_prot"]),
        ("zegohub", 'listen = "everywhere"\n', ["1", "listen", "everywhere"]),
    ],
)
def test_a_configuration_with_a_typo(stage, program_name, text, said):
    """File, line and key are named, and the program does not start."""
    file = stage.folder / "typo.toml"
    file.write_text(text)
    arguments = ["--config", str(file)] + (["--bus", "unix:path=/nowhere"] if program_name == "zegod" else [])
    daemon = stage.start(program_name, [program(program_name), *arguments])
    assert daemon.wait(5) not in (0, 101), "a clear end, and no panic"
    output = daemon.output()
    for word in [str(file), *said]:
        assert word in output, f"{word!r} is not in: {output}"


def test_a_configuration_that_is_not_there(stage):
    for name in ("zegod", "zegohub"):
        daemon = stage.start(name, [program(name), "--config", "/no/such/file.toml"])
        assert daemon.wait(5) not in (0, 101)
        assert "/no/such/file.toml" in daemon.output()


def test_a_busy_port(stage, hub):
    """A second hub on the same address says which one is taken; the first one runs on."""
    port = int(hub.http.rsplit(":", 1)[1])
    second = stage.folder / "second.toml"
    for text, named in (
        (f'listen = "127.0.0.1:{port}"\nudp_port = {free_port()}\n', str(port)),
        (f'listen = "127.0.0.1:{free_port()}"\nudp_port = {port}\n', str(port)),
    ):
        second.write_text(text)
        daemon = stage.start(
            "second-hub",
            [program("zegohub"), "--config", str(second)],
            environment={"ZEGOHUB_STATE_DIRECTORY": str(stage.folder)},
        )
        assert daemon.wait(5) not in (0, 101)
        assert named in daemon.output() and "in use" in daemon.output(), daemon.output()
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        pass


def test_a_bus_that_is_not_there(stage):
    file = stage.folder / "zegod.toml"
    file.write_text(configuration())
    daemon = stage.start("zegod", [program("zegod"), "--config", str(file), "--bus", "unix:path=/nowhere/bus"])
    assert daemon.wait(5) not in (0, 101)
    assert "/nowhere/bus" in daemon.output()
