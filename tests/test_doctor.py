"""`zegoctl doctor`: each of the usual troubles is found and explained, and none is invented."""

import json
import shutil
import socket
import subprocess
from dataclasses import dataclass

import pytest

from rig import tokens
from rig.device import configuration, start_device, wait_until
from rig.hub import start_hub
from rig.network import free_port
from rig.places import program
from rig.sound import write_tone
from rig.stage import Stage


@dataclass
class Diagnosis:
    """What the doctor said."""

    findings: list[dict]
    text: str

    def of(self, check: str) -> dict:
        """The first finding of a check that is not fine, else its first."""
        found = [f for f in self.findings if f["check"] == check]
        assert found, f"no finding about {check}: {self.findings}"
        return min(found, key=lambda f: f["verdict"] == "ok")

    def problems(self) -> list[str]:
        return [f["check"] for f in self.findings if f["verdict"] == "problem"]


def examine(bus: str, *words: str, prefix: tuple[str, ...] = (), environment: dict | None = None) -> Diagnosis:
    """Asks the doctor, as text and as JSON; the exit status must fit."""
    command = [*prefix, program("zegoctl"), "--bus", bus]
    done = subprocess.run([*command, "--json", "doctor", *words], capture_output=True, text=True, timeout=30, env=environment)
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["healthy"] else 1), done
    assert answer["healthy"] == (not [f for f in answer["findings"] if f["verdict"] == "problem"])
    for finding in answer["findings"]:
        assert finding["message"].endswith("."), finding
        assert finding["verdict"] not in ("problem", "warning") or finding["advice"], f"nothing to do: {finding}"
    text = subprocess.run([*command, "doctor", *words], capture_output=True, text=True, timeout=30, env=environment)
    assert text.returncode == done.returncode and text.stderr == done.stderr == ""
    assert all(f["message"][:20] in text.stdout for f in answer["findings"])
    return Diagnosis(answer["findings"], text.stdout)


def test_a_healthy_device(hub, device):
    door = device("door")
    token = hub.token("door", "lobby")
    said = examine(door.address, "--token", token, "--user", "door", "--room", "lobby")
    assert said.problems() == []
    assert {f["check"]: f["verdict"] for f in said.findings} == dict.fromkeys(
        ("bus", "daemon", "camera", "microphone", "speaker", "server", "clock", "token"), "ok"
    )
    assert "Nothing keeps this device from working" in said.text
    assert token not in said.text
    # Nobody was logged in for that, and without a token it is not missed.
    assert not door.objects("Room")
    assert examine(door.address).of("token")["verdict"] == "skipped"


def test_no_bus_and_no_daemon(stage: Stage, device):
    said = examine(f"unix:path={stage.folder}/nowhere")
    assert said.problems() == ["bus"]
    door = device("door", hub=None)
    door.program.end()
    said = examine(door.address)
    assert said.problems() == ["daemon"]
    assert "systemctl start zegod" in said.of("daemon")["advice"]


def test_no_permission_on_the_bus(stage: Stage):
    """A bus whose policy lets nobody call zegod, as the system bus does with strangers."""
    socket_path, file = stage.path("strict.socket"), stage.path("strict.conf")
    file.write_text(
        f"<busconfig><listen>unix:path={socket_path}</listen><auth>EXTERNAL</auth>"
        '<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>'
        '<allow receive_sender="*"/><deny send_destination="org.zegod1"/></policy></busconfig>'
    )
    bus = stage.start("strict", ["dbus-daemon", f"--config-file={file}", "--nofork", "--nopidfile"])
    bus.wait_until(socket_path.exists, "its socket")
    address = f"unix:path={socket_path}"
    settings = stage.path("zegod.toml")
    settings.write_text(configuration())
    daemon = stage.start("zegod", [program("zegod"), "--config", str(settings), "--bus", address])
    daemon.wait_for_line("serving org.zegod1")
    said = examine(address)
    assert said.problems() == ["permission"]
    assert "group zegod" in said.of("permission")["advice"]


def test_devices_that_are_not_there(device, tmp_path):
    """None at all, one that is unplugged, and none because the configuration wants none."""
    wav = write_tone(tmp_path / "in.wav", 1000)
    door = device("door", hub=None, microphone=f"file:{wav}", speaker="null")
    said = examine(door.address)
    assert said.of("microphone")["verdict"] == "ok"
    wav.unlink()
    door.wait("DeviceStateChanged")
    said = examine(door.address)
    assert (said.of("microphone")["verdict"], said.of("microphone")["code"]) == ("problem", 1006006)
    assert str(wav) in said.of("microphone")["message"]
    desk = device("desk", hub=None, camera="none", microphone="none")
    assert examine(desk.address).problems() == ["server"], "a device without camera and microphone may be meant"


@pytest.mark.root
def test_no_camera_and_no_sound_card(stage):
    """A machine that has none, whichever this one has: the kernel's lists of them are empty."""
    empty = stage.folder / "empty"
    empty.mkdir()
    hide = f'for list in /sys/class/video4linux /dev/snd; do [ ! -d $list ] || mount --bind {empty} $list; done; exec "$@"'
    bare = ("unshare", "--mount", "sh", "-ec", hide, "sh")
    door = start_device(stage, "door", camera="auto", microphone="auto", speaker="auto", prefix=bare)
    assert not door.objects("Device")
    said = examine(door.address)
    assert [check for check in said.problems() if check != "server"] == ["camera", "microphone", "speaker"]
    for kind, key in (("camera", "[camera] source"), ("microphone", "[microphone] source"), ("speaker", "[speaker] sink")):
        assert said.of(kind)["code"] == 1006002 and key in said.of(kind)["advice"]


def test_the_server(hub, device, stage):
    """Not there, something else, and no host of that name."""
    door = device("door")
    port = free_port()
    nowhere = examine(door.address, "--server", f"ws://127.0.0.1:{port}")
    assert (nowhere.problems(), nowhere.of("server")["code"]) == (["server"], 1002031)
    assert "nothing listens there" in nowhere.of("server")["message"]
    with socket.create_server(("127.0.0.1", 0)) as mute:
        said = examine(door.address, "--server", f"ws://127.0.0.1:{mute.getsockname()[1]}")
        assert said.problems() == ["server"]
    assert examine(door.address, "--server", "ws://no-such-host.invalid:7880").problems() == ["server"]
    assert examine(door.address, "--server", "http://127.0.0.1").problems() == ["server"]
    hub.program.end()
    assert examine(door.address).problems() == ["server"], "the configuration's is looked at"


def test_tokens(hub, device):
    """Expired, for somebody else, for another room, of another secret, malformed; also those of rooms that are logged in."""
    door = device("door")

    def said(token: str, user: str = "door", room: str = "lobby") -> tuple[str, int | None]:
        finding = examine(door.address, "--token", token, "--user", user, "--room", room).of("token")
        return finding["verdict"], finding["code"]

    good = hub.token("door", "lobby")
    assert said(good) == ("ok", None)
    assert said(tokens.livekit_token("door", "lobby", ttl=-120)) == ("problem", 1002078)
    assert said(good, user="desk") == ("problem", 1002077)
    assert said(good, room="cellar") == ("problem", 1002033)
    assert said("nonsense") == ("problem", 1002075)
    # What only the server can tell.
    assert said(tokens.livekit_token("door", "lobby", secret="y" * 32)) == ("problem", 1002033)
    assert said(tokens.livekit_token("door", "lobby", app_id=42)) == ("problem", 1002076)
    made = subprocess.run(
        [program("zegoctl"), "token", "--app-id", str(tokens.APP_ID), "--secret", tokens.SECRET, "--user", "door"],
        capture_output=True, text=True, check=True,
    )
    assert said(made.stdout.strip()) == ("ok", None)
    assert said(made.stdout.strip(), user="desk") == ("problem", 1002077), "a token04 can be read by the server only"
    # A room whose token is about to end.
    door.login("lobby", token=tokens.livekit_token("door", "lobby", ttl=120))
    rooms = [f for f in examine(door.address).findings if f["check"] == "token" and "lobby" in f["message"]]
    assert [f["verdict"] for f in rooms] == ["warning"]


def test_the_clock(hub, device):
    """An hour behind the server's, and one that was never set."""
    door = device("door")
    faketime = shutil.which("faketime")
    assert faketime, "faketime is not installed: run make"
    said = examine(door.address, prefix=(faketime, "-f", "-1h"))
    assert said.problems() == ["clock"]
    assert "behind the server's" in said.of("clock")["message"] and "timedatectl" in said.of("clock")["advice"]
    said = examine(door.address, prefix=(faketime, "-f", "@2000-01-01 00:00:00"))
    assert said.problems() == ["clock"]


@pytest.fixture
def secure(stage):
    """The URL of a hub with an authority of its own, the authority's file, and a starter of devices with further lines in `[room]`."""
    hub = start_hub(stage, port=free_port(), extra="[tls]\nown = true\n")
    url = hub.url.replace("ws://", "wss://")
    authority = stage.folder / "hub-state/tls/authority.pem"

    def start(name: str, *lines: str):
        room = "\n".join(["[room]", f'server = "{url}"', *lines])
        return start_device(stage, name, extra=f"{room}\n")

    return hub, url, authority, start


def test_a_server_behind_tls(secure):
    """What it says to a token and what its clock shows is heard there, too, by whoever believes its certificate as zegod does."""
    hub, url, authority, start = secure
    door = start("door", f'authority = "{authority}"')
    whose = ("--user", "door", "--room", "lobby")
    said = examine(door.address, "--token", hub.token("door", "lobby"), *whose)
    assert said.problems() == []
    assert url in said.of("server")["message"] and "agrees with the server's" in said.of("clock")["message"]
    token = tokens.token04("desk")
    assert examine(door.address, "--token", token, *whose).of("token")["code"] == 1002077, "it is somebody else's"
    said = examine(door.address, prefix=(shutil.which("faketime"), "-f", "-1h"))
    assert said.problems() == ["clock"] and "behind the server's" in said.of("clock")["message"]
    plain = examine(door.address, "--server", url.replace("wss://", "ws://"))
    assert plain.problems() == [], "this machine may do without"


def test_a_certificate_that_is_not_believed(secure, hub):
    """Of a stranger's authority, without a file, and where nobody speaks TLS: each is said, with what to do."""
    _, url, authority, start = secure
    said = examine(start("door").address)
    assert (said.problems(), said.of("server")["code"]) == (["server"], 1002030)
    assert "is not trusted" in said.of("server")["message"] and "sha256:" in said.of("server")["message"]
    assert "[room] fingerprint" in said.of("server")["advice"]
    pin = next(word for word in said.of("server")["message"].split() if word.startswith("sha256:")).rstrip(",.")
    assert examine(start("desk", f'fingerprint = "{pin}"').address).problems() == [], "that is how it is pinned"
    said = examine(start("lost", 'authority = "/nowhere.pem"').address)
    assert said.problems() == ["server"] and "/nowhere.pem" in said.of("server")["message"]
    believer = start("believer", f'authority = "{authority}"')
    said = examine(believer.address, "--server", hub.url.replace("ws://", "wss://"))
    assert said.problems() == ["server"] and "does not speak TLS" in said.of("server")["message"]


def test_devices_by_hand(hub, device, tmp_path):
    """`devices`, `use`, `mute` and `volume` with zegoctl."""
    door = device("door", more_cameras=("pattern:2",), more_microphones=("tone:2",))

    def ctl(*words: str) -> str:
        command = [program("zegoctl"), "--bus", door.address, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    listed = {line.split()[3]: line for line in ctl("devices").splitlines()[1:]}
    assert "YU12 640x480@60" in listed["pattern:2"] and "48 kHz, 1 ch" in listed["tone"]
    door.login("lobby")
    publisher = door.publish("door")
    ctl("use", "pattern:2")
    ctl("use", "tone:2")
    assert door.get(publisher, "Publisher", "Camera") == door.find_device("pattern:2")
    assert door.get(publisher, "Publisher", "Microphone") == door.find_device("tone:2")
    ctl("volume", "microphone", "150")
    assert door.get(publisher, "Publisher", "CaptureVolume") == 150
    ctl("volume", "door", "70")
    assert door.get(publisher, "Publisher", "CaptureVolume") == 70
    ctl("mute", "door", "on")
    assert door.get(publisher, "Publisher", "AudioMuted") is True
    ctl("mute", "speaker", "on")
    assert door.get("/org/zegod1", "Engine", "SpeakerMuted") is True
    ctl("mute", "camera", "on", "--channel", "0")
    camera = door.find_device("pattern:2")
    wait_until(lambda: door.get(camera, "Device", "State") == "available", "the camera to be released")
