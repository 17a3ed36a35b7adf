"""Text messages: their limits and rates, numbers and times that everybody sees alike, and LiveKit's SDKs."""

import time

import pytest

from rig.bus import BusError
from rig.device import start_device
from rig.hub import start_hub
from rig.island import make_island
from sdk.client import start_peer

ERROR = "org.zegod1.Error."


@pytest.fixture
def three(hub, device):
    """Three devices in the lobby."""
    devices = [device(name) for name in ("door", "desk", "gate")]
    for d in devices:
        d.login("lobby")
    return devices


def attempts(device, count, method, *body):
    """Calls a method again and again; how many were taken, and the codes of the others."""
    codes = []
    for _ in range(count):
        try:
            device.call(method, *body)
        except BusError as error:
            assert error.name == f"{ERROR}RateLimited"
            codes.append(error.code)
    return count - len(codes), set(codes)


@pytest.mark.any_server
def test_a_broadcast_has_one_number_and_one_time_for_everybody(three):
    door, desk, gate = three
    before = time.time() * 1000
    (number,) = door.call("SendBroadcastMessage", "lobby", "hello")
    after = time.time() * 1000
    received = [d.wait("BroadcastMessageReceived").args for d in (desk, gate)]
    assert received[0] == received[1]
    room, [[text, user, name, message_id, sent_ms]] = received[0]
    assert (room, text, user, name, message_id) == ("lobby", "hello", "door", "door", number)
    assert before - 1 <= sent_ms <= after
    assert not door.signals("BroadcastMessageReceived"), "nobody hears himself"
    assert len(desk.signals("BroadcastMessageReceived")) == 1, "its copy as a text stream is not heard again"


@pytest.mark.any_server
def test_a_barrage_is_numbered_by_a_text(three):
    door, desk, gate = three
    numbers = []
    # It may get lost: here it does not, once the connections are up.
    while not (desk.signals("BarrageMessageReceived") and gate.signals("BarrageMessageReceived")):
        assert len(numbers) < 100
        numbers += door.call("SendBarrageMessage", "lobby", "wow")
        time.sleep(0.1)
    assert all(isinstance(number, str) for number in numbers) and len(set(numbers)) == len(numbers)
    for d in (desk, gate):
        _, [[text, user, name, message_id, _]] = d.signals("BarrageMessageReceived")[0].args
        assert (text, user, name) == ("wow", "door", "door") and message_id in numbers


@pytest.mark.any_server
def test_a_command_goes_to_whom_it_is_for(three):
    door, desk, gate = three
    door.call("SendCustomCommand", "lobby", "open", ["desk", "somebody"])
    door.call("SendCustomCommand", "lobby", "everybody", [])
    assert desk.wait("CustomCommandReceived").args == ["lobby", "door", "door", "open"]
    gate.wait("CustomCommandReceived", lambda s: s.args[3] == "everybody")
    desk.wait("CustomCommandReceived", lambda s: s.args[3] == "everybody")
    assert [s.args[3] for s in gate.signals("CustomCommandReceived")] == ["everybody"]


@pytest.mark.any_server
def test_a_message_right_after_a_login_arrives(hub, device):
    """The server keeps it until the newcomer's connection is up."""
    door, desk = device("door"), device("desk")
    door.login("lobby")
    desk.login("lobby")
    door.call("SendBroadcastMessage", "lobby", "welcome")
    assert desk.wait("BroadcastMessageReceived").args[1][0][0] == "welcome"


@pytest.mark.any_server
def test_limits(three):
    door, desk, _ = three
    calls = {
        "SendBroadcastMessage": lambda room, text: (room, text),
        "SendBarrageMessage": lambda room, text: (room, text),
        "SendCustomCommand": lambda room, text: (room, text, []),
    }
    for method, arguments in calls.items():
        for text, code in (("", 1009001), ("x" * 1025, 1009002), ("ü" * 513, 1009002)):
            error = door.refusal(method, *arguments("lobby", text))
            assert (error.name, error.code) == (f"{ERROR}InvalidArgument", code), method
        error = door.refusal(method, *arguments("cellar", "x"))
        assert (error.name, error.code) == (f"{ERROR}RoomNotFound", 1002002)
    assert door.refusal("SendCustomCommand", "lobby", "x", ["a b"]).code == 1002006
    door.call("SendBroadcastMessage", "lobby", "ü" * 512)
    assert desk.wait("BroadcastMessageReceived").args[1][0][0] == "ü" * 512


@pytest.mark.any_server
def test_rates(three):
    """A refused message is not sent, and the next one in time is."""
    door, desk, _ = three
    # The first one waits for the connection.
    door.call("SendBroadcastMessage", "lobby", "x")
    broadcasts, codes = attempts(door, 5, "SendBroadcastMessage", "lobby", "x")
    assert broadcasts < 5 and codes == {1009015}
    taken, codes = attempts(door, 60, "SendBarrageMessage", "lobby", "x")
    assert 20 <= taken < 60 and codes == {1002071}
    taken, codes = attempts(door, 30, "SendCustomCommand", "lobby", "x", [])
    assert 10 <= taken < 30 and codes == {1002071}
    taken, codes = attempts(door, 30, "SendCustomCommand", "lobby", "x", ["desk"])
    assert (taken, codes) == (30, set())
    time.sleep(0.5)
    door.call("SendBroadcastMessage", "lobby", "later")
    desk.wait("BroadcastMessageReceived", lambda s: s.args[1][0][0] == "later")
    assert len(desk.signals("BroadcastMessageReceived")) == 2 + broadcasts


@pytest.mark.any_server
def test_the_users_of_a_room_share_its_pace(three, measured):
    """20 barrages a second of everybody together: two who are slow enough alone are too fast together."""
    door, desk, _ = three
    for d in (door, desk):
        d.call("SendBarrageMessage", "lobby", "the first one waits for the connection")
    time.sleep(1)
    taken, codes = 0, []
    for _ in range(40):
        for d in (door, desk):
            some, refusals = attempts(d, 1, "SendBarrageMessage", "lobby", "wow")
            taken += some
            codes += refusals
    measured(f"{taken} of 80 barrages were taken")
    assert 20 <= taken < 80 and 1002072 in codes and set(codes) <= {1002071, 1002072}


@pytest.mark.any_server
def test_without_a_room(device, hub):
    error = device("door").refusal("SendBroadcastMessage", "lobby", "x")
    assert (error.name, error.code) == (f"{ERROR}NotLoggedIn", 1000002)


@pytest.mark.root
def test_messages_from_and_to_livekit_sdks(stage):
    """Data packets on a topic and text streams: an SDK may use either, and a device hears each once."""
    island = make_island(stage)
    hub = start_hub(stage, address=island.address, namespace=island.namespace)
    door = start_device(stage, "door", hub=hub, namespace=island.namespace)
    desk = start_device(stage, "desk", hub=hub, namespace=island.namespace)
    for d in (door, desk):
        d.login("lobby")
    anna = start_peer(stage, hub, "anna", "lobby", namespace=island.namespace)
    ben = start_peer(stage, hub, "ben", "lobby", namespace=island.namespace, two_connections=True)
    for d in (door, desk):
        d.wait("RoomUserUpdate", lambda s: ["ben", "ben"] in s.args[2])

    (number,) = door.call("SendBroadcastMessage", "lobby", "hello everybody")
    for sdk in (anna, ben):
        sdk.wait("data", user="door", topic="zego.broadcast", text="hello everybody", reliable=True)
        text = sdk.wait("text", user="door", topic="zego.broadcast", text="hello everybody")
        assert text["id"] == str(number) and abs(text["time_ms"] - time.time() * 1000) < 60_000
    door.call("SendCustomCommand", "lobby", "only for anna", ["anna"])
    anna.wait("data", user="door", topic="zego.command", text="only for anna")
    anna.wait("text", user="door", topic="zego.command", text="only for anna")
    assert not ben.events("data")[1:] and not ben.events("text")[1:]

    anna.tell("text zego.broadcast * a longer hello")
    sent = anna.wait("sent")
    received = [d.wait("BroadcastMessageReceived", lambda s: s.args[1][0][1] == "anna").args[1][0] for d in (door, desk)]
    assert received[0] == received[1], "number and time are the sender's"
    assert received[0][:3] == ["a longer hello", "anna", "anna"]
    assert received[0][4] == sent["time_ms"]
    anna.tell("data zego.broadcast * as a packet")
    for d in (door, desk):
        d.wait("BroadcastMessageReceived", lambda s: s.args[1][0][0] == "as a packet")
    ben.tell("text zego.command desk open the gate")
    assert desk.wait("CustomCommandReceived").args == ["lobby", "ben", "ben", "open the gate"]
    anna.tell("text zego.barrage * wow")
    for d in (door, desk):
        d.wait("BarrageMessageReceived", lambda s: s.args[1][0][:2] == ["wow", "anna"])
    assert not door.signals("CustomCommandReceived")
    assert len(door.signals("BroadcastMessageReceived")) == 2
