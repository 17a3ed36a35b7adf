"""LiveKit's JavaScript SDK, unmodified, in Chromium: over one connection and over two, on the hub and on LiveKit's own server."""

import pytest
from browser.chromium import start_chromium

from rig.device import wait_until
from rig.hub import Hub
from rig.island import Island, make_island
from rig.room_service import call_in
from rig.servers import SERVERS
from sdk.web import WebPeer, join

pytestmark = pytest.mark.root

ROOM = "lobby"


@pytest.fixture
def island(stage) -> Island:
    return make_island(stage)


@pytest.fixture
def hub(stage, island, request) -> Hub:
    """The server under test."""
    return SERVERS[getattr(request, "param", "zegohub")](stage, address=island.address, namespace=island.namespace)


@pytest.fixture(params=["one", "two"])
def peer(stage, playwright, island, hub, request):
    """Opens a participant: `peer(user, hidden=True)`; checks in the end that no page complained."""
    chromium = start_chromium(stage, playwright, island, hub)
    peers: list[WebPeer] = []

    def start(user: str, **grants: object) -> WebPeer:
        peers.append(join(chromium, hub, user, ROOM, one_connection=request.param == "one", **grants))
        return peers[-1]

    yield start
    complaints = {peer.user: peer.complaints for peer in peers if peer.complaints}
    assert not complaints, complaints


@pytest.mark.any_server
def test_two_browsers_see_each_other_and_hear_what_changes(peer):
    anna, ben = peer("anna"), peer("ben")
    anna.wait("joined", user="ben")
    anna.do("publish")
    for kind in ("video", "audio"):
        ben.wait("track", user="anna", kind=kind)
        anna.wait("subscribed", kind=kind)
    ben.wait_pictures()
    ben.do("publish")
    anna.wait("track", user="ben", kind="video")
    anna.wait_pictures()
    anna.do("mute", True)
    ben.wait("muted", user="anna", kind="audio")
    anna.do("mute", False)
    ben.wait("unmuted", user="anna", kind="audio")
    anna.do("unpublish")
    for kind in ("video", "audio"):
        ben.wait("ended", user="anna", kind=kind)
    anna.do("leave")
    ben.wait("left", user="anna")


@pytest.mark.any_server
def test_browsers_exchange_messages_attributes_and_calls(peer, hub, island):
    anna, ben = peer("anna"), peer("ben")
    anna.wait("joined", user="ben")
    anna.do("data", "t", "hello", True)
    ben.wait("data", user="anna", topic="t", text="hello", reliable=True)
    anna.do("text", "word " * 10_000)
    ben.wait("text", user="anna", text="word " * 10_000)
    anna.do("attribute", "mood", "good")
    ben.wait("attributes", user="anna", changed={"mood": "good"})
    assert anna.do("call", "ben", "hello") == "anna: HELLO"
    call_in(island.namespace, hub, "update_room_metadata", room=ROOM, metadata="words")
    ben.wait("room_metadata", new="words")


@pytest.mark.any_server
@pytest.mark.parametrize("peer", ["one"], indirect=True)
def test_a_browser_is_told_how_many_are_in_the_room(peer):
    anna, ben = peer("anna"), peer("ben")
    ben.do("publish")
    peer("cleo", hidden=True)
    # Servers tell it at most every five seconds.
    wait_until(lambda: anna.do("counts") == [3, 1], "anna to know of three, one of whom publishes", 15)
    assert [event["user"] for event in anna.events("joined")] == ["ben"], "who is hidden is not told of"
    ben.do("leave")
    wait_until(lambda: anna.do("counts") == [2, 0], "anna to know that ben is gone", 15)


@pytest.mark.any_server
def test_browsers_exchange_data_tracks(peer):
    anna, ben = peer("anna"), peer("ben")
    anna.wait("joined", user="ben")
    anna.do("dataTrack", "heat")
    ben.wait("data_track", user="anna", track="heat")

    def arrives(size: int) -> bool:
        # It takes its time until a subscription counts, and no track promises that a frame arrives.
        anna.do("push", "heat", size)
        return any(frame["size"] == size for frame in ben.events("frame"))

    for size in (1, 1_000, 40_000):
        wait_until(lambda size=size: arrives(size), f"{size} bytes to arrive")
    assert all(frame["sum"] == sum(n % 251 for n in range(frame["size"])) for frame in ben.events("frame"))
    anna.do("endDataTrack", "heat")
    ben.wait("data_track_ended")


@pytest.mark.any_server
def test_a_browser_loses_what_it_may_not_receive(peer):
    anna, ben = peer("anna"), peer("ben")
    anna.do("publish")
    ben.wait("track", user="anna", kind="video")
    ben.wait_pictures()
    anna.do("permit", False)
    ben.wait("permission", user="anna", kind="video", status="not_allowed")
    for kind in ("video", "audio"):
        ben.wait("ended", user="anna", kind=kind)
    tracks = len(ben.events("track"))
    anna.do("permit", True)
    wait_until(lambda: len(ben.events("track")) == tracks + 2, "both tracks to come back")
    ben.wait_pictures()


@pytest.mark.alone
@pytest.mark.any_server
def test_a_browser_hears_how_good_connections_are(peer):
    anna, ben = peer("anna"), peer("ben")
    anna.do("publish")
    ben.wait("track", user="anna", kind="video")
    for who in (anna, ben):
        who.wait("quality", user="anna", quality="excellent", timeout=20)


@pytest.mark.alone
@pytest.mark.any_server
def test_a_browser_whose_signalling_breaks_comes_back(peer, measured):
    anna, ben = peer("anna"), peer("ben")
    anna.do("publish")
    ben.wait("track", user="anna", kind="video")
    ben.wait_pictures()
    ben.do("longestGap")
    anna.do("simulate", "signal-reconnect")
    anna.wait("reconnected", timeout=20)
    ben.wait_pictures()
    gap = ben.do("longestGap")
    # Two browsers on two cores show pictures late by themselves: printed, and held to a bound with devices (test_faulty_server).
    measured(f"pictures stood still for {gap:.0f} ms at the most")
    anna.do("data", "t", "I am back", True)
    ben.wait("data", user="anna", text="I am back")
    assert not ben.events("left"), "it was there all the time"


def check_it_joins_anew(peer, scenario: str) -> None:
    """Somebody who gives up its session publishes everything again in a new one, and messages pass both ways."""
    anna, ben = peer("anna"), peer("ben")
    anna.do("publish")
    for kind in ("video", "audio"):
        ben.wait("track", user="anna", kind=kind)
    tracks = len(ben.events("track"))
    anna.do("simulate", scenario)
    anna.wait("reconnected", timeout=20)
    wait_until(lambda: len(ben.events("track")) == tracks + 2, "both tracks in the new session", 20)
    ben.wait_pictures()
    # Not every server tells of the two sessions.
    assert len(ben.events("left")) == len(ben.events("joined")) <= 1, "who went has come back"
    wait_until(lambda: anna.do("settled"), "the end of anna's attempt")
    anna.do("data", "t", "I am back", True)
    ben.wait("data", user="anna", text="I am back")
    ben.do("data", "t", "welcome", True)
    anna.wait("data", user="ben", text="welcome")


@pytest.mark.any_server
@pytest.mark.parametrize("scenario", ["resume-reconnect", "full-reconnect"])
def test_a_browser_that_joins_anew_publishes_everything_again(peer, scenario):
    # In the first the resume fails on purpose.
    check_it_joins_anew(peer, scenario)


def test_a_browser_that_the_server_sends_away_joins_anew(peer):
    check_it_joins_anew(peer, "leave-full-reconnect")
