"""A room server with faults that a test chooses: it stands between a device and a hub, and is the hub when it has none.

What it can do is what LiveKit's own server for testing its SDKs does.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from livekit.protocol import rtc as wire

from rig.network import free_port
from rig.stage import Stage

LOGIN_FAULTS = ("refuse_500", "no_answer", "close_before_join", "garbage_first", "leave_first", "join_without_participant")
"""What it can do to whoever joins."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FaultyServer:
    """Passes everything on to the hub, but for the faults."""

    def __init__(self, hub_url: str):
        self._hub = urlsplit(hub_url).netloc
        self.port = free_port()
        self.fault: str | None = None
        """One of `LOGIN_FAULTS`, or `leave_during_resume`."""
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
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await self._pass_request(request)
        self.attempts += 1
        socket = web.WebSocketResponse(autoping=True)
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
            case _:
                await self._pass_socket(request, socket)

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
                    await far.close()

                async def down() -> None:
                    async for frame in far:
                        if near not in self._silenced:
                            await near.send_bytes(self._spoilt(frame.data))
                    if near not in self._silenced:
                        await near.close()

                done, rest = await asyncio.wait({asyncio.ensure_future(up()), asyncio.ensure_future(down())})
                assert not rest
                for task in done:
                    # A connection that was dropped is one of the faults.
                    task.exception()

    def _spoilt(self, frame: bytes) -> bytes:
        if self.fault != "join_without_participant":
            return frame
        message = wire.SignalResponse.FromString(frame)
        if message.WhichOneof("message") == "join":
            message.join.ClearField("participant")
        return message.SerializeToString()


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
