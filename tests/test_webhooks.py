"""Webhooks: the same events in the same order from the hub and from LiveKit's own server, signed; receivers that fail."""

import time

import pytest

from rig import tokens
from rig.device import wait_until
from rig.hub import start_hub
from rig.livekit import start_livekit
from rig.network import free_port
from rig.room_service import call
from rig.webhook import Receiver


@pytest.fixture
def receiver(request):
    """Takes events; refuses as many as the test's parameter says."""
    receiver = Receiver(getattr(request, "param", 0))
    yield receiver
    receiver.close()


def start_with_webhook(stage, server, url):
    """A room server that tells `url` what happens."""
    if server == "zegohub":
        return start_hub(stage, extra=f'[[webhook]]\nurl = "{url}"\n')
    return start_livekit(stage, extra=f'webhook:\n  api_key: "{tokens.APP_ID}"\n  urls: ["{url}"]')


def names(receiver):
    """The events so far."""
    assert not receiver.troubles, receiver.troubles
    return [event.event for event in receiver.events]


@pytest.mark.parametrize("server", ["zegohub", "livekit-server"])
def test_a_session_is_told_from_beginning_to_end(stage, device, receiver, server):
    hub = start_with_webhook(stage, server, receiver.url)
    started = time.time()
    door = device("door", hub=hub)
    door.login("lobby")
    door.publish("door")
    wait_until(lambda: names(receiver).count("track_published") == 2, "two tracks to be told")
    door.call("StopPublishing", "door")
    wait_until(lambda: names(receiver).count("track_unpublished") == 2, "their ends to be told")
    call(hub, "delete_room", room="lobby")
    wait_until(lambda: "room_finished" in names(receiver), "the room's end to be told")
    told = names(receiver)
    assert told[:2] == ["room_started", "participant_joined"]
    assert set(told[2:6]) == {"track_published", "track_unpublished"}
    assert sorted(told[6:]) == ["participant_left", "room_finished"]
    assert len({event.id for event in receiver.events}) == len(told), "no number twice"
    assert all(event.id.startswith("EV_") for event in receiver.events)
    assert all(started - 2 <= event.created_at <= time.time() + 1 for event in receiver.events)
    assert {(event.room.name, event.room.sid[:3]) for event in receiver.events} == {("lobby", "RM_")}
    joined = receiver.events[1]
    assert (joined.participant.identity, joined.participant.state) == ("door", 2)
    published = next(event for event in receiver.events if event.event == "track_published")
    assert published.participant.identity == "door" and published.track.sid.startswith("TR_")
    assert not published.room.creation_time, "a track's event only names its room"


@pytest.mark.parametrize("receiver", [2], indirect=True)
def test_an_event_is_sent_again_until_it_is_taken(stage, receiver):
    hub = start_with_webhook(stage, "zegohub", receiver.url)
    call(hub, "create_room", name="lobby")
    call(hub, "delete_room", room="lobby")
    wait_until(lambda: names(receiver) == ["room_started", "room_finished"], "both, in order")
    assert receiver.requests == 4


def test_a_dead_receiver_costs_nothing_and_the_other_is_told(stage, receiver):
    dead = f"http://127.0.0.1:{free_port()}/"
    hub = start_hub(stage, extra=f'[[webhook]]\nurl = "{dead}"\n[[webhook]]\nurl = "{receiver.url}"\n')
    took = []
    for n in range(300):
        began = time.monotonic()
        call(hub, "create_room", name=f"room{n}")
        took.append(time.monotonic() - began)
    wait_until(lambda: len(names(receiver)) == 300, "all events")
    assert [event.room.name for event in receiver.events] == [f"room{n}" for n in range(300)]
    assert sorted(took)[150] < 0.1


def test_what_is_waiting_is_sent_when_the_hub_ends(stage, receiver):
    hub = start_with_webhook(stage, "zegohub", receiver.url)
    call(hub, "create_room", name="lobby")
    hub.program.end()
    assert names(receiver) == ["room_started", "room_finished"]
