"""Tokens of both kinds: what each lets its user do, its end, and a new one in time."""

import base64
import time
import urllib.error
import urllib.request

import pytest

from rig import tokens
from rig.broken_line import BACK, LOST, states
from rig.device import options, wait_until
from rig.hub import start_hub
from rig.network import free_port
from rig.relay import start_relay
from rig.servers import SERVERS

ERROR = "org.zegod1.Error."


def attempt(device, token, room="lobby", user=None):
    """The error with which a login is refused."""
    return device.refusal("LoginRoom", room, user or device.name, "", options(token=token, server=device.hub.url))


def short(hub, user, ttl):
    """A token that ends soon: a token04, or for LiveKit's own server a JWT."""
    return tokens.token04(user, ttl=ttl) if hub.is_ours else tokens.livekit_token(user, "lobby", ttl=int(ttl))


def changed_outside(token):
    """A token04 whose unprotected expiry says something else than the protected one."""
    packed = bytearray(base64.b64decode(token[2:]))
    packed[7] ^= 1
    return "04" + base64.b64encode(packed).decode()


def test_token04_is_taken(hub, device):
    door = device("door")
    for token in (
        tokens.token04("door"),
        tokens.token04("door", room="lobby"),
        tokens.token04("door", room="", streams=[]),
    ):
        door.login("lobby", token=token)
        door.publish("anything", audio=True, video=False)
        door.call("LogoutRoom", "")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (tokens.token04("door", room="cellar"), 1002033),
        (tokens.token04("door", room="lobby", login=0), 1002033),
        (tokens.token04("door", secret="x" * 32), 1002033),
        (tokens.token04("door", payload="{}"), 1002075),
        (tokens.token04("door", payload="not JSON"), 1002075),
        (tokens.token04("door")[:-8], 1002075),
        (changed_outside(tokens.token04("door")), 1002075),
        (tokens.token04("door", app_id=42), 1002076),
        (tokens.token04("desk"), 1002077),
        (tokens.token04("door", user_id=7), 1002077),
        (tokens.token04("door", ttl=-120), 1002078),
        (tokens.token04("door", ctime="yesterday"), 1002078),
        ("03" + tokens.token04("door")[2:], 1002079),
        (tokens.token04("door", nonce="7"), 1002080),
        (tokens.livekit_token("door", "lobby", grants={"roomJoin": False}), 1002033),
        ("", 1002067),
    ],
)
def test_a_token_that_is_refused(hub, device, token, code):
    """Each with its own code, as the call's error and, where a server was asked or the token read, as the room's last state."""
    door = device("door")
    error = attempt(door, token)
    assert (error.name, error.code) == (f"{ERROR}AuthenticationFailed", code), error.message
    last = door.signals("RoomStateUpdate")
    if token:
        assert last[-1].args[1:3] == [0, code] and last[-1].args[3]["reason"] == "login_failed"
    else:
        assert not last
    assert not door.objects("Room")


@pytest.mark.parametrize(
    ("token", "stream"),
    [
        (tokens.token04("door", room="lobby", publish=0), "door"),
        (tokens.token04("door", room="lobby", streams=["front", "back"]), "door"),
        (tokens.livekit_token("door", "lobby", publish=False), "door"),
    ],
    ids=["token04", "stream list", "JWT"],
)
def test_a_token_that_does_not_let_publish(hub, device, token, stream):
    door = device("door")
    door.login("lobby", token=token)
    error = door.refusal("StartPublishing", stream, {})
    assert (error.name, error.code) == (f"{ERROR}Forbidden", 1003072)
    assert not door.objects("Publisher")
    assert door.objects("Room"), "the room is not left for it"


def test_a_stream_on_the_list_may_be_published(hub, device):
    door = device("door")
    door.login("lobby", token=tokens.token04("door", room="lobby", streams=["front", "back"]))
    door.publish("back")


@pytest.mark.any_server
def test_the_end_of_a_token_is_told_thirty_seconds_before(hub, device):
    """And not of one that was renewed in time; a running room stays, as the hub's default is."""
    door, desk = device("door"), device("desk")
    door.login("lobby", token=short(hub, "door", 32.5))
    desk.login("lobby", token=short(hub, "desk", 33))
    desk.call("RenewToken", "lobby", short(hub, "desk", 3600))
    begin = time.monotonic()
    told = door.wait("RoomTokenWillExpire", timeout=8)
    assert told.args[0] == "lobby" and 29 <= told.args[1] <= 30
    assert told.at - begin <= 4
    expires = next(iter(door.objects("Room").values()))["TokenExpiresAt"]
    assert abs(expires - time.time() - told.args[1]) <= 2
    assert not desk.signals("RoomTokenWillExpire")


@pytest.mark.any_server
def test_a_token_that_ends_at_once_is_told_at_once(hub, device):
    door = device("door")
    door.login("lobby", token=short(hub, "door", 10))
    assert 7 <= door.wait("RoomTokenWillExpire", timeout=2).args[1] <= 10


def test_renewing_a_token(hub, device):
    """A good one counts from then on; each bad one is refused with its code and changes nothing."""
    door = device("door")
    door.login("lobby", token=tokens.token04("door", room="lobby", streams=["first"]))
    assert door.refusal("StartPublishing", "second", {}).code == 1003072
    door.call("RenewToken", "lobby", tokens.token04("door", room="lobby", streams=["second"]))
    door.publish("second")
    for token, code in [
        ("", 1002067),
        ("nonsense", 1002079),
        (tokens.token04("door", secret="x" * 32), 1002033),
        (tokens.token04("door", room="cellar"), 1002033),
        (tokens.token04("desk"), 1002077),
        (tokens.token04("door", ttl=-120), 1002078),
        (tokens.token04("door", nonce="x"), 1002080),
        (tokens.token04("door", room="lobby", publish=0), 1002082),
        (tokens.livekit_token("door", "lobby", app_id=42), 1002076),
    ]:
        error = door.refusal("RenewToken", "lobby", token)
        assert error.code == code, f"{code}: {error.message}"
    assert door.refusal("RenewToken", "lobby", tokens.token04("door", publish=0, room="lobby")).name == f"{ERROR}Forbidden"
    assert door.refusal("RenewToken", "cellar", tokens.token04("door")).code == 1002002
    assert [s.args[1] for s in door.signals("PublisherStateUpdate")][-1] == 2, "what runs goes on"
    door.call("StopPublishing", "")
    door.publish("second")


@pytest.mark.any_server
def test_renewing_a_jwt_without_the_right_to_publish(hub, device):
    door = device("door")
    door.login("lobby")
    error = door.refusal("RenewToken", "lobby", tokens.livekit_token("door", "lobby", publish=False))
    assert (error.name, error.code) == (f"{ERROR}Forbidden", 1002082)


def test_an_expired_token_ends_the_session_where_that_is_configured(stage, device):
    hub = start_hub(stage, extra="expire_sessions = true")
    door, desk = device("door", hub=hub), device("desk", hub=hub)
    desk.login("lobby", token=tokens.token04("desk", ttl=6))
    desk.call("RenewToken", "lobby", tokens.token04("desk"))
    door.login("lobby", token=tokens.token04("door", ttl=4))
    door.publish("door")
    out = door.wait("RoomStateUpdate", lambda s: s.args[1] == 0, timeout=10)
    assert out.args[2] == 1002056
    assert (out.args[3]["reason"], out.args[3]["reason_code"]) == ("kick_out", 6)
    door.wait("PublisherStateUpdate", lambda s: s.args[1:3] == [0, 1002056])
    wait_until(lambda: not door.objects("Publisher"), "the publisher to go")
    time.sleep(3)
    assert len(desk.objects("Room")) == 1, "a renewed token keeps its user in"


def test_an_expired_token_changes_nothing_by_default(hub, device):
    """It stays in the room and goes on publishing, but the next login fails."""
    door = device("door")
    token = tokens.token04("door", ttl=3)
    door.login("lobby", token=token)
    door.publish("door")
    time.sleep(6)
    assert [s.args[1] for s in door.signals("RoomStateUpdate")] == [1, 2]
    assert door.objects("Publisher")["/org/zegod1/publisher/0"]["State"] == "publishing"
    door.call("LogoutRoom", "")
    assert attempt(door, token).code == 1002078


def is_good(hub, user, token):
    """Whether the server would let this token in."""
    url = f"{hub.http}/rtc/validate?zego_room=lobby&zego_user={user}"
    try:
        urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"}), timeout=5).close()
    except urllib.error.HTTPError as error:
        assert error.code == 401, error
        return False
    return True


@pytest.mark.parametrize(("server", "kind"), [("zegohub", "JWT"), ("zegohub", "token04"), ("livekit-server", "JWT")])
def test_a_renewed_token_is_what_a_come_back_shows(stage, device, server, kind):
    """The first one is over when the line breaks, and when the server does: who has renewed it comes back, who has not is refused."""
    port, start = free_port(), SERVERS[server]
    hub = start(stage, port=port)
    relay = start_relay(stage, hub.url)

    def token(user, seconds):
        # A JWT is taken for a minute longer than it says.
        return tokens.livekit_token(user, "lobby", ttl=seconds - 60) if kind == "JWT" else tokens.token04(user, ttl=seconds)

    door, desk = device("door", hub=hub), device("desk", hub=hub)
    first = {d.name: token(d.name, 8) for d in (door, desk)}
    for d in (door, desk):
        d.login("lobby", token=first[d.name], server=relay.url)
        d.publish(d.name)
        # Before its media is up it has nothing to come back to.
        d.wait("PublisherFirstFrame", lambda s: s.args[1] == "audio_sent")
    assert all(is_good(hub, user, first[user]) for user in first)
    door.call("RenewToken", "lobby", token("door", 3600))
    seconds = 0
    while is_good(hub, "desk", first["desk"]):
        # The hub limits how often an address may ask.
        time.sleep(1)
        seconds += 1
        assert seconds < 12, "the first tokens do not end"
    marks = {d.name: d.mark() for d in (door, desk)}
    relay.cut()
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 1, after=marks["door"])
    relay.open()
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=marks["door"])
    # LiveKit's own server gives everybody a fresh token with the login, which is good for coming back to it.
    if not hub.is_ours:
        desk.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=marks["desk"])

    again = door.mark()
    hub.program.kill()
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 1, after=again)
    start(stage, port=port)
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=again)
    door.wait("PublisherStateUpdate", lambda s: s.args[1] == 2, after=again)
    assert states(door, "RoomStateUpdate", marks["door"]) == [LOST, BACK] * 2
    out = desk.wait("RoomStateUpdate", lambda s: s.args[1] == 0, after=marks["desk"])
    assert out.args[3]["reason"] == "reconnect_failed"
    before = [LOST] if hub.is_ours else [LOST, BACK, LOST]
    assert states(desk, "RoomStateUpdate", marks["desk"]) == [*before, (0, 1002078 if hub.is_ours else 1002033)]
