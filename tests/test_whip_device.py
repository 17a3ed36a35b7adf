"""A device publishes to WHIP endpoints and plays from WHEP endpoints: the hub's, LiveKit's, and one that does as it is told."""

import json
import re
import time

import numpy as np
import pytest

from rig import whip
from rig.broken_line import states
from rig.device import options, start_device, wait_until
from rig.endpoint import start_endpoint
from rig.hub import start_hub
from rig.network import free_port, make_link
from rig.recorder import unwrap
from rig.stun import SEEN, start_stun

ROOM = "lobby"
FRAGMENT = re.compile(
    r"a=group:BUNDLE 0 1\r\nm=audio \d+ \S+ [\d ]+\r\na=mid:0\r\n(a=ice-ufrag:\S+)\r\n(a=ice-pwd:\S+)\r\n(?:a=candidate:.+\r\n)+"
)
"""What is told of an offer's ICE session later (RFC 8840, section 9): its first section, its credentials, candidates."""


@pytest.fixture
def loop(stage):
    return whip.Loop(stage)


@pytest.fixture
def endpoint(stage, loop):
    return start_endpoint(stage, loop)


@pytest.fixture
def alone(stage):
    """A device that knows no room server."""
    return start_device(stage, "alone", retry_time_s=20)


@pytest.fixture
def late(stage, loop):
    """The same, one of whose candidates is found after its offer is sent."""
    return start_device(stage, "late", retry_time_s=20, ice_servers=[start_stun(stage, loop, after_s=0.8)])


def intact(frames):
    """The bars' counters of what was shown, unwrapped; nearly all were readable, none came twice or out of order."""
    counters = unwrap([frame.counter for frame in frames if frame.counter is not None])
    assert len(counters) >= 0.95 * len(frames) and (np.diff(counters) > 0).all()
    return counters


@pytest.mark.any_server
def test_what_a_device_publishes_by_whip_is_in_the_room(hub, device):
    door, desk = device("door"), device("desk", speaker="wav")
    desk.login(ROOM)
    wishes = dict(whip_url=f"{hub.http}/whip/v1", whip_token=hub.token("door", ROOM))
    publisher = door.publish("front", **wishes)
    assert door.get(publisher, "Publisher", "Room") == "/"
    added = desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0 and s.args[2])
    stream = added.args[2][0][0]
    view = desk.texture()
    recorder = desk.record(view)
    desk.play(stream, view=view.view)
    assert len(intact(recorder.wait_for_frames(60))) > 50
    desk.wait("PlayerFirstFrame", lambda s: s.args[1] == "audio_received")
    door.call("StopPublishing", "front")
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1)
    assert states(door, "PublisherStateUpdate", 0) == [(1, 0), (2, 0), (0, 0)]


def test_what_a_device_plays_by_whep_is_what_is_in_the_room(hub, device, measured):
    door, desk = device("door"), device("desk", speaker="wav")
    view = desk.texture()
    recorder = desk.record(view)
    wishes = dict(whep_url=f"{hub.http}/whep/v1?stream=front", whep_token=hub.token("desk", ROOM))
    player, state = desk.call("StartPlaying", "anything", options(view=view.view, **wishes))
    assert state == 1, "it is waited for"
    door.login(ROOM)
    door.publish("front")
    desk.wait("PlayerStateUpdate", lambda s: s.args[:2] == ["anything", 2])
    assert desk.get(player, "Player", "Room") == "/"
    begin = time.monotonic()
    frames = recorder.wait_for_frames(60)
    measured(f"first picture {(frames[0].at - begin) * 1000:.0f} ms after the player played")
    assert len(intact(frames)) > 50
    # The stream goes and returns: the player sees it again without a word from anybody.
    door.call("StopPublishing", "front")
    time.sleep(0.5)
    before = len(recorder.frames())
    door.publish("front")
    recorder.wait_for_frames(before + 60)
    desk.call("StopPlaying", "anything")
    assert states(desk, "PlayerStateUpdate", 0)[-1] == (0, 0)


@pytest.mark.parametrize("redirect", [0, 307, 308])
def test_requests_are_those_of_the_standard(late, endpoint, redirect):
    endpoint.redirect, endpoint.waits_for = redirect, SEEN
    late.publish("front", whip_url=f"{endpoint.url}/whip?key=1", whip_token="secret")
    wait_until(lambda: min(endpoint.received.get(kind, 0) for kind in ("audio", "video")) > 20, "sound and pictures there")
    late.call("StopPublishing", "front")
    wait_until(lambda: endpoint.of("DELETE"), "the end of the session")
    place = "/elsewhere" if redirect else ""
    posts = endpoint.of("POST")
    assert [post.path for post in posts] == ["/whip?key=1", *(["/elsewhere/whip"] if redirect else [])]
    assert [asked.path for asked in endpoint.of("DELETE")] == [f"{place}/sessions/1"], "relative to whoever answered"
    for asked in endpoint.asked:
        assert asked.headers["Authorization"] == "Bearer secret"
    offer = posts[-1].body
    assert posts[-1].headers["Content-Type"] == "application/sdp"
    assert offer.count("m=audio") == offer.count("m=video") == 1 and "m=application" not in offer
    assert offer.count("a=sendonly") == 2 and "a=candidate:" in offer
    assert SEEN not in offer
    patches = endpoint.of("PATCH")
    assert any(SEEN in patch.body for patch in patches)
    for patch in patches:
        assert patch.path == f"{place}/sessions/1"
        assert patch.headers["If-Match"] == '"one"' and patch.headers["Content-Type"] == "application/trickle-ice-sdpfrag"
        told = FRAGMENT.fullmatch(patch.body)
        assert told and all(f"{line}\r\n" in offer for line in told.groups()), patch.body


def test_an_endpoint_gives_sound_and_pictures(alone, endpoint):
    view = alone.texture()
    recorder = alone.record(view)
    alone.play("theirs", view=view.view, whep_url=f"{endpoint.url}/whep")
    assert len(intact(recorder.wait_for_frames(45, timeout=20))) > 40
    alone.wait("PlayerFirstFrame", lambda s: s.args[1] == "audio_received")
    offer = endpoint.of("POST")[0]
    assert "Authorization" not in offer.headers and offer.body.count("a=recvonly") == 2
    alone.call("StopPlaying", "theirs")
    assert endpoint.of("DELETE")


@pytest.mark.parametrize("refusal", ["405", "501", "no tag"])
def test_an_endpoint_that_takes_no_candidates_later_gets_all_with_another_offer(late, endpoint, refusal, measured):
    endpoint.waits_for = SEEN
    if refusal == "no tag":
        endpoint.etag = ""
    else:
        endpoint.patch = int(refusal)
    begin = time.monotonic()
    late.publish("front", whip_url=f"{endpoint.url}/whip")
    measured(f"{refusal}: published after {time.monotonic() - begin:.1f} s")
    wait_until(lambda: endpoint.received.get("video", 0) > 20, "pictures there")
    assert [SEEN in post.body for post in endpoint.of("POST")] == [False, True]
    assert [asked.path for asked in endpoint.of("DELETE")] == ["/sessions/1"], "the session that did not come up is ended"
    told = [SEEN in patch.body for patch in endpoint.of("PATCH")]
    assert told == ([] if refusal == "no tag" else [True])
    assert states(late, "PublisherStateUpdate", 0) == [(1, 0), (2, 0)]


@pytest.mark.parametrize("patch", [405, 501])
def test_an_endpoint_without_patch_and_tag_is_published_to(alone, endpoint, patch):
    endpoint.patch, endpoint.etag = patch, ""
    alone.publish("front", whip_url=f"{endpoint.url}/whip")
    wait_until(lambda: endpoint.received.get("video", 0) > 20, "pictures there")


def test_an_endpoint_that_is_busy_is_asked_again_when_it_says(alone, endpoint):
    endpoint.refusals = [(503, {"Retry-After": "2"}, "busy"), (429, {}, "slow down")]
    begin = time.monotonic()
    alone.publish("front", whip_url=f"{endpoint.url}/whip")
    assert time.monotonic() - begin >= 2
    assert len(endpoint.of("POST")) == 3
    assert states(alone, "PublisherStateUpdate", 0) == [(1, 0), (2, 0)]


def test_refusals_have_names_and_codes(alone, endpoint):
    problem = json.dumps({"status": 409, "detail": "Stream 'front' is taken [1003028]"})
    cases = [
        ("StartPublishing", 401, "", "AuthenticationFailed", 1002033),
        ("StartPublishing", 401, "The token has expired; make a new one [1002078]", "AuthenticationFailed", 1002078),
        ("StartPublishing", 403, "", "Forbidden", 1003072),
        ("StartPlaying", 403, "", "Forbidden", 1004025),
        ("StartPublishing", 404, "", "InvalidArgument", 1000017),
        ("StartPublishing", 406, "", "Unsupported", 1003010),
        ("StartPublishing", 409, problem, "StreamExists", 1003028),
        ("StartPlaying", 406, "", "NotPlaying", 1004001),
        ("StartPublishing", 415, "", "Unsupported", 1000006),
        ("StartPublishing", 400, "", "Internal", 1003099),
        ("StartPlaying", 400, "", "Internal", 1004099),
        ("StartPublishing", 201, "no description", "Unsupported", 1000006),
    ]
    for method, status, text, name, code in cases:
        endpoint.refusals = [(status, {}, text)]
        key = "whip_url" if method == "StartPublishing" else "whep_url"
        error = alone.refusal(method, "front", options(**{key: f"{endpoint.url}/{key[:4]}"}))
        assert (error.name, error.code) == (f"org.zegod1.Error.{name}", code), f"{status} {text}: {error}"
        assert error.message.startswith("Stream 'front': ")
    wrong = [
        dict(whip_url="ftp://h/x"),
        dict(whip_url=f"{endpoint.url}/whip", room_id=ROOM),
        dict(whip_url=f"{endpoint.url}/whip", extra_info="text"),
        dict(whip_token="secret"),
    ]
    for wishes in wrong:
        error = alone.refusal("StartPublishing", "front", options(**wishes))
        assert error.code == 1000017, f"{wishes}: {error}"
        assert "secret" not in error.message
    assert not alone.objects("Publisher")


def test_a_server_that_restarts_is_published_to_and_played_from_again(stage):
    port = free_port()
    hub = start_hub(stage, port=port)
    door, desk = start_device(stage, "door"), start_device(stage, "desk")
    door.publish("front", whip_url=f"{hub.http}/whip/v1?stream=front", whip_token=hub.token("door", ROOM))
    view = desk.texture()
    recorder = desk.record(view)
    desk.play("front", view=view.view, whep_url=f"{hub.http}/whep/v1", whep_token=hub.token("desk", ROOM))
    recorder.wait_for_frames(30)
    marks = door.mark(), desk.mark()
    hub.program.kill()
    door.wait("PublisherStateUpdate", lambda s: s.args[1] == 1, after=marks[0], timeout=20)
    desk.wait("PlayerStateUpdate", lambda s: s.args[1] == 1, after=marks[1], timeout=20)
    start_hub(stage, port=port)
    door.wait("PublisherStateUpdate", lambda s: s.args[1] == 2, after=marks[0], timeout=20)
    desk.wait("PlayerStateUpdate", lambda s: s.args[1] == 2, after=marks[1], timeout=20)
    before = len(recorder.frames())
    recorder.wait_for_frames(before + 60)
    assert states(door, "PublisherStateUpdate", marks[0]) == [(1, 1003020), (2, 0)]
    assert states(desk, "PlayerStateUpdate", marks[1]) == [(1, 1004020), (2, 0)]


def test_an_endpoint_that_is_not_there_is_given_up_after_the_retry_time(stage):
    device = start_device(stage, "device", retry_time_s=3)
    error = device.refusal("StartPublishing", "front", options(whip_url=f"http://127.0.0.1:{free_port()}/whip"))
    assert (error.name, error.code) == ("org.zegod1.Error.ServerUnreachable", 1003021)
    assert not device.objects("Publisher")


@pytest.mark.root
@pytest.mark.parametrize("how", ["another address", "a silent line"])
def test_ice_restarts_when_the_way_to_the_endpoint_changes(stage, how, measured):
    """Publishing and playing go on in the same sessions, and whoever is in the room hears nothing of it."""
    link = make_link(stage, delay_ms=5)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    door = start_device(stage, "door", hub=hub, namespace=link.left)
    desk = start_device(stage, "desk", namespace=link.right)
    door.login(ROOM)
    door.publish("front")
    desk.publish("back", whip_url=f"{hub.http}/whip/v1?stream=back", whip_token=hub.token("desk", ROOM))
    recorders = []
    for device, stream, wishes in (
        (door, "back", {}),
        (desk, "front", dict(whep_url=f"{hub.http}/whep/v1?stream=front", whep_token=hub.token("screen", ROOM))),
    ):
        view = device.texture()
        recorders.append(device.record(view))
        device.play(stream, view=view.view, **wishes)
    for recorder in recorders:
        recorder.wait_for_frames(30)
    marks = door.mark(), desk.mark()
    if how == "another address":
        link.move("10.77.0.9")
        since = time.monotonic()
    else:
        link.cut()
        desk.wait("PublisherStateUpdate", lambda s: s.args[1] == 1, after=marks[1], timeout=15)
        link.mend()
        since = time.monotonic()
    for recorder in recorders:
        wait_until(lambda r=recorder: len([f for f in r.frames() if f.at > since + 0.2]) > 15, "pictures", timeout=15)
    back = [next(f.at for f in r.frames() if f.at > since + 0.2) - since for r in recorders]
    measured(f"{how}: pictures after {back[0]:.2f} s (WHIP), {back[1]:.2f} s (WHEP)")
    desk.wait("PublisherStateUpdate", lambda s: s.args[1] == 2, after=marks[1])
    desk.wait("PlayerStateUpdate", lambda s: s.args[1] == 2, after=marks[1])
    assert states(desk, "PublisherStateUpdate", marks[1]) == [(1, 1003020), (2, 0)]
    assert states(desk, "PlayerStateUpdate", marks[1]) == [(1, 1004020), (2, 0)]
    assert not door.signals("RoomStreamUpdate", marks[0]), "the streams stayed"
