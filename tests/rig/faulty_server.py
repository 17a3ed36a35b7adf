"""A room server with faults that a test chooses: it stands between a device and a hub, and is the hub when it has none.

What it can do is what LiveKit's own server for testing its SDKs does.
"""

import asyncio
import base64
import gzip
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from livekit.protocol import rtc as wire

from rig.network import free_port
from rig.stage import Stage

LOGIN_FAULTS = (
    "refuse_500",
    "service_not_found",
    "no_answer",
    "close_before_join",
    "garbage_first",
    "leave_first",
    "leave_first_and_stay",
    "join_without_participant",
)
"""What it can do to whoever joins, that may be over later."""

NOT_FOUND = {"service_not_found": "404 page not found", "room_not_found": "requested room does not exist"}
"""What it says with 404: there is nothing of the kind here, or no such room."""

PING_TIMES = {"ping_interval": 1, "ping_timeout": 4}
"""Seconds. With `no_pong` it asks its clients to wait no longer than that."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FaultyServer:
    """Passes everything on to the hub, but for the faults."""

    def __init__(self, hub_url: str):
        self._hub = urlsplit(hub_url).netloc
        self.port = free_port()
        self.fault: str | None = None
        """One of `LOGIN_FAULTS` or `NOT_FOUND`, or:

        `leave_during_resume` (whoever comes is sent away), `leave_during_resume_and_stay` (only who was there, the connection is left
        open), `no_pong` (everything but the answers to pings), `drop_on_close` (no answer to a closing handshake).
        """
        self.attempts = 0
        """How often somebody joined or resumed."""
        self._silenced: set[web.WebSocketResponse] = set()
        self._sockets: dict[web.WebSocketResponse, web.Request] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner = self._do(self._start())

    @property
    def url(self) -> str:
        """What a device is given as server."""
        return f"ws://127.0.0.1:{self.port}"

    def leave(self, action: str, reason: str) -> None:
        """Sends everybody away: `leave("RECONNECT", "SERVER_SHUTDOWN")`."""
        self.say(leave_message(action, reason).SerializeToString())

    def say(self, frame: bytes | str) -> None:
        """Sends a frame of its own to everybody."""

        async def send() -> None:
            for socket in list(self._sockets):
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))

        self._do(send())

    def close(self, code: int) -> None:
        """Closes every connection with this code."""

        async def close() -> None:
            for socket in list(self._sockets):
                await socket.close(code=code)

        self._do(close())

    def drop(self) -> None:
        """Ends every connection without a word."""

        async def drop() -> None:
            for request in self._sockets.values():
                if request.transport is not None:
                    request.transport.abort()

        self._do(drop())

    def fall_silent(self) -> None:
        """Passes nothing more on to those who are there; whoever comes now is served."""
        self._silenced = set(self._sockets)

    def stop(self) -> None:
        """Ends it."""
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)

    async def _start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.fault == "refuse_500":
            self.attempts += 1
            return web.Response(status=500, text="internal server error")
        if self.fault in NOT_FOUND:
            self.attempts += 1
            return web.Response(status=404, text=NOT_FOUND[self.fault])
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await self._pass_request(request)
        self.attempts += 1
        socket = web.WebSocketResponse(autoping=True, autoclose=False)
        await socket.prepare(request)
        self._sockets[socket] = request
        try:
            await self._serve_socket(request, socket)
        finally:
            del self._sockets[socket]
        return socket

    async def _serve_socket(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        match self.fault:
            case "no_answer":
                async for _ in socket:
                    pass
            case "close_before_join":
                await socket.close(code=1011)
            case "garbage_first":
                await socket.send_bytes(b"\xff" * 100)
                async for _ in socket:
                    pass
            case "leave_first" | "leave_during_resume":
                await socket.send_bytes(leave_message("RECONNECT", "STATE_MISMATCH").SerializeToString())
                await socket.close()
            case "leave_first_and_stay":
                await self._send_away(socket)
            case "leave_during_resume_and_stay" if is_resume(request):
                await self._send_away(socket)
            case _:
                await self._pass_socket(request, socket)

    async def _send_away(self, socket: web.WebSocketResponse) -> None:
        """Says that it shuts down, and leaves the rest to the client."""
        await socket.send_bytes(leave_message("DISCONNECT", "SERVER_SHUTDOWN").SerializeToString())
        async for _ in socket:
            pass
        await socket.close()

    async def _pass_request(self, request: web.Request) -> web.Response:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{self._hub}{request.path_qs}", headers=passed_on(request)) as answer:
                return web.Response(status=answer.status, body=await answer.read())

    async def _pass_socket(self, request: web.Request, near: web.WebSocketResponse) -> None:
        url = f"ws://{self._hub}{request.path_qs}"
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url, headers=passed_on(request), max_msg_size=0) as far:

                async def up() -> None:
                    async for frame in near:
                        await far.send_bytes(frame.data)
                    if self.fault == "drop_on_close" and request.transport is not None:
                        request.transport.abort()
                    await far.close()

                async def down() -> None:
                    async for frame in far:
                        if near not in self._silenced and (spoilt := self._spoilt(frame.data)):
                            await near.send_bytes(spoilt)
                    if near not in self._silenced:
                        await near.close()

                done, rest = await asyncio.wait({asyncio.ensure_future(up()), asyncio.ensure_future(down())})
                assert not rest
                for task in done:
                    # A connection that was dropped is one of the faults.
                    task.exception()

    def _spoilt(self, frame: bytes) -> bytes | None:
        """What becomes of a frame of the hub; None = nothing."""
        if self.fault not in ("join_without_participant", "no_pong"):
            return frame
        message = wire.SignalResponse.FromString(frame)
        kind = message.WhichOneof("message")
        if self.fault == "no_pong":
            if kind in ("pong", "pong_resp"):
                return None
            if kind == "join":
                message.join.MergeFrom(wire.JoinResponse(**PING_TIMES))
        elif kind == "join":
            message.join.ClearField("participant")
        return message.SerializeToString()


def is_resume(request: web.Request) -> bool:
    """Whether somebody wants a session back."""
    wrapped = request.query.get("join_request")
    if wrapped is None:
        return request.query.get("reconnect") == "1"
    message = wire.WrappedJoinRequest.FromString(base64.urlsafe_b64decode(wrapped.replace("+", "-").replace("/", "_")))
    packed = message.compression == wire.WrappedJoinRequest.GZIP
    return wire.JoinRequest.FromString(gzip.decompress(message.join_request) if packed else message.join_request).reconnect


def leave_message(action: str, reason: str) -> wire.SignalResponse:
    """A server's leave."""
    return wire.SignalResponse(leave=wire.LeaveRequest(action=action, reason=reason))


def passed_on(request: web.Request) -> dict[str, str]:
    """Headers of a request that the hub is to see."""
    return {name: request.headers[name] for name in ("Authorization",) if name in request.headers}


def start_faulty_server(stage: Stage, hub_url: str) -> FaultyServer:
    """One in front of the hub at `hub_url`, on loopback; without a fault yet."""
    server = FaultyServer(hub_url)
    stage.at_end("faulty server", server.stop)
    return server
