"""A hub is found by itself: announced on its LAN by multicast DNS, and `server = "auto"` joins it."""

import json
import re
import sys
import time
from functools import partial

import pytest

from rig import tokens
from rig.device import Device, options, start_device, wait_until
from rig.hub import Hub, start_hub
from rig.lan import Host, Lan, make_lan
from rig.places import program
from rig.program import Program
from rig.stage import Stage

pytestmark = pytest.mark.root

ROOM = "lobby"
AUTO = '[room]\nserver = "auto"\n'
FOUND = 5.0
"""Seconds within which a hub that is ready is found: it makes sure of its names for one (RFC 6762, section 8.1)."""
OTHER_APP = 987654321


BROWSE = """
import json, time
from zeroconf import IPVersion, ServiceBrowser, Zeroconf
TYPE = "_zegohub._tcp.local."
# IPv6 addresses are told by IPv6, and IPv4 addresses by IPv4.
names, zeroconf = set(), Zeroconf(ip_version=IPVersion.All)
ServiceBrowser(zeroconf, TYPE, handlers=[lambda name, state_change, **_: names.add(name)])
time.sleep(3)
found = [zeroconf.get_service_info(TYPE, name, 3000) for name in names]
print(json.dumps([
    {"name": i.name, "host": i.server, "port": i.port, "addresses": i.parsed_addresses(), "txt": i.decoded_properties}
    for i in found
]))
zeroconf.close()
"""
"""What Python's library for multicast DNS finds."""


@pytest.fixture
def lan(stage: Stage) -> Lan:
    return make_lan(stage)


@pytest.fixture
def hub_at(stage: Stage):
    """Starts a hub on a host: `hub_at(host, name="…")`."""

    def start(host: Host, *, name: str = "Hall", address: str = "0.0.0.0", extra: str = "", **wishes: object) -> Hub:
        settings = f'[discovery]\nname = "{name}"\n{extra}'
        wishes.setdefault("state", f"hub-state-{host.number}")
        return start_hub(stage, address=address, namespace=host.namespace, extra=settings, **wishes)

    return start


@pytest.fixture
def device_at(stage: Stage):
    """Starts a device that is to find its server: `device_at(host, "door")`."""
    return lambda host, name, **wishes: start_device(stage, name, namespace=host.namespace, **{"extra": AUTO, **wishes})


def login(device: Device, **wishes: object) -> str:
    """Logs in wherever the device finds a server; returns the server's URL."""
    path = device.login(ROOM, token=tokens.livekit_token(device.name, ROOM, **wishes))
    return device.get(path, "Room", "Server")


def sees(desk: Device, stream: str) -> None:
    """Plays a stream and waits for its pictures."""
    view = desk.texture()
    desk.play(stream, view=view.view)
    assert view.next(10)


def test_devices_find_the_hub_and_call_each_other(lan, hub_at, device_at, measured):
    home, hall, room = lan.host(), lan.host(), lan.host()
    hub_at(home)
    wait_until(lambda: hall.found(1), "the hub to be announced")
    (found,) = hall.found()
    assert found["name"] == "Hall" and found["addresses"] == ["10.79.0.1"] and found["port"] == 7880
    assert (found["tls"], found["app_ids"]) == ("no", [str(tokens.APP_ID)])
    assert found["url"] == f"ws://{found['host']}:7880" and found["host"].endswith(".local")
    door, desk = device_at(hall, "door"), device_at(room, "desk")
    since = time.monotonic()
    assert login(door) == found["url"]
    measured(f"logged in after {time.monotonic() - since:.2f} s, looking for the hub included")
    door.publish("door")
    login(desk)
    sees(desk, "door")
    # A device on the hub's own machine finds it, too.
    assert login(device_at(home, "kiosk")) == found["url"]


def test_another_library_sees_the_same(lan, hub_at):
    """What is announced is DNS-SD for whoever knows it: instance, host, port, addresses and TXT record."""
    home, hall = lan.host("ipv4", "ipv6"), lan.host("ipv4", "ipv6")
    hub_at(home, name="Front door 2.1", address="[::]")
    wait_until(lambda: hall.found(1), "the hub to be announced")
    done = hall.run(sys.executable, "-c", BROWSE)
    assert done.returncode == 0, done.stderr
    (seen,) = json.loads(done.stdout)
    assert seen["name"] == "Front door 2.1._zegohub._tcp.local." and seen["port"] == 7880
    assert seen["host"] == f"{hall.found()[0]['host']}."
    assert sorted(seen["addresses"]) == ["10.79.0.1", "fd79::1"]
    version = seen["txt"].pop("version")
    assert seen["txt"] == {"txtvers": "1", "tls": "no", "apps": str(tokens.APP_ID)} and re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_zegoctl_says_what_is_found(lan, hub_at, device_at):
    home, hall = lan.host(), lan.host()
    door = device_at(hall, "door")
    doctor = partial(hall.run, program("zegoctl"), "--bus", door.address, "doctor")
    assert hall.run(program("zegoctl"), "find", "--seconds", "1").stdout == "No zegohub announces itself on this network.\n"
    assert "problem  discovery" in (said := doctor().stdout) and "start a zegohub" in said
    hub_at(home)
    wait_until(lambda: hall.found(1), "the hub to be announced")
    table = hall.run(program("zegoctl"), "find").stdout.splitlines()
    assert table[0].split() == ["NAME", "URL", "ADDRESSES", "TLS", "APPIDS", "VERSION"]
    assert table[1].split()[0] == "Hall" and str(tokens.APP_ID) in table[1]
    assert "ok       discovery" in (said := doctor().stdout) and "'Hall'" in said and "ok       server" in said


def test_a_hub_that_comes_later_is_found(lan, hub_at, device_at, measured):
    home, hall = lan.host(), lan.host()
    door = device_at(hall, "door")
    wishes = options(token=tokens.livekit_token("door", ROOM), wait=False)
    assert door.call("LoginRoom", ROOM, "door", "", wishes)[1] == 1
    door.program.wait_for_line("no zegohub announces itself on this network; start one, or name the server")
    assert [s.args[1] for s in door.signals("RoomStateUpdate")] == [1]
    hub_at(home)
    since = time.monotonic()
    there = door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, timeout=20)
    measured(f"connected {there.at - since:.2f} s after the hub is ready")
    assert there.at - since <= FOUND


def test_no_hub_is_a_clear_error(lan, device_at):
    door = device_at(lan.host(), "door", extra='[room]\nserver = "auto"\nretry_time_s = 1\n')
    error = door.refusal("LoginRoom", ROOM, "door", "", options(token=tokens.livekit_token("door", ROOM)))
    assert (error.name, error.code) == ("org.zegod1.Error.ServerUnreachable", 1002053)
    assert "no zegohub announces itself on this network" in error.message and "[room] server" in error.message


def test_a_hub_that_moves_is_followed(lan, hub_at, device_at, measured):
    """It gets another address in the middle of a call: signalling and media follow it, and nobody calls anything."""
    home, hall, room = lan.host(), lan.host(), lan.host()
    hub_at(home)
    door, desk = device_at(hall, "door"), device_at(room, "desk")
    for device in (door, desk):
        login(device)
    door.publish("door")
    view = desk.texture()
    desk.play("door", view=view.view)
    recorder = desk.record(view)
    recorder.wait_for_frames(15)
    since = time.monotonic()
    home.move(77)

    def fresh() -> list[float]:
        return [f.at for f in recorder.frames() if f.counter is not None and f.at - f.latency_ms / 1000 > since + 1]

    recorder.program.wait_until(lambda: len(fresh()) > 10, "pictures from the new address", 30)
    measured(f"pictures {fresh()[0] - since:.2f} s after the hub moved")
    assert hall.found()[0]["addresses"] == ["10.79.0.77"]
    # What broke the line longest is that nobody is told: the silence is noticed by ICE's checks.
    assert fresh()[0] - since <= 20


def test_the_hub_with_the_devices_app_id_is_taken(lan, hub_at, device_at):
    homes, hall = (lan.host(), lan.host()), lan.host()
    hub_at(homes[0], name="alpha")
    hub_at(homes[1], name="beta", app_id=OTHER_APP)
    wait_until(lambda: len(hall.found(1)) == 2, "both hubs")
    urls = {hub["name"]: hub["url"] for hub in hall.found()}
    # By the token, which names it, and by the configuration.
    assert login(device_at(hall, "door"), app_id=OTHER_APP) == urls["beta"]
    assert login(device_at(hall, "desk")) == urls["alpha"]
    lost = device_at(hall, "lost", extra=f'[engine]\napp_id = 42\n[room]\nserver = "auto"\nretry_time_s = 1\n')
    error = lost.refusal("LoginRoom", ROOM, "lost", "", options(token=tokens.token04("lost")))
    assert "no zegohub with AppID 42" in error.message and "'alpha', 'beta'" in error.message


def test_the_next_hub_is_taken_when_the_first_is_gone(lan, hub_at, device_at, measured):
    """Of two that fit, the first by name; when its machine is gone, the other."""
    homes, hall = (lan.host(), lan.host()), lan.host()
    beta = hub_at(homes[0], name="beta")
    alpha = hub_at(homes[1], name="alpha")
    wait_until(lambda: len(hall.found(1)) == 2, "both hubs")
    urls = {hub["name"]: hub["url"] for hub in hall.found()}
    door = device_at(hall, "door")
    assert login(door) == urls["alpha"]
    mark = door.mark()
    alpha.program.kill()
    since = time.monotonic()
    there = door.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark, timeout=30)
    measured(f"connected to the other {there.at - since:.2f} s after the first died")
    (room,) = door.objects("Room").values()
    assert room["Server"] == urls["beta"] and beta.program.running


def test_hubs_of_the_same_name_are_told_apart(lan, hub_at):
    homes, hall = (lan.host(), lan.host()), lan.host()
    for home in homes:
        hub_at(home, name="Hall")
    wait_until(lambda: len(hall.found(1)) == 2, "both hubs", timeout=15)
    names = sorted(hub["name"] for hub in hall.found())
    assert names == ["Hall", "Hall (2)"]


def test_a_hub_that_ends_says_goodbye(stage, lan, hub_at):
    """Whoever is looking at that moment does not find it any more."""
    home, hall = lan.host(), lan.host()
    hub = hub_at(home)
    wait_until(lambda: hall.found(1), "the hub to be announced")
    out = stage.path("found.json").open("wb")
    command = [program("zegoctl"), "--json", "find", "--seconds", "6"]
    looking = stage.start("find", command, namespace=hall.namespace, stdout=out.fileno())
    time.sleep(2)
    assert hub.program.end() < 2
    assert looking.wait() == 0
    out.close()
    assert stage.folder.joinpath("found.json").read_text() == '{"hubs":[]}\n'


def test_a_hub_is_not_announced_when_it_must_not_be(stage, lan, hub_at):
    homes, hall = (lan.host(), lan.host()), lan.host()
    hub_at(homes[0], extra="announce = false\n")
    start_hub(stage, namespace=homes[1].namespace)  # for its own machine only
    time.sleep(2)
    assert hall.found() == [] and homes[1].found() == []


@pytest.mark.parametrize("kind", ["ipv6", "link"])
def test_a_lan_with_ipv6_alone(lan, hub_at, device_at, kind):
    """With addresses that count everywhere on it, and with none but link-local ones."""
    home, hall, room = (lan.host(kind) for _ in range(3))
    hub_at(home, address="[::]")
    wait_until(lambda: hall.found(1), "the hub to be announced")
    (address,) = hall.found()[0]["addresses"]
    assert address.split("%")[0] == home.addresses[kind].split("/")[0]
    door, desk = device_at(hall, "door"), device_at(room, "desk")
    login(door)
    door.publish("door")
    login(desk)
    desk.publish("desk")
    sees(desk, "door")
    sees(door, "desk")


def test_both_families_on_one_lan(lan, hub_at, device_at):
    """The hub has all kinds of addresses; each device some, and every one gets through."""
    home = lan.host("ipv4", "ipv6", "link")
    hub_at(home, address="[::]")
    devices = [device_at(lan.host(*kinds), name) for name, kinds in (("four", ["ipv4"]), ("six", ["ipv6", "link"]))]
    for device in devices:
        login(device)
        device.publish(device.name)
    four, six = devices
    sees(four, "six")
    sees(six, "four")


def start_avahi(stage: Stage, host: Host) -> Program:
    """avahi-daemon on a host, with files of its own."""
    file = stage.path("avahi.conf")
    file.write_text(f"[server]\nhost-name=host{host.number}\nenable-dbus=no\nuse-ipv6=yes\n[rlimits]\n")
    run = "mount -t tmpfs none /run && mkdir /run/avahi-daemon && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits"
    command = ["unshare", "--mount", "sh", "-c", f'{run} --file "$0"', str(file)]
    avahi = stage.start("avahi", command, namespace=host.namespace)
    avahi.wait_for_line(r"Server startup complete")
    return avahi


def test_avahi_beside_is_not_disturbed(stage, lan, hub_at, device_at):
    """Both answer on port 5353 of the hub's machine, and of the device's; avahi keeps its name."""
    home, hall = lan.host(), lan.host()
    avahis = [start_avahi(stage, host) for host in (home, hall)]
    hub_at(home)
    wait_until(lambda: hall.found(1), "the hub to be announced")
    assert login(device_at(hall, "door")) == hall.found()[0]["url"]
    login(device_at(home, "kiosk"))
    for avahi, host in zip(avahis, (home, hall), strict=True):
        assert f"host{host.number}-2" not in avahi.output() and "conflict" not in avahi.output().lower(), avahi.output()
