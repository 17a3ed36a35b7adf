"""A network of one host: a namespace with an address that is not loopback.

Browsers and phone-style SDKs never offer loopback addresses as ICE candidates, so what they talk to must live elsewhere.
"""

from dataclasses import dataclass

from rig.network import ip, make_namespace
from rig.stage import Stage


@dataclass(frozen=True)
class Island:
    """A namespace and the address of its one host."""

    namespace: str
    address: str


def make_island(stage: Stage) -> Island:
    """A new namespace with 10.77.1.1 on one end of a veth pair, and a default route that leads nowhere."""
    namespace = make_namespace(stage)
    ip("-n", namespace, "link", "add", "shore", "type", "veth", "peer", "name", "sea")
    ip("-n", namespace, "address", "add", "10.77.1.1/24", "dev", "shore")
    for end in ("shore", "sea"):
        ip("-n", namespace, "link", "set", end, "up")
    # A page that was not given the camera may only use the address of the default route.
    ip("-n", namespace, "route", "add", "default", "via", "10.77.1.2", "dev", "shore")
    return Island(namespace, "10.77.1.1")
