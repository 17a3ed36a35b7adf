"""What was set before the link broke is in force when it is back, without a call: not only said, but seen, heard and received.

`door`, beside the server, publishes on four channels, `desk`, at the end of a line, on two; `anna` is an SDK with several layers.
"""

import time

import pytest
from dbus_fast import Variant

from rig.broken_line import BACK, LOST, states
from rig.device import Device, start_device, wait_until
from rig.network import make_link
from rig.servers import SERVERS
from rig.sound import read_end, tone_level, write_tone
from sdk.client import start_peer

pytestmark = pytest.mark.root

ROOM = "lobby"
TONES = {"loud": 500.0, "hush": 900.0, "blind": 1300.0, "ear": 1700.0, "mute": 2100.0, "dark": 2500.0}
"""What is heard on each stream, in Hz. It is named after what is set for it."""
INAUDIBLE = -60.0
"""dBFS. A tone that is not there is below."""
SMALL = dict(width=160, height=120, fps=10, bitrate_kbps=100)
SOUND, PICTURES = "audio_kbps", "video_recv_fps"


def same(levels: dict[str, float], others: dict[str, float]) -> bool:
    """Whether everything is as loud, to the ear."""
    return all(abs(level - others[stream]) < 1 for stream, level in levels.items())


class Call:
    """The call, and everything that was set in it."""

    def __init__(self, stage, server: str):
        self.stage, self.link = stage, make_link(stage, delay_ms=5)
        self.hub = SERVERS[server](stage, address=self.link.left_address, namespace=self.link.left)
        self.door = self.start("door", self.link.left, ["loud", "hush", "blind", "ear"])
        self.desk = self.start("desk", self.link.right, ["mute", "dark"])
        start_peer(stage, self.hub, "anna", ROOM, namespace=self.link.left, publish="anna", simulcast=True)
        self.views = {}
        for stream in ("loud", "hush", "blind", "anna"):
            self.watch(self.desk, stream)
        self.desk.play("ear")
        for stream in ("mute", "dark"):
            self.watch(self.door, stream)
        for view in self.views.values():
            view.next(timeout=15)
        self.set()

    def start(self, name: str, namespace: str, streams: list[str]) -> Device:
        """A device that publishes each of these streams, with its tone."""
        tones = [f"file:{write_tone(self.stage.path(f'{stream}.wav'), TONES[stream])}" for stream in streams]
        wishes = dict(microphone=tones[0], more_microphones=tones[1:], speaker="wav", **SMALL)
        device = start_device(self.stage, name, hub=self.hub, namespace=namespace, **wishes)
        device.login(ROOM)
        for channel, (stream, tone) in enumerate(zip(streams, tones, strict=True)):
            device.call("UseDevice", device.find_device(tone), channel)
            device.publish(stream, channel=channel)
        return device

    def watch(self, device: Device, stream: str) -> None:
        # Its own pixels, whatever size comes.
        self.views[stream] = device.texture(160, 120, format="XR24")
        device.play(stream, view=self.views[stream].view, timeout=15)

    def set(self) -> None:
        """Sets everything that there is to set."""
        for stream, name, value in [
            ("loud", "Volume", Variant("i", 50)),
            ("hush", "AudioMuted", Variant("b", True)),
            ("blind", "VideoMuted", Variant("b", True)),
            ("anna", "VideoLayer", Variant("s", "small")),
        ]:
            self.desk.set(self.find(self.desk, "Player", stream), "Player", name, value)
        for stream, name, value in [
            ("mute", "AudioMuted", Variant("b", True)),
            ("dark", "VideoMuted", Variant("b", True)),
            ("dark", "CaptureVolume", Variant("i", 50)),
        ]:
            self.desk.set(self.find(self.desk, "Publisher", stream), "Publisher", name, value)

    @staticmethod
    def find(device: Device, interface: str, stream: str) -> str:
        (path,) = [path for path, properties in device.objects(interface).items() if properties["StreamID"] == stream]
        return path

    def said(self) -> dict[str, object]:
        """What the objects say of it."""
        names = {
            "Player": ("State", "Volume", "AudioMuted", "VideoMuted", "VideoLayer", "View"),
            "Publisher": ("State", "AudioMuted", "VideoMuted", "CaptureVolume"),
            "Stream": ("AudioMuted", "VideoMuted"),
        }
        return {
            f"{device.name}'s {interface} {properties['StreamID']}": [properties[name] for name in wanted]
            for device in (self.door, self.desk)
            for interface, wanted in names.items()
            for properties in device.objects(interface).values()
        }

    def arrives(self) -> None:
        """Waits until each stream brings what it is to bring, and nothing else."""
        marks = {device.name: device.mark() for device in (self.door, self.desk)}
        for device, stream, sound, pictures in [
            (self.desk, "loud", True, True),
            (self.desk, "hush", False, True),
            (self.desk, "blind", True, False),
            (self.desk, "ear", True, False),
            (self.door, "mute", None, True),
            (self.door, "dark", True, False),
        ]:

            def right(signal, stream=stream, sound=sound, pictures=pictures) -> bool:
                quality = signal.args[1]
                heard = sound is None or (quality.get(SOUND, 0) > 5 if sound else quality.get(SOUND, 0) < 1)
                return signal.args[0] == stream and heard and (quality.get(PICTURES, 0) > 5) == pictures

            device.wait("PlayerQualityUpdate", right, after=marks[device.name], timeout=15)
        player = self.find(self.desk, "Player", "anna")
        wait_until(lambda: 0 < self.desk.get(player, "Player", "Width") < 640, "anna's small layer", 15)

    def settled_levels(self) -> dict[str, float]:
        """Waits until they do not change any more."""
        seen = [self.levels()]

        def settled() -> bool:
            time.sleep(0.5)
            seen.append(self.levels())
            return same(seen[-1], seen[-2])

        wait_until(settled, "even levels")
        return seen[-1]

    def levels(self) -> dict[str, float]:
        """How loud each tone is heard, in dBFS."""
        heard = {device.name: read_end(device.speaker, 1.0) for device in (self.door, self.desk)}
        ears = {stream: "door" if stream in ("mute", "dark") else "desk" for stream in TONES}
        return {stream: max(tone_level(heard[ears[stream]], tone), INAUDIBLE) for stream, tone in TONES.items()}

    def cut(self) -> None:
        """The line is down for three seconds: the server keeps its sessions."""
        mark = self.desk.mark()
        self.link.down()
        self.desk.wait("RoomStateUpdate", after=mark, timeout=2)
        time.sleep(3)
        self.link.up()

    def kill(self) -> None:
        """The server is killed, and a new one knows nothing."""
        marks = {device.name: device.mark() for device in (self.door, self.desk)}
        self.hub.program.kill()
        for device in (self.door, self.desk):
            device.wait("RoomStateUpdate", after=marks[device.name], timeout=2)
        port = int(self.hub.url.rsplit(":", 1)[1])
        self.hub = SERVERS[self.hub.kind](self.stage, address=self.link.left_address, namespace=self.link.left, port=port)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("way", [Call.cut, Call.kill], ids=["cut", "killed"])
def test_everything_that_was_set_is_in_force_again(stage, measured, server, way):
    """Player: Volume, AudioMuted, VideoMuted, VideoLayer, no view; publisher: AudioMuted, VideoMuted, CaptureVolume; MuteSpeaker."""
    call = Call(stage, server)
    desk = call.desk
    call.arrives()
    said, levels, still = call.said(), call.settled_levels(), call.views["blind"].newest
    measured(", ".join(f"{stream} {level:.1f}" for stream, level in levels.items()) + " dBFS")
    assert levels["loud"] < levels["blind"] - 5, "half as loud"
    assert levels["dark"] < levels["blind"] - 5, "half as loud"
    assert all((levels[stream] == INAUDIBLE) == (stream in ("hush", "mute")) for stream in TONES), levels
    desk.call("MuteSpeaker", True)

    mark = desk.mark()
    way(call)
    wait_until(lambda: call.said() == said, f"all of {said}", 30)
    call.arrives()
    assert states(desk, "RoomStateUpdate", mark) == [LOST, BACK]
    assert call.said() == said
    assert call.views["blind"].newest == still, "muted pictures were shown"
    assert desk.get("/org/zegod1", "Engine", "SpeakerMuted")
    assert not read_end(desk.speaker, 1.0).any(), "a muted speaker plays nothing"
    desk.call("MuteSpeaker", False)

    wait_until(lambda: same(call.levels(), levels), f"the levels {levels}", 5)
