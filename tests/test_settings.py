"""What can be set and asked in a call: configurations, volumes, texts, lists, tokens."""

from dbus_fast import Variant

from rig.device import ENGINE, ROOT, SERVICE, options, wait_until


def ask(device, method: str, signature: str, *body):
    return device.bus.call(SERVICE, ROOT, ENGINE, method, signature, body)


def test_the_text_of_a_stream_is_seen_by_the_others(hub, device):
    door, desk = device("door"), device("desk")
    # LiveKit's tokens allow it only when they say so; ZEGO's do not know of it.
    door.login("lobby", token=hub.token("door", "lobby", grants={"canUpdateOwnMetadata": True}))
    desk.login("lobby")
    door.publish("door", extra_info="first")
    text = lambda: [stream["ExtraInfo"] for stream in desk.objects("Stream").values()]  # noqa: E731
    wait_until(lambda: text() == ["first"], "the text that it was published with")
    ask(door, "SetStreamExtraInfo", "ss", "door", "second")
    desk.wait("RoomStreamExtraInfoUpdate", lambda s: s.args == ["lobby", [["door", "second"]]])
    (seen,) = desk.objects("Stream").values()
    assert seen["ExtraInfo"] == "second"
    assert not door.signals("RoomStreamExtraInfoUpdate"), "it is told to the others only"


def test_a_room_lists_its_streams(hub, device):
    door, desk = device("door"), device("desk")
    for one in (door, desk):
        one.login("lobby")
    assert ask(desk, "GetRoomStreamList", "si", "lobby", 1) == [[], []]
    door.publish("door")
    desk.publish("desk")
    desk.wait("RoomStreamUpdate")
    own, others = ask(desk, "GetRoomStreamList", "si", "lobby", 1)
    assert [s[0] for s in own] == ["desk"] and [s[:2] for s in others] == [["door", "door"]]
    own, others = ask(desk, "GetRoomStreamList", "si", "lobby", 0)
    assert own == [] and [s[0] for s in others] == ["door"]
    desk.call("StopPublishing", "desk")
    desk.publish("voice", video=False)
    ((_, _, _, described),) = desk.call("GetRoomStreamList", "lobby", 1)[0]
    assert (described["has_audio"], described["has_video"]) == (True, False)


def test_the_encoding_changes_while_it_publishes(hub, device):
    door, desk = device("door"), device("desk")
    for one in (door, desk):
        one.login("lobby")
    ask(door, "SetAudioConfig", "a{sv}i", options(bitrate=32), 0)
    publisher = door.publish("door")
    view = desk.texture()
    desk.play("door", view=view.view)
    assert desk.wait("PlayerVideoSizeChanged").args == ["door", 640, 480]
    mark = desk.mark()
    ask(door, "SetVideoConfig", "a{sv}i", options(encode_width=320, encode_height=240, bitrate=300), 0)
    assert desk.wait("PlayerVideoSizeChanged", after=mark).args == ["door", 320, 240]
    wait_until(lambda: door.get(publisher, "Publisher", "Width") == 320, "the new width")
    assert door.get(publisher, "Publisher", "State") == "publishing"


def test_volumes_are_kept_and_bounded(hub, device):
    door, desk = device("door"), device("desk")
    for one in (door, desk):
        one.login("lobby")
    publisher = door.publish("door")
    desk.wait("RoomStreamUpdate")
    player = desk.play("door")
    for one, path, interface, name in ((door, publisher, "Publisher", "CaptureVolume"), (desk, player, "Player", "Volume")):
        assert one.get(path, interface, name) == 100
        for volume in (0, 200, 55):
            one.set(path, interface, name, Variant("i", volume))
            assert one.get(path, interface, name) == volume
        for wrong in (Variant("i", 201), Variant("i", -1), Variant("s", "loud")):
            try:
                one.set(path, interface, name, wrong)
            except Exception as error:
                assert "[1" in str(error) and "InvalidArgument" in str(error), error
            else:
                raise AssertionError(f"{name} took {wrong}")
        assert one.get(path, interface, name) == 55


def test_a_new_token_is_checked_for_its_form_and_taken(hub, device):
    door = device("door")
    room = door.login("lobby", token=hub.token("door", "lobby", ttl=600))
    until = door.get(room, "Room", "TokenExpiresAt")
    ask(door, "RenewToken", "ss", "lobby", hub.token("door", "lobby", ttl=3600))
    wait_until(lambda: door.get(room, "Room", "TokenExpiresAt") > until, "the later end")
    assert door.get(room, "Room", "State") == "connected"


def test_diagnostics_hold_no_secrets(hub, device):
    door = device("door")
    token = hub.token("door", "lobby")
    door.login("lobby", token=token)
    (found,) = door.call("GetDiagnostics")
    assert found and token not in str(found)


def test_the_log_tells_what_happens_and_no_secrets(hub, device):
    """Rooms and refused calls, each as it was told over the bus; no token and no message's text, however much is written."""
    door = device("door", log_level="debug")
    token = hub.token("door", "lobby")
    door.login("lobby", token=token)
    door.call("SendBroadcastMessage", "lobby", "between us")
    error = door.refusal("StopPublishing", "attic")
    door.call("LogoutRoom", "lobby")
    door.program.end()
    log = door.program.output()
    for line in ("room 'lobby': logined", f"StopPublishing refused: {error.message}", "room 'lobby': logout"):
        assert line in log, log
    for secret in (token, token.split(".")[2], "between us"):
        assert secret not in log
    quiet = device("quiet", log_level="error")
    quiet.login("lobby")
    quiet.program.end()
    assert "logined" not in quiet.program.output(), "less is written where less is wanted"
