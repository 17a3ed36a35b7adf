"""A STUN server that takes its time, and that sees whoever asks behind a NAT."""

import asyncio

from aioice import stun

from rig.network import free_port
from rig.stage import Stage
from rig.whip import Loop

SEEN = "127.9.9.9"
"""The address that it tells everybody."""


class _Server(asyncio.DatagramProtocol):
    def __init__(self, after_s: float):
        self._after_s = after_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        asked = stun.parse_message(data)
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = (SEEN, sender[1])
        asyncio.get_running_loop().call_later(self._after_s, self._transport.sendto, bytes(answer), sender)


def start_stun(stage: Stage, loop: Loop, after_s: float) -> str:
    """Starts one that answers after so many seconds; its URL."""
    port = free_port()

    async def start() -> asyncio.BaseTransport:
        kept = asyncio.get_running_loop().create_datagram_endpoint(lambda: _Server(after_s), (loop.address, port))
        return (await kept)[0]

    async def stop() -> None:
        transport.close()

    transport = loop.run(start())
    stage.at_end("STUN server", lambda: loop.run(stop()))
    return f"stun:{loop.address}:{port}"
