"""The hub with many at once: nothing that its machine can carry is lost."""

import pytest

from rig.crowd import start_crowd
from rig.hub import start_hub
from rig.network import make_link

pytestmark = pytest.mark.alone


@pytest.fixture(params=["one", "two"])
def path(request) -> str:
    """Peer connections of each participant: /rtc/v1 or /rtc."""
    return f"--path={request.param}"


@pytest.mark.any_server
def test_everybody_in_a_room_receives_every_packet_of_everybody_else(stage, hub, path, measured):
    crowd = start_crowd(stage, hub, "--members=4", path)
    report = crowd.report()
    crowd.leave()
    measured(f"delay {report['delay_ms']}, tool {report['tool']}")
    assert report["received"] >= report["sent"] * 3 > 0
    assert report["lost"] == 0, report


def test_one_publisher_reaches_twenty_subscribers_without_loss(stage, hub, measured):
    crowd = start_crowd(stage, hub, "--publishers=1", "--subscribers=20")
    report = crowd.report()
    crowd.leave()
    measured(f"delay {report['delay_ms']}, tool {report['tool']}")
    assert report["received"] >= report["sent"] * 20 > 0
    assert report["lost"] == 0, report


@pytest.mark.root
def test_what_a_lossy_line_loses_of_a_simulcast_is_sent_again(stage, measured):
    """5 % loss each way: what publishers lose on their way up, and what subscribers lose on their way down."""
    link = make_link(stage, delay_ms=20, loss_percent=5)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    crowd = start_crowd(
        stage, hub, "--publishers=1", "--subscribers=2", "--simulcast", "--audio-kbps=0", f"--address={link.right_address}",
        seconds=10, namespace=link.right,
    )  # fmt: skip
    report = crowd.report()
    crowd.leave()
    counts = link.finish()
    measured(f"{report['received']} packets, {report['lost']} lost, delay {report['delay_ms']}; the line: {counts}")
    assert counts["left_to_right_lost"] > 0.03 * counts["left_to_right_packets"], "the line was bad"
    assert report["lost"] <= 0.005 * report["received"], report
