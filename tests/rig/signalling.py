"""A client of nothing but signalling (`livekit.SignalRequest` and `SignalResponse` on a WebSocket): for what no SDK ever does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from livekit.protocol import rtc as wire

from rig.hub import Hub


class Signalling:
    """A signalling connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.socket = socket

    async def hear(self, kind: str, timeout: float = 5.0) -> Any:
        """The next message of this kind (`join`, `leave`, …); others before it are passed over."""
        async with asyncio.timeout(timeout):
            while (message := await self.next()) is not None:
                if message.WhichOneof("message") == kind:
                    return getattr(message, kind)
        raise AssertionError(f"the connection ended before {kind}")

    async def next(self) -> Any:
        """The next message; None when the connection ended."""
        frame = await self.socket.receive()
        if frame.type is not aiohttp.WSMsgType.BINARY:
            return None
        return wire.SignalResponse.FromString(frame.data)

    async def say(self, **message: Any) -> None:
        """Sends a request: `say(ping_req=wire.Ping(timestamp=1))`."""
        await self.socket.send_bytes(wire.SignalRequest(**message).SerializeToString())

    async def answers(self) -> bool:
        """Whether the server answers a ping."""
        await self.say(ping_req=wire.Ping(timestamp=7))
        return (await self.hear("pong_resp")).last_ping_timestamp == 7


@asynccontextmanager
async def signalling(hub: Hub, user: str, room: str = "lobby", **query: Any) -> AsyncIterator[Signalling]:
    """Joins a room on `/rtc`, without any media; `query` is added to the URL. The connection ends without a word."""
    query = {"protocol": 16, "access_token": hub.token(user, room), **query}
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{hub.url}/rtc?{urlencode(query)}", autoclose=False) as socket:
            yield Signalling(socket)


async def joined(client: Signalling) -> str:
    """Waits until it is in; its participant's id."""
    return (await client.hear("join")).participant.sid
