"""A client that speaks HTTP and WebSocket by itself, byte by byte: no library keeps it from being rude.

It says JSON, which the hub takes as well as protobuf, on `/rtc`, where nothing but a token is needed to come in.
"""

import base64
import ctypes
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

Result = TypeVar("Result")

CLONE_NEWNET = 0x40000000
TEXT, BINARY, CLOSE = 1, 2, 8
"""Kinds of frames, RFC 6455 section 5.2."""


def inside(namespace: str | None, work: Callable[[], Result]) -> Result:
    """Does something in a network namespace, which only a thread of its own enters. A socket that it opens stays there."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            if namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                with open(f"/run/netns/{namespace}") as file:
                    if libc.setns(file.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), f"setns {namespace}")
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Stranger:
    """One connection to a hub."""

    def __init__(self, host: str, port: int, *, namespace: str | None = None, source: str = "", buffer: int = 0):
        """`source` is the address that it comes from; with `buffer` it takes only so many bytes that it does not read."""

        def connect() -> socket.socket:
            stream = socket.socket()
            stream.settimeout(10)
            if buffer:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            if source:
                stream.bind((source, 0))
            stream.connect((host, port))
            return stream

        self.host = f"{host}:{port}"
        self.socket = inside(namespace, connect)
        self.closed_with: int | None = None
        """The code with which the hub closed the WebSocket."""
        self._received = b""

    # HTTP

    def request(self, path: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers (names in lower case) and body of an answer; `Retry_After` stands for `Retry-After`."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}"] if body or method == "POST" else []
        try:
            self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # It was answered before it had said everything.
        return self.answer()

    def answer(self) -> tuple[int, dict[str, str], str]:
        """The next answer."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        length = int(fields.get("content-length", 0))
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return int(status.split()[1]), fields, body.decode()

    def is_over(self, timeout: float) -> bool:
        """Whether the hub ends the connection within some seconds; what it says before that is not looked at."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if not select.select([self.socket], [], [], max(0.0, end - time.monotonic()))[0]:
                return False
            try:
                if not self.socket.recv(65536):
                    return True
            except ConnectionResetError:
                return True
        return False

    # WebSocket

    def join(self, token: str, **query: str) -> tuple[int, dict[str, str], str]:
        """Asks to come in: status 101, or a refusal."""
        words = urlencode({"access_token": token, "protocol": "16", **query})
        key = base64.b64encode(os.urandom(16)).decode()
        return self.request(
            f"/rtc?{words}", Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13", Sec_WebSocket_Key=key
        )

    def greet(self) -> None:
        """Hears that it is in, and has the hub speak JSON from now on, which it does to those that it has heard do so."""
        assert self.hear() is not None, f"no answer to a join; closed with {self.closed_with}"
        self.say("pingReq", timestamp="0", rtt="0")
        self.wait("pongResp")

    def say(self, kind: str, **fields: Any) -> None:
        """Sends a request, such as `say("addTrack", cid="x")`."""
        self.send(json.dumps({kind: fields}).encode())

    def send(self, payload: bytes, *, kind: int = TEXT) -> None:
        """Sends a frame."""
        self.socket.sendall(frame(payload, kind=kind))

    def hear(self, timeout: float = 10.0) -> dict[str, Any] | None:
        """The next message, or `None`: nothing came in time, or the connection is over."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.closed_with is None:
            kind, payload = self._frame(end)
            if kind is None:
                return None
            if kind == CLOSE:
                self.closed_with = struct.unpack("!H", payload[:2])[0] if payload else 0
            elif kind == TEXT:
                return json.loads(payload)
            elif kind == BINARY:
                # What JSON has no word for, such as a reason that is a code of ZEGO's.
                return {"protobuf": payload}
        return None

    def wait(self, name: str, timeout: float = 10.0) -> dict[str, Any]:
        """The next message of a kind; others before it are not kept."""
        end = time.monotonic() + timeout
        heard = []
        while (message := self.hear(max(0.0, end - time.monotonic()))) is not None:
            if name in message:
                return message[name]
            heard += message
        raise AssertionError(f"no {name}: heard {heard}, closed with {self.closed_with}")

    def close(self) -> None:
        """Goes without a word."""
        self.socket.close()

    def _frame(self, end: float) -> tuple[int | None, bytes]:
        def have(count: int) -> bool:
            while len(self._received) < count:
                left = end - time.monotonic()
                if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                    return False
                try:
                    self._receive()
                except ConnectionError:
                    return False
            return True

        if not have(2):
            return None, b""
        kind, length, begin = self._received[0] & 15, self._received[1], 2
        if length > 125:
            begin = 4 if length == 126 else 10
            if not have(begin):
                return None, b""
            length = int.from_bytes(self._received[2:begin], "big")
        if not have(begin + length):
            return None, b""
        payload = self._received[begin : begin + length]
        self._received = self._received[begin + length :]
        return kind, payload

    def _receive(self) -> None:
        some = self.socket.recv(65536)
        if not some:
            raise ConnectionError(f"{self.host} closed the connection")
        self._received += some


def frame(payload: bytes, *, kind: int = TEXT) -> bytes:
    """A frame as clients send it: masked, with a mask that changes nothing."""
    length = len(payload)
    if length < 126:
        size = struct.pack("!B", 128 | length)
    elif length < 65536:
        size = struct.pack("!BH", 254, length)
    else:
        size = struct.pack("!BQ", 255, length)
    return bytes([128 | kind]) + size + bytes(4) + payload
