"""Networks of the tests: free ports on loopback, and network namespaces joined by the emulated link.

Needs root, as everything that makes a namespace does. Nothing here ever reaches the machine's own network.
"""

import ctypes
import itertools
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig.places import program
from rig.program import Program
from rig.stage import Stage

PREFIX = f"zego{os.getpid()}-"
"""What the names of this test run's namespaces begin with."""

_numbers = itertools.count(1)

FIRST_PORT = 11_000
"""Browsers refuse some below it: 10080 is the last (the Fetch standard, section 2.9)."""

BLOCK = 100
"""So many ports at a time are reserved for one test process."""


def free_port() -> int:
    """A port of 127.0.0.1 that is free for TCP and for UDP, and that nobody else is given until the tests end."""
    return next(_free_ports)


def _find_free_ports() -> Iterator[int]:
    # Where the kernel finds ports for who names none, it could give one away before the server that it is meant for has it.
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for first in range(FIRST_PORT, end - BLOCK, BLOCK):
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0zego-ports-{first}")
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        yield from filter(_is_free, range(first, first + BLOCK))


def _is_free(port: int) -> bool:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            for one in (tcp, udp):
                one.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


_reservations: list[socket.socket] = []
"""One for each block of ports; held as long as this process lives, so that the other test processes pass over it."""

_free_ports = _find_free_ports()


def ip(*words: str, batch: str = "") -> str:
    """Runs `ip` from iproute2, with `-batch -` for those commands, one on a line; its output."""
    done = subprocess.run(["ip", *words], input=batch, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def make_namespace(stage: Stage) -> str:
    """A new network namespace with its own loopback; removed with the stage."""
    name = f"{PREFIX}{next(_numbers)}"
    ip("netns", "add", name)
    stage.at_end(f"namespace {name}", lambda: ip("netns", "delete", name))
    ip("-n", name, "link", "set", "lo", "up")
    return name


@contextmanager
def inside(namespace: str | None) -> Iterator[None]:
    """What this thread does meanwhile, it does in a network namespace, if one is given: sockets that it makes stay there."""
    with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{namespace}" if namespace else here.name) as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(here.fileno())


def _enter(namespace: int) -> None:
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, 0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


def has_settled(namespace: str) -> bool:
    """Whether every address there is in use: a link's own comes up to 2 s after the link, once nobody else has it."""
    return "tentative" not in ip("-n", namespace, "-6", "address", "show")


def leftover_namespaces() -> list[str]:
    """Namespaces of this test run that are still there."""
    folder = Path("/run/netns")
    return sorted(p.name for p in folder.glob(f"{PREFIX}*")) if folder.exists() else []


@dataclass
class Link:
    """Two namespaces and the emulated link between them."""

    left: str
    right: str
    left_address: str
    right_address: str
    emulator: Program

    def cut(self) -> None:
        """Loses every packet from now on; neither end is told."""
        self._command("cut")

    def mend(self) -> None:
        """Carries packets again."""
        self._command("mend")

    def lose(self, percent: float) -> None:
        """Loses that share of the packets from now on, both ways."""
        self._command(f"loss {percent:g}")

    def limit(self, rate_kbps: int) -> None:
        """Carries only so much from now on, each way; 0 is no limit."""
        self._command(f"rate {rate_kbps}")

    def _command(self, word: str) -> None:
        done = len(re.findall(f"^{word}$", self.emulator.output(), re.MULTILINE))
        self.emulator.process.stdin.write(f"{word}\n".encode())
        self.emulator.process.stdin.flush()
        self.emulator.wait_until(
            lambda: len(re.findall(f"^{word}$", self.emulator.output(), re.MULTILINE)) > done, f"the line's {word}"
        )

    def down(self) -> None:
        """Takes the right end's interface down: it loses its routes and keeps its address."""
        ip("-n", self.right, "link", "set", "eth0", "down")

    def up(self) -> None:
        """Brings it up again, with its default route, as whoever configures networks does."""
        ip("-n", self.right, "link", "set", "eth0", "up")
        self._default_route()

    def unplug(self) -> None:
        """Takes the right end's carrier away, as a cable that is pulled out does."""
        ip("-n", self.right, "link", "set", "eth0", "carrier", "off")

    def plug(self) -> None:
        """Gives it back."""
        ip("-n", self.right, "link", "set", "eth0", "carrier", "on")

    def move(self, address: str, without: float = 0) -> None:
        """Gives the right end another address instead of the one that it has; for some seconds in between it has none."""
        gone = f"address delete {self.right_address}/24 dev eth0\n"
        come = f"address add {address}/24 dev eth0\nroute replace default dev eth0\n"
        # Without a pause it is one change, as whoever configures networks makes it: three programs on a busy machine would take their time.
        if without:
            ip("-n", self.right, "-batch", "-", batch=gone)
            time.sleep(without)
            ip("-n", self.right, "-batch", "-", batch=come)
        else:
            ip("-n", self.right, "-batch", "-", batch=gone + come)
        self.right_address = address

    def _default_route(self) -> None:
        ip("-n", self.right, "route", "replace", "default", "dev", "eth0")

    def finish(self) -> dict[str, int]:
        """Ends the link; returns its packet counts (`left_to_right_packets`, `left_to_right_lost`, …)."""
        self.emulator.process.stdin.close()
        assert self.emulator.wait() == 0
        return json.loads(self.emulator.output().splitlines()[-1])


def make_link(
    stage: Stage,
    *,
    delay_ms: float = 0,
    loss_percent: float = 0,
    jitter_ms: float = 0,
    rate_kbps: int = 0,
    queue_ms: int = 200,
    seed: int = 7,
    beside: Link | None = None,
) -> Link:
    """Two new namespaces, 10.77.0.1 and 10.77.0.2, joined by a link with the given one-way delay and random loss.

    `beside` another link it joins the same namespaces a second time: `eth1`, 10.78.0.1 and 10.78.0.2, without a route. With `rate_kbps` each direction carries only so much; what comes faster waits up to `queue_ms` and is lost then.
    """
    left, right = (beside.left, beside.right) if beside else (make_namespace(stage), make_namespace(stage))
    addresses = ("10.78.0.1", "10.78.0.2") if beside else ("10.77.0.1", "10.77.0.2")
    emulator = stage.start(
        "linkemu",
        [
            program("linkemu"),
            f"{left}={addresses[0]}",
            f"{right}={addresses[1]}",
            f"--delay-ms={delay_ms}",
            f"--loss-percent={loss_percent}",
            f"--jitter-ms={jitter_ms}",
            f"--rate-kbps={rate_kbps}",
            f"--queue-ms={queue_ms}",
            f"--seed={seed}",
            f"--device={'eth1' if beside else 'eth0'}",
        ],
        stdin=subprocess.PIPE,
    )
    emulator.wait_for_line("^ready$")
    return Link(left, right, *addresses, emulator)


def block_udp(namespace: str, port: int | None = None) -> None:
    """Lets no UDP leave a namespace (or none to one port), as where a firewall knows nothing but the web.

    Who sends some is told that it may not (EACCES). Chromium gives up a socket on which an unknown error came.
    """
    ports = ["dport", str(port)] if port else []
    ip("-n", namespace, "rule", "add", "pref", "1", "ipproto", "udp", *ports, "prohibit")


def allow_only(namespace: str, *, udp: int, tcp: int | None = None) -> None:
    """Lets UDP leave a namespace to one port only; the same for TCP, if a port is given."""
    for protocol, port in (("udp", udp), ("tcp", tcp)):
        if port:
            ip("-n", namespace, "rule", "add", "pref", "0", "ipproto", protocol, "dport", str(port), "lookup", "main")
            ip("-n", namespace, "rule", "add", "pref", "1", "ipproto", protocol, "blackhole")
