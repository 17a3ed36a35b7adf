"""Tokens of both kinds, made here and not by the project's own code: an independent check of it, and free to be wrong."""

import base64
import hashlib
import hmac
import json
import struct
import subprocess
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
    room_config: dict[str, Any] | None = None,
) -> str:
    """A JWT (RFC 7519, HS256) with LiveKit's video grant; a negative `ttl` makes one that is over.

    `room_config` says what the room is like if its user is the first there.
    """
    now = int(time.time())
    video = {"roomJoin": True, "room": room, "canPublish": publish, "canSubscribe": True, "canPublishData": True}
    claims = {
        "iss": str(app_id),
        "sub": user,
        "name": name or user,
        "nbf": now - 10 + min(ttl, 0),
        "exp": now + ttl,
        "video": {**video, **(grants or {})},
        **({"roomConfig": room_config} if room_config else {}),
    }
    parts = [_part({"alg": "HS256", "typ": "JWT"}), _part(claims)]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _base64(signature)])


def admin_token(room: str, *, app_id: int | str = APP_ID, secret: str = SECRET, admin: bool = True) -> str:
    """What a server program shows to RoomService: no user, the right to administer a room."""
    return server_token(app_id=app_id, secret=secret, roomAdmin=admin, room=room)


def server_token(*, app_id: int | str = APP_ID, secret: str = SECRET, **grants: Any) -> str:
    """What a server program shows: no user, these grants."""
    claims = {"iss": str(app_id), "exp": int(time.time()) + 600, "video": grants}
    parts = [_part({"alg": "HS256", "typ": "JWT"}), _part(claims)]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _base64(signature)])


def token04(
    user: str,
    *,
    room: str | None = None,
    login: int = 1,
    publish: int = 1,
    streams: list[str] | None = None,
    ttl: float = 3600,
    secret: str = SECRET,
    **changed: Any,
) -> str:
    """A token04 as ZEGO's generators of the CBC kind make it, encrypted by openssl. With `room` it has a payload of privileges.

    `changed` replaces fields of its JSON, for wrong ones on purpose.
    """
    expire = int(time.time() + ttl)
    payload = ""
    if room is not None:
        payload = json.dumps({"room_id": room, "privilege": {"1": login, "2": publish}, "stream_id_list": streams})
    plain = {"app_id": APP_ID, "user_id": user, "nonce": 7, "ctime": expire - 3600, "expire": expire, "payload": payload}
    iv = b"0123456789abcdef"
    done = subprocess.run(
        ["openssl", "enc", "-aes-256-cbc", "-K", secret.encode().hex(), "-iv", iv.hex()],
        input=json.dumps({**plain, **changed}).encode(),
        capture_output=True,
        check=True,
    )
    sealed = done.stdout
    packed = struct.pack("!q", expire) + struct.pack("!H", len(iv)) + iv + struct.pack("!H", len(sealed)) + sealed
    return "04" + base64.b64encode(packed).decode()


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
