"""LiveKit access tokens, made here and not by the project's own code: an independent check of it, and free to be wrong."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

APP_ID = 1234567890
"""The AppID of the tests: ZEGO's number is the API key."""

SECRET = "fa94dd0f974cf2e293728a526b028271"
"""The ServerSecret of the tests, 32 characters, used as they are (facts about token04: never hex-decoded)."""


def livekit_token(
    user: str,
    room: str,
    *,
    name: str = "",
    ttl: int = 3600,
    publish: bool = True,
    app_id: int | str = APP_ID,
    secret: str = SECRET,
    grants: dict[str, Any] | None = None,
) -> str:
    """A JWT (RFC 7519, HS256) with LiveKit's video grant; a negative `ttl` makes one that is over."""
    now = int(time.time())
    video = {"roomJoin": True, "room": room, "canPublish": publish, "canSubscribe": True, "canPublishData": True}
    claims = {
        "iss": str(app_id),
        "sub": user,
        "name": name or user,
        "nbf": now - 10 + min(ttl, 0),
        "exp": now + ttl,
        "video": {**video, **(grants or {})},
    }
    parts = [_part({"alg": "HS256", "typ": "JWT"}), _part(claims)]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _base64(signature)])


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
