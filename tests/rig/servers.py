"""The room servers that a device must do the same on."""

from collections.abc import Callable

from rig.hub import Hub, start_hub
from rig.livekit import start_livekit

SERVERS: dict[str, Callable[..., Hub]] = {"zegohub": start_hub, "livekit-server": start_livekit}
"""How each is started: `start(stage, port=…, address=…, namespace=…)`."""
