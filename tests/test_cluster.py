"""Beyond one machine: devices on the nodes of a LiveKit cluster, of which one is drained and one is killed."""

import signal
import time

import pytest

from rig.cluster import start_cluster
from rig.device import options, start_device, wait_until
from rig.flow import judge
from rig.network import allow_only, make_link

SECONDS = 4


def call_each_other(stage, cluster, servers, namespaces=(None, None)):
    """A door and a desk, each with the address that it was given; the views in which they see each other."""
    devices = [
        start_device(stage, name, hub=server, namespace=namespace, environment=cluster.trust)
        for name, server, namespace in zip(("door", "desk"), servers, namespaces, strict=True)
    ]
    for d in devices:
        d.login("lobby")
        d.publish(d.name)
    views = {}
    for d, other in (devices, reversed(devices)):
        views[d.name] = d.texture()
        d.play(other.name, view=views[d.name].view)
    for view in views.values():
        view.next()
    return (*devices, views)


def flows(devices, views):
    """What both see of each other for some seconds."""
    recorders = {d.name: d.record(views[d.name]) for d in devices}
    for recorder in recorders.values():
        recorder.wait_for_frames(10)
    begin = time.monotonic()
    time.sleep(SECONDS + 0.5)
    return [judge(recorder.stop(), begin=begin, end=begin + SECONDS) for recorder in recorders.values()]


def check_flow(devices, views):
    """Both see each other for some seconds."""
    for flow in flows(devices, views):
        assert flow.corrupt == 0 and flow.in_order and flow.share >= 0.97, flow
        assert flow.made >= SECONDS * 25, flow


def check_not_interrupted(devices, views):
    """The same on a busy machine, where some pictures may not be made in time: there is no break."""
    for flow in flows(devices, views):
        assert flow.corrupt == 0 and flow.in_order and flow.longest_gap_ms < 1000, flow


@pytest.mark.paired
def test_devices_on_different_nodes_meet_in_one_room(stage):
    cluster = start_cluster(stage)
    door, desk, views = call_each_other(stage, cluster, cluster.nodes)
    check_flow((door, desk), views)
    assert desk.get(next(iter(desk.objects("Room"))), "Room", "Users") == [["door", "door"]]


@pytest.mark.paired
def test_a_node_that_is_killed_is_left_and_the_call_goes_on(stage, measured):
    cluster = start_cluster(stage)
    door, desk, views = call_each_other(stage, cluster, (cluster.front, cluster.front))
    node = cluster.node_of("lobby")
    marks = {d.name: d.mark() for d in (door, desk)}
    node.program.kill()
    down = time.monotonic()
    moved(door, desk, views, marks)
    measured(f"both see each other again {time.monotonic() - down:.1f} s after their node was killed")
    assert cluster.node_of("lobby") is not node
    check_flow((door, desk), views)


@pytest.mark.paired
def test_a_node_that_is_drained_keeps_its_rooms_until_it_is_ended(stage, measured):
    cluster = start_cluster(stage)
    door, desk, views = call_each_other(stage, cluster, (cluster.front, cluster.front))
    node = cluster.node_of("lobby")
    marks = {d.name: d.mark() for d in (door, desk)}
    node.program.process.send_signal(signal.SIGTERM)
    time.sleep(1)
    check_flow((door, desk), views)
    for d in (door, desk):
        assert not d.signals("RoomStateUpdate", marks[d.name]), "draining disturbs nobody"
    gate = start_device(stage, "gate", hub=cluster.front, environment=cluster.trust)
    gate.login("cellar")
    assert cluster.node_of("cellar") is not node, "new rooms go elsewhere"

    node.program.process.send_signal(signal.SIGTERM)
    down = time.monotonic()
    moved(door, desk, views, marks)
    measured(f"both see each other again {time.monotonic() - down:.1f} s after their drained node was ended")
    assert node.program.process.wait(15) == 0
    check_flow((door, desk), views)


@pytest.mark.root
def test_a_device_that_reaches_only_the_balancer_and_the_relay_is_in_the_call(stage):
    link = make_link(stage, delay_ms=5)
    cluster = start_cluster(stage, nodes=1, address=link.left_address, namespace=link.left)
    allow_only(link.right, udp=cluster.relays[0], tcp=int(cluster.front.url.rsplit(":", 1)[1]))
    door, desk, views = call_each_other(stage, cluster, (cluster.front, cluster.front), (link.left, link.right))
    check_not_interrupted((door, desk), views)


def test_without_redis_calls_go_on_and_nobody_new_comes_until_it_is_back(stage, measured):
    cluster = start_cluster(stage)
    door, desk, views = call_each_other(stage, cluster, (cluster.front, cluster.front))
    marks = {d.name: d.mark() for d in (door, desk)}
    cluster.redis.kill()
    down = time.monotonic()
    # The nodes are ill without it: the balancer parts from them, media does not.
    for d in (door, desk):
        d.wait("RoomStateUpdate", lambda s: s.args[1:3] == [1, 1002051], after=marks[d.name], timeout=15)
    measured(f"both are reconnecting {time.monotonic() - down:.1f} s after Redis was killed")
    gate = start_device(stage, "gate", hub=cluster.front, environment=cluster.trust, retry_time_s=2)
    token = cluster.front.token("gate", "lobby")
    error = gate.refusal("LoginRoom", "lobby", "gate", "", options(token=token))
    assert (error.name, error.code) == ("org.zegod1.Error.ServerUnreachable", 1002053), error
    check_not_interrupted((door, desk), views)

    # It remembers nothing.
    cluster.start_redis()
    back = time.monotonic()
    for d in (door, desk):
        d.wait("RoomStateUpdate", lambda s: s.args[1:3] == [2, 0], after=marks[d.name], timeout=30)
    measured(f"both are back {time.monotonic() - back:.1f} s after Redis")
    check_not_interrupted((door, desk), views)
    gate.login("lobby")
    users = lambda: gate.get(next(iter(gate.objects("Room"))), "Room", "Users")  # noqa: E731
    wait_until(lambda: sorted(user for user, _ in users()) == ["desk", "door"], "the others in the room")


def moved(door, desk, views, marks):
    """Waits until both are in their room again and see new pictures."""
    for d in (door, desk):
        d.wait("RoomStateUpdate", lambda s: s.args[1:3] == [1, 1002051], after=marks[d.name], timeout=30)
        d.wait("RoomStateUpdate", lambda s: s.args[1:3] == [2, 0], after=marks[d.name], timeout=30)
    for view in views.values():
        view.next(view.newest + 1, timeout=30)
