"""The command line against a running daemon: what each command does, what it prints, how it ends."""

import json
import os
import pty
import select
import subprocess
import time
from dataclasses import dataclass

import numpy as np

from rig import tokens
from rig.bar import read_bar
from rig.device import Device, wait_until
from rig.places import program
from rig.stage import Stage


@dataclass
class Ctl:
    """`zegoctl` on a device's bus."""

    address: str

    def run(self, *words: str, expect: int = 0, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """Runs a command; fails unless it ends with status `expect`."""
        done = subprocess.run(
            [program("zegoctl"), "--bus", self.address, *words], capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == expect, f"zegoctl {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def json(self, *words: str) -> dict:
        """Runs a command with `--json`; the one object that it prints."""
        lines = self.run("--json", *words).stdout.splitlines()
        assert len(lines) == 1, lines
        return json.loads(lines[0])


def ctl_of(device: Device) -> Ctl:
    return Ctl(device.address)


def login(ctl: Ctl, device: Device, room: str = "lobby") -> None:
    ctl.run("login", room, "--user", device.name, "--token", device.hub.token(device.name, room))


def test_a_whole_call_by_hand(hub, device):
    """Two people with nothing but zegoctl: log in, publish, play, look around, leave."""
    door, desk = device("door"), device("desk")
    at_door, at_desk = ctl_of(door), ctl_of(desk)
    for ctl, d in ((at_door, door), (at_desk, desk)):
        login(ctl, d)
    at_door.run("publish", "door")
    wait_until(lambda: at_desk.json("streams")["streams"], "the stream in the list")
    users = at_desk.json("users")["users"]
    assert [u["user_id"] for u in users] == ["door"]
    (stream,) = at_desk.json("streams")["streams"]
    assert (stream["stream_id"], stream["user_id"], stream["has_video"]) == ("door", "door", True)
    assert "door" in at_desk.run("streams").stdout

    at_desk.run("play", "door", "--view", "none")
    status = at_desk.json("status")
    assert status["rooms"][0]["room_id"] == "lobby" and status["rooms"][0]["state"] == "connected"
    assert status["players"][0]["stream_id"] == "door"
    assert at_door.json("status")["publishers"][0]["state"] == "publishing"
    assert "lobby" in at_desk.run("status").stdout
    wait_until(lambda: at_desk.json("stats")["players"][0]["quality"].get("audio_recv_fps", 0) > 10, "statistics", 10)

    at_desk.run("stop", "door")
    at_door.run("unpublish")
    wait_until(lambda: not at_desk.json("streams")["streams"], "the stream to go")
    at_door.run("logout")
    at_desk.run("logout", "lobby")
    assert at_desk.json("status")["rooms"] == []


def test_devices_are_listed(device):
    ctl = ctl_of(device("door", hub=None))
    devices = {d["kind"]: d for d in ctl.json("devices")["devices"] if d["default"]}
    assert devices["camera"]["device_id"] == "pattern"
    assert devices["microphone"]["device_id"] == "tone"
    assert "pattern" in ctl.run("devices").stdout


def test_exit_statuses(stage: Stage, device):
    """1 for a refused call, with name and code; 2 for wrong usage; 3 when the daemon is not there."""
    door = device("door")
    ctl = ctl_of(door)
    refused = ctl.run("publish", "door", expect=1)
    assert "NotLoggedIn" in refused.stderr and "1000002" in refused.stderr and not refused.stdout
    refused = ctl.run("login", "lobby", "--user", "door", "--token", "nonsense", expect=1)
    assert "AuthenticationFailed" in refused.stderr and "1002079" in refused.stderr
    refused = ctl.run("--json", "publish", "door", expect=1)
    assert "1000002" in refused.stderr
    assert "Usage" in ctl.run("publish", expect=2).stderr
    ctl.run("no-such-command", expect=2)
    door.program.end()
    absent = ctl.run("status", expect=3)
    assert "zegod" in absent.stderr
    Ctl("unix:path=/nowhere/bus").run("status", expect=3)


def test_monitor_prints_signals_as_they_happen(stage, hub, device):
    door = device("door")
    monitor = stage.start("monitor", [program("zegoctl"), "--bus", door.address, "--json", "monitor"])
    time.sleep(0.5)
    login(ctl_of(door), door)
    line = monitor.wait_for_line(r'^\{.*"RoomStateUpdate".*\}$')
    event = json.loads(line[0])
    assert event["signal"] == "RoomStateUpdate" and event["room_id"] == "lobby"


def test_watched_figures_stay_in_their_place_on_a_terminal(hub, device):
    door = device("door")
    ctl = ctl_of(door)
    login(ctl, door)
    ctl.run("publish", "door")
    terminal, inside = pty.openpty()
    watch = subprocess.Popen([program("zegoctl"), "--bus", door.address, "stats", "--watch"], stdout=inside)
    try:
        seen = ""
        while seen.count("STREAM") < 3:
            ready, _, _ = select.select([terminal], [], [], 10)
            assert ready, f"nothing more after {seen!r}"
            seen += os.read(terminal, 4096).decode()
    finally:
        watch.terminate()
        watch.wait(10)
        os.close(inside)
        os.close(terminal)
    # Two lines back and all below cleared, before each but the first.
    assert seen.count("\x1b[2A\x1b[J") == 2, seen
    piped = subprocess.run(
        ["timeout", "--signal=INT", "3", program("zegoctl"), "--bus", door.address, "stats", "--watch"],
        capture_output=True,
        text=True,
    )
    assert piped.stdout.count("STREAM") >= 2 and "\x1b" not in piped.stdout


def test_explain_and_token_need_no_daemon(hub, device):
    ctl = Ctl("unix:path=/nowhere/bus")
    assert "1002078" in ctl.run("explain", "1002078").stdout
    assert "expired" in ctl.run("explain", "1002078").stdout.lower()
    ctl.run("explain", "7", expect=1)
    common = ["token", "--app-id", str(tokens.APP_ID), "--secret", tokens.SECRET, "--user", "door", "--room", "lobby"]
    for kind, begins in (("token04", "04"), ("livekit", "eyJ")):
        token = ctl.run(*common, "--kind", kind).stdout.strip()
        assert token.startswith(begins)
        # The proof of a token is that the hub lets its owner in.
        door = device(f"door-{kind}")
        door.login("lobby", user="door", token=token)
        door.publish(f"stream-{kind}")
        door.call("LogoutRoom", "")
    ctl.run("token", "--app-id", "1", "--secret", "too short", "--user", "door", expect=1)


def test_preview_by_hand(hub, device):
    door = device("door")
    ctl = ctl_of(door)
    ctl.run("preview", "--view", "none")
    camera = next(d for d in ctl.json("devices")["devices"] if d["kind"] == "camera")
    assert camera["state"] == "in_use"


def test_a_picture_in_another_program_s_texture_by_hand(hub, device):
    """Fitted, cut or out of shape, with a colour beside it, mirrored: `play` and `preview` in a view that is there."""
    door, desk = device("door"), device("desk")
    at_desk = ctl_of(desk)
    for ctl, d in ((ctl_of(door), door), (at_desk, desk)):
        login(ctl, d)
    door.publish("door")
    wide = desk.texture(640, 200, format="XR24")
    words = ["play", "door", "--view", f"id:{wide.view}", "--background", "FF0000"]

    def shown(*more: str) -> np.ndarray:
        """What the middle of the left edge is, B, G, R, once it is shown so."""
        assert at_desk.json(*words, *more)["view_id"] == wide.view
        return wide.next(wide.newest + 3).pixels[100, 6, :3].astype(int)

    def is_red(pixel: np.ndarray) -> bool:
        return pixel[2] > 240 and pixel[0] < 12 and pixel[1] < 12

    assert is_red(shown()), "all of it, with the colour beside it"
    assert not is_red(shown("--fit", "fill")) and not is_red(shown("--fit", "stretch"))
    assert is_red(shown("--fit", "fit"))
    own = desk.texture()
    at_desk.run("play", "door", "--view", f"id:{own.view}", "--mirror")
    assert read_bar(own.next(own.next().number + 3).luma[:, ::-1]), "left is right"
    listed = {view["view_id"]: view["source"] for view in at_desk.json("status")["views"]}
    assert listed == {wide.view: "", own.view: "door"}
    assert "door" in next(line for line in at_desk.run("status").stdout.splitlines() if "texture" in line and "door" in line)
    at_desk.run("stop", "door")
    at_desk.run("preview", "--view", f"id:{own.view}", "--no-mirror")
    assert read_bar(own.next(own.newest + 3).luma), "as others see it"
    at_desk.run("preview", "--view", f"id:{own.view}")
    assert read_bar(own.next(own.newest + 3).luma[:, ::-1]), "as in a mirror"
    at_desk.run("preview", "--stop")
    assert len(desk.objects("View")) == 2, "they are the other program's"
    assert "--view" in at_desk.run("play", "door", "--fit", "fill", expect=2).stderr
    assert "1000017" in at_desk.run("preview", "--view", "id:4711", expect=1).stderr


def test_half_a_stream_of_one_of_two_rooms_by_hand(hub, device):
    """`--room`, `--audio-only`, `--video-only` of `play`; `--info` of `publish`; `--no-wait` of `login` and `switch`."""
    door, desk = device("door"), device("desk")
    at_door, at_desk = ctl_of(door), ctl_of(desk)
    login(at_door, door)
    at_door.run("publish", "door", "--info", "front")
    at_desk.run("create-engine", "--several-rooms")
    cellar = ["login", "cellar", "--user", "desk", "--token", hub.token("desk", "cellar"), "--no-wait"]
    assert at_desk.json(*cellar)["state"] == "connecting"
    login(at_desk, desk)
    wait_until(lambda: all(r["State"] == "connected" for r in desk.objects("Room").values()), "both rooms")
    wait_until(lambda: at_desk.json("streams")["streams"], "the stream")
    assert at_desk.json("streams")["streams"][0]["extra_info"] == "front"
    assert "1004070" in at_desk.run("play", "door", expect=1).stderr
    assert "1002002" in at_desk.run("play", "door", "--room", "attic", expect=1).stderr
    lobby = next(path for path, room in desk.objects("Room").items() if room["RoomID"] == "lobby")

    def played(*words: str) -> dict:
        """The player that comes of it."""
        at_desk.run("play", "door", "--room", "lobby", *words)
        (player,) = desk.objects("Player").values()
        assert player["Room"] == lobby
        return player

    played("--audio-only")
    desk.wait("PlayerFirstFrame", lambda s: s.args == ["door", "audio_received"])
    assert not [s for s in desk.signals("PlayerFirstFrame") if s.args[1].startswith("video")]
    at_desk.run("stop", "door")
    mark = desk.mark()
    played("--video-only", "--view", "null")
    desk.wait("PlayerFirstFrame", lambda s: s.args == ["door", "video_rendered"], after=mark)
    assert not [s for s in desk.signals("PlayerFirstFrame", mark) if s.args[1].startswith("audio")]
    attic = ["switch", "lobby", "attic", "--token", hub.token("door", "attic"), "--no-wait"]
    assert at_door.json(*attic)["state"] == "connecting"
    door.wait("RoomStateUpdate", lambda s: s.args[:2] == ["attic", 2])


def test_views_that_are_not_in_this_version_are_refused_in_one_voice(device):
    ctl = ctl_of(device("door", hub=None))
    for view in ("kms:HDMI-A-1", "v4l2:/dev/video9"):
        refused = ctl.run("preview", "--view", view, expect=1).stderr
        assert "not in this version" in refused and "1000006" in refused
    shown = ctl.run("preview", "--help").stdout
    assert [line for line in shown.splitlines() if "kms" in line or "v4l2" in line], shown
    assert all("not in this version" in line for line in shown.splitlines() if "kms" in line or "v4l2" in line)


def test_rooms_by_hand(hub, device):
    """Extra information, messages, a new token, another room."""
    door, desk = device("door"), device("desk")
    at_door = ctl_of(door)
    for ctl, d in ((at_door, door), (ctl_of(desk), desk)):
        login(ctl, d)
    assert "night" in at_door.run("extra-info", "lobby", "mode", "night").stdout
    desk.wait("RoomExtraInfoUpdate", lambda s: s.args[1][0][:2] == ["mode", "night"])
    assert at_door.json("status")["rooms"][0]["extra_info"] == {"mode": "night"}
    assert "1002017" in at_door.run("extra-info", "lobby", "other", "x", expect=1).stderr
    at_door.run("publish", "door")
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0)
    at_door.run("stream-info", "door", "front")
    desk.wait("RoomStreamExtraInfoUpdate", lambda s: s.args == ["lobby", [["door", "front"]]])
    sent = at_door.json("message", "lobby", "hello")
    assert desk.wait("BroadcastMessageReceived").args[1][0][3] == sent["message_id"]
    at_door.run("message", "lobby", "open", "--to", "desk")
    desk.wait("CustomCommandReceived", lambda s: s.args[3] == "open")
    at_door.run("message", "lobby", "wow", "--barrage")
    at_door.run("renew-token", "lobby", "--token", hub.token("door", "lobby"))
    assert "1002077" in at_door.run("renew-token", "lobby", "--token", hub.token("desk", "lobby"), expect=1).stderr
    at_door.run("switch", "lobby", "cellar", "--token", hub.token("door", "cellar"))
    assert [room["room_id"] for room in at_door.json("status")["rooms"]] == ["cellar"]


def test_levels_by_hand(stage: Stage, hub, device):
    """One line a moment until it is ended; nobody else on the bus is told."""
    door = device("door")
    monitor = stage.start(
        "levels", [program("zegoctl"), "--bus", door.address, "--json", "levels", "--interval", "100", "--vad"]
    )
    login(ctl_of(door), door)
    door.publish("door")
    line = monitor.wait_for_line(r'^(\{.*"captured_level":[1-9].*\})$')
    moment = json.loads(line[1])
    assert moment["remote_levels"] == {} and moment["remote_voices"] == {} and isinstance(moment["captured_voice"], bool)
    shown = stage.start("shown", [program("zegoctl"), "--bus", door.address, "levels"])
    shown.wait_for_line(r"^microphone \d+$")
    assert not door.signals("CapturedSoundLevelUpdate")
    door.program.end()
    assert (monitor.wait(), shown.wait()) == (3, 3)
    assert "zegod has left the bus" in monitor.output()


def test_the_engine_by_hand(hub, device):
    """Made with settings of its own, set up while it sends, and ended."""
    door, desk = device("door"), device("desk")
    ctl = ctl_of(door)
    ctl.run("create-engine", "--scenario", "4", "--several-rooms")
    found = ctl.json("diagnostics")
    assert (found["state"], found["scenario"], found["room_mode"]) == ("created", "4", "several")
    ctl.run("create-engine")  # a second call changes nothing
    for d in (door, desk):
        login(ctl_of(d), d)
    ctl.run("publish", "door", "--room", "lobby")
    ctl_of(desk).run("play", "door", "--view", "null")
    ctl.run("video-config", "--size", "320x180", "--fps", "15", "--bitrate", "300")
    desk.wait("PlayerVideoSizeChanged", lambda s: s.args == ["door", 320, 180])
    assert "1000066" in ctl.run("video-config", "--capture-size", "320x240", expect=1).stderr
    ctl.run("audio-config", "--bitrate", "32")
    assert "1003002" in ctl.run("audio-config", "--bitrate", "1", expect=1).stderr
    ctl_of(desk).run("layer", "door", "small")
    assert ctl_of(desk).json("status")["players"][0]["stream_id"] == "door"
    (player,) = desk.objects("Player").values()
    assert player["VideoLayer"] == "small"
    assert "1004011" in ctl_of(desk).run("layer", "attic", "big", expect=1).stderr
    ctl.run("destroy-engine")
    assert ctl.json("diagnostics")["state"] == "destroyed" and ctl.json("status")["rooms"] == []


def test_a_device_s_own_volume_and_mute_by_hand(device):
    ctl = ctl_of(device("door", hub=None))
    ctl.run("volume", "tone", "40")
    ctl.run("mute", "tone", "on")
    (tone,) = (d for d in ctl.json("devices")["devices"] if d["device_id"] == "tone")
    assert (tone["volume"], tone["muted"]) == (40, True)
    ctl.run("volume", "tone", "101", expect=1)
    ctl.run("mute", "tone", "on", "--video", expect=2)
    assert "no device" in ctl.run("mute", "attic", "on", expect=1).stderr
