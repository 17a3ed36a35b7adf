"""LiveKit's own room server, for what a device must do there as it does on the hub."""

import os
import re
import urllib.request
from pathlib import Path

import pytest

from rig import tokens
from rig.hub import Hub
from rig.network import free_port, inside
from rig.places import ROOT
from rig.stage import Stage

PROGRAM = Path(os.environ.get("LIVEKIT_SERVER", ROOT / "build" / "livekit" / "livekit-server"))
"""Installed by `tests/setup/livekit-server`."""

NODE = ROOT / "docs" / "guide" / "examples" / "cluster" / "node.yaml"
"""The configuration that the guide gives to people."""


def start_livekit(
    stage: Stage,
    *,
    address: str = "127.0.0.1",
    namespace: str | None = None,
    port: int | None = None,
    redis: str | None = None,
    relay: int | None = None,
    auto_create: bool = True,
    extra: str = "",
) -> Hub:
    """Starts a `livekit-server` with the tests' key, on loopback or in a namespace, and waits until it is ready.

    `redis` (`IP:PORT`) makes it a node of a cluster; without it, it is alone. `relay` is the port of its TURN server, if it is to
    have one. Without `auto_create` a room must be made before anybody can join it. `extra` is added to its configuration.
    """
    if not PROGRAM.exists():
        pytest.skip("livekit-server is not installed: install Go, then run tests/setup/livekit-server")
    port = port or free_port()
    file = stage.path("livekit.yaml")
    text = configuration(port, redis, address, relay)
    if not auto_create:
        text = text.replace("\nroom:\n", "\nroom:\n  auto_create: false\n")
    file.write_text(f"{text}\n{extra}\n")
    server = stage.start("livekit-server", [str(PROGRAM), "--config", str(file)], namespace=namespace)
    # Asked to end, it waits until nobody is there any more.
    stage.at_end(server.name, server.kill)
    server.wait_until(lambda: answers(port, address, namespace), "an answer on its port", timeout=20)
    return Hub(server, f"http://{address}:{port}", f"ws://{address}:{port}")


def configuration(port: int, redis: str | None, address: str, relay: int | None) -> str:
    """The guide's configuration, with this address and the tests' key in it."""
    text = NODE.read_text()
    loopback = "\n  enable_loopback_candidate: true\n  interfaces: {includes: [lo]}" if address.startswith("127.") else ""
    for pattern, value in (
        (r"^port: .*$", f"port: {port}"),
        (r"^bind_addresses: .*$", f"bind_addresses: [{address}]"),
        (r"^redis:\n  address: .*$", f"redis:\n  address: {redis}" if redis else ""),
        (r'^  "1234567890": .*$', f'  "{tokens.APP_ID}": {tokens.SECRET}'),
        (r"^  node_ip: .*$", f"  node_ip: {address}{loopback}"),
        (r"^  udp_port: 7882$", f"  udp_port: {free_port()}"),
        (r"^  tcp_port: .*$", f"  tcp_port: {free_port()}"),
        (r"^  stun_servers: .*$", f'  stun_servers: ["{address}:{relay or 3478}"]'),
        (r"^turn:\n  enabled: true\n  udp_port: 3478$", f"turn:\n  enabled: true\n  udp_port: {relay}" if relay else "turn:"),
        (r'^  allow_restricted_peer_cidrs: \["10.0.0.11/32"\]$', f'  allow_restricted_peer_cidrs: ["{address}/32"]'),
    ):
        text, count = re.subn(pattern, value, text, flags=re.MULTILINE)
        assert count == 1, f"{NODE.name} has {count} lines {pattern}"
    return text


def answers(port: int, address: str = "127.0.0.1", namespace: str | None = None) -> bool:
    """Whether a server there says that it is well."""
    try:
        with inside(namespace), urllib.request.urlopen(f"http://{address}:{port}/", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False
