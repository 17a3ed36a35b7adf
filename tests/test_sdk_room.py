"""What else an SDK does in a room: the PyPI package `livekit`, unmodified, on the hub and on LiveKit's own server."""

import time

import pytest

from livekit import api
from rig.device import wait_until
from rig.hub import Hub
from rig.island import Island, make_island
from rig.room_service import call_in
from rig.servers import SERVERS
from sdk.client import SdkPeer, start_peer

pytestmark = [pytest.mark.root, pytest.mark.any_server]

ROOM = "lobby"


@pytest.fixture
def island(stage) -> Island:
    return make_island(stage)


@pytest.fixture
def hub(stage, island, request) -> Hub:
    """The server under test."""
    return SERVERS[request.param](stage, address=island.address, namespace=island.namespace)


@pytest.fixture
def peer(stage, hub, island):
    """Starts a participant that may describe itself: `peer(user, publish=…)`."""

    def start(user: str, **wishes: object) -> SdkPeer:
        token = hub.token(user, ROOM, grants={"canUpdateOwnMetadata": True})
        return start_peer(stage, hub, user, ROOM, namespace=island.namespace, token=token, **wishes)

    return start


def test_who_speaks_is_told(peer):
    # Two tones that go on: the other one is silent nine tenths of the time, and that is no speech.
    # The listener first: what changes is told, by livekit-server nothing to who comes later.
    ben, anna = peer("ben"), peer("anna", publish="anna-cam", stereo=True)
    for who in (anna, ben):
        who.wait("speakers", users=["anna"])
    anna.tell("mute audio")
    for who in (anna, ben):
        wait_until(lambda who=who: who.events("speakers")[-1]["users"] == [], f"{who.user} to hear that nobody speaks")
    anna.tell("unmute audio")
    wait_until(lambda: ben.events("speakers")[-1]["users"] == ["anna"], "anna to speak again")


def test_how_good_connections_are_is_told(peer):
    ben = peer("ben")
    anna = peer("anna", publish="anna-cam")
    ben.wait("track", stream="anna-cam", kind="video")
    for user in ("anna", "ben"):
        ben.wait("quality", user=user, quality="excellent", timeout=20)
    anna.wait("quality", user="anna", quality="excellent", timeout=20)


def test_names_metadata_and_attributes_are_told(peer):
    ben, anna = peer("ben"), peer("anna")
    ben.wait("active", user="anna")
    anna.tell("name Anna")
    ben.wait("name", user="anna", old="anna", new="Anna")
    anna.tell("metadata curious")
    ben.wait("metadata", user="anna", new="curious")
    anna.tell("attribute mood good")
    ben.wait("attributes", user="anna", changed={"mood": "good"})


def test_a_room_s_metadata_is_told(peer, hub, island):
    anna = peer("anna")
    call_in(island.namespace, hub, "update_room_metadata", room=ROOM, metadata="words")
    anna.wait("room_metadata", new="words")


@pytest.mark.parametrize("connections", ["one", "two"])
def test_procedures_are_called(peer, connections):
    two = connections == "two"
    anna, ben = peer("anna", two_connections=two), peer("ben", two_connections=two)
    anna.wait("active", user="ben")
    anna.tell("call ben hello")
    anna.wait("called", answer="anna: HELLO")
    anna.tell("call ben")
    anna.wait("called", code=1234, message="there is nothing to shout")
    ben.tell(f"call anna {'x' * 10_000}")
    ben.wait("called", answer=f"ben: {'X' * 10_000}")


def test_a_stream_of_bytes_arrives_whole(peer):
    anna, ben = peer("anna"), peer("ben")
    anna.wait("active", user="ben")
    count = 400_000
    anna.tell(f"bytes bytes {count}")
    ben.wait("bytes", user="anna", topic="bytes", count=count, sum=sum(n % 251 for n in range(count)))


def test_a_publisher_hears_that_it_is_received(peer):
    anna = peer("anna", publish="anna-cam")
    assert not anna.events("subscribed")
    peer("ben")
    for kind in ("video", "audio"):
        anna.wait("subscribed", stream="anna-cam", kind=kind)


def test_a_track_is_taken_or_not_as_its_receiver_wants(peer):
    peer("anna", publish="anna-cam")
    ben = peer("ben", sees="anna-cam")
    ben.tell("want anna-cam no")
    for kind in ("video", "audio"):
        ben.wait("ended", stream="anna-cam", kind=kind)
    wait_until(lambda: not ben.watch("anna-cam", 0.5), "the picture to stop")
    tracks = len(ben.events("track"))
    ben.tell("want anna-cam yes")
    wait_until(lambda: len(ben.events("track")) == tracks + 2, "both tracks to come back")
    wait_until(lambda: len(ben.watch("anna-cam", 0.5)) > 5, "the picture to come back")


def test_after_joining_anew_everything_is_published_again(peer):
    anna = peer("anna", publish="anna-cam")
    ben = peer("ben", sees="anna-cam")
    tracks = len(ben.events("track"))
    anna.tell("reconnect")
    anna.wait("reconnected", timeout=20)
    wait_until(lambda: len(ben.events("track")) == tracks + 2, "both tracks to be received again", timeout=20)
    wait_until(lambda: len(ben.watch("anna-cam", 0.5)) > 5, "the picture to come back")


def test_what_is_encrypted_end_to_end_is_shown_to_who_has_the_key(peer):
    anna = peer("anna", publish="anna-cam", key="a key of both")
    ben = peer("ben", key="a key of both", sees="anna-cam")
    frames = ben.watch("anna-cam", 2)
    intact = [frame for frame in frames if frame.counter is not None]
    assert len(intact) >= 0.95 * len(frames) and len(frames) > 30
    stranger = peer("carl", key="another key")
    stranger.wait("track", stream="anna-cam", kind="video")
    time.sleep(2)
    assert not [frame for frame in stranger.frames("anna-cam") if frame.counter is not None]
    assert anna.program.running


def test_a_simulcast_is_received(peer):
    peer("anna", publish="anna-cam", simulcast=True)
    ben = peer("ben", sees="anna-cam")
    wait_until(lambda: any(frame.width == 640 for frame in ben.watch("anna-cam", 1)), "the best layer", timeout=20)


@pytest.mark.alone
@pytest.mark.parametrize("connections", ["one", "two"])
@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_layers_in_one_stream_are_received_as_they_are_wished_for(peer, codec, connections):
    two = connections == "two"
    peer("anna", publish="anna-cam", codec=codec, simulcast=True, two_connections=two)
    ben = peer("ben", two_connections=two, sees="anna-cam")
    # A picture of this size has two.
    for quality, width in (("high", 640), ("low", 320), ("high", 640)):
        ben.tell(f"quality anna-cam {quality}")
        wait_until(lambda: {f.width for f in ben.watch("anna-cam", 1)} == {width}, f"{quality}: {width} wide", timeout=20)


def test_what_a_token_grants_changes_with_a_permission_and_survives_joining_anew(peer, hub, island):
    anna, ben = peer("anna", publish="anna-cam"), peer("ben")
    ben.wait("track", stream="anna-cam", kind="video")
    wait_until(lambda: anna.events("token_refreshed"), "a first new token")
    tokens = len(anna.events("token_refreshed"))
    permission = api.ParticipantPermission(can_subscribe=True, can_publish_data=True)
    call_in(island.namespace, hub, "update_participant", room=ROOM, identity="anna", permission=permission)
    ben.wait("ended", stream="anna-cam", kind="video")
    wait_until(lambda: len(anna.events("token_refreshed")) > tokens, "a new token")
    anna.tell("reconnect")
    anna.wait("reconnected", timeout=20)
    person = call_in(island.namespace, hub, "get_participant", room=ROOM, identity="anna")
    assert person.permission.can_subscribe and not person.permission.can_publish
    assert not person.tracks


def test_data_tracks_go_to_those_who_follow_them(peer):
    ben, carl = peer("ben", two_connections=True), peer("carl")
    anna = peer("anna")
    for who in (ben, carl):
        who.wait("active", user="anna")
    for name in ("heat", "place"):
        anna.tell(f"data-track {name} yes")
        sid = anna.wait("data_track_published", track=name)["sid"]
        for who in (ben, carl):
            assert who.wait("data_track", user="anna", track=name)["sid"] == sid
    for who in (ben, carl):
        who.tell("follow heat yes")
    ben.tell("follow place yes")

    def frames(who: SdkPeer, name: str, size: int) -> int:
        return sum(1 for event in who.events("frame") if (event["track"], event["size"]) == (name, size))

    def push_until(who: SdkPeer, name: str, size: int) -> None:
        # It takes its time until a subscription counts, and no track promises that a frame arrives.
        def arrives() -> bool:
            anna.tell(f"push {name} {size}")
            return frames(who, name, size) > 0

        wait_until(arrives, f"{who.user} to receive {size} bytes of {name}")

    # The last of these goes in several packets.
    for size in (1, 1_000, 40_000):
        for who in (ben, carl):
            push_until(who, "heat", size)
    assert all(event["sum"] == sum(n % 251 for n in range(event["size"])) for event in ben.events("frame"))
    push_until(ben, "place", 77)
    assert carl.events("frame") and frames(carl, "place", 77) == 0

    anna.tell("data-track heat yes")
    anna.wait("data_track_refused")
    anna.tell("data-track heat no")
    for who in (ben, carl):
        who.wait("data_track_ended")
    push_until(ben, "place", 78)
    late = peer("late")
    late.wait("data_track", user="anna", track="place")
    late.tell("follow place yes")
    push_until(late, "place", 79)
    anna.tell("reconnect")
    late.wait("data_track_ended")
