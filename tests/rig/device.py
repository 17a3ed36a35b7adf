"""A device under test: the real `zegod` on a bus of its own, spoken to over D-Bus like any client does."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dbus_fast import Message, Variant

from rig.bus import BusClient, BusError, Signal, plain, start_bus
from rig.hub import Hub
from rig.places import program
from rig.program import Program
from rig.recorder import Recorder, record_texture
from rig.stage import Stage
from rig.texture import Texture

SERVICE = "org.zegod1"
ROOT = "/org/zegod1"
ENGINE = "org.zegod1.Engine"
PROPERTIES = "org.freedesktop.DBus.Properties"

METHODS = {
    "CreateEngine": "a{sv}",
    "DestroyEngine": "",
    "LoginRoom": "sssa{sv}",
    "LogoutRoom": "s",
    "SwitchRoom": "ssa{sv}",
    "RenewToken": "ss",
    "SetRoomExtraInfo": "sss",
    "SetStreamExtraInfo": "ss",
    "GetRoomStreamList": "si",
    "StartPublishing": "sa{sv}",
    "StopPublishing": "s",
    "StartPreview": "a{sv}",
    "StopPreview": "i",
    "StartPlaying": "sa{sv}",
    "StopPlaying": "s",
    "CreateTextureRenderer": "uua{sv}",
    "UpdateTextureRendererSize": "tuu",
    "OpenTexture": "t",
    "DestroyTextureRenderer": "t",
    "CreatePlatformView": "a{sv}",
    "DestroyPlatformView": "t",
    "TakeSnapshot": "sa{sv}",
    "StartRecording": "sha{sv}",
    "StopRecording": "s",
    "MuteMicrophone": "b",
    "MuteSpeaker": "b",
    "EnableCamera": "bi",
    "UseDevice": "oi",
    "SetVideoConfig": "a{sv}i",
    "SetAudioConfig": "a{sv}i",
    "StartSoundLevelMonitor": "a{sv}",
    "StopSoundLevelMonitor": "",
    "SendBroadcastMessage": "ss",
    "SendBarrageMessage": "ss",
    "SendCustomCommand": "ssas",
    "GetDiagnostics": "",
}
"""Arguments of the methods of `org.zegod1.Engine`, as the reference fixes them."""

OPTIONS = {
    "app_id": "u",
    "scenario": "i",
    "room_mode": "i",
    "token": "s",
    "server": "s",
    "is_user_status_notify": "b",
    "max_member_count": "u",
    "bind_to_caller": "b",
    "wait": "b",
    "room_id": "s",
    "channel": "i",
    "audio": "b",
    "video": "b",
    "extra_info": "s",
    "view": "t",
    "view_mode": "i",
    "background_color": "u",
    "mirror": "b",
    "format": "s",
    "kind": "s",
    "fd": "h",
    "device": "s",
    "connector": "s",
    "capture_width": "u",
    "capture_height": "u",
    "encode_width": "u",
    "encode_height": "u",
    "fps": "u",
    "bitrate": "u",
    "key_frame_interval": "u",
    "channels": "u",
    "preset": "i",
    "interval_ms": "u",
    "vad": "b",
    "whip_url": "s",
    "whip_token": "s",
    "whep_url": "s",
    "whep_token": "s",
}
"""The type of each option in an `a{sv}`."""


def options(**wishes: Any) -> dict[str, Variant]:
    """An `a{sv}` argument; a `Variant` is taken as it is, for wrong types on purpose."""
    return {k: v if isinstance(v, Variant) else Variant(OPTIONS[k], v) for k, v in wishes.items() if v is not None}


class Device:
    """A running `zegod` and one client of it."""

    def __init__(self, stage: Stage, name: str, daemon: Program, address: str, hub: Hub | None, speaker: Path | None):
        self.stage = stage
        self.name = name
        self.program = daemon
        self.address = address
        """The address of its bus, for `zegoctl --bus`."""
        self.hub = hub
        self.speaker = speaker
        """The WAV file that its speaker writes, when it has such a speaker."""
        self.bus = BusClient(address)
        self.bus.match(f"type='signal',sender='{SERVICE}'")
        self._textures: list[Texture] = []

    # Calls

    def call(self, method: str, *body: Any, fds: Sequence[int] = (), timeout: float = 20.0) -> list[Any]:
        """Calls a method of the engine."""
        return self.bus.call(SERVICE, ROOT, ENGINE, method, METHODS[method], body, fds=fds, timeout=timeout)

    def call_at_once(self, *calls: tuple[Any, ...]) -> list[list[Any] | str]:
        """Calls methods of the engine, each `(method, *arguments)`, without waiting in between: replies, or errors' names."""
        messages = [
            Message(SERVICE, ROOT, ENGINE, method, signature=METHODS[method], body=body) for method, *body in calls
        ]
        replies = self.bus.call_at_once(messages)
        return [reply.error_name or plain(reply.body) for reply in replies]

    def refusal(self, method: str, *body: Any, fds: Sequence[int] = ()) -> BusError:
        """Calls a method that must be refused; the error."""
        try:
            reply = self.call(method, *body, fds=fds)
        except BusError as error:
            return error
        raise AssertionError(f"{method}{body} was not refused: it replied {reply}")

    def get(self, path: str, interface: str, name: str) -> Any:
        """A property of an object."""
        return self.bus.call(SERVICE, path, PROPERTIES, "Get", "ss", [f"{SERVICE}.{interface}", name])[0]

    def set(self, path: str, interface: str, name: str, value: Variant) -> None:
        """Sets a property of an object."""
        self.bus.call(SERVICE, path, PROPERTIES, "Set", "ssv", [f"{SERVICE}.{interface}", name, value])

    def objects(self, interface: str) -> dict[str, dict[str, Any]]:
        """The objects that have `org.zegod1.INTERFACE`: path -> its properties."""
        reply = self.bus.call(SERVICE, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        wanted = f"{SERVICE}.{interface}"
        return {path: interfaces[wanted] for path, interfaces in reply[0].items() if wanted in interfaces}

    def find_device(self, device_id: str) -> str:
        """The object of the device with this id."""
        found = [path for path, device in self.objects("Device").items() if device["DeviceID"] == device_id]
        assert len(found) == 1, f"{len(found)} devices are {device_id}"
        return found[0]

    # Signals

    def mark(self) -> int:
        """How many signals came so far: `wait(…, after=mark)` then looks at later ones only."""
        return len(self.bus.signals)

    def wait(
        self, member: str, where: Callable[[Signal], bool] = lambda _: True, *, timeout: float = 10.0, after: int = 0
    ) -> Signal:
        """Waits for a signal of the engine."""
        try:
            return self.bus.wait_signal(member, where, timeout=timeout, after=after)
        except AssertionError as error:
            raise self.program.fail(str(error)) from None

    def signals(self, member: str, after: int = 0) -> list[Signal]:
        """The signals `member` that came so far."""
        return [s for s in self.bus.signals[after:] if s.member == member]

    # What a user interface does

    def login(self, room: str, *, user: str | None = None, token: str | None = None, **wishes: Any) -> str:
        """Logs in to `room` of its hub with a good token; returns the room's object."""
        user = user or self.name
        if token is None:
            assert self.hub, f"{self.name} was started without a hub: give a token and a server"
            token = self.hub.token(user, room)
        wishes.setdefault("server", self.hub.url if self.hub else None)
        wishes.setdefault("is_user_status_notify", True)
        path, state = self.call("LoginRoom", room, user, "", options(token=token, **wishes))
        assert state == 2, f"{self.name} is not connected to {room}: state {state}"
        return path

    def publish(self, stream: str, **wishes: Any) -> str:
        """Publishes the camera and microphone as `stream` and waits until it runs; returns the publisher's object."""
        mark = self.mark()
        path, state = self.call("StartPublishing", stream, options(**wishes))
        if state != 2:
            self.wait("PublisherStateUpdate", lambda s: s.args[:2] == [stream, 2], after=mark)
        return path

    def play(self, stream: str, *, timeout: float = 10.0, **wishes: Any) -> str:
        """Plays `stream` and waits until it plays; returns the player's object."""
        mark = self.mark()
        path, state = self.call("StartPlaying", stream, options(**wishes))
        if state != 2:
            self.wait("PlayerStateUpdate", lambda s: s.args[:2] == [stream, 2], after=mark, timeout=timeout)
        return path

    def texture(self, width: int = 640, height: int = 480, format: str = "YU12") -> Texture:
        """Makes and opens a texture view."""
        view = self.call("CreateTextureRenderer", width, height, options(format=format))[0]
        return self.open_texture(view)

    def open_texture(self, view: int) -> Texture:
        """Opens a texture view."""
        memory, wakeup, layout = self.call("OpenTexture", view)
        texture = Texture(view, memory, wakeup, layout)
        self._textures.append(texture)
        return texture

    def record(self, texture: Texture, *, clip: Path | None = None) -> Recorder:
        """Records every frame that a texture view shows."""
        return record_texture(self.stage, texture, clip=clip)

    # The process

    def memory_kib(self, field: str = "VmHWM") -> int:
        """A memory figure of `/proc/PID/status`: `VmHWM` is the peak, `VmRSS` what it holds now."""
        for line in Path(f"/proc/{self.program.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
        raise AssertionError(f"no {field} of {self.name}")

    def sleeps(self) -> dict[str, int]:
        """How often each of its threads went to sleep so far, of its own will: by thread id and name."""
        found = {}
        for task in Path(f"/proc/{self.program.pid}/task").iterdir():
            try:
                name, text = (task / "comm").read_text().strip(), (task / "status").read_text()
            except FileNotFoundError:
                continue  # it ended just now
            for line in text.splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    found[f"{task.name} {name}"] = int(line.split()[1])
        return found

    def wakeups(self, seconds: float) -> int:
        """How often its threads are woken up in the next `seconds`. Idle helpers that end meanwhile do not count."""
        before = self.sleeps()
        time.sleep(seconds)
        return sum(count - before.get(thread, 0) for thread, count in self.sleeps().items())

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.program.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self) -> list[str]:
        """What its descriptors point at."""
        found = []
        for fd in Path(f"/proc/{self.program.pid}/fd").iterdir():
            try:
                found.append(os.readlink(fd))
            except FileNotFoundError:
                continue
        return sorted(found)

    def close(self) -> None:
        """Closes the client's side: views and connection."""
        for texture in self._textures:
            texture.close()
        self.bus.close()


def configuration(
    *,
    camera: str = "pattern",
    microphone: str = "tone",
    speaker: str = "null",
    server: str = "",
    width: int | None = 640,
    height: int | None = 480,
    fps: int | None = 30,
    bitrate_kbps: int | None = 1200,
    interfaces: Sequence[str] = ("lo",),
    ice_servers: Sequence[str] = (),
    retry_time_s: int | None = None,
    more_cameras: Sequence[str] = (),
    more_microphones: Sequence[str] = (),
    more_speakers: Sequence[str] = (),
    log_level: str = "info",
    extra: str = "",
) -> str:
    """The text of a `zegod.toml`."""
    bitrate = f"bitrate_kbps = {bitrate_kbps}\n" if bitrate_kbps else ""
    settings = [f'server = "{server}"'] if server else []
    if retry_time_s is not None:
        settings.append(f"retry_time_s = {retry_time_s}")
    room = "\n".join(["[room]", *settings, "", ""]) if settings else ""
    names, servers = (", ".join(f'"{name}"' for name in named) for named in (interfaces, ice_servers))
    cameras, microphones, speakers = map(_more, (more_cameras, more_microphones, more_speakers))
    given = (("width", width), ("height", height), ("fps", fps))
    picture = "".join(f"{key} = {value}\n" for key, value in given if value is not None)
    return (
        f'{room}[camera]\nsource = "{camera}"\n{picture}{cameras}\n'
        f'[microphone]\nsource = "{microphone}"\n{microphones}\n[speaker]\nsink = "{speaker}"\n{speakers}\n'
        f"[video]\n{picture}{bitrate}\n"
        f'[network]\ninterfaces = [{names}]\nice_servers = [{servers}]\n\n[log]\nlevel = "{log_level}"\n{extra}'
    )


def _more(devices: Sequence[str]) -> str:
    """The line that names further devices; nothing without any."""
    others = ", ".join(f'"{name}"' for name in devices)
    return f"more = [{others}]\n" if others else ""


camera_fps = 30
"""Pictures per second of a device's camera, where a test wishes no other rate."""


def start_device(
    stage: Stage,
    name: str,
    *,
    hub: Hub | None = None,
    speaker: str = "null",
    namespace: str | None = None,
    environment: dict[str, str] | None = None,
    prefix: Sequence[str] = (),
    **wishes: Any,
) -> Device:
    """Starts a `zegod` on a bus of its own and waits until its name is on it.

    `speaker="wav"` lets it write a WAV file on the stage, `Device.speaker`. `prefix` is a command that becomes zegod. `wishes` are
    those of `configuration`.
    """
    wav = stage.path(f"{name}-speaker.wav") if speaker == "wav" else None
    wishes.setdefault("fps", camera_fps)
    if namespace:
        wishes.setdefault("interfaces", ())
    text = configuration(speaker=f"file:{wav}" if wav else speaker, server=hub.url if hub else "", **wishes)
    file = stage.path(f"{name}.toml")
    file.write_text(text)
    address = start_bus(stage, f"{name}-bus")
    daemon = stage.start(
        name,
        [*prefix, program("zegod"), "--config", str(file), "--bus", address],
        namespace=namespace,
        environment={"RUST_BACKTRACE": "1", **(environment or {})},
    )
    probe = BusClient(address)
    try:
        daemon.wait_until(lambda: probe.name_has_owner(SERVICE), f"{SERVICE} on its bus")
    finally:
        probe.close()
    device = Device(stage, name, daemon, address, hub, wav)
    stage.at_end(f"{name}'s client", device.close)
    return device


def wait_until(ready: Callable[[], Any], what: str, timeout: float = 10.0) -> Any:
    """Waits until `ready()` is true, and returns what it gave."""
    deadline = time.monotonic() + timeout
    while True:
        result = ready()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:g} s")
        time.sleep(0.02)
