"""A server program that administers rooms: PyPI's `livekit-api`, unmodified, and bare HTTP for what that never sends."""

import asyncio
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from livekit import api

from rig import tokens
from rig.hub import Hub
from rig.network import inside


class Refused(Exception):
    """A call that the server did not carry out."""

    def __init__(self, code: str, status: int, message: str):
        super().__init__(f"{code} ({status}): {message}")
        self.code, self.status, self.message = code, status, message


def call(hub: Hub, method: str, **fields: Any) -> Any:
    """Calls a method with the SDK's own token for it: `call(hub, "delete_room", room="lobby")`."""
    request = _request(method)(**fields)

    async def go() -> Any:
        keys = {"api_key": str(tokens.APP_ID), "api_secret": tokens.SECRET}
        async with api.LiveKitAPI(hub.http, failover=False, **keys) as server:
            return await getattr(server.room, method)(request)

    try:
        return asyncio.run(go())
    except api.TwirpError as error:
        raise Refused(error.code, error.status, error.message) from None


def call_in(namespace: str, hub: Hub, method: str, **fields: Any) -> Any:
    """The same, on a server in a network namespace."""

    def there() -> Any:
        with inside(namespace):
            return call(hub, method, **fields)

    # In a thread of its own, which may be elsewhere and has no event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(there).result()


def post(hub: Hub, method: str, fields: dict[str, Any], token: str, content: str = "application/json") -> tuple[int, Any]:
    """One call as any HTTP client makes it: status and answer."""
    request = urllib.request.Request(
        f"{hub.http}/twirp/livekit.RoomService/{method}",
        data=json.dumps(fields).encode(),
        headers={"Content-Type": content, "Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def _request(method: str) -> type:
    names = {
        "get_participant": "RoomParticipantIdentity",
        "remove_participant": "RoomParticipantIdentity",
        "mute_published_track": "MuteRoomTrackRequest",
    }
    camel = "".join(word.capitalize() for word in method.split("_"))
    return getattr(api, names.get(method, f"{camel}Request"))
