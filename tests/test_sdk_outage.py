"""An SDK whose line breaks and comes back: messages arrive once each, in order, whatever was on its way."""

import time

import pytest

from rig.device import wait_until
from rig.network import make_link
from rig.servers import SERVERS
from sdk.client import SdkPeer, start_peer

pytestmark = [pytest.mark.root, pytest.mark.any_server]

ROOM = "lobby"


@pytest.fixture
def link(stage):
    """The server and `anna` on its left end, `ben` on its right end."""
    return make_link(stage, delay_ms=5)


@pytest.fixture
def hub(stage, link, request):
    return SERVERS[request.param](stage, address=link.left_address, namespace=link.left)


def numbers(peer: SdkPeer, user: str) -> list[int]:
    """The numbers of the messages of a user that came, in order."""
    return [int(event["text"]) for event in peer.events("data") if event["user"] == user]


@pytest.mark.parametrize("seconds", [4, 8])
@pytest.mark.parametrize("connections", ["one", "two"])
def test_every_message_arrives_once_over_an_outage(stage, hub, link, measured, connections, seconds):
    two = connections == "two"
    anna = start_peer(stage, hub, "anna", ROOM, namespace=link.left, two_connections=two)
    ben = start_peer(stage, hub, "ben", ROOM, namespace=link.right, two_connections=two)
    anna.wait("active", user="ben")
    for who in (anna, ben):
        who.tell("count numbers 100")
    wait_until(lambda: len(numbers(anna, "ben")) > 10 and len(numbers(ben, "anna")) > 10, "messages", timeout=15)
    link.cut()
    time.sleep(seconds)
    link.mend()
    back = time.monotonic()
    came = len(numbers(ben, "anna")), len(numbers(anna, "ben"))
    wait_until(
        lambda: len(numbers(ben, "anna")) > came[0] + 10 and len(numbers(anna, "ben")) > came[1] + 10,
        "messages both ways again",
        timeout=60,
    )
    measured(f"both ways {time.monotonic() - back:.1f} s after {seconds} s without a line")
    for who in (anna, ben):
        who.tell("count numbers 0")
        who.wait("counted")
    for sender, receiver in ((anna, ben), (ben, anna)):
        sent = sender.events("counted")[-1]["count"]
        wait_until(lambda s=sender, r=receiver, n=sent: n - 1 in numbers(r, s.user), "the last message", timeout=30)
        got = numbers(receiver, sender.user)
        missing = sorted(set(range(sent)) - set(got))
        assert got == list(range(sent)), f"{receiver.user} misses {missing} and has {len(got) - len(set(got))} twice"
    assert not ben.events("disconnected")
