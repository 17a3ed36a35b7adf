"""The server API (RoomService), driven by PyPI's `livekit-api` on the hub and on LiveKit's own server."""

import base64
import urllib.error
import urllib.request

import pytest

from livekit import api
from rig import tokens
from rig.device import wait_until
from rig.hub import start_hub
from rig.room_service import Refused, call, post


def participant(hub, identity, room="lobby"):
    """What the server says about somebody."""
    return call(hub, "get_participant", room=room, identity=identity)


def wait_active(hub, identity, room="lobby"):
    """Waits until somebody's media is up."""
    wait_until(lambda: participant(hub, identity, room).state == api.ParticipantInfo.ACTIVE, f"{identity} to be active")


def tracks(hub, identity):
    """What somebody publishes, by kind."""
    return {track.type: track for track in participant(hub, identity).tracks}


def refusal(hub, method, **fields):
    """The code and the HTTP status with which a call is refused."""
    with pytest.raises(Refused) as refused:
        call(hub, method, **fields)
    return refused.value.code, refused.value.status


@pytest.mark.any_server
def test_rooms_are_created_listed_and_deleted(hub):
    made = call(hub, "create_room", name="lobby", empty_timeout=70, departure_timeout=7, max_participants=3, metadata="m")
    assert made.sid.startswith("RM_") and made.creation_time
    assert (made.name, made.empty_timeout, made.departure_timeout) == ("lobby", 70, 7)
    assert (made.max_participants, made.metadata, made.num_participants) == (3, "m", 0)
    assert call(hub, "create_room", name="lobby", metadata="other").sid == made.sid
    plain = call(hub, "create_room", name="hall")
    assert plain.departure_timeout == 20
    assert {room.name for room in call(hub, "list_rooms").rooms} == {"lobby", "hall"}
    assert [room.sid for room in call(hub, "list_rooms", names=["lobby", "none"]).rooms] == [made.sid]
    call(hub, "delete_room", room="hall")
    assert {room.name for room in call(hub, "list_rooms").rooms} == {"lobby"}


@pytest.mark.any_server
def test_a_deleted_room_sends_its_people_away(hub, device):
    door = device("door")
    door.login("lobby")
    wait_active(hub, "door")
    mark = door.mark()
    call(hub, "delete_room", room="lobby")
    out = door.wait("RoomStateUpdate", lambda s: s.args[1] == 0, after=mark)
    assert out.args[2] == 1002057
    assert not call(hub, "list_rooms").rooms


@pytest.mark.any_server
def test_participants_are_listed_found_changed_and_removed(hub, device):
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    for identity in ("door", "desk"):
        wait_active(hub, identity)
    assert {p.identity for p in call(hub, "list_participants", room="lobby").participants} == {"door", "desk"}
    before = participant(hub, "door")
    assert before.sid.startswith("PA_") and before.permission.can_publish and before.joined_at
    changed = call(
        hub, "update_participant", room="lobby", identity="door", name="Front", metadata="m", attributes={"a": "1"}
    )
    assert (changed.name, changed.metadata, changed.attributes["a"]) == ("Front", "m", "1")
    again = call(hub, "update_participant", room="lobby", identity="door", attributes={"a": "", "b": "2"})
    assert (again.name, again.metadata, again.attributes["b"], "a" in again.attributes) == ("Front", "m", "2", False)
    mark = desk.mark()
    call(hub, "remove_participant", room="lobby", identity="door")
    desk.wait("RoomUserUpdate", lambda s: s.args[1] == 1 and s.args[2][0][0] == "door", after=mark)
    wait_until(lambda: len(call(hub, "list_participants", room="lobby").participants) == 1, "the removed one to go")
    assert refusal(hub, "get_participant", room="lobby", identity="door") == ("not_found", 404)


@pytest.mark.any_server
def test_a_permission_is_taken_away_and_with_it_what_it_allowed(hub, device):
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0)
    mark = desk.mark()
    permission = api.ParticipantPermission(can_subscribe=True, can_publish_data=True)
    changed = call(hub, "update_participant", room="lobby", identity="door", permission=permission)
    assert not changed.permission.can_publish and changed.permission.can_subscribe
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1, after=mark)
    wait_until(lambda: not participant(hub, "door").tracks, "the tracks to go")


@pytest.mark.any_server
def test_a_track_is_muted_and_only_its_owner_unmutes_it(hub, device):
    door = device("door")
    door.login("lobby")
    door.publish("door")
    wait_until(lambda: len(tracks(hub, "door")) == 2, "two tracks")
    sid = tracks(hub, "door")[api.TrackType.VIDEO].sid
    muted = call(hub, "mute_published_track", room="lobby", identity="door", track_sid=sid, muted=True)
    assert muted.track.sid == sid and muted.track.muted
    wait_until(lambda: tracks(hub, "door")[api.TrackType.VIDEO].muted, "the track to be muted")
    assert not tracks(hub, "door")[api.TrackType.AUDIO].muted
    unmute = {"room": "lobby", "identity": "door", "track_sid": sid, "muted": False}
    assert refusal(hub, "mute_published_track", **unmute) == ("failed_precondition", 412)


@pytest.mark.any_server
def test_subscriptions_and_room_metadata(hub, device):
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    wait_until(lambda: len(tracks(hub, "door")) == 2, "two tracks")
    wait_active(hub, "desk")
    sids = [track.sid for track in tracks(hub, "door").values()]
    for subscribe in (True, False):
        call(hub, "update_subscriptions", room="lobby", identity="desk", track_sids=sids, subscribe=subscribe)
    assert call(hub, "update_room_metadata", room="lobby", metadata="words").metadata == "words"
    assert call(hub, "list_rooms").rooms[0].num_participants == 2


@pytest.mark.any_server
def test_data_reaches_whom_it_is_for_and_once(hub, device):
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    for d in (door, desk):
        wait_active(hub, d.name)
    reach(door, desk)
    reach(desk, door)
    admin = tokens.server_token(roomAdmin=True, room="lobby")
    once = {"room": "lobby", "kind": "RELIABLE", "topic": "zego.command", "destinationIdentities": ["desk"]}
    once |= {"data": b64(b"once"), "nonce": b64(bytes(range(16)))}
    for _ in range(2):
        assert post(hub, "SendData", once, admin) == (200, {})
    call(hub, "send_data", room="lobby", data=b"end", kind=0, topic="zego.command")
    for d in (door, desk):
        d.wait("CustomCommandReceived", lambda s: s.args[3] == "end")
    heard = [[s.args[3] for s in d.signals("CustomCommandReceived") if s.args[1] == ""] for d in (door, desk)]
    assert heard == [["end"], ["once", "end"]]
    # The SDK makes the number itself, with the right length.
    status, body = post(hub, "SendData", {**once, "nonce": b64(b"short")}, admin)
    assert (status, body["code"]) == (400, "invalid_argument")


def reach(sender, receiver):
    """Sends until something arrives: then data channels are open. A device may send so often."""
    for _ in range(8):
        sender.call("SendCustomCommand", "lobby", "ready", [])
        try:
            return wait_until(lambda: receiver.signals("CustomCommandReceived"), "a message", timeout=1.2)
        except AssertionError:
            continue
    raise AssertionError(f"{receiver.name} hears nothing")


def b64(data):
    """Bytes, as they stand in JSON."""
    return base64.b64encode(data).decode()


@pytest.mark.any_server
def test_what_is_not_there_and_what_is_not_granted(hub):
    call(hub, "create_room", name="lobby")
    absent = ("not_found", 404)
    assert refusal(hub, "delete_room", room="none") == absent
    assert refusal(hub, "update_room_metadata", room="none", metadata="m") == absent
    for method in ("get_participant", "remove_participant", "update_participant"):
        assert refusal(hub, method, room="lobby", identity="nobody") == absent
    assert not call(hub, "list_participants", room="none").participants
    admin, other = {"roomAdmin": True, "room": "lobby"}, {"roomAdmin": True, "room": "cellar"}
    for method, fields, grants in [
        ("CreateRoom", {"name": "x"}, {"roomList": True, **admin}),
        ("ListRooms", {}, {"roomCreate": True, **admin}),
        ("DeleteRoom", {"room": "lobby"}, {"roomList": True, **admin}),
        ("ListParticipants", {"room": "lobby"}, other),
        ("GetParticipant", {"room": "lobby", "identity": "a"}, other),
        ("RemoveParticipant", {"room": "lobby", "identity": "a"}, {"roomAdmin": True}),
        ("MutePublishedTrack", {"room": "lobby", "identity": "a"}, {"roomJoin": True, "room": "lobby"}),
        ("UpdateParticipant", {"room": "lobby", "identity": "a"}, other),
        ("UpdateSubscriptions", {"room": "lobby", "identity": "a"}, other),
        ("SendData", {"room": "lobby"}, {"roomCreate": True, "roomList": True}),
        ("UpdateRoomMetadata", {"room": "lobby"}, other),
        ("MoveParticipant", {"room": "lobby", "identity": "a", "destination_room": "b"}, other),
    ]:
        status, body = post(hub, method, fields, tokens.server_token(**grants))
        assert (status, body["code"]) == (401, "unauthenticated"), method
    status, body = post(hub, "ListRooms", {}, tokens.server_token(roomList=True))
    assert (status, body["rooms"][0]["name"]) == (200, "lobby")
    assert "creation_time" in body["rooms"][0], "fields have the names of the protocol's files"
    status, body = post(hub, "NoSuchMethod", {}, tokens.server_token(roomList=True))
    assert (status, body["code"]) == (404, "bad_route")


@pytest.mark.any_server
def test_a_token_says_what_its_room_is_like(hub, device):
    config = {"maxParticipants": 1, "emptyTimeout": 33, "departureTimeout": 44, "metadata": "m"}
    device("door").login("lobby", token=hub.token("door", "lobby", room_config=config))
    room = call(hub, "list_rooms").rooms[0]
    assert (room.max_participants, room.empty_timeout, room.departure_timeout) == (1, 33, 44)
    assert room.metadata == "m"


def test_without_auto_create_a_room_must_be_created_first(stage, device):
    hub = start_hub(stage, extra="[room]\nauto_create = false\nempty_timeout_s = 40\n")
    for path in ("rtc", "rtc/v1"):
        status, text = validate(hub, path)
        assert (status, "requested room does not exist" in text) == (404, True), text
    assert call(hub, "create_room", name="lobby").empty_timeout == 40
    assert validate(hub, "rtc") == (200, "success")
    device("door", hub=hub).login("lobby")


def validate(hub, path):
    """Asks whether a token lets in: status and text."""
    # A WrappedJoinRequest with an empty JoinRequest in it.
    packed = base64.urlsafe_b64encode(bytes([0x12, 0])).decode()
    request = urllib.request.Request(f"{hub.http}/{path}/validate?join_request={packed}")
    request.add_header("Authorization", f"Bearer {hub.token('door', 'lobby')}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
