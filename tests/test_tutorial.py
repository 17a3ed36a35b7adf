"""ZEGO's getting-started tutorial, step by step, on two devices and a hub: every reply and every signal, none more and none less.

The steps are numbered S1 to S16 as in docs/reference/zego.md. Left out of the comparison are only the signals that measure: qualities, which
come every 3 s, and media events, which tell how busy this machine is.
"""

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from rig import tokens
from rig.device import Device, options, wait_until

MEASURING = {"PublisherQualityUpdate", "PlayerQualityUpdate", "PlayerMediaEvent"}
FRAMES = {"PublisherFirstFrame", "PlayerFirstFrame", "PlayerVideoSizeChanged"}
"""Sound and picture have no order among each other."""

ANY = object()
"""Stands for an argument that a step looks at by itself."""

SETTLE_S = 0.4
"""How long nothing more may come after a step."""

News = list[tuple[str, list[Any]]]


class Script:
    """What a device tells, compared step by step."""

    def __init__(self, device: Device):
        self.device = device
        self._told = device.mark()

    def _new(self, end: int | None = None) -> News:
        """What came since the last step; objects by their interface's short name."""
        news: News = []
        for signal in self.device.bus.signals[self._told : end]:
            if signal.member == "InterfacesAdded":
                news.append(("Added", [name.rpartition(".")[2] for name in signal.args[1]]))
            elif signal.member == "InterfacesRemoved":
                news.append(("Removed", [name.rpartition(".")[2] for name in signal.args[1]]))
            elif signal.member not in MEASURING | {"PropertiesChanged"}:
                news.append((signal.member, signal.args))
        return news

    def tells(self, *expected: tuple[Any, ...], step: str) -> News:
        """Compares what came since the last step with exactly these; returns it."""
        wanted: News = [(member, list(args)) for member, *args in expected]
        try:
            wait_until(lambda: len(self._new()) >= len(wanted), "news")
        except AssertionError:
            pass  # the comparison says what is missing
        time.sleep(SETTLE_S)
        end = self.device.mark()
        came = self._new(end)
        self._told = end
        where = f"{step}, {self.device.name}"
        for choose in (lambda n: n[0] not in FRAMES, lambda n: n[0] in FRAMES):
            got, want = list(filter(choose, came)), list(filter(choose, wanted))
            if got and got[0][0] in FRAMES:
                got, want = sorted(got), sorted(want)
            assert [n for n, _ in got] == [n for n, _ in want], f"{where}: came {got}, wanted {want}"
            for (member, args), (_, wishes) in zip(got, want, strict=True):
                assert len(args) == len(wishes), f"{where}: {member} {args}"
                for arg, wish in zip(args, wishes, strict=True):
                    if isinstance(wish, dict):  # an extended_data: at least this
                        arg = {key: arg.get(key) for key in wish}
                    assert wish is ANY or arg == wish, f"{where}: {member} {args}, wanted {wishes}"
        return came


def room(state: int, code: int, word: str, reason: str, reason_code: int) -> tuple[Any, ...]:
    words = {"state": word, "reason": reason, "reason_code": reason_code}
    return ("RoomStateUpdate", "room1", state, code, words)


LOGINING = room(1, 0, "connecting", "logining", 0)
LOGINED = room(2, 0, "connected", "logined", 1)
LOGOUT = room(0, 0, "disconnected", "logout", 7)


def publisher(state: int, word: str, code: int = 0) -> tuple[Any, ...]:
    return ("PublisherStateUpdate", "stream1", state, code, {"state": word})


def player(state: int, word: str) -> tuple[Any, ...]:
    return ("PlayerStateUpdate", "stream1", state, 0, {"state": word})


def frames(member: str, *kinds: str) -> list[tuple[Any, ...]]:
    return [(member, "stream1", kind) for kind in kinds]


def state_changes(device: Device, interface: str) -> list[str]:
    """How the property `State` of the objects of an interface changed."""
    return [
        s.args[1]["State"]
        for s in device.signals("PropertiesChanged")
        if s.args[0] == f"org.zegod1.{interface}" and "State" in s.args[1]
    ]


@pytest.mark.any_server
def test_every_step_replies_and_tells_what_the_tutorial_says(hub, device: Callable[..., Device]):
    door, desk = device("door"), device("desk")
    at_door, at_desk = Script(door), Script(desk)

    # S1 createEngineWithProfile; a second call gives the same engine.
    profile = options(app_id=tokens.APP_ID, scenario=0)
    for one in (door, desk):
        assert one.call("CreateEngine", profile) == []
        assert one.call("CreateEngine", profile) == []
        assert one.get("/org/zegod1", "Engine", "State") == "created"
        assert one.get("/org/zegod1", "Engine", "AppID") == tokens.APP_ID
    at_door.tells(step="S1")
    at_desk.tells(step="S1")

    # S2 to S5: user, configuration, token, login. Without a token, and with another user's, there is no login.
    token = hub.token("user1", "room1", name="User One")  # LiveKit's token carries the name, too
    login = options(token=token, server=hub.url, is_user_status_notify=True)
    assert door.refusal("LoginRoom", "room1", "user1", "", options(server=hub.url)).code == 1002067
    at_door.tells(("DebugError", 1002067, "LoginRoom", ANY), step="S3, no token")
    assert door.call("LoginRoom", "room1", "user1", "User One", login) == ["/org/zegod1/room/1", 2]
    at_door.tells(
        ("Added", "Room"), LOGINING, LOGINED, ("RoomOnlineUserCountUpdate", "room1", 1), step="S4 login"
    )
    assert door.refusal("LoginRoom", "room1", "user1", "", login).code == 1002001
    at_door.tells(("DebugError", 1002001, "LoginRoom", ANY), step="S4, second login")

    # S6: each hears of the other, nobody of oneself.
    login = options(token=hub.token("user2", "room1"), server=hub.url, is_user_status_notify=True)
    assert desk.call("LoginRoom", "room1", "user2", "", login) == ["/org/zegod1/room/1", 2]
    count = ("RoomOnlineUserCountUpdate", "room1", 2)
    came = ("RoomUserUpdate", "room1", 0)
    at_desk.tells(("Added", "Room"), LOGINING, LOGINED, (*came, [["user1", "User One"]]), count, step="S6")
    at_door.tells((*came, [["user2", "user2"]]), count, step="S6")

    # S9: the preview is in a texture before anything is published. A view of the daemon's own does no harm.
    preview = door.texture(640, 360, "XR24")
    assert door.call("StartPreview", options(view=preview.view)) == []
    assert preview.next(preview.next().number).luma.max() > 200
    null = door.call("CreatePlatformView", options(kind="null"))[0]
    assert null != preview.view
    at_door.tells(("Added", "View"), ("Added", "View"), step="S9")

    # S7, S8, S10: publish; the other one is told of the stream.
    assert door.call("StartPublishing", "stream1", options())[0] == "/org/zegod1/publisher/0"
    sent = frames("PublisherFirstFrame", "audio_captured", "video_captured", "audio_sent", "video_sent")
    at_door.tells(
        ("Added", "Publisher"), publisher(1, "publish_requesting"), publisher(2, "publishing"), *sent, step="S8"
    )
    told = at_desk.tells(("Added", "Stream"), ("RoomStreamUpdate", "room1", 0, ANY, {"state": "add"}), step="S7")
    ((stream, user, name, more),) = told[1][1][2]
    assert (stream, user, name) == ("stream1", "user1", "User One")
    if hub.is_ours:
        assert more["has_audio"] and more["has_video"]
    else:  # LiveKit's own server tells of a track when its first packet is there.
        of = lambda properties: (properties["HasAudio"], properties["HasVideo"])  # noqa: E731
        wait_until(lambda: [of(one) for one in desk.objects("Stream").values()] == [(True, True)], "both tracks")

    # S8: a stream id is unique in the AppID; the later publisher fails, and the first goes on.
    assert desk.refusal("StartPublishing", "stream1", options()).code == 1003028
    at_desk.tells(
        ("Added", "Publisher"),
        publisher(1, "publish_requesting"),
        publisher(0, "no_publish", 1003028),
        ("Removed", "Publisher"),
        ("DebugError", 1003028, "StartPublishing", ANY),
        step="S8, taken",
    )
    at_door.tells(step="S8, taken by door")

    # S11: play, with a canvas.
    picture = desk.texture(640, 360, "XR24")
    assert desk.call("StartPlaying", "stream1", options(view=picture.view))[1] in (1, 2)
    assert picture.next(picture.next().number).luma.max() > 200
    received = frames("PlayerFirstFrame", "audio_received", "video_received", "video_rendered")
    at_desk.tells(
        ("Added", "View"),
        ("Added", "Player"),
        player(1, "play_requesting"),
        player(2, "playing"),
        *received,
        ("PlayerVideoSizeChanged", "stream1", 640, 480),
        step="S11",
    )
    at_door.tells(step="S11, heard by door")
    # Only these two are left out above, so they are looked at here.
    assert door.wait("PublisherQualityUpdate", timeout=8).args[0] == "stream1"
    assert desk.wait("PlayerQualityUpdate", timeout=8).args[0] == "stream1"

    # S12: the page that joins with AppID, room, server and token is there.
    if hub.is_ours:
        with urllib.request.urlopen(hub.http, timeout=10) as page:
            assert page.status == 200 and b"<html" in page.read().lower()

    # S14: stop playing; a second time changes nothing. S11 again: without a canvas there is sound only.
    assert desk.call("StopPlaying", "stream1") == []
    at_desk.tells(player(0, "no_play"), ("Removed", "Player"), step="S14")
    assert desk.call("StopPlaying", "stream1") == []
    at_desk.tells(step="S14, twice")
    desk.call("StartPlaying", "stream1", options())
    at_desk.tells(
        ("Added", "Player"),
        player(1, "play_requesting"),
        player(2, "playing"),
        *frames("PlayerFirstFrame", "audio_received"),
        step="S11, sound only",
    )
    assert desk.call("StopPlaying", "stream1") == []
    assert desk.call("DestroyTextureRenderer", picture.view) == []
    at_desk.tells(player(0, "no_play"), ("Removed", "Player"), ("Removed", "View"), step="S14")

    # S13: stop publishing and the preview, destroy the views.
    assert door.call("StopPublishing", "stream1") == []
    at_door.tells(publisher(0, "no_publish"), ("Removed", "Publisher"), step="S13")
    told = at_desk.tells(("RoomStreamUpdate", "room1", 1, ANY, {"state": "delete"}), ("Removed", "Stream"), step="S13")
    ((stream, user, _, more),) = told[0][1][2]
    assert (stream, user, more["delete_reason"]) == ("stream1", "user1", 1)
    assert door.call("StopPreview", 0) == []
    assert door.call("DestroyTextureRenderer", preview.view) == []
    assert door.call("DestroyPlatformView", null) == []
    at_door.tells(("Removed", "View"), ("Removed", "View"), step="S13, preview and views")

    # S15: leave the room, destroy the engine, which leaves it, too.
    assert door.call("LogoutRoom", "room1") == []
    at_door.tells(LOGOUT, ("Removed", "Room"), step="S15 logout")
    count = ("RoomOnlineUserCountUpdate", "room1", 1)
    at_desk.tells(("RoomUserUpdate", "room1", 1, [["user1", "User One"]]), count, step="S15, seen by desk")
    assert desk.call("DestroyEngine") == []
    assert door.call("DestroyEngine") == []
    at_desk.tells(LOGOUT, ("Removed", "Room"), step="S15 destroy")
    at_door.tells(step="S15 destroy")
    for one in (door, desk):
        assert one.get("/org/zegod1", "Engine", "State") == "destroyed"
        for interface in ("Room", "Stream", "Publisher", "Player", "View"):
            assert not one.objects(interface), interface
        assert one.call("DestroyEngine") == []

    # The objects told the same by their properties.
    assert state_changes(door, "Room")[:1] == state_changes(desk, "Room")[:1] == ["connected"]
    assert state_changes(door, "Publisher")[:1] == ["publishing"]
    assert state_changes(desk, "Player")[:1] == ["playing"]


@pytest.mark.any_server
def test_a_temporary_token_lets_in_until_it_expires(hub, device: Callable[..., Device]):
    """S16: the token of the console is good for a while; afterwards nobody gets in with it."""
    door = device("door")
    door.login("room1", user="user1", token=hub.token("user1", "room1", ttl=60))
    door.call("LogoutRoom", "")
    login = options(token=hub.token("user1", "room1", ttl=-3600), server=hub.url)
    assert door.refusal("LoginRoom", "room1", "user1", "", login).code == 1002078
