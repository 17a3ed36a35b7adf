"""A device and a room server behind TLS: `wss://`, with a certificate that the device trusts, and with one that it does not."""

import socket

import pytest

from rig.certificate import make_certificate
from rig.device import options, start_device
from rig.network import free_port


@pytest.fixture
def secure(stage, hub):
    """The hub behind a TLS terminator with a certificate of its own; its address and its authority's file."""
    certificate, both = make_certificate(stage, "localhost")
    port = free_port()
    file = stage.path("haproxy.cfg")
    file.write_text(
        "global\n    maxconn 100\ndefaults\n    mode http\n    timeout connect 2s\n    timeout client 60s\n    timeout server 60s\n"
        f"frontend rooms\n    bind 127.0.0.1:{port} ssl crt {both}\n    default_backend hub\n"
        f"backend hub\n    server hub {hub.http.removeprefix('http://')}\n"
    )
    balancer = stage.start("haproxy", ["haproxy", "-db", "-f", str(file)])
    balancer.exit_wanted = 143
    balancer.wait_until(lambda: _is_open(port), "its port")
    return f"wss://localhost:{port}", certificate


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_device_joins_through_tls(stage, hub, secure):
    url, authority = secure
    trusting = {"SSL_CERT_FILE": str(authority)}
    door = start_device(stage, "door", hub=hub, environment=trusting)
    desk = start_device(stage, "desk", hub=hub)
    door.login("lobby", server=url)
    door.publish("door")
    desk.login("lobby")
    view = desk.texture()
    desk.play("door", view=view.view)
    assert view.next(10)


def test_a_certificate_that_is_not_trusted_is_named(stage, hub, secure):
    url, _ = secure
    door = start_device(stage, "door", hub=hub, retry_time_s=1)
    error = door.refusal("LoginRoom", "lobby", "door", "", options(token=hub.token("door", "lobby"), server=url))
    assert (error.name, error.code) == ("org.zegod1.Error.ServerUnreachable", 1002053)
    assert "certificate" in error.message, error.message
    # Nothing else is disturbed.
    door.login("lobby")
