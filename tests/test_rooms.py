"""Rooms: the order of the news after a login, who sees whom, several rooms, switching, extra information, unique streams."""

import os
import signal
import time

import pytest

from rig import tokens
from rig.device import options, wait_until
from rig.hub import start_hub
from rig.livekit import start_livekit
from rig.room_service import call

ROOM_NEWS = ("RoomStateUpdate", "RoomUserUpdate", "RoomStreamUpdate", "RoomExtraInfoUpdate")


def news(device, after=0, members=ROOM_NEWS):
    """What a device was told about its rooms."""
    return [s for s in device.bus.signals[after:] if s.member in members]


def room_object(device, room="lobby"):
    return next(properties for properties in device.objects("Room").values() if properties["RoomID"] == room)


def test_the_order_after_a_login(hub, device):
    """Connecting, connected, everybody who is there, everything they publish: each once, and nothing about nobody."""
    door, gate, desk = device("door"), device("gate"), device("desk")
    door.login("lobby")
    door.publish("door", extra_info="front")
    assert [s.member for s in news(door)] == ["RoomStateUpdate", "RoomStateUpdate"], "an empty room is no news"
    gate.login("lobby")
    gate.publish("gate")
    # The server tells of a stream when it has agreed on its media.
    for d, other in ((door, "gate"), (gate, "door")):
        d.wait("RoomStreamUpdate", lambda s, other=other: s.args[2][0][0] == other)
    desk.login("lobby")
    first, second, users, streams = wait_until(lambda: news(desk)[3:] and news(desk), "four signals")
    assert [first.args[1:3], second.args[1:3]] == [[1, 0], [2, 0]]
    assert (first.args[3]["reason"], first.args[3]["reason_code"]) == ("logining", 0)
    assert (second.args[3]["reason"], second.args[3]["reason_code"]) == ("logined", 1)
    assert second.args[3]["room_session_id"]
    assert users.args == ["lobby", 0, [["door", "door"], ["gate", "gate"]]]
    assert streams.args[:2] == ["lobby", 0]
    assert sorted((s[0], s[1]) for s in streams.args[2]) == [("door", "door"), ("gate", "gate")]
    assert {s[0]: s[3]["extra_info"] for s in streams.args[2]} == {"door": "front", "gate": ""}
    assert room_object(desk)["OnlineUserCount"] == 3
    assert desk.wait("RoomOnlineUserCountUpdate", lambda s: s.args == ["lobby", 3])

    mark = door.mark()
    desk.call("LogoutRoom", "lobby")
    door.wait("RoomUserUpdate", lambda s: s.args == ["lobby", 1, [["desk", "desk"]]], after=mark)
    door.wait("RoomOnlineUserCountUpdate", lambda s: s.args == ["lobby", 2], after=mark)
    out = desk.signals("RoomStateUpdate")[-1]
    assert out.args[1:3] == [0, 0] and (out.args[3]["reason"], out.args[3]["reason_code"]) == ("logout", 7)
    assert len(news(desk)) == 5, "whoever leaves hears nothing of the others' leaving"
    for d in (door, gate):
        assert not [u for s in d.signals("RoomUserUpdate") for u in s.args[2] if u[0] == d.name], "never oneself"
        assert not [x for s in d.signals("RoomStreamUpdate") for x in s.args[2] if x[1] == d.name]


def test_a_stream_that_goes_says_what_it_had(hub, device):
    """Its tracks go one by one, so that the last word of the server is of a stream with half of it."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    for wishes in ({}, {"video": False}, {"audio": False}):
        mark = desk.mark()
        door.publish("door", extra_info="front", **wishes)
        desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0, after=mark)
        has = {key: wishes.get(key, True) for key in ("audio", "video")}
        wait_until(
            lambda has=has: [(s["HasAudio"], s["HasVideo"]) for s in desk.objects("Stream").values()]
            == [(has["audio"], has["video"])],
            "both tracks",
        )
        door.call("StopPublishing", "door")
        ((stream, _, _, more),) = desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1, after=mark).args[2]
        assert (stream, more["has_audio"], more["has_video"]) == ("door", has["audio"], has["video"])


def test_extra_information_needs_a_token_that_allows_it(stage, device):
    """On a livekit-server. It is refused, also in StartPublishing; without it everything goes."""
    server = start_livekit(stage)
    door = device("door", hub=server)
    door.login("lobby", token=tokens.livekit_token("door", "lobby"))
    refused = [
        door.refusal("StartPublishing", "door", options(extra_info="front")),
        door.refusal("SetRoomExtraInfo", "lobby", "mode", "night"),
    ]
    door.publish("door")
    refused.append(door.refusal("SetStreamExtraInfo", "door", "front"))
    for error in refused:
        assert (error.name, error.code) == ("org.zegod1.Error.Forbidden", 1003072)
        assert "canUpdateOwnMetadata" in str(error)
    ((own,), _) = door.call("GetRoomStreamList", "lobby", 1)
    assert own[0] == "door" and own[3]["extra_info"] == "", "what was refused is not shown either"


def test_both_must_want_to_see_each_other(hub, device):
    """Without is_user_status_notify somebody neither sees nor is seen; streams and the count are everybody's."""
    door, desk, quiet = device("door"), device("desk"), device("quiet")
    door.login("lobby")
    quiet.login("lobby", is_user_status_notify=False)
    quiet.publish("quiet")
    desk.login("lobby")
    desk.wait("RoomStreamUpdate", lambda s: [x[:2] for x in s.args[2]] == [["quiet", "quiet"]])
    door.wait("RoomUserUpdate", lambda s: s.args == ["lobby", 0, [["desk", "desk"]]])
    assert desk.wait("RoomUserUpdate").args == ["lobby", 0, [["door", "door"]]]
    for d in (door, desk, quiet):
        wait_until(lambda d=d: room_object(d)["OnlineUserCount"] == 3, "three people")
    assert room_object(quiet)["Users"] == []
    assert room_object(door)["Users"] == [["desk", "desk"]]
    quiet.call("LogoutRoom", "")
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1)
    wait_until(lambda: room_object(desk)["OnlineUserCount"] == 2, "two people")
    assert not quiet.signals("RoomUserUpdate")
    named = [u[0] for d in (door, desk) for s in d.signals("RoomUserUpdate") for u in s.args[2]]
    assert "quiet" not in named


def test_one_room_at_a_time(hub, device):
    door = device("door")
    door.login("lobby")
    for room in ("lobby", "cellar"):
        error = door.refusal("LoginRoom", room, "door", "", options(token=hub.token("door", room)))
        assert (error.name, error.code) == ("org.zegod1.Error.AlreadyLoggedIn", 1002001)
    error = door.refusal("CreateEngine", options(room_mode=1))
    assert error.code == 1001020
    error = door.refusal("LogoutRoom", "cellar")
    assert (error.name, error.code) == ("org.zegod1.Error.RoomNotFound", 1002002)
    assert [s.args[1:3] for s in door.signals("RoomStateUpdate")] == [[1, 0], [2, 0]], "no refusal is a state"


def test_five_rooms_at_most(hub, device):
    door = device("door")
    door.call("CreateEngine", options(room_mode=1))
    for number in range(5):
        door.login(f"room{number}")
    error = door.refusal("LoginRoom", "room5", "door", "", options(token=hub.token("door", "room5")))
    assert (error.name, error.code) == ("org.zegod1.Error.AlreadyLoggedIn", 1002037)
    error = door.refusal("LoginRoom", "room5", "gate", "", options(token=hub.token("gate", "room5")))
    assert error.code == 1002018
    error = door.refusal("LoginRoom", "room4", "door", "", options(token=hub.token("door", "room4")))
    assert error.code == 1002001
    door.call("LogoutRoom", "room2")
    door.login("room5")
    door.call("LogoutRoom", "")
    assert not door.objects("Room")
    assert sorted(s.args[0] for s in door.signals("RoomStateUpdate") if s.args[1] == 0) == [
        "room0", "room1", "room2", "room3", "room4", "room5"
    ]  # fmt: skip


def test_the_first_one_limits_the_room(hub, device):
    door, desk, gate = device("door"), device("desk"), device("gate")
    door.login("lobby", max_member_count=2)
    desk.login("lobby")
    error = gate.refusal("LoginRoom", "lobby", "gate", "", options(token=hub.token("gate", "lobby")))
    assert (error.name, error.code) == ("org.zegod1.Error.RoomFull", 1002034)
    failed = gate.signals("RoomStateUpdate")[-1]
    assert failed.args[1:3] == [0, 1002034]
    assert (failed.args[3]["reason"], failed.args[3]["reason_code"]) == ("login_failed", 2)
    desk.call("LogoutRoom", "")
    gate.login("lobby")


def test_switching_rooms(hub, device):
    """Publishing and playing end, the preview goes on, the user stays who it is."""
    door, desk = device("door"), device("desk")
    door.call("LoginRoom", "lobby", "door", "The Door", options(token=hub.token("door", "lobby", name="The Door"), server=hub.url, is_user_status_notify=True))  # fmt: skip
    view = door.texture()
    door.call("StartPreview", options(view=view.view))
    door.publish("door")
    desk.login("cellar")
    shown = view.next() and view.newest
    mark = door.mark()

    error = door.refusal("SwitchRoom", "lobby", "cellar", {})
    assert error.code == 1002067
    error = door.refusal("SwitchRoom", "attic", "cellar", options(token=hub.token("door", "cellar")))
    assert error.code == 1002002
    error = door.refusal("SwitchRoom", "lobby", "lobby", options(token=hub.token("door", "lobby")))
    assert error.code == 1002001
    assert not door.signals("RoomStateUpdate", mark), "a mistake leaves everything as it is"

    _, state = door.call("SwitchRoom", "lobby", "cellar", options(token=hub.token("door", "cellar", name="The Door")))
    assert state == 2
    states = [(s.args[0], s.args[1], s.args[3]["reason"]) for s in door.signals("RoomStateUpdate", mark)]
    assert states == [("lobby", 0, "logout"), ("cellar", 1, "logining"), ("cellar", 2, "logined")]
    assert [s.args[:3] for s in door.signals("PublisherStateUpdate", mark)] == [["door", 0, 0]]
    assert not door.objects("Publisher")
    desk.wait("RoomUserUpdate", lambda s: s.args == ["cellar", 0, [["door", "The Door"]]])
    door.wait("RoomUserUpdate", lambda s: s.args == ["cellar", 0, [["desk", "desk"]]], after=mark)
    view.next(shown + 10, timeout=5)


def test_logging_out_ends_everything_in_the_room(hub, device):
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
        d.publish(d.name)
    view = door.texture()
    door.call("StartPreview", options(view=view.view))
    door.play("desk")
    mark = door.mark()
    door.call("LogoutRoom", "lobby")
    assert [s.args[:3] for s in door.signals("PublisherStateUpdate", mark)] == [["door", 0, 0]]
    assert [s.args[:3] for s in door.signals("PlayerStateUpdate", mark)] == [["desk", 0, 0]]
    for interface in ("Room", "Publisher", "Player", "Stream"):
        assert not door.objects(interface), interface
    wait_until(lambda: all(d["State"] == "available" for d in door.objects("Device").values()), "the devices' release")


def test_extra_information_of_a_room(hub, device):
    """One key in a room: told to the others and not to whoever set it, kept for those who come later."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.call("SetRoomExtraInfo", "lobby", "mode", "night")
    assert room_object(door)["ExtraInfo"] == {"mode": "night"}, "it is there when the call returns"
    (info,) = desk.wait("RoomExtraInfoUpdate").args[1]
    assert info[:3] == ["mode", "night", "door"] and info[3] > 1_600_000_000_000
    assert room_object(desk)["ExtraInfo"] == {"mode": "night"}
    desk.call("SetRoomExtraInfo", "lobby", "mode", "")
    (info,) = door.wait("RoomExtraInfoUpdate").args[1]
    assert info[:3] == ["mode", "", "desk"]
    assert len(door.signals("RoomExtraInfoUpdate")) == len(desk.signals("RoomExtraInfoUpdate")) == 1

    for key, value, code in [
        ("", "x", 1002014),
        ("k" * 128, "x", 1002015),
        ("mode", "v" * 129, 1002016),
        ("other", "x", 1002017),
    ]:
        error = door.refusal("SetRoomExtraInfo", "lobby", key, value)
        assert (error.name, error.code) == ("org.zegod1.Error.InvalidArgument", code), key
    assert door.refusal("SetRoomExtraInfo", "cellar", "mode", "x").code == 1002002

    door.call("SetRoomExtraInfo", "lobby", "mode", "v" * 128)
    door.call("LogoutRoom", "lobby")
    late = device("late")
    late.login("lobby")
    (info,) = late.wait("RoomExtraInfoUpdate").args[1]
    assert info[:3] == ["mode", "v" * 128, "door"]
    assert [s.member for s in news(late)][:3] == ["RoomStateUpdate", "RoomStateUpdate", "RoomUserUpdate"]
    assert news(late)[-1].member == "RoomExtraInfoUpdate"


def test_extra_information_is_set_ten_times_a_second(hub, device):
    door = device("door")
    door.login("lobby")
    codes = []
    for number in range(15):
        try:
            door.call("SetRoomExtraInfo", "lobby", "count", str(number))
        except Exception as error:
            codes.append(error.code)
            assert error.name == "org.zegod1.Error.RateLimited"
    # On a slow machine the first may be a second old before the last.
    assert codes and set(codes) == {1002071}


def test_extra_information_survives_the_server(stage, device):
    """Whoever set it sets it again when a server comes back that has forgotten it."""
    from rig.hub import start_hub
    from rig.network import free_port

    port = free_port()
    hub = start_hub(stage, port=port)
    door, desk = device("door", hub=hub), device("desk", hub=hub)
    for d in (door, desk):
        d.login("lobby")
    door.call("SetRoomExtraInfo", "lobby", "mode", "night")
    desk.wait("RoomExtraInfoUpdate")
    marks = {d.name: d.mark() for d in (door, desk)}
    hub.program.kill()
    start_hub(stage, port=port)
    for d in (door, desk):
        d.wait("RoomStateUpdate", lambda s: s.args[1:3] == [2, 0], after=marks[d.name], timeout=30)
    wait_until(lambda: room_object(desk)["ExtraInfo"] == {"mode": "night"}, "the extra information")
    assert room_object(door)["ExtraInfo"] == {"mode": "night"}


def test_extra_information_of_a_stream(hub, device):
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door", extra_info="front")
    added = desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0)
    stream = next(iter(desk.objects("Stream").values()))
    if added.args[2][0][3]["extra_info"] != "front":
        # The text may follow the stream; then it is told.
        desk.wait("RoomStreamExtraInfoUpdate", lambda s: s.args == ["lobby", [["door", "front"]]])
    wait_until(lambda: next(iter(desk.objects("Stream").values()))["ExtraInfo"] == "front", "the text")
    door.call("SetStreamExtraInfo", "door", "x" * 1023)
    desk.wait("RoomStreamExtraInfoUpdate", lambda s: s.args == ["lobby", [["door", "x" * 1023]]])
    door.call("SetStreamExtraInfo", "door", "")
    desk.wait("RoomStreamExtraInfoUpdate", lambda s: s.args == ["lobby", [["door", ""]]])
    assert stream["StreamID"] == "door"
    assert door.refusal("SetStreamExtraInfo", "door", "x" * 1024).code == 1003051
    assert door.refusal("SetStreamExtraInfo", "gate", "x").code == 1003001
    assert door.refusal("StartPublishing", "second", options(channel=1, extra_info="x" * 1024)).code == 1003051
    assert not door.signals("RoomStreamExtraInfoUpdate"), "not to whoever set it"


@pytest.mark.parametrize("room", ["lobby", "cellar"], ids=["same room", "another room"])
def test_the_later_publisher_of_a_stream_id_fails(hub, device, room):
    """A stream id is unique in all rooms of an AppID; once it is free it can be had."""
    door, desk = device("door"), device("desk")
    door.login("lobby")
    door.publish("shared")
    desk.login(room)
    error = desk.refusal("StartPublishing", "shared", {})
    assert (error.name, error.code) == ("org.zegod1.Error.StreamExists", 1003028)
    states = [s.args[1:3] for s in desk.signals("PublisherStateUpdate")]
    assert states == [[1, 0], [0, 1003028]]
    assert not desk.objects("Publisher")
    assert door.objects("Publisher")["/org/zegod1/publisher/0"]["State"] == "publishing"
    door.call("StopPublishing", "shared")
    desk.publish("shared")


def test_a_stream_id_is_free_for_others_when_stop_publishing_returns(hub, device):
    one, other = device("door"), device("desk")
    for d, room in ((one, "lobby"), (other, "cellar")):
        d.login(room)
    one.publish("shared")
    for _ in range(25):
        one.call("StopPublishing", "shared")
        other.publish("shared")
        one, other = other, one


def test_stop_publishing_does_not_wait_for_a_server_that_hangs(hub, device):
    door = device("door")
    door.login("lobby")
    door.publish("door")
    os.kill(hub.program.pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        door.call("StopPublishing", "door")
        took = time.monotonic() - begin
        assert not door.objects("Publisher")
    finally:
        os.kill(hub.program.pid, signal.SIGCONT)
    assert 0.9 < took < 3, f"{took:.2f} s"


def start_strict_hub(stage, **wishes):
    """A hub that makes no room for whoever joins."""
    return start_hub(stage, extra="[room]\nauto_create = false\n", **wishes)


@pytest.mark.parametrize(
    "start",
    [start_strict_hub, lambda stage: start_livekit(stage, auto_create=False)],
    ids=["zegohub", "livekit-server"],
)
def test_a_room_that_nobody_made_is_not_found(stage, device, start):
    """The login fails at once and says why; when the room has been made it succeeds."""
    hub = start(stage)
    door = device("door", hub=hub)
    token = hub.token("door", "lobby")
    error = door.refusal("LoginRoom", "lobby", "door", "", options(token=token, server=hub.url))
    assert (error.name, error.code) == ("org.zegod1.Error.RoomNotFound", 1002002)
    assert "has no such room" in error.message and "token" not in error.message, error
    assert [s.args[1:3] for s in door.signals("RoomStateUpdate")] == [[1, 0], [0, 1002002]]
    assert door.signals("RoomStateUpdate")[-1].args[3]["reason"] == "login_failed"
    assert not door.objects("Room")
    call(hub, "create_room", name="lobby")
    door.login("lobby")


def test_a_room_that_a_restarted_server_forgot_is_waited_for(stage, device):
    """Whoever made it makes it again, and whoever was in it is back."""
    hub = start_strict_hub(stage)
    call(hub, "create_room", name="lobby")
    door = device("door", hub=hub)
    door.login("lobby")
    mark = door.mark()
    hub.program.kill()
    hub = start_strict_hub(stage, port=int(hub.url.rsplit(":", 1)[1]))
    door.program.wait_until(lambda: "has no such room" in door.program.output(), "an attempt to come back", timeout=20)
    call(hub, "create_room", name="lobby")
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark, timeout=20)
    assert [s.args[1:3] for s in door.signals("RoomStateUpdate", mark)] == [[1, 1002051], [2, 0]]


def test_a_text_that_was_refused_is_not_told_later(hub, device):
    """The server does not answer in time: what was there before is what others see in the end."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door", video=False, extra_info="front")
    desk.wait("RoomStreamUpdate", lambda s: s.args[2][0][3]["extra_info"] == "front")
    door.wait("PublisherFirstFrame", lambda s: s.args == ["door", "audio_sent"])
    mark, told = door.mark(), desk.mark()
    os.kill(hub.program.pid, signal.SIGSTOP)
    try:
        error = door.refusal("SetStreamExtraInfo", "door", "back")
    finally:
        os.kill(hub.program.pid, signal.SIGCONT)
    assert (error.name, error.code) == ("org.zegod1.Error.ServerUnreachable", 1003053)
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark, timeout=20)
    door.call("SetStreamExtraInfo", "door", "side")
    desk.wait("RoomStreamExtraInfoUpdate", lambda s: s.args == ["lobby", [["door", "side"]]], after=told)
    texts = [text for s in desk.signals("RoomStreamExtraInfoUpdate", told) for _, text in s.args[1]]
    # Of a change that the server reads after all, it also reads that it is taken back.
    assert texts in (["side"], ["back", "front", "side"]), texts


def test_a_text_that_is_set_without_a_link_is_told_when_it_is_back(hub, device, stage):
    """Nobody waits for that."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door", video=False, extra_info="front")
    mark = door.mark()
    hub.program.kill()
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 1, after=mark, timeout=20)
    begin = time.monotonic()
    door.call("SetStreamExtraInfo", "door", "back")
    assert time.monotonic() - begin < 1
    start_hub(stage, port=int(hub.url.rsplit(":", 1)[1]))
    seen = lambda: [stream["ExtraInfo"] for stream in desk.objects("Stream").values()]  # noqa: E731
    wait_until(lambda: seen() == ["back"], "the text", timeout=20)


def test_a_call_in_each_of_two_rooms(hub, device):
    """Each room has its own streams and messages; leaving one leaves the other as it is."""
    door, gate, desk = device("door"), device("gate"), device("desk")
    desk.call("CreateEngine", options(room_mode=1))
    views, shows = {}, {"lobby": door, "cellar": gate}
    for room, other in shows.items():
        other.login(room)
        other.publish(other.name)
        desk.login(room)
        views[room] = desk.texture()
    for room, other in shows.items():
        desk.play(other.name, view=views[room].view, room_id=room)
        views[room].next(views[room].next().number + 10)
    rooms = {desk.get(player["Room"], "Room", "RoomID"): player["StreamID"] for player in desk.objects("Player").values()}
    assert rooms == {"lobby": "door", "cellar": "gate"}
    error = desk.refusal("StartPlaying", "door", options(view=views["cellar"].view, room_id="cellar"))
    assert (error.name, error.code) == ("org.zegod1.Error.InvalidArgument", 1000017)

    for room, other in shows.items():
        desk.call("SendBroadcastMessage", room, f"to the {room}")
        other.call("SendBroadcastMessage", room, f"from the {room}")
    for room, other in shows.items():
        other.wait("BroadcastMessageReceived")
        assert [(s.args[0], s.args[1][0][0]) for s in other.signals("BroadcastMessageReceived")] == [(room, f"to the {room}")]
        desk.wait("BroadcastMessageReceived", lambda s, room=room: (s.args[0], s.args[1][0][0]) == (room, f"from the {room}"))
    assert len(desk.signals("BroadcastMessageReceived")) == 2

    mark = desk.mark()
    desk.call("LogoutRoom", "lobby")
    assert [s.args[:3] for s in desk.signals("PlayerStateUpdate", mark)] == [["door", 0, 0]]
    assert [room["RoomID"] for room in desk.objects("Room").values()] == ["cellar"]
    stopped = views["lobby"].newest
    views["cellar"].next(views["cellar"].newest + 30)
    assert views["lobby"].newest == stopped
    shown = {v["ViewID"]: v["Source"] for v in desk.objects("View").values()}
    assert shown == {views["lobby"].view: "", views["cellar"].view: "gate"}
    assert [s.args[:3] for s in desk.signals("PlayerStateUpdate", mark)] == [["door", 0, 0]]
