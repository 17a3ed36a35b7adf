"""Several of LiveKit's servers as one: nodes that know each other by Redis, behind one address."""

import ssl
import subprocess
import urllib.request
from pathlib import Path

from rig.certificate import make_certificate
from rig.hub import Hub
from rig.livekit import start_livekit
from rig.network import free_port, inside
from rig.places import ROOT
from rig.program import Program
from rig.stage import Stage

BALANCER = ROOT / "docs" / "guide" / "examples" / "cluster" / "haproxy.cfg"
"""The configuration that the guide gives to people."""


class Cluster:
    """Running nodes behind a balancer."""

    def __init__(self, stage: Stage, address: str, namespace: str | None):
        self.address = address
        self._stage, self._namespace = stage, namespace
        self._redis_port = free_port()
        self.redis: Program
        self.start_redis()
        self.nodes: list[Hub] = []
        self.relays: list[int] = []
        """The port of each node's TURN server."""
        self.front: Hub
        """What devices are given: a node or another answers there, by TLS."""
        self.trust: dict[str, str] = {}
        """The environment of a device that trusts the balancer's certificate."""

    def start_redis(self) -> None:
        """Starts what the nodes know each other by; the first time, or again after it has ended."""
        argv = ["redis-server", "--port", str(self._redis_port), "--bind", self.address]
        # Alone it would not answer others than itself.
        argv += ["--protected-mode", "no", "--save", "", "--appendonly", "no"]
        self.redis = self._stage.start("redis", argv, namespace=self._namespace)
        self.redis.wait_for_line("Ready to accept connections")

    def start_node(self) -> None:
        """Starts one more node, with a relay as the guide's."""
        self.relays.append(free_port())
        wishes = dict(redis=f"{self.address}:{self._redis_port}", relay=self.relays[-1])
        self.nodes.append(start_livekit(self._stage, address=self.address, namespace=self._namespace, **wishes))

    def start_balancer(self) -> None:
        """Starts HAProxy with the guide's configuration in front of the nodes."""
        port = free_port()
        certificate, both = make_certificate(self._stage, self.address)
        self.trust = {"SSL_CERT_FILE": str(certificate)}
        file = self._stage.path("haproxy.cfg")
        file.write_text(self._configuration(port, both))
        balancer = self._stage.start("haproxy", ["haproxy", "-db", "-f", str(file)], namespace=self._namespace)
        balancer.exit_wanted = 143
        self.front = Hub(balancer, f"https://{self.address}:{port}", f"wss://{self.address}:{port}")
        balancer.wait_until(self._answers, "an answer on its port", timeout=20)

    def _configuration(self, port: int, certificate: Path) -> str:
        text = BALANCER.read_text()
        theirs = "    server node1 10.0.0.11:7880\n    server node2 10.0.0.12:7880\n"
        ours = "".join(f"    server node{n} {node.http.removeprefix('http://')}\n" for n, node in enumerate(self.nodes, 1))
        for example, here in (
            ("bind :443 ssl crt /etc/haproxy/rooms.pem\n", f"bind {self.address}:{port} ssl crt {certificate}\n"),
            # No more descriptors than a test may have.
            ("maxconn 20000\n", "maxconn 200\n"),
            (theirs, ours),
        ):
            assert text.count(example) == 1, f"{BALANCER.name} has not one {example!r}"
            text = text.replace(example, here)
        return text

    def _answers(self) -> bool:
        trusting = ssl.create_default_context(cafile=self.trust["SSL_CERT_FILE"])
        try:
            with inside(self._namespace), urllib.request.urlopen(f"{self.front.http}/", timeout=1, context=trusting) as answer:
                return answer.status == 200
        except OSError:
            return False

    def node_of(self, room: str) -> Hub:
        """The node that a room lives on."""
        command = ["redis-cli", "-p", str(self._redis_port), "--raw", "HGET", "room_node_map", room]
        number = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        # Each prints its id when it starts.
        living = [node for node in self.nodes if number and number in node.program.output()]
        assert living, f"room {room} lives on node {number!r}, which is none of ours"
        return living[0]


def start_cluster(stage: Stage, nodes: int = 2, *, address: str = "127.0.0.1", namespace: str | None = None) -> Cluster:
    """Starts Redis, the nodes and the balancer, on loopback or at an address in a namespace."""
    cluster = Cluster(stage, address, namespace)
    for _ in range(nodes):
        cluster.start_node()
    cluster.start_balancer()
    return cluster
