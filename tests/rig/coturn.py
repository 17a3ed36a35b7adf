"""A TURN server: Debian's coturn, unmodified."""

import base64
import hashlib
import hmac
import shutil
import time

import pytest

from rig.program import Program
from rig.stage import Stage

PORT = 3478


def start_coturn(stage: Stage, address: str, *, namespace: str, secret: str) -> Program:
    """Starts one that takes what was made with `secret`, and waits until it listens. Its log names whom it relays for."""
    if not shutil.which("turnserver"):
        pytest.skip("coturn is not installed: run tests/setup/debian-packages test")
    argv = ["turnserver", "-n", "--log-file", "stdout", "--verbose", "--listening-ip", address, "--relay-ip", address]
    argv += ["--listening-port", str(PORT), "--use-auth-secret", "--static-auth-secret", secret, "--realm", "zego.test"]
    argv += ["--no-cli", "--no-tls", "--no-dtls", "--pidfile", str(stage.path("coturn.pid"))]
    argv += ["--userdb", str(stage.path("turndb"))]
    server = stage.start("coturn", argv, namespace=namespace, cwd=stage.folder)
    server.wait_for_line(rf"(?i)listener opened on *: *{address}:{PORT}")
    return server


def credentials(secret: str, user: str) -> tuple[str, str]:
    """Name and password for ten minutes, as who knows the secret makes them."""
    name = f"{int(time.time()) + 600}:{user}"
    return name, base64.b64encode(hmac.digest(secret.encode(), name.encode(), hashlib.sha1)).decode()
