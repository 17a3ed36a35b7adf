"""A WHIP and WHEP endpoint that knows nothing of the project (aiohttp and PyPI's aiortc), and that behaves as it is told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rig.network import free_port
from rig.stage import Stage
from rig.whip import BarTrack, Loop, ToneTrack


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Endpoint:
    """A running endpoint: `/whip` takes, `/whep` gives."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    refusals: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    """Answers to the next offers, in the place of what would be: status, header, text."""
    redirect: int = 0
    """Status with which offers are sent from `/whip` to `/elsewhere/whip`, if any."""
    patch: int = 204
    """Status of every PATCH."""
    etag: str = '"one"'
    """Empty: there is none."""
    links: list[str] = field(default_factory=list)
    """`Link` of every answer."""
    waits_for: str = ""
    """A word of a candidate: without such a one no session comes up. What is told with a PATCH that is refused is not read."""
    received: dict[str, int] = field(default_factory=dict)
    """Frames that were decoded, by kind."""
    peers: dict[str, RTCPeerConnection] = field(default_factory=dict)

    def of(self, method: str) -> list[Asked]:
        """The requests of this method."""
        return [asked for asked in self.asked if asked.method == method]


def start_endpoint(stage: Stage, loop: Loop) -> Endpoint:
    """Starts an endpoint where the loop is."""
    port = free_port()
    endpoint = Endpoint(f"http://{loop.address}:{port}")
    runner = web.AppRunner(_app(endpoint))

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, loop.address, port).start()

    async def stop() -> None:
        for peer in endpoint.peers.values():
            await peer.close()
        await runner.cleanup()

    loop.run(start())
    stage.at_end("endpoint", lambda: loop.run(stop()))
    return endpoint


def _app(endpoint: Endpoint) -> web.Application:
    told: dict[str, asyncio.Event] = {}

    @web.middleware
    async def note(request: web.Request, handler) -> web.StreamResponse:
        endpoint.asked.append(Asked(request.method, request.path_qs, dict(request.headers), await request.text()))
        return await handler(request)

    async def offer(request: web.Request) -> web.Response:
        if endpoint.refusals:
            status, headers, text = endpoint.refusals.pop(0)
            return web.Response(status=status, headers=headers, text=text)
        if endpoint.redirect and not request.path.startswith("/elsewhere"):
            return web.Response(status=endpoint.redirect, headers={"Location": f"/elsewhere{request.path}"})
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        name = str(len(endpoint.peers) + 1)
        endpoint.peers[name] = peer
        peer.on("track", lambda track: _count(endpoint, track))
        text = await request.text()
        await peer.setRemoteDescription(RTCSessionDescription(text, "offer"))
        told[name] = asyncio.Event()
        if endpoint.waits_for in text:
            told[name].set()
        for transport in {transceiver.sender.transport.transport for transceiver in peer.getTransceivers()}:
            transport.start = _after(told[name], transport.start)
        if request.path.endswith("/whep"):
            for transceiver in peer.getTransceivers():
                transceiver.sender.replaceTrack(ToneTrack() if transceiver.kind == "audio" else BarTrack())
                transceiver.direction = "sendonly"
        await peer.setLocalDescription(await peer.createAnswer())
        # Relative to whoever answered.
        headers = {"Location": f"sessions/{name}", "Content-Type": "application/sdp"}
        if endpoint.etag:
            headers["ETag"] = endpoint.etag
        response = web.Response(status=201, body=peer.localDescription.sdp.encode(), headers=headers)
        for link in endpoint.links:
            response.headers.add("Link", link)
        return response

    async def change(request: web.Request) -> web.Response:
        if endpoint.patch < 300 and endpoint.waits_for in await request.text():
            told[request.match_info["name"]].set()
        return web.Response(status=endpoint.patch)

    async def end(request: web.Request) -> web.Response:
        peer = endpoint.peers.get(request.match_info["name"])
        if not peer:
            return web.Response(status=404)
        await peer.close()
        return web.Response()

    app = web.Application(middlewares=[note])
    for place in ("", "/elsewhere"):
        for kind in ("whip", "whep"):
            app.router.add_post(f"{place}/{kind}", offer)
        app.router.add_patch(f"{place}/sessions/{{name}}", change)
        app.router.add_delete(f"{place}/sessions/{{name}}", end)
    return app


def _after(event: asyncio.Event, work: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The same work, begun after an event."""

    async def wait(*arguments: object) -> None:
        await event.wait()
        await work(*arguments)

    return wait


def _count(endpoint: Endpoint, track) -> None:
    async def read() -> None:
        while True:
            await track.recv()
            endpoint.received[track.kind] = endpoint.received.get(track.kind, 0) + 1

    asyncio.ensure_future(read())
