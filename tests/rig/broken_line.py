"""A call over a line that breaks: who plays whom, what its loss and return look like, and how long that takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rig import tokens
from rig.bus import Signal
from rig.device import ENGINE, Device, start_device, wait_until
from rig.hub import Hub
from rig.network import Link, make_link
from rig.recorder import Recorder
from rig.servers import SERVERS
from rig.sound import heard_again, write_tone
from rig.stage import Stage

RECOVERY = 3.0
"""Seconds from the line's return until media flows again, both ways."""
NOTICED = 1.0
"""Seconds until a change of the interface, its carrier or its address is noticed. ICE alone would take four at least."""
LOST, BACK = (1, 1002051), (2, 0)
"""State and code of a room whose link broke, and of one that has it back."""
WAITING, RUNS = {"publisher": (1, 1003020), "player": (1, 1004020)}, {"publisher": (2, 0), "player": (2, 0)}
"""The same of what runs in that room."""
GIVEN_UP = {"publisher": (0, 1003021), "player": (0, 1002053)}
"""The same of what was given up with its room, 1002053."""
ALWAYS = ("PublisherQualityUpdate", "PlayerQualityUpdate", "PlayerMediaEvent", "NetworkModeChanged")
"""What is told by the clock, of media that breaks off, or of the interface: whatever becomes of the room."""
TONE = 1000.0
"""Hz. What the microphones hear, without a pause."""


def states(device: Device, member: str, after: int) -> list[tuple[int, int]]:
    """The states and codes of a signal's occurrences."""
    return [(s.args[1], s.args[2]) for s in device.signals(member, after)]


def story(device: Device, after: int) -> list[tuple]:
    """Everything that a device told, in order, but for what it always tells: `("room", 1, 1002051)`, or member and arguments."""
    return [_chapter(s) for s in device.bus.signals[after:] if s.interface == ENGINE and s.member not in ALWAYS]


def _chapter(signal: Signal) -> tuple:
    words = {"RoomStateUpdate": "room", "PublisherStateUpdate": "publisher", "PlayerStateUpdate": "player"}
    if signal.member in words:
        return (words[signal.member], signal.args[1], signal.args[2])
    return (signal.member, *signal.args)


def chapters(room: tuple[int, int], rest: dict[str, tuple[int, int]], told: list[tuple]) -> list[tuple]:
    """Takes from `told` what a step of the room is told as: the room first, then all of the `rest` in whatever order; what is left."""
    wanted = sorted((word, *state) for word, state in rest.items())
    assert told[:1] == [("room", *room)] and sorted(told[1 : 1 + len(rest)]) == wanted, f"not {room} and {rest}: {told}"
    return told[1 + len(rest) :]


@dataclass
class Call:
    """`door` and `desk` in a call over a line."""

    stage: Stage
    link: Link
    hub: Hub
    door: Device
    desk: Device
    views: dict[str, Recorder] = field(default_factory=dict)

    def start(self) -> None:
        """Both log in, publish, and play each other."""
        for device in (self.door, self.desk):
            self.enter(device)
        for device, other in ((self.door, self.desk), (self.desk, self.door)):
            view = device.texture()
            self.views[device.name] = device.record(view)
            device.play(other.name, view=view.view)
        for recorder in self.views.values():
            recorder.wait_for_frames(15)

    def enter(self, device: Device) -> None:
        """Logs a device in, and publishes."""
        # Extra information is among what a user says about himself.
        device.login("lobby", token=tokens.livekit_token(device.name, "lobby", grants={"canUpdateOwnMetadata": True}))
        device.publish(device.name, extra_info=f"this is {device.name}")

    def flows_again(self, since: float, timeout: float = 15.0, *, sound: bool = True) -> dict[str, float]:
        """Seconds from `since` until each device shows a picture that was made after it, ten more follow it, and hears the other."""
        seconds: dict[str, float] = {}

        def look() -> bool:
            for name, recorder in self.views.items():
                shown = [f.at for f in recorder.frames() if f.counter is not None and f.at - f.latency_ms / 1000 > since]
                if len(shown) > 10:
                    seconds[name] = shown[0] - since
                heard = heard_again(self.device(name).speaker, TONE, since) if sound else None
                if heard is not None:
                    seconds[f"{name} hears"] = heard - since
            return len(seconds) == len(self.views) * (1 + sound)

        try:
            wait_until(look, "pictures and sound", timeout)
        except AssertionError as error:
            raise self.desk.program.fail(f"{error}: {seconds}") from None
        return seconds

    def device(self, name: str) -> Device:
        """`door` or `desk`."""
        return {"door": self.door, "desk": self.desk}[name]

    def restart_server(self) -> None:
        """Starts the server anew that was killed, at the same address; it knows nothing."""
        port = int(self.hub.url.rsplit(":", 1)[1])
        start = SERVERS[self.hub.kind]
        self.hub = start(self.stage, address=self.link.left_address, namespace=self.link.left, port=port)


def make_call(stage: Stage, hub_extra: str = "", server: str = "zegohub", **wishes: object) -> Call:
    """The server and `door` at one end of a new line, `desk` at the other; `hub_extra` is added to the server's configuration."""
    link = make_link(stage, delay_ms=5)
    hub = SERVERS[server](stage, address=link.left_address, namespace=link.left, extra=hub_extra)
    return call_over(stage, link, hub, **wishes)


def call_over(stage: Stage, link: Link, hub: Hub, *, interfaces: tuple[str, ...] = (), **wishes: object) -> Call:
    """`door` beside the server, on these `interfaces`, and `desk` at the other end of the line."""
    tone = f"file:{write_tone(stage.path('tone.wav'), TONE)}"
    ears = {"microphone": tone, "speaker": "wav"}
    door = start_device(stage, "door", hub=hub, namespace=link.left, interfaces=interfaces, **ears)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right, **ears, **wishes)
    return Call(stage, link, hub, door, desk)


def outage(call: Call, begin: Callable[[], None], end: Callable[[], None], seconds: float) -> dict[str, float]:
    """One outage of `desk`: checks its signals and that `door` hears nothing; the seconds until both have each other again.

    With `seconds` = 0 it is `end` that breaks the line, and mends it.
    """
    desk, door = call.desk, call.door
    mark, quiet = desk.mark(), door.mark()
    start = time.monotonic()
    begin()
    # Nobody is told of a cut somewhere on the way.
    noticed = seconds + 5 if begin == call.link.cut else NOTICED
    if seconds:
        lost = desk.wait("RoomStateUpdate", after=mark, timeout=noticed)
        time.sleep(max(0.0, start + seconds - time.monotonic()))
    since = time.monotonic()
    end()
    if not seconds:
        lost = desk.wait("RoomStateUpdate", after=mark, timeout=noticed)
    assert lost.at - start <= noticed, f"noticed after {lost.at - start:.2f} s"
    assert (lost.args[1], lost.args[2], lost.args[3]["reason"]) == (*LOST, "reconnecting")
    times = call.flows_again(since)
    back = desk.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark)
    assert back.args[3]["reason"] == "reconnected"
    desk.wait("PublisherStateUpdate", lambda s: s.args[1] == 2, after=mark)
    desk.wait("PlayerStateUpdate", lambda s: s.args[1] == 2, after=mark)
    times["told"] = back.at - since
    left = chapters(BACK, RUNS, chapters(LOST, WAITING, story(desk, mark)))
    assert not left, f"nobody came or went, and nothing is new: {left}"
    assert not story(door, quiet), f"door heard of it: {story(door, quiet)}"
    return times


def told(times: list[dict[str, float]]) -> str:
    """Every recovery of a case in one line."""
    rows = [f"door sees {t['door']:.2f}, desk sees {t['desk']:.2f}, {_heard(t)}told {t['told']:.2f} s" for t in times]
    return " | ".join(rows)


def _heard(times: dict[str, float]) -> str:
    return "".join(f"{who} {seconds:.2f}, " for who, seconds in times.items() if who.endswith("hears"))


def in_time(times: list[dict[str, float]]) -> None:
    """Asserts that every recovery was quick enough."""
    assert max(max(t.values()) for t in times) <= RECOVERY, told(times)
