"""Being put out: the same user elsewhere, an administrator; and who may come back."""

import json
import os
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from rig import tokens
from rig.device import wait_until
from rig.hub import start_hub
from rig.network import free_port
from rig.relay import start_relay


def remove(hub, room, identity, token):
    """Calls RoomService.RemoveParticipant; HTTP status and answer."""
    request = urllib.request.Request(
        f"{hub.http}/twirp/livekit.RoomService/RemoveParticipant",
        data=json.dumps({"room": room, "identity": identity}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read()
        # LiveKit's own server refuses tokens in words, before its Twirp is asked.
        return error.code, json.loads(said) if hub.is_ours or said.startswith(b"{") else {"code": None, "msg": said.decode()}


def deletions(device, stream):
    """The reasons with which a stream was announced to be gone."""
    gone = [s for s in device.signals("RoomStreamUpdate") if s.args[1] == 1]
    return [x[3]["delete_reason"] for s in gone for x in s.args[2] if x[0] == stream]


@pytest.mark.any_server
def test_the_same_user_elsewhere(hub, device):
    """The newest login wins; the others hear that the streams went because their user logged in again."""
    first, second, desk = device("first"), device("second"), device("desk")
    desk.login("lobby")
    first.login("lobby", user="twin")
    first.publish("twin")
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0)
    mark = first.mark()
    second.login("lobby", user="twin")
    out = first.wait("RoomStateUpdate", after=mark)
    assert out.args[1:3] == [0, 1002050]
    assert (out.args[3]["reason"], out.args[3]["reason_code"]) == ("kick_out", 6)
    assert out.args[3]["message"].endswith("[1002050]")
    first.wait("PublisherStateUpdate", after=mark)
    assert [s.args[1:3] for s in first.signals("PublisherStateUpdate", mark)] == [[0, 1002050]]
    wait_until(lambda: deletions(desk, "twin"), "the stream to go")
    # LiveKit's own server takes the tracks away before it says why.
    assert deletions(desk, "twin") == [3 if hub.is_ours else 1]
    wait_until(lambda: not first.objects("Room") and not first.objects("Publisher"), "the objects to go")
    second.publish("twin")


@pytest.fixture
def held():
    """Lets a device not run for a while: `with held(device): …`."""

    @contextmanager
    def hold(device):
        os.kill(device.program.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(device.program.pid, signal.SIGCONT)

    return hold


def refused_come_back(first, mark):
    """What the device is told that came back too late."""
    out = first.wait("RoomStateUpdate", lambda s: s.args[1] == 0, after=mark, timeout=40)
    assert out.args[2] == 1002086
    assert (out.args[3]["reason"], out.args[3]["reason_code"]) == ("reconnect_failed", 5)
    first.wait("PublisherStateUpdate", lambda s: s.args[1] == 0, after=mark)
    wait_until(lambda: not first.objects("Room") and not first.objects("Publisher"), "the objects to go")


@pytest.mark.any_server
def test_whoever_was_offline_does_not_put_the_newcomer_out(stage, hub, device):
    """Cut off, replaced meanwhile, back again: refused with 1002086; the newcomer hears nothing of it."""
    relay = start_relay(stage, hub.url)
    first, second = device("first"), device("second")
    first.login("lobby", user="twin", server=relay.url)
    first.publish("twin")
    mark = first.mark()
    relay.cut()
    first.wait("RoomStateUpdate", lambda s: s.args[1:3] == [1, 1002051], after=mark)
    second.login("lobby", user="twin")
    second.publish("twin")
    later = second.mark()
    relay.open()
    refused_come_back(first, mark)
    if not hub.is_ours:
        # LiveKit's own server gives its line to whoever asks for the session, for a moment; it takes it back by itself.
        told = lambda: [s.args[1:3] for s in second.signals("RoomStateUpdate", later)]  # noqa: E731
        wait_until(lambda: told()[1:], "the newcomer's line")
        assert told() == [[1, 1002051], [2, 0]]
        later = second.mark()
    assert not second.signals("RoomStateUpdate", later), "the newcomer is not disturbed"
    assert not second.signals("PublisherStateUpdate", later)
    # A new login is a wish, not a come-back: it may put the other one out.
    first.login("lobby", user="twin")
    assert second.wait("RoomStateUpdate", after=later).args[1:3] == [0, 1002050]


@pytest.mark.any_server
def test_a_come_back_after_a_short_cut_is_welcome(stage, hub, device):
    """Nobody took its place: it is back, and was never gone for the others."""
    relay = start_relay(stage, hub.url)
    door, desk = device("door"), device("desk")
    desk.login("lobby")
    door.login("lobby", server=relay.url)
    desk.wait("RoomUserUpdate", lambda s: s.args[1] == 0)
    # Before its media is up it has nothing to come back to.
    door.publish("door")
    door.wait("PublisherFirstFrame", lambda s: s.args[1] == "audio_sent")
    mark, later = door.mark(), desk.mark()
    relay.cut()
    door.wait("RoomStateUpdate", lambda s: s.args[1:3] == [1, 1002051], after=mark)
    relay.open()
    back = door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark, timeout=20)
    assert (back.args[2], back.args[3]["reason"]) == (0, "reconnected")
    assert not desk.signals("RoomUserUpdate", later)


def test_a_come_back_after_the_server_restarted(stage, device, held):
    """While the first device waits to come back, the second logs in: the first is refused, with 1002086."""
    port = free_port()
    hub = start_hub(stage, port=port)
    first, second = device("first", hub=hub), device("second", hub=hub)
    first.login("lobby", user="twin")
    first.publish("twin")
    mark = first.mark()
    hub.program.kill()
    first.wait("RoomStateUpdate", lambda s: s.args[1:3] == [1, 1002051], after=mark)
    # It must not get through before the other one.
    with held(first):
        start_hub(stage, port=port)
        second.login("lobby", user="twin")
    later = second.mark()
    refused_come_back(first, mark)
    assert not second.signals("RoomStateUpdate", later)


@pytest.mark.any_server
def test_an_administrator_puts_a_user_out(hub, device):
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0)
    good = tokens.admin_token("lobby")
    for room, identity, token, status, code in [
        ("lobby", "door", "", 401, "unauthenticated"),
        ("lobby", "door", "nonsense", 401, "unauthenticated"),
        ("lobby", "door", hub.token("door", "lobby"), 401, "unauthenticated"),
        ("lobby", "door", tokens.admin_token("lobby", secret="x" * 32), 401, "unauthenticated"),
        ("lobby", "door", tokens.admin_token("cellar"), 401, "unauthenticated"),
        ("lobby", "gate", good, 404, "not_found"),
    ]:
        answered, body = remove(hub, room, identity, token)
        assert (answered, body["code"]) == (status, code if hub.is_ours or status == 404 else body["code"]), body
        assert body["msg"]
    mark = door.mark()
    assert remove(hub, "lobby", "door", good) == (200, {})
    out = door.wait("RoomStateUpdate", after=mark)
    assert out.args[1:3] == [0, 1002055]
    assert (out.args[3]["reason"], out.args[3]["reason_code"]) == ("kick_out", 6)
    desk.wait("RoomUserUpdate", lambda s: s.args == ["lobby", 1, [["door", "door"]]])
    assert deletions(desk, "door") == [4]
    door.login("lobby")
