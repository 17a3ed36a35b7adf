"""What ran comes back by itself: after a lost server, and never when somebody else has the user's place."""

import time

import pytest
from dbus_fast import Variant

from rig.call import watch
from rig.device import options, wait_until
from rig.hub import start_hub
from rig.network import free_port
from rig.relay import start_relay
from rig.servers import SERVERS


def states(device, member, after=0):
    """The states and codes of a signal's occurrences."""
    return [(s.args[1], s.args[2]) for s in device.signals(member, after)]


@pytest.mark.parametrize("start", SERVERS.values(), ids=SERVERS)
def test_a_server_that_restarts_is_joined_again(stage, device, measured, start):
    """Login, publishing and playing are restored without any call, also with a new server that remembers nothing."""
    port = free_port()
    hub = start(stage, port=port)
    door, desk = device("door", hub=hub), device("desk", hub=hub)
    for d in (door, desk):
        d.login("lobby")
        d.publish(d.name)
    view = desk.texture()
    player = desk.play("door", view=view.view)
    view.next()
    door.set(next(iter(door.objects("Publisher"))), "Publisher", "AudioMuted", Variant("b", True))
    desk.wait("RemoteDeviceStateUpdate", lambda s: s.args == ["door", "microphone", 10])
    mark, gate = desk.mark(), door.mark()

    hub.program.kill()
    desk.wait("RoomStateUpdate", lambda s: s.args[1:3] == [1, 1002051], after=mark, timeout=15)
    desk.wait("PublisherStateUpdate", lambda s: s.args[1:3] == [1, 1003020], after=mark)
    time.sleep(2)
    down = time.monotonic()
    start(stage, port=port)
    for d, m in ((door, gate), (desk, mark)):
        d.wait("RoomStateUpdate", lambda s: s.args[1:3] == [2, 0], after=m, timeout=30)
        d.wait("PublisherStateUpdate", lambda s: s.args[1:3] == [2, 0], after=m, timeout=30)
    desk.wait("PlayerStateUpdate", lambda s: s.args[1:3] == [2, 0], after=mark, timeout=30)
    view.next(view.newest, timeout=10)
    measured(f"plays again {time.monotonic() - down:.1f} s after the server is back")
    assert states(desk, "RoomStateUpdate", mark) == [(1, 1002051), (2, 0)]
    assert desk.get(player, "Player", "State") == "playing"
    (stream,) = desk.objects("Stream").values()
    wait_until(lambda: next(iter(desk.objects("Stream").values()))["AudioMuted"], "the mute to be told again")
    assert stream["StreamID"] == "door"
    (users,) = (room["Users"] for room in desk.objects("Room").values())
    assert users == [["door", "door"]]


@pytest.mark.parametrize("start", SERVERS.values(), ids=SERVERS)
def test_who_leaves_while_the_link_comes_back_is_gone(stage, device, start):
    """The others see it leave at once, and not when the server has waited for it in vain."""
    hub = start(stage)
    relay = start_relay(stage, hub.url)
    door, desk = device("door", hub=hub), device("desk", hub=hub)
    door.login("lobby", is_user_status_notify=True)

    def users() -> list:
        (room,) = door.objects("Room").values()
        return room["Users"]

    for delay in (0.0, 0.005, 0.02):
        desk.login("lobby", server=relay.url, is_user_status_notify=True)
        wait_until(users, "desk to be seen")
        relay.cut()
        relay.open()
        time.sleep(delay)
        desk.call("LogoutRoom", "lobby")
        # livekit-server tells of those who publish nothing every three seconds, and waits for much longer.
        wait_until(lambda: not users(), f"desk, that left {delay} s after the break, to be gone", 6)


def test_retries_end(stage, device):
    """Once the time to retry is used up the room is over, and everything in it."""
    hub = start_hub(stage)
    door = device("door", hub=hub, extra="", retry_time_s=3)
    door.login("lobby")
    door.publish("door")
    mark = door.mark()
    hub.program.kill()
    out = door.wait("RoomStateUpdate", lambda s: s.args[1] == 0, after=mark, timeout=60)
    assert out.args[2] == 1002053 and out.args[3]["reason"] == "reconnect_failed"
    door.wait("PublisherStateUpdate", lambda s: s.args[1:3] == [0, 1003021], after=mark)
    wait_until(lambda: not door.objects("Room") and not door.objects("Publisher"), "the objects to go")


@pytest.mark.any_server
def test_a_stream_that_returns_is_played_again(hub, device):
    """The publisher stops and starts again; the player waits, and goes on with the new stream."""
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    view = desk.texture()
    player = desk.play("door", view=view.view)
    view.next()
    mark = desk.mark()
    door.call("StopPublishing", "door")
    desk.wait("PlayerStateUpdate", lambda s: s.args == ["door", 1, 1004020, s.args[3]], after=mark)
    assert desk.get(player, "Player", "State") == "play_requesting"
    shown = view.newest
    door.publish("door")
    desk.wait("PlayerStateUpdate", lambda s: s.args[:3] == ["door", 2, 0], after=mark)
    view.next(shown + 2, timeout=5)
    assert list(desk.objects("Player")) == [player]


@pytest.mark.any_server
def test_two_rooms_at_once(hub, device):
    """With room_mode 1: a stream in each room, each room with its own people."""
    door, desk = device("door"), device("desk")
    door.call("CreateEngine", options(room_mode=1))
    door.login("lobby")
    door.login("cellar")
    error = door.refusal("LoginRoom", "attic", "other", "", options(token=hub.token("other", "attic")))
    assert error.code == 1002018
    assert door.refusal("StartPublishing", "up", {}).code == 1003070
    door.publish("up", room_id="lobby")
    door.publish("down", room_id="cellar", channel=1)
    desk.login("cellar")
    assert [s[0] for s in desk.wait("RoomStreamUpdate").args[2]] == ["down"]
    mark = door.mark()
    door.call("LogoutRoom", "cellar")
    assert [s.args[0] for s in door.signals("PublisherStateUpdate", mark)] == ["down"]
    assert [p["StreamID"] for p in door.objects("Publisher").values()] == ["up"]


@pytest.mark.any_server
def test_messages_reach_the_others(hub, device):
    """A broadcast goes to everybody else, a command to whom it is for; two at once are too many."""
    door, desk, gate = device("door"), device("desk"), device("gate")
    for d in (door, desk, gate):
        d.login("lobby")
    # The room forwards messages to those whose connection is up, which is a moment after their login.
    time.sleep(1.5)
    (number,) = door.call("SendBroadcastMessage", "lobby", "hello")
    assert number > 0
    error = door.refusal("SendBroadcastMessage", "lobby", "hello again")
    assert (error.name, error.code) == ("org.zegod1.Error.RateLimited", 1009015)
    for d in (desk, gate):
        room, messages = d.wait("BroadcastMessageReceived").args
        assert (room, messages[0][:3]) == ("lobby", ["hello", "door", "door"])
    assert not door.signals("BroadcastMessageReceived"), "nobody hears himself"
    for text, code in (("", 1009001), ("x" * 1025, 1009002)):
        assert door.refusal("SendBroadcastMessage", "lobby", text).code == code
    assert door.refusal("SendBroadcastMessage", "cellar", "x").code == 1002002


@pytest.mark.any_server
def test_another_camera_in_the_middle_of_a_call(hub, device):
    """UseDevice and EnableCamera while publishing: the stream stays, its pictures change, stop and go on."""
    door, desk = device("door", more_cameras=("pattern:2",)), device("desk")
    view = watch(door, desk)
    other = next(path for path, d in door.objects("Device").items() if d["DeviceID"] == "pattern:2")
    mark = desk.mark()
    door.call("UseDevice", other, 0)
    wait_until(lambda: door.objects("Publisher")["/org/zegod1/publisher/0"]["Camera"] == other, "the other camera")
    view.next(view.newest + 15, timeout=5)
    door.call("EnableCamera", False, 0)
    desk.wait("RemoteDeviceStateUpdate", lambda s: s.args == ["door", "camera", 9], after=mark)
    time.sleep(0.5)
    still = view.newest
    time.sleep(0.7)
    assert view.newest == still, "a camera that is off sends nothing"
    assert door.objects("Device")[other]["State"] == "available", "and is released"
    door.call("EnableCamera", True, 0)
    desk.wait("RemoteDeviceStateUpdate", lambda s: s.args == ["door", "camera", 0], after=mark)
    view.next(still + 10, timeout=5)
    assert not desk.signals("PlayerStateUpdate", mark) and not door.signals("RoomStateUpdate", mark)[2:]
