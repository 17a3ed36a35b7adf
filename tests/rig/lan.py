"""A LAN: hosts on one switch, each a namespace. Multicast reaches everybody on it, and nothing leads to anywhere else."""

import itertools
import json
import subprocess
from dataclasses import dataclass, field

from rig.network import ip, make_namespace
from rig.places import program
from rig.stage import Stage

PREFIXES = {"ipv4": "10.79.0.{}/24", "ipv6": "fd79::{}/64", "link": "fe80::{}/64"}
"""Addresses of the host with a number, by kind."""


@dataclass
class Host:
    """A host on the LAN; its interface is `eth0`."""

    namespace: str
    number: int
    addresses: dict[str, str]
    """Address by kind, with the length of the prefix."""

    def move(self, number: int) -> None:
        """Gives it the addresses of another number instead of its own, as another DHCP server would."""
        for kind, old in self.addresses.items():
            ip("-n", self.namespace, "address", "delete", old, "dev", "eth0")
            self.addresses[kind] = _add(self.namespace, kind, number)
        self.number = number

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Runs a program on it."""
        return subprocess.run(["ip", "netns", "exec", self.namespace, *argv], capture_output=True, text=True, timeout=60)

    def found(self, seconds: int = 2) -> list[dict]:
        """The hubs that `zegoctl find` finds there."""
        done = self.run(program("zegoctl"), "--json", "find", "--seconds", str(seconds))
        assert done.returncode == 0, done
        return json.loads(done.stdout)["hubs"]


@dataclass
class Lan:
    """The switch."""

    stage: Stage
    namespace: str
    _numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def host(self, *kinds: str) -> Host:
        """Adds a host with addresses of these kinds: `ipv4`, `ipv6`, `link` (IPv6's link-local one); IPv4 when none is named."""
        number = next(self._numbers)
        namespace = make_namespace(self.stage)
        port = f"port{number}"
        ip("-n", self.namespace, "link", "add", "name", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("-n", self.namespace, "link", "set", "dev", port, "master", "switch", "up")
        # Only the addresses that are asked for, and these at once.
        ip("-n", namespace, "link", "set", "dev", "eth0", "addrgenmode", "none")
        ip("-n", namespace, "link", "set", "dev", "eth0", "up")
        addresses = {kind: _add(namespace, kind, number) for kind in kinds or ("ipv4",)}
        return Host(namespace, number, addresses)


def _add(namespace: str, kind: str, number: int) -> str:
    address = PREFIXES[kind].format(number)
    ip("-n", namespace, "address", "add", address, "dev", "eth0", *([] if kind == "ipv4" else ["nodad"]))
    return address


def make_lan(stage: Stage) -> Lan:
    """A new LAN without hosts."""
    namespace = make_namespace(stage)
    ip("-n", namespace, "link", "add", "name", "switch", "type", "bridge", "mcast_snooping", "0")
    ip("-n", namespace, "link", "set", "dev", "switch", "up")
    return Lan(stage, namespace)
