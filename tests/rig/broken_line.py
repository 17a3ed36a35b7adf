"""A call over a line that breaks: who plays whom, what its loss and return look like, and how long that takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rig import tokens
from rig.device import Device, start_device
from rig.hub import Hub, start_hub
from rig.network import Link, make_link
from rig.recorder import Recorder
from rig.stage import Stage

RECOVERY = 3.0
"""Seconds from the line's return until media flows again, both ways."""
LOST, BACK = (1, 1002051), (2, 0)
"""State and code of a room whose link broke, and of one that has it back."""
QUIET = ("RoomStateUpdate", "RoomUserUpdate", "RoomStreamUpdate", "RoomOnlineUserCountUpdate", "PublisherStateUpdate")
"""What says that somebody went or came, or that the own link broke."""


def states(device: Device, member: str, after: int) -> list[tuple[int, int]]:
    """The states and codes of a signal's occurrences."""
    return [(s.args[1], s.args[2]) for s in device.signals(member, after)]


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
            # Extra information is among what a user says about himself.
            device.login("lobby", token=tokens.livekit_token(device.name, "lobby", grants={"canUpdateOwnMetadata": True}))
            device.publish(device.name, extra_info=f"this is {device.name}")
        for device, other in ((self.door, self.desk), (self.desk, self.door)):
            view = device.texture()
            self.views[device.name] = device.record(view)
            device.play(other.name, view=view.view)
        for recorder in self.views.values():
            recorder.wait_for_frames(15)

    def flows_again(self, since: float, timeout: float = 15.0) -> dict[str, float]:
        """Seconds from `since` until each device shows a picture that was made after it; ten more follow it."""
        seconds = {}
        for name, recorder in self.views.items():

            def fresh(recorder: Recorder = recorder) -> list[float]:
                frames = (f for f in recorder.frames() if f.counter is not None)
                return [f.at for f in frames if f.at - f.latency_ms / 1000 > since]

            recorder.program.wait_until(lambda look=fresh: len(look()) > 10, f"{name}'s pictures", timeout)
            seconds[name] = fresh()[0] - since
        return seconds


def make_call(stage: Stage, hub_extra: str = "", **wishes: object) -> Call:
    """The hub and `door` at one end of a new line, `desk` at the other; `hub_extra` is added to the hub's configuration."""
    link = make_link(stage, delay_ms=5)
    hub = start_hub(stage, address=link.left_address, namespace=link.left, extra=hub_extra)
    door = start_device(stage, "door", hub=hub, namespace=link.left)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right, **wishes)
    return Call(stage, link, hub, door, desk)


def outage(call: Call, begin: Callable[[], None], end: Callable[[], None], seconds: float) -> dict[str, float]:
    """One outage of `desk`: checks its signals and that `door` hears nothing; the seconds until both see each other again."""
    desk, door = call.desk, call.door
    mark, quiet = desk.mark(), door.mark()
    start = time.monotonic()
    begin()
    if seconds:
        lost = desk.wait("RoomStateUpdate", after=mark, timeout=seconds + 5)
        assert (lost.args[1], lost.args[2], lost.args[3]["reason"]) == (*LOST, "reconnecting")
        time.sleep(max(0.0, start + seconds - time.monotonic()))
    since = time.monotonic()
    end()
    times = call.flows_again(since)
    back = desk.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark)
    assert back.args[3]["reason"] == "reconnected"
    desk.wait("PublisherStateUpdate", lambda s: s.args[1] == 2, after=mark)
    desk.wait("PlayerStateUpdate", lambda s: s.args[1] == 2, after=mark)
    times["told"] = back.at - since
    assert states(desk, "RoomStateUpdate", mark) == [LOST, BACK]
    assert states(desk, "PublisherStateUpdate", mark) == [(1, 1003020), (2, 0)]
    assert states(desk, "PlayerStateUpdate", mark) == [(1, 1004020), (2, 0)]
    for member in ("RoomUserUpdate", "RoomStreamUpdate"):
        assert not desk.signals(member, mark), "nobody came or went"
    heard = [(s.member, s.args) for s in door.bus.signals[quiet:] if s.member in QUIET]
    assert not heard, f"door heard of it: {heard}"
    return times


def told(times: list[dict[str, float]]) -> str:
    """Every recovery of a case in one line."""
    rows = [f"door sees {t['door']:.2f}, desk sees {t['desk']:.2f}, told {t['told']:.2f} s" for t in times]
    return " | ".join(rows)


def in_time(times: list[dict[str, float]]) -> None:
    """Asserts that every recovery was quick enough."""
    assert max(max(t.values()) for t in times) <= RECOVERY, told(times)
