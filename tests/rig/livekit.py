"""LiveKit's own room server, for what a device must do there as it does on the hub."""

import json
import os
import urllib.request
from pathlib import Path

import pytest

from rig import tokens
from rig.hub import Hub
from rig.network import free_port
from rig.places import ROOT
from rig.stage import Stage

PROGRAM = Path(os.environ.get("LIVEKIT_SERVER", ROOT / "build" / "livekit" / "livekit-server"))
"""Installed by `tests/setup/livekit-server`."""


def start_livekit(
    stage: Stage, *, port: int | None = None, redis: str | None = None, room: dict[str, object] | None = None
) -> Hub:
    """Starts a `livekit-server` on loopback with the tests' key, and waits until it is ready.

    `redis` (`IP:PORT`) makes it a node of a cluster. It asks nobody outside: its STUN server is an address of this machine.
    """
    if not PROGRAM.exists():
        pytest.skip("livekit-server is not installed: install Go, then run tests/setup/livekit-server")
    port = port or free_port()
    settings = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "keys": {str(tokens.APP_ID): tokens.SECRET},
        "rtc": {
            "tcp_port": free_port(),
            "udp_port": free_port(),
            "use_external_ip": False,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
            "stun_servers": ["127.0.0.1:3478"],
        },
        "room": room or {},
        "logging": {"level": "warn"},
    }
    if redis:
        settings["redis"] = {"address": redis}
    file = stage.path("livekit.yaml")
    file.write_text(json.dumps(settings))  # JSON is YAML
    server = stage.start("livekit-server", [str(PROGRAM), "--config", str(file)])
    # Asked to end, it waits until nobody is there any more.
    stage.at_end(server.name, server.kill)
    server.wait_until(lambda: _answers(port), "an answer on its port", timeout=20)
    return Hub(server, f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False
