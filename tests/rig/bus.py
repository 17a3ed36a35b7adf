"""A private D-Bus daemon, and a client of it with plain blocking calls.

The client runs on one event-loop thread that all connections of the test run share, so a test is straight code and
signals are still recorded, with their time, the moment that they arrive.
"""

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from rig.stage import Stage

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


REFUSALS: set[tuple[str, str]] = set()
"""What zegod refused in this run: the member, with its interface, and the error's name without `org.zegod1.Error.`."""

_ERRORS = "org.zegod1.Error."


def _note_refusal(call: Message, error: str) -> None:
    """Takes note of an error of zegod's own; those of D-Bus itself are no member's."""
    if not error.startswith(_ERRORS):
        return
    is_property = (call.interface, call.member) == ("org.freedesktop.DBus.Properties", "Set")
    interface, member = call.body[:2] if is_property else (call.interface, call.member)
    REFUSALS.add((f"{interface}.{member}", error.removeprefix(_ERRORS)))


class BusError(Exception):
    """A D-Bus error reply."""

    def __init__(self, name: str, message: str):
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message

    @property
    def code(self) -> int | None:
        """The numeric code that ends the message of every error of zegod."""
        match = re.search(r"\[(\d+)\]$", self.message)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class Signal:
    """A signal as it was received."""

    at: float
    """Seconds of CLOCK_MONOTONIC."""
    path: str
    interface: str
    member: str
    args: list[Any]


class _Loop:
    """The event loop thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="bus", daemon=True).start()

    def run(self, coroutine: Any, timeout: float) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise


_shared: _Loop | None = None


def _loop() -> _Loop:
    global _shared
    if _shared is None:
        _shared = _Loop()
    return _shared


def start_bus(stage: Stage, name: str = "bus") -> str:
    """Starts a bus daemon that any user may use; returns its address."""
    path, file = stage.path(f"{name}.socket"), stage.path(f"{name}.conf")
    file.write_text(CONFIGURATION.format(socket=path))
    daemon = stage.start(name, ["dbus-daemon", f"--config-file={file}", "--nofork", "--nopidfile"])
    daemon.wait_until(lambda: _listens(path), "its socket")
    return f"unix:path={path}"


def _listens(path: Path) -> bool:
    """Whether a daemon listens there: the file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def plain(value: Any) -> Any:
    """A received value without the wrapping of its variants."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class BusClient:
    """One connection to a bus. Every signal that it receives is kept in `signals`, in order."""

    def __init__(self, address: str):
        self.address = address
        self.signals: list[Signal] = []
        self._news = threading.Condition()
        self._bus: MessageBus = _loop().run(self._connect(), 10)

    async def _connect(self) -> MessageBus:
        bus = await MessageBus(bus_address=self.address, negotiate_unix_fd=True).connect()
        bus.add_message_handler(self._on_message)
        return bus

    def _on_message(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL or message.sender == "org.freedesktop.DBus":
            return
        news = Signal(time.monotonic(), message.path, message.interface, message.member, plain(message.body))
        with self._news:
            self.signals.append(news)
            self._news.notify_all()

    @property
    def unique_name(self) -> str:
        return self._bus.unique_name

    def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        fds: Sequence[int] = (),
        timeout: float = 20.0,
    ) -> list[Any]:
        """Calls a method; returns the reply's values, with every descriptor in place of its index.

        `h` arguments in `body` are indices into `fds`. Raises `BusError` for an error reply.
        """
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            unix_fds=list(fds),
        )
        reply = _loop().run(self._bus.call(message), timeout)
        if reply.message_type is MessageType.ERROR:
            _note_refusal(message, reply.error_name)
            raise BusError(reply.error_name, str(reply.body[0]) if reply.body else "")
        values = plain(reply.body)
        if "h" in reply.signature:
            values = [reply.unix_fds[v] if t == "h" else v for t, v in zip(_types(reply.signature), values, strict=True)]
        return values

    def call_at_once(self, messages: Sequence[Message], timeout: float = 30.0) -> list[Message]:
        """Calls one method after the other without waiting for a reply; all replies, also errors."""

        async def all_of_them() -> list[Message]:
            return await asyncio.gather(*[self._bus.call(message) for message in messages])

        replies = _loop().run(all_of_them(), timeout)
        for message, reply in zip(messages, replies, strict=True):
            if reply.message_type is MessageType.ERROR:
                _note_refusal(message, reply.error_name)
        return replies

    def match(self, rule: str) -> None:
        """Asks for the signals of a match rule."""
        self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", [rule])

    def name_has_owner(self, name: str) -> bool:
        bus = "org.freedesktop.DBus"
        return bool(self.call(bus, "/org/freedesktop/DBus", bus, "NameHasOwner", "s", [name])[0])

    def wait_signal(
        self,
        member: str,
        where: Callable[[Signal], bool] = lambda _: True,
        *,
        timeout: float = 10.0,
        after: int = 0,
    ) -> Signal:
        """The first signal `member` for which `where` holds, from number `after` of `signals` on."""
        deadline = time.monotonic() + timeout
        seen = after
        with self._news:
            while True:
                for news in self.signals[seen:]:
                    if news.member == member and where(news):
                        return news
                seen = len(self.signals)
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    got = "\n".join(f"  {s.member} {s.args}" for s in self.signals[after:]) or "  none"
                    raise AssertionError(f"no such {member} within {timeout:g} s; signals since:\n{got}")

    def close(self) -> None:
        """Leaves the bus, as a client does that ends."""

        async def leave() -> None:
            self._bus.disconnect()

        _loop().run(leave(), 5)


def _types(signature: str) -> list[str]:
    """Splits a signature of a reply that carries descriptors into its complete types."""
    from dbus_fast.signature import get_signature_tree

    return [tree.signature for tree in get_signature_tree(signature).types]


def close_fd(fd: int) -> None:
    """Closes a descriptor that a reply brought; closing it twice is no error."""
    try:
        os.close(fd)
    except OSError:
        pass
