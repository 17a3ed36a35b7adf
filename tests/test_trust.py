"""Which certificates of servers a device believes: those of the authority's file or with the fingerprint that it was given."""

import re
import subprocess

import pytest

from rig import tokens
from rig.device import Device, options, start_device, wait_until
from rig.hub import Hub, start_hub
from rig.lan import make_lan
from rig.network import free_port

ROOM = "lobby"
TLS = "[tls]\nown = true\n"


@pytest.fixture
def hub(stage) -> Hub:
    """A hub with an authority of its own."""
    hub = start_hub(stage, port=free_port(), extra=TLS)
    hub.url = hub.url.replace("ws://", "wss://")
    return hub


def fingerprint(file) -> str:
    """The fingerprint of the first certificate in a file, as openssl writes it."""
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(file)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("=")[1]


def compact(fingerprint: str) -> str:
    return f"sha256:{fingerprint.replace(':', '').lower()}"


@pytest.fixture
def trusting(stage, hub):
    """Starts a device with further lines in `[room]`."""

    def start(name: str, *lines: str) -> Device:
        room = "\n".join(["[room]", f'server = "{hub.url}"', "retry_time_s = 1", *lines])
        return start_device(stage, name, extra=f"{room}\n")

    return start


def kept(stage, name: str):
    return stage.folder / "hub-state/tls" / name


def make_authority(stage):
    """Somebody else's authority."""
    key, certificate = stage.path("other-key.pem"), stage.path("other.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=somebody else", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


def login(device: Device) -> None:
    device.login(ROOM, token=tokens.livekit_token(device.name, ROOM))


def refusal(device: Device) -> str:
    wishes = options(token=tokens.livekit_token(device.name, ROOM))
    error = device.refusal("LoginRoom", ROOM, device.name, "", wishes)
    assert (error.name, error.code) == ("org.zegod1.Error.ServerUnreachable", 1002053)
    return error.message


def test_the_right_authority_and_fingerprint_are_believed(stage, hub, trusting):
    authority, own = kept(stage, "authority.pem"), kept(stage, "certificate.pem")
    login(trusting("a", f'authority = "{authority}"'))
    login(trusting("b", f'fingerprint = "{fingerprint(authority)}"'))
    login(trusting("c", f'fingerprint = "{compact(fingerprint(own))}"'))
    login(trusting("d", f'authority = "{authority}"', f'fingerprint = "{fingerprint(own)}"'))
    assert compact(fingerprint(authority)) in hub.program.output(), "the hub says it"


def test_others_are_refused_and_named(stage, hub, trusting):
    other = make_authority(stage)
    shown, authority = (compact(fingerprint(kept(stage, name))) for name in ("certificate.pem", "authority.pem"))
    for number, (lines, what) in enumerate(
        [
            ((), "its authority is not one that this device trusts"),
            ((f'authority = "{other}"',), "its authority is not one that this device trusts"),
            ((f'fingerprint = "{fingerprint(other)}"',), compact(fingerprint(other))),
            (
                (f'authority = "{kept(stage, "authority.pem")}"', f'fingerprint = "{fingerprint(other)}"'),
                compact(fingerprint(other)),
            ),
        ]
    ):
        message = refusal(trusting(f"door-{number}", *lines))
        for part in (what, f"it is {shown}", f"its authority is {authority}", "[room] fingerprint", "[room] authority"):
            assert part in message, message
    assert "/nowhere.pem: " in refusal(trusting("lost", 'authority = "/nowhere.pem"'))


def test_the_name_counts_with_an_authority_s_fingerprint(stage, hub, trusting):
    """A certificate of the right authority for another name is somebody else's; the server's own is known by itself."""
    authority, own = kept(stage, "authority.pem"), kept(stage, "certificate.pem")
    hub.url = re.sub("127.0.0.1", "127.0.0.2", hub.url)
    hub.program.end()
    port = int(hub.url.rsplit(":", 1)[1])
    start_hub(stage, address="0.0.0.0", port=port, extra=f"{TLS}[discovery]\nannounce = false\n")
    assert "127.0.0.2" in refusal(trusting("a", f'fingerprint = "{fingerprint(authority)}"'))
    login(trusting("b", f'fingerprint = "{fingerprint(own)}"'))


def test_a_new_authority_is_believed_without_a_restart(stage, hub, trusting):
    file = stage.path("authority.pem")
    file.write_text(make_authority(stage).read_text())
    door = trusting("door", f'authority = "{file}"')
    refusal(door)
    file.write_text(kept(stage, "authority.pem").read_text())
    login(door)


@pytest.mark.root
def test_auto_takes_only_hubs_that_prove_themselves_when_it_knows_whom_to_trust(stage):
    """A plain hub of the same AppID, and one with another authority, whatever they announce, are not joined."""
    lan = make_lan(stage)
    homes, hall = [lan.host() for _ in range(3)], lan.host()
    hubs = {}
    for home, name, tls in zip(homes, ("a-plain", "b-stranger", "c-own"), ("", TLS, TLS), strict=True):
        settings = f'[discovery]\nname = "{name}"\n{tls}'
        hubs[name] = start_hub(stage, address="0.0.0.0", namespace=home.namespace, extra=settings, state=f"state-{name}")
    wait_until(lambda: len(hall.found(1)) == 3, "the hubs", timeout=20)
    urls = {hub["name"]: hub["url"] for hub in hall.found()}
    authority = stage.folder / "state-c-own/tls/authority.pem"

    def device(name: str, *lines: str) -> Device:
        room = "\n".join(["[room]", 'server = "auto"', *lines])
        return start_device(stage, name, namespace=hall.namespace, extra=f"{room}\n")

    for name, pin in (("door", f'authority = "{authority}"'), ("desk", f'fingerprint = "{fingerprint(authority)}"')):
        pinned = device(name, pin)
        login(pinned)
        (room,) = pinned.objects("Room").values()
        assert room["Server"] == urls["c-own"]
    open_to_all = device("open")
    login(open_to_all)
    (room,) = open_to_all.objects("Room").values()
    assert room["Server"] == urls["a-plain"], "without a pin, none of the certificates is trusted"
