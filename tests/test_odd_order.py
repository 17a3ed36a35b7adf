"""Calls that do not wait for each other, and calls from a signal's handler: what they tell stays in order."""

import os
import signal
import time

from dbus_fast import Variant

from rig.device import ROOT, Device, options, wait_until
from rig.hub import Hub


def login(hub: Hub, user: str, room: str = "lobby", **wishes: object) -> tuple[object, ...]:
    """A login as an argument of `call_at_once`."""
    config = options(token=hub.token(user, room), server=hub.url, is_user_status_notify=True, **wishes)
    return ("LoginRoom", room, user, "", config)


def room_states(device: Device, after: int) -> list[tuple[str, int]]:
    return [(s.args[0], s.args[1]) for s in device.signals("RoomStateUpdate", after)]


def test_a_login_right_after_a_logout(hub, device):
    """The end of the old login is told before the new one begins, and the others see one departure and one arrival."""
    door, desk = device("door"), device("desk")
    for one in (door, desk):
        one.login("lobby")
    door.publish("door")
    desk.wait("RoomStreamUpdate")
    mark, others = door.mark(), desk.mark()
    left, again = door.call_at_once(("LogoutRoom", "lobby"), login(hub, "door"))
    assert left == [] and again[1] == 2
    assert room_states(door, mark) == [("lobby", 0), ("lobby", 1), ("lobby", 2)]
    desk.wait("RoomUserUpdate", lambda s: s.args[1] == 0, after=others)
    assert [s.args[1] for s in desk.signals("RoomUserUpdate", others)] == [1, 0]
    assert list(door.objects("Room")) == [again[0]]


def test_a_logout_and_another_room_at_once(hub, device):
    """In single mode one room ends before the next one begins."""
    door = device("door")
    door.login("lobby")
    mark = door.mark()
    left, there = door.call_at_once(("LogoutRoom", ""), login(hub, "door", "attic"))
    assert left == [] and there[1] == 2
    assert room_states(door, mark) == [("lobby", 0), ("attic", 1), ("attic", 2)]


def test_a_logout_inside_a_login_that_waits_for_a_logout(hub, device):
    """Three calls at once: the login that was called off ends as one, and nobody is left in the room."""
    door = device("door")
    door.login("lobby")
    mark = door.mark()
    replies = door.call_at_once(("LogoutRoom", "lobby"), login(hub, "door"), ("LogoutRoom", "lobby"))
    assert replies[0] == [] and replies[1][1] == 0 and replies[2] == []
    assert room_states(door, mark) == [("lobby", 0), ("lobby", 1), ("lobby", 0)]
    assert not door.objects("Room")
    door.login("lobby")


def test_an_engine_made_while_the_last_one_ends(hub, device):
    """The state is that of the new engine, and its room begins after the old one's end."""
    door = device("door")
    door.login("lobby")
    door.publish("door")
    mark = door.mark()
    profile = options(scenario=8, room_mode=1)
    replies = door.call_at_once(("DestroyEngine",), ("CreateEngine", profile), login(hub, "door"))
    assert replies[:2] == [[], []] and replies[2][1] == 2
    assert room_states(door, mark) == [("lobby", 0), ("lobby", 1), ("lobby", 2)]
    assert door.get(ROOT, "Engine", "State") == "created"
    assert door.call("GetDiagnostics")
    door.login("attic")
    door.call("DestroyEngine")
    assert door.get(ROOT, "Engine", "State") == "destroyed"


def test_a_preview_that_is_called_off(device):
    """StartPreview returns when StopPreview ends it before the camera is open; so does EnableCamera."""
    door = device("door")
    begin = time.monotonic()
    assert door.call_at_once(("StartPreview", {}), ("StopPreview", 0)) == [[], []]
    assert door.call_at_once(("StartPreview", {}), ("EnableCamera", False, 0), ("StopPreview", 0)) == [[], [], []]
    door.call("StartPreview", {})
    assert door.call_at_once(("EnableCamera", True, 0), ("EnableCamera", False, 0)) == [[], []]
    assert time.monotonic() - begin < 10


def test_a_login_from_the_handler_of_a_lost_room(hub, device):
    """Who hears that the room is given up can log in at once, though the old session has not ended everywhere."""
    door = device("door", retry_time_s=2)
    door.login("lobby")
    os.kill(hub.program.pid, signal.SIGSTOP)
    try:
        out = door.wait("RoomStateUpdate", lambda s: s.args[1] == 0, timeout=60)
        assert out.args[2] == 1002053
        mark = door.mark()
        assert door.call(*login(hub, "door", wait=False))[1] == 1
    finally:
        os.kill(hub.program.pid, signal.SIGCONT)
    door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark, timeout=30)


def test_a_kick_and_a_login_from_its_handler(hub, device):
    """The one who was put out puts the other one out, from the signal's handler."""
    door, thief = device("door"), device("thief")
    door.login("lobby", user="x")
    thief.login("lobby", user="x")
    door.wait("RoomStateUpdate", lambda s: s.args[1:3] == [0, 1002050])
    door.login("lobby", user="x")
    thief.wait("RoomStateUpdate", lambda s: s.args[1:3] == [0, 1002050])


def test_settings_before_everything(hub, device):
    """Mutes and the camera's switch that come before the room are seen by those who come after."""
    door = device("door")
    door.call("MuteMicrophone", True)
    door.call("EnableCamera", False, 0)
    door.login("lobby")
    door.publish("door")
    desk = device("desk")
    desk.login("lobby")
    wait_until(lambda: desk.objects("Stream"), "the stream")
    (stream,) = desk.objects("Stream").values()
    assert stream["AudioMuted"] and stream["VideoMuted"] and stream["HasAudio"] and stream["HasVideo"]
    desk.play("door", view=desk.texture().view)
    mark = desk.mark()
    door.call("MuteMicrophone", False)
    door.call("EnableCamera", True, 0)
    for what in ("camera", "microphone"):
        desk.wait("RemoteDeviceStateUpdate", lambda s, what=what: s.args == ["door", what, 0], after=mark)
    desk.wait("PlayerFirstFrame", lambda s: s.args == ["door", "video_rendered"], after=mark)


def test_a_view_goes_from_hand_to_hand(hub, device):
    """Player, preview, player, another size, destroyed: the view's and the player's properties say so, and the player goes on."""
    door, desk = device("door"), device("desk")
    for one in (door, desk):
        one.login("lobby")
    door.publish("door")
    view = desk.texture()
    player = desk.play("door", view=view.view)

    def shows() -> tuple[str, bool]:
        (found,) = desk.objects("View").values()
        return found["Source"], desk.get(player, "Player", "View") != "/"

    view.next()
    assert shows() == ("door", True)
    desk.call("StartPreview", options(view=view.view))
    assert shows() == ("preview", False)
    view.next(view.newest + 3)
    desk.call("StartPlaying", "door", options(view=view.view))
    desk.call("StopPreview", 0)
    assert shows() == ("door", True)
    view.next(view.newest + 3)
    desk.call("StartPlaying", "door", options())
    assert shows() == ("", False)
    desk.call("StartPlaying", "door", options(view=view.view))
    desk.call("UpdateTextureRendererSize", view.view, 320, 240)
    larger = desk.open_texture(view.view)
    larger.next(larger.newest)
    mark = desk.mark()
    desk.call("DestroyTextureRenderer", view.view)
    assert not desk.objects("View") and desk.get(player, "Player", "View") == "/"
    desk.set(player, "Player", "Volume", Variant("i", 50))
    desk.wait("PlayerQualityUpdate", after=mark)
    assert desk.get(player, "Player", "State") == "playing" and not desk.signals("PlayerStateUpdate", mark)
