"""The hub speaks TLS: with a certificate of its own authority that a browser trusts, and with its operator's files."""

import dataclasses
import json
import os
import socket
import ssl
import subprocess
import sys
import time

import pytest
from browser.chromium import HubPage, start_chromium

from rig.device import options, start_device, wait_until
from rig.hub import start_hub
from rig.island import make_island
from rig.network import free_port
from rig.places import program

ROOM = "lobby"

GET = """
import http.client, json, sys
client = http.client.HTTPConnection(sys.argv[1], timeout=5)
client.request("GET", sys.argv[2], headers=json.loads(sys.argv[3]))
answer = client.getresponse()
print(json.dumps([answer.status, answer.getheader("Location"), answer.read().decode()]))
"""


def get(island, host, path, headers=None):
    """Status, place and text of an answer without TLS, as a machine on the island gets it."""
    command = ["ip", "netns", "exec", island.namespace, sys.executable, "-c", GET, host, path, json.dumps(headers or {})]
    return tuple(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


@pytest.fixture
def island(stage):
    return make_island(stage)


@pytest.fixture
def hub(stage, island):
    """A hub with an authority of its own, where other machines can reach it."""
    hub = start_hub(stage, address="0.0.0.0", namespace=island.namespace, extra="[tls]\nown = true\n")
    return dataclasses.replace(hub, http=f"https://{island.address}:7880", url=f"wss://{island.address}:7880")


@pytest.fixture
def authority(stage, island, hub):
    """The authority's certificate, as a phone fetches it."""
    status, _, text = get(island, f"{island.address}:7880", "/authority.pem")
    assert status == 200
    file = stage.path("authority.pem")
    file.write_text(text)
    return file


@pytest.mark.root
def test_a_browser_that_trusts_the_hub_lends_it_the_camera(stage, playwright, island, hub, authority):
    store = stage.folder / ".pki/nssdb"
    store.mkdir(parents=True)
    for command in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "zegohub", "-i", str(authority)]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *command], check=True, capture_output=True)
    chromium = start_chromium(stage, playwright, island, hub)
    anna = HubPage(chromium, hub, "anna", ROOM)
    anna.open()
    assert anna.page.evaluate("location.protocol + isSecureContext") == "https:true"
    anna.join()
    anna.publish()
    door = start_device(
        stage, "door", hub=hub, namespace=island.namespace, environment={"SSL_CERT_FILE": str(authority)}
    )
    door.login(ROOM)
    texture = door.texture(640, 480, format="XR24")
    door.play("anna-web", view=texture.view)
    assert texture.next(timeout=15)
    assert not anna.console


@pytest.mark.root
def test_other_machines_must_use_tls(stage, island, hub):
    there = f"{island.address}:7880"
    assert get(island, there, "/?room=lobby")[:2] == (308, f"https://{there}/?room=lobby")
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    status, _, text = get(island, there, "/rtc/v1", upgrade)
    assert status == 426 and "wss://" in text
    assert get(island, there, "/healthz")[0] == 200
    assert get(island, "127.0.0.1:7880", "/")[0] == 200, "this machine may do without"
    door = start_device(stage, "door", hub=hub, namespace=island.namespace, retry_time_s=1)
    plain = options(token=hub.token("door", ROOM), server=f"ws://{there}")
    error = door.refusal("LoginRoom", ROOM, "door", "", plain)
    assert "wss://" in error.message, error
    door.login(ROOM, server="ws://127.0.0.1:7880")


@pytest.mark.root
def test_a_device_that_does_not_trust_the_hub_says_so(stage, island, hub):
    door = start_device(stage, "door", hub=hub, namespace=island.namespace, retry_time_s=1)
    error = door.refusal("LoginRoom", ROOM, "door", "", options(token=hub.token("door", ROOM)))
    assert "certificate" in error.message, error


def make_certificate(stage, name):
    """A key and a certificate of itself for localhost."""
    key, certificate = stage.path(f"{name}-key.pem"), stage.path(f"{name}.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def shown(port):
    """The certificate that a hub on this port shows."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)


def test_a_renewed_certificate_is_shown_without_a_restart(stage):
    certificate, key = make_certificate(stage, "first")
    port = free_port()
    hub = start_hub(stage, port=port, extra=f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n')
    first = shown(port)
    assert first == certificate.read_text()
    # A call without TLS from this machine goes on meanwhile.
    door = start_device(stage, "door", hub=hub)
    door.login(ROOM)
    new_certificate, new_key = make_certificate(stage, "second")
    time.sleep(1.1)
    os.replace(new_key, key)
    assert shown(port) == first, "the key alone is new"
    hub.program.wait_for_line(r"is not the key of")
    time.sleep(1.1)
    os.replace(new_certificate, certificate)
    wait_until(lambda: shown(port) == certificate.read_text(), "the new certificate")
    assert shown(port) != first
    assert [s.args[1] for s in door.signals("RoomStateUpdate")] == [1, 2]


def test_who_says_nothing_keeps_nobody_waiting(stage):
    certificate, key = make_certificate(stage, "hub")
    port = free_port()
    start_hub(stage, port=port, extra=f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n')
    # More than the hub waits for at once, from one other address.
    silent = [socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) for _ in range(300)]
    begun = time.monotonic()
    assert shown(port)
    assert time.monotonic() - begun < 5, "a handshake's time limit is 10 s"
    for connection in silent:
        connection.close()


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ('certificate = "/nowhere.pem"\nkey = "/nowhere.key"', "/nowhere.pem: cannot be read"),
        ('certificate = "{own}"\nkey = "{other}"', "is not the key of"),
        ('certificate = "{other}"\nkey = "{other}"', "there is no certificate in it"),
        ('certificate = "{own}"', "either certificate and key"),
        ('own = true\nnames = ["a b"]', "is not a host name"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(stage, table, what):
    own, _ = make_certificate(stage, "own")
    _, other = make_certificate(stage, "other")
    file = stage.path("zegohub.toml")
    file.write_text(f'listen = "127.0.0.1:{free_port()}"\nudp_port = 0\n[tls]\n{table.format(own=own, other=other)}\n')
    environment = {**os.environ, "ZEGOHUB_STATE_DIRECTORY": str(stage.folder)}
    command = [program("zegohub"), "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, env=environment)
    assert done.returncode == 1
    assert what in done.stderr, done.stderr
