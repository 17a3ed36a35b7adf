"""A device and a server with faults: what its user interface hears is what is documented, and it recovers by itself.

The faults are those by which LiveKit tests its own SDKs.
"""

import re
import time

import pytest
from livekit.protocol import rtc as wire

from rig.broken_line import BACK, LOST, states
from rig.device import options, start_device
from rig.faulty_server import LOGIN_FAULTS, PING_TIMES, start_faulty_server
from rig.flow import judge
from rig.recorder import Recorder

ROOM = "lobby"
REQUESTING, CONNECTED = (1, 0), (2, 0)
ATTEMPT = 10.0
"""Seconds after which an attempt to join is given up."""
RECOVERY = 3.0
"""Seconds until a session is taken up again, by a server that takes it back."""
LONGEST_GAP = 500.0
"""Milliseconds between two pictures, while only the signalling connection is away."""


@pytest.fixture
def server(stage, hub):
    """What stands between the device and the hub."""
    return start_faulty_server(stage, hub.url)


@pytest.fixture
def door(stage, hub, server):
    """A device that knows the hub by the server with faults only."""
    device = start_device(stage, "door", retry_time_s=60)
    device.hub = hub
    return device


def login(door, server, **wishes):
    """What LoginRoom is given."""
    return options(token=door.hub.token("door", ROOM), server=server.url, is_user_status_notify=True, **wishes)


@pytest.mark.parametrize("fault", LOGIN_FAULTS)
def test_a_login_goes_on_until_the_server_is_well(door, server, fault):
    server.fault = fault
    mark = door.mark()
    assert door.call("LoginRoom", ROOM, "door", "", login(door, server, wait=False))[1] == 1
    door.program.wait_until(lambda: server.attempts >= 2, "a second attempt", timeout=ATTEMPT + 5)
    assert states(door, "RoomStateUpdate", mark) == [REQUESTING]
    server.fault = None
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark, timeout=ATTEMPT + RECOVERY)
    assert states(door, "RoomStateUpdate", mark) == [REQUESTING, CONNECTED]
    door.publish("door")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("refuse_500", "it answers 500"),
        ("no_answer", "no answer in time"),
        ("service_not_found", "does not speak the protocol: .* answers 404 Not Found: 404 page not found"),
    ],
)
def test_a_login_ends_with_the_retry_time(stage, hub, server, fault, said):
    door = start_device(stage, "door", retry_time_s=4)
    door.hub = hub
    server.fault = fault
    error = door.refusal("LoginRoom", ROOM, "door", "", login(door, server))
    assert error.code == 1002053, error
    assert re.search(said, error.message), error
    assert states(door, "RoomStateUpdate", 0) == [REQUESTING, (0, 1002053)]
    server.fault = None
    assert door.call("LoginRoom", ROOM, "door", "", login(door, server))[1] == 2


def test_a_room_that_the_server_does_not_have_is_not_tried_again(door, server):
    """Asking again changes nothing: the login is over, and the user hears what is missing."""
    server.fault = "room_not_found"
    error = door.refusal("LoginRoom", ROOM, "door", "", login(door, server))
    assert error.code == 1002002, error
    assert states(door, "RoomStateUpdate", 0) == [REQUESTING, (0, error.code)]
    attempts = server.attempts
    time.sleep(2)
    assert server.attempts == attempts


class Watched:
    """A device in the room by the server with faults, whose picture another one shows that knows the hub itself."""

    def __init__(self, door, desk, server):
        self.door, self.desk = door, desk
        assert door.call("LoginRoom", ROOM, "door", "", login(door, server))[1] == 2
        door.publish("door")
        desk.login(ROOM)
        view = desk.texture()
        self.recorder: Recorder = desk.record(view)
        desk.play("door", view=view.view)
        self.recorder.wait_for_frames(15)
        self.mark = door.mark()

    def states(self) -> list[tuple[int, int]]:
        return states(self.door, "RoomStateUpdate", self.mark)

    def shows_pictures(self) -> None:
        """Pictures come that are made from now on."""
        since = time.monotonic()

        def fresh() -> int:
            made = (f.at - f.latency_ms / 1000 for f in self.recorder.frames() if f.counter is not None)
            return sum(at > since for at in made)

        self.recorder.program.wait_until(lambda: fresh() > 10, "fresh pictures", timeout=ATTEMPT)


@pytest.fixture
def watched(door, device, server) -> Watched:
    return Watched(door, device("desk"), server)


@pytest.mark.parametrize(
    "fault",
    [
        lambda server: server.close(1011),
        lambda server: server.close(1000),
        lambda server: server.drop(),
        lambda server: server.leave("RESUME", "SIGNAL_CLOSE"),
        lambda server: server.leave("RECONNECT", "STATE_MISMATCH"),
        lambda server: server.leave("RECONNECT", "SERVER_SHUTDOWN"),
        lambda server: server.leave("DISCONNECT", "SERVER_SHUTDOWN"),
        lambda server: server.leave("DISCONNECT", "UNKNOWN_REASON"),
    ],
    ids=["closed", "closed politely", "dropped", "to resume", "to reconnect", "it moves", "it ends", "for no reason"],
)
def test_a_session_that_the_server_breaks_off_is_taken_up_again(watched, server, fault):
    fault(server)
    watched.door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=watched.mark, timeout=RECOVERY)
    assert watched.states() == [LOST, BACK]
    watched.shows_pictures()


@pytest.mark.paired
@pytest.mark.any_server
def test_media_goes_on_while_the_signalling_is_away(watched, server, measured):
    """Both ways, however the connection ends, and for seconds."""
    door, desk = watched.door, watched.desk
    desk.publish("desk")
    view = door.texture()
    recorders = {"desk sees": watched.recorder, "door sees": door.record(view)}
    door.play("desk", view=view.view)
    recorders["door sees"].wait_for_frames(15)
    gaps = []
    for seconds, fault in [
        (0, server.drop),
        (0, lambda: server.close(1011)),
        (0, lambda: server.leave("RESUME", "SIGNAL_CLOSE")),
        (3, server.drop),
    ]:
        mark, begin = door.mark(), time.monotonic()
        server.fault = "refuse_500" if seconds else None
        fault()
        time.sleep(seconds)
        server.fault = None
        door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark, timeout=RECOVERY)
        assert states(door, "RoomStateUpdate", mark) == [LOST, BACK]
        watched.shows_pictures()
        end = time.monotonic()
        flows = {who: judge(recorder.frames(), begin=begin, end=end) for who, recorder in recorders.items()}
        gaps += [flow.longest_gap_ms for flow in flows.values()]
        assert all(flow.made > 25 * (end - begin) - 10 for flow in flows.values()), {who: str(flow) for who, flow in flows.items()}
    measured(f"longest gaps {', '.join(f'{gap:.0f}' for gap in gaps)} ms")
    assert max(gaps) < LONGEST_GAP


@pytest.mark.parametrize(
    ("reason", "code"), [("DUPLICATE_IDENTITY", 1002050), ("PARTICIPANT_REMOVED", 1002055), ("ROOM_DELETED", 1002057)]
)
def test_who_is_sent_away_for_good_stays_away(watched, server, reason, code):
    attempts = server.attempts
    server.leave("DISCONNECT", reason)
    watched.door.wait("RoomStateUpdate", lambda s: s.args[1] == 0, after=watched.mark)
    assert watched.states() == [(0, code)]
    time.sleep(2)
    assert server.attempts == attempts


def test_a_resume_that_is_refused_becomes_a_new_login(watched, server):
    server.fault = "leave_during_resume"
    server.drop()
    watched.door.wait("RoomStateUpdate", lambda s: s.args[1] == 1, after=watched.mark)
    watched.door.program.wait_until(lambda: server.attempts >= 3, "attempts")
    assert watched.states() == [LOST]
    server.fault = None
    watched.door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=watched.mark, timeout=ATTEMPT + RECOVERY)
    assert watched.states() == [LOST, BACK]
    watched.shows_pictures()


def test_a_resume_that_ends_in_a_shutdown_becomes_a_new_login(watched, server):
    """The server leaves the connection open, and takes whoever comes anew."""
    attempts = server.attempts
    server.fault = "leave_during_resume_and_stay"
    server.drop()
    watched.door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=watched.mark, timeout=RECOVERY)
    assert watched.states() == [LOST, BACK]
    assert server.attempts == attempts + 2, "one to resume, one to join"
    watched.shows_pictures()


def test_a_server_that_talks_but_answers_no_pings_is_there(door, device, server):
    """What it says shows that the line carries; when it says nothing either, it is left for a new connection."""
    server.fault = "no_pong"
    watched = Watched(door, device("desk"), server)
    door.call("MuteMicrophone", True)
    begin = time.monotonic()
    while time.monotonic() - begin < 2.5 * PING_TIMES["ping_timeout"]:
        server.say(wire.SignalResponse(speakers_changed=wire.SpeakersChanged()).SerializeToString())
        time.sleep(1)
    assert watched.states() == []
    watched.shows_pictures()
    silent = time.monotonic()
    lost = door.wait("RoomStateUpdate", lambda s: s.args[1] == 1, after=watched.mark, timeout=15)
    assert lost.at - silent <= PING_TIMES["ping_timeout"] + 1
    server.fault = None
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=watched.mark, timeout=RECOVERY)
    assert watched.states() == [LOST, BACK]
    watched.shows_pictures()


def test_a_logout_does_not_wait_for_the_server_s_farewell(watched, server):
    """The connection is dropped on the closing handshake: the others see the user go, and he comes in again."""
    server.fault = "drop_on_close"
    door, later, begin = watched.door, watched.desk.mark(), time.monotonic()
    door.call("LogoutRoom", ROOM)
    assert time.monotonic() - begin < 1
    watched.desk.wait("RoomUserUpdate", lambda s: s.args[1] == 1, after=later, timeout=RECOVERY)
    assert watched.states() == [(0, 0)]
    assert door.call("LoginRoom", ROOM, "door", "", login(door, server))[1] == 2
    assert "panicked" not in door.program.output()


def test_a_server_that_answers_no_pings_is_left_for_a_new_connection(watched, server):
    """15 s is the time that the hub asks its clients to wait."""
    begin = time.monotonic()
    server.fall_silent()
    watched.door.wait("RoomStateUpdate", lambda s: s.args[1] == 1, after=watched.mark, timeout=20)
    assert 9 <= time.monotonic() - begin <= 17
    watched.door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=watched.mark, timeout=RECOVERY)
    assert watched.states() == [LOST, BACK]
    watched.shows_pictures()


@pytest.mark.parametrize("frame", [b"\xff" * 100, b"", b"\x0a\x05\x00", "text", '{"leave": 5}'], ids=repr)
def test_frames_that_cannot_be_read_disturb_nothing(watched, server, frame):
    server.say(frame)
    watched.shows_pictures()
    assert watched.states() == []
    assert "panicked" not in watched.door.program.output()
