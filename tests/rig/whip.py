"""WHIP publishers and WHEP players that know nothing of the project: PyPI's aiortc for media, aiohttp for HTTP."""

import asyncio
import fractions
import threading
import time
from collections.abc import Coroutine
from typing import Any

import aioice.ice
import numpy as np
from aiohttp import ClientSession, ClientTimeout
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from rig.bar import CELLS, ROWS, pack_bar, read_bar
from rig.network import inside
from rig.stage import Stage

_here = threading.local()
# It leaves out loopback, where most of these tests are.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [getattr(_here, "address", "127.0.0.1")]

SIZE = (640, 480)
RATE = 15
"""Pictures a second: two of these share two cores with the codecs of the devices."""
TONE = 800.0
"""Hz of the tone that publishers send."""


class Loop:
    """An event loop in a thread of its own, for as long as a test lasts; on loopback, or at an address in a namespace."""

    def __init__(self, stage: Stage, address: str = "127.0.0.1", namespace: str | None = None):
        self.address = address
        self._namespace = namespace
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="whip")
        self._thread.start()
        stage.at_end("event loop", self._close)

    def _live(self) -> None:
        _here.address = self.address
        with inside(self._namespace):
            self._loop.run_forever()

    def run(self, work: Coroutine[Any, Any, Any], timeout: float = 20.0) -> Any:
        """Runs something to its end, and returns what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def _close(self) -> None:
        async def end() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BarTrack(VideoStreamTrack):
    """Grey pictures with the bar of the `pattern` camera."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._begin = time.monotonic()

    async def recv(self) -> VideoFrame:
        self._count += 1
        await asyncio.sleep(max(0.0, self._begin + self._count / RATE - time.monotonic()))
        width, height = SIZE
        bits = pack_bar(self._count & 0xFFFF, int(time.monotonic() * 1000) & 0xFFFF)
        cells = np.array([bits >> (CELLS - 1 - cell) & 1 for cell in range(CELLS)], np.uint8)
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        picture[:ROWS] = np.repeat(16 + cells * 219, width // CELLS)
        frame = VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = self._count * 90_000 // RATE, fractions.Fraction(1, 90_000)
        return frame


class ToneTrack(AudioStreamTrack):
    """A tone without an end."""

    def __init__(self) -> None:
        super().__init__()
        self._sample = 0
        self._begin = time.monotonic()

    async def recv(self) -> AudioFrame:
        samples = 960
        await asyncio.sleep(max(0.0, self._begin + self._sample / 48_000 - time.monotonic()))
        times = (np.arange(samples) + self._sample) / 48_000
        tone = (8_000 * np.sin(2 * np.pi * TONE * times)).astype(np.int16)
        frame = AudioFrame.from_ndarray(tone[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._sample, fractions.Fraction(1, 48_000)
        self._sample += samples
        return frame


class Session:
    """One session at an endpoint: what was answered, and the connection that came of it."""

    def __init__(self, loop: Loop, endpoint: str, token: str):
        self.loop, self.endpoint, self.token = loop, endpoint, token
        self.status = 0
        self.headers: dict[str, str] = {}
        self.url = ""
        """The session's URL."""
        self.pictures: list[tuple[float, int | None, int, int]] = []
        """What was received: CLOCK_MONOTONIC seconds, the bar's counter, width, height."""
        self.sounds: list[tuple[float, float]] = []
        """What was heard: CLOCK_MONOTONIC seconds, the loudest sample, 0 to 1."""
        self._peer: RTCPeerConnection | None = None
        self._readers: list[asyncio.Task[None]] = []

    def state(self) -> str:
        """How the connection is."""
        return self._peer.connectionState if self._peer else "new"

    def delete(self) -> int:
        """Ends the session as its client should; the status."""
        status, _, _ = request(self.loop, "DELETE", self.url, token=self.token)
        self.loop.run(self._close())
        return status

    def vanish(self) -> None:
        """Its process is gone: nothing is said any more, to nobody."""

        async def silence() -> None:
            assert self._peer
            for transport in {t.sender.transport for t in self._peer.getTransceivers()}:
                await transport.transport._connection.close()

        self.loop.run(silence())

    async def _begin(self, peer: RTCPeerConnection) -> None:
        self._peer = peer
        await peer.setLocalDescription(await peer.createOffer())
        async with ClientSession(timeout=ClientTimeout(10)) as http:
            headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {self.token}"}
            offer = peer.localDescription.sdp
            async with http.post(self.endpoint, data=offer, headers=headers) as answer:
                text = await answer.text()
                assert answer.status == 201, f"{answer.status}: {text}"
                self.status, self.headers = answer.status, dict(answer.headers)
                self.url = str(answer.url.join(answer.url.__class__(answer.headers["Location"])))
        await peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
        for transceiver in peer.getTransceivers():
            if transceiver.currentDirection in ("recvonly", "sendrecv"):
                self._readers.append(asyncio.create_task(self._read(transceiver.receiver.track)))

    async def _read(self, track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            now = time.monotonic()
            if track.kind == "video":
                bar = read_bar(frame.to_ndarray(format="gray"))
                self.pictures.append((now, bar and bar.counter, frame.width, frame.height))
            else:
                self.sounds.append((now, float(np.abs(frame.to_ndarray()).max()) / 32_768))

    async def _close(self) -> None:
        for reader in self._readers:
            reader.cancel()
        if self._peer:
            await self._peer.close()


def publish(stage: Stage, loop: Loop, endpoint: str, token: str, codec: str = "H264") -> Session:
    """Publishes a picture with a bar, and a tone."""
    session = Session(loop, endpoint, token)

    async def begin() -> None:
        peer = RTCPeerConnection()
        peer.addTransceiver(ToneTrack(), direction="sendonly")
        video = peer.addTransceiver(BarTrack(), direction="sendonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in known if c.mimeType in (f"video/{codec}", "video/rtx")])
        await session._begin(peer)

    loop.run(begin())
    stage.at_end("publisher", lambda: loop.run(session._close()))
    return session


def play(stage: Stage, loop: Loop, endpoint: str, token: str) -> Session:
    """Plays what an endpoint sends."""
    session = Session(loop, endpoint, token)

    async def begin() -> None:
        peer = RTCPeerConnection()
        peer.addTransceiver("audio", direction="recvonly")
        peer.addTransceiver("video", direction="recvonly")
        await session._begin(peer)

    loop.run(begin())
    stage.at_end("player", lambda: loop.run(session._close()))
    return session


def offer_of(loop: Loop, *, direction: str = "sendonly", kinds: tuple[str, ...] = ("audio", "video")) -> str:
    """A real offer, of a connection that is never made."""

    async def make() -> str:
        peer = RTCPeerConnection()
        for kind in kinds:
            peer.addTransceiver(kind, direction=direction)
        await peer.setLocalDescription(await peer.createOffer())
        text = peer.localDescription.sdp
        await peer.close()
        return text

    return loop.run(make())


def request(
    loop: Loop, method: str, url: str, *, token: str = "", body: str | bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """One HTTP request: status, header and text of the answer. `if_match` becomes `If-Match`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        given["Authorization"] = f"Bearer {token}"

    async def ask() -> tuple[int, dict[str, str], str]:
        async with ClientSession(timeout=ClientTimeout(10)) as http:
            async with http.request(method, url, data=body, headers=given, skip_auto_headers=["Content-Type"]) as answer:
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.text()

    return loop.run(ask())
