"""Several of LiveKit's servers as one: nodes that know each other by Redis, behind one address."""

import subprocess

from rig.hub import Hub
from rig.livekit import answers, start_livekit
from rig.network import free_port
from rig.places import ROOT
from rig.stage import Stage

BALANCER = ROOT / "docs" / "guide" / "examples" / "cluster" / "haproxy.cfg"
"""The configuration that the guide gives to people."""


class Cluster:
    """Running nodes behind a balancer."""

    def __init__(self, nodes: list[Hub], front: Hub, redis: int):
        self.nodes = nodes
        self.front = front
        """What devices are given: a node or another answers there."""
        self._redis = redis

    def node_of(self, room: str) -> Hub:
        """The node that a room lives on."""
        command = ["redis-cli", "-p", str(self._redis), "--raw", "HGET", "room_node_map", room]
        number = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        # Each prints its id when it starts.
        living = [node for node in self.nodes if number and number in node.program.output()]
        assert living, f"room {room} lives on node {number!r}, which is none of ours"
        return living[0]


def start_cluster(stage: Stage, nodes: int = 2) -> Cluster:
    """Starts Redis, the nodes, and HAProxy with the guide's configuration in front of them."""
    redis = free_port()
    store = stage.start(
        "redis", ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    )
    store.wait_for_line("Ready to accept connections")
    running = [start_livekit(stage, redis=f"127.0.0.1:{redis}") for _ in range(nodes)]
    port = free_port()
    lines = []
    for line in BALANCER.read_text().splitlines():
        if line.strip().startswith("server "):
            continue
        # Without TLS, and with no more descriptors than a test may have.
        line = line.replace("bind :443", f"bind 127.0.0.1:{port}").split(" ssl crt ")[0]
        lines.append(line.replace("maxconn 20000", "maxconn 200"))
    lines += [f"    server node{n} {node.http.removeprefix('http://')}" for n, node in enumerate(running, 1)]
    file = stage.path("haproxy.cfg")
    file.write_text("\n".join(lines) + "\n")
    balancer = stage.start("haproxy", ["haproxy", "-db", "-f", str(file)])
    balancer.exit_wanted = 143
    balancer.wait_until(lambda: answers(port), "an answer on its port", timeout=20)
    front = Hub(balancer, f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")
    return Cluster(running, front, redis)

