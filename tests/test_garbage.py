"""Clients that send nonsense, too much of it, or that vanish in the middle: a running call does not notice."""

import asyncio
import random
import time

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from rig.device import ENGINE, METHODS, PROPERTIES, ROOT, SERVICE, options, wait_until
from rig.running_call import RunningCall

pytestmark = pytest.mark.alone

MEGABYTE = 1 << 20
MEMORY_KIB = 60 * 1024
"""What a flood may add to the daemon's peak: some megabytes of messages on their way, but no pile of them."""


def message(method: str, signature: str = "", body: list | None = None, interface: str = ENGINE, path: str = ROOT):
    return Message(
        destination=SERVICE, path=path, interface=interface, member=method, signature=signature, body=body or []
    )


async def reply_of(bus: MessageBus, call: Message) -> str:
    """The error's name, or `ok`."""
    reply = await asyncio.wait_for(bus.call(call), 30)
    return reply.error_name if reply.message_type is MessageType.ERROR else "ok"


def run(address: str, work) -> object:
    """Runs `work(bus)` on a connection of its own."""

    async def whole() -> object:
        bus = await MessageBus(bus_address=address, negotiate_unix_fd=True).connect()
        try:
            return await work(bus)
        finally:
            bus.disconnect()

    return asyncio.run(whole())


def random_body(dice: random.Random) -> tuple[str, list]:
    """Arguments that fit no method, or only by chance."""
    values = {
        "s": ["", "lobby", "\u202e\x01\x7f", "x" * 70_000, "../../etc/passwd", "%s%n", "door' OR 1=1"],
        "i": [-(2**31), -1, 0, 7, 2**31 - 1],
        "u": [0, 1, 2**32 - 1],
        "t": [0, 1, 2**64 - 1],
        "b": [True, False],
        "d": [float("nan"), float("inf"), -0.0],
        "o": ["/", "/org/zegod1/device/1", "/a/b"],
        "as": [[], ["x"] * 500, ["y" * 5000]],
        "a{sv}": [
            {},
            {"nonsense": Variant("s", "x")},
            {"view": Variant("s", "x"), "audio": Variant("a{sv}", {"a": Variant("v", Variant("i", 1))})},
            {"token": Variant("s", "eyJ" + "A" * 40_000), "server": Variant("s", "ws://127.0.0.1:1")},
            {f"key{n}": Variant("i", n) for n in range(300)},
        ],
    }
    types = [dice.choice(list(values)) for _ in range(dice.randint(0, 4))]
    return "".join(types), [dice.choice(values[kind]) for kind in types]


HARMLESS = sorted(
    set(METHODS)
    - {"DestroyEngine", "LogoutRoom", "StopPublishing", "MuteMicrophone", "MuteSpeaker"}
    - {"DestroyTextureRenderer", "UpdateTextureRendererSize"}
)
"""Methods that cannot end or silence the call when they are called rightly by chance."""


def test_wrong_types_and_unknown_keys(hub, device, measured):
    """Every method with arguments of every wrong kind, unknown methods, interfaces and objects: an error each."""
    call = RunningCall(device)
    dice = random.Random(20240229)
    wrong_names = set()

    async def work(bus: MessageBus) -> int:
        refused = 0
        for _ in range(600):
            method = dice.choice([*HARMLESS, "NoSuchMethod", "X" * 200])
            signature, body = random_body(dice)
            if signature == METHODS.get(method) and method in ("EnableCamera", "UseDevice", "SetVideoConfig"):
                continue
            name = await reply_of(bus, message(method, signature, body))
            refused += name != "ok"
            if name != "ok" and not name.startswith(("org.zegod1.Error.", "org.freedesktop.DBus.Error.")):
                wrong_names.add(name)
        for path in ("/org/zegod1/nothing", "/org/zegod1/player/18446744073709551615", "/x"):
            assert await reply_of(bus, message("Get", "ss", [SERVICE, "x"], PROPERTIES, path)) != "ok"
        for body in (["org.zegod1.Engine", "Nothing"], ["no.such.Interface", "Version"], ["", ""]):
            assert await reply_of(bus, message("Get", "ss", body, PROPERTIES)) != "ok"
        version = ["org.zegod1.Engine", "Version", Variant("s", "2")]
        assert await reply_of(bus, message("Set", "ssv", version, PROPERTIES)) != "ok", "it is read-only"
        return refused

    refused = run(call.desk.address, work)
    measured(f"{refused} of 600 calls refused")
    assert refused > 400
    assert not wrong_names
    call.assert_undisturbed(measured)


def test_huge_strings(hub, device, measured):
    """Megabytes where an id is expected: a short error, and no megabytes in the journal or in signals to others."""
    call = RunningCall(device)
    desk, huge = call.desk, "x" * (4 * MEGABYTE)
    logged = len(desk.program.output())
    peak = desk.memory_kib()
    errors = [
        desk.refusal("LoginRoom", huge, "desk", "", {}),
        desk.refusal("LoginRoom", "cellar", "desk", "", options(token=huge, server=desk.hub.url)),
        desk.refusal("LoginRoom", "cellar", "desk", "", options(token="x", server=huge)),
        desk.refusal("LogoutRoom", huge),
        desk.refusal("StopPlaying", huge),
        desk.refusal("StopPublishing", huge),
        desk.refusal("StartPlaying", huge, {}),
        desk.refusal("StartPlaying", "other", options(room_id=huge)),
        desk.refusal("StartPlaying", "other", {huge: Variant("s", "x")}),
        desk.refusal("GetRoomStreamList", huge, 0),
        desk.refusal("SendBroadcastMessage", "lobby", huge),
        desk.refusal("SendBroadcastMessage", huge, "hello"),
        desk.refusal("CreateTextureRenderer", 64, 64, options(format=huge)),
        desk.refusal("CreatePlatformView", {"kind": Variant("s", huge)}),
    ]
    for error in errors:
        assert error.name.startswith("org.zegod1.Error."), error.name
        assert error.code and len(error.message) < 2500, f"{len(error.message)} bytes: {error.message[:80]}"
    told = [s for s in desk.signals("DebugError") if len(str(s.args)) > 3000]
    assert not told, "others are sent what somebody else made up"
    assert len(desk.program.output()) - logged < 100_000
    measured(f"{(desk.memory_kib() - peak) / 1024:.1f} MB more at the peak")
    assert desk.memory_kib() - peak < MEMORY_KIB
    call.assert_undisturbed(measured)


CLIENTS, CALLS = 40, 100
"""As many calls under way at once as a bus lets one client have (128), by many clients."""


def test_thousands_of_calls_at_once(hub, device, measured):
    """4000 calls are under way together: every one is answered, the call goes on."""
    call = RunningCall(device)
    peak = call.desk.memory_kib()
    calls = [
        ("StopPlaying", "s", ["never"]),
        ("StartPlaying", "sa{sv}", ["", {}]),
        ("GetDiagnostics", "", []),
        ("SendBroadcastMessage", "ss", ["cellar", "hello"]),
    ]

    async def flood() -> list[str]:
        buses = [await MessageBus(bus_address=call.desk.address).connect() for _ in range(CLIENTS)]
        try:
            replies = (reply_of(bus, message(*calls[number % 4])) for bus in buses for number in range(CALLS))
            return await asyncio.gather(*replies)
        finally:
            for bus in buses:
                bus.disconnect()

    begin = time.monotonic()
    answers = asyncio.run(flood())
    measured(f"{len(answers)} calls in {time.monotonic() - begin:.1f} s")
    ours = {"ok", "org.zegod1.Error.NotPlaying", "org.zegod1.Error.InvalidArgument", "org.zegod1.Error.RoomNotFound"}
    assert set(answers) == ours
    grown = call.desk.memory_kib() - peak
    measured(f"{grown / 1024:.1f} MB more at the peak")
    assert grown < MEMORY_KIB
    call.assert_undisturbed(measured)


def test_clients_that_vanish_in_the_middle(hub, device, measured):
    """Thirty clients that ask for what takes long or is bound to them, and are gone before the reply."""
    call = RunningCall(device)
    desk = call.desk

    async def ask_and_go(number: int) -> None:
        bus = await MessageBus(bus_address=desk.address).connect()
        bind = {"bind_to_caller": Variant("b", True)}
        await bus.send(message("StartPlaying", "sa{sv}", [f"never-{number % 3}", bind]))
        await bus.send(message("CreateTextureRenderer", "uua{sv}", [64, 64, {}]))
        await bus.send(message("GetDiagnostics"))
        bus.disconnect()

    async def all_of_them() -> None:
        for number in range(30):
            await ask_and_go(number)

    asyncio.run(all_of_them())
    wait_until(lambda: [p["StreamID"] for p in desk.objects("Player").values()] == ["door"], "the bound players to end")
    call.assert_undisturbed(measured)


def test_views_without_end(hub, device, measured):
    """A client that never destroys its views is stopped before the memory is used up; others go on."""
    call = RunningCall(device)
    views = []
    error = None
    for _ in range(200):
        try:
            views.append(call.desk.call("CreateTextureRenderer", 1920, 1080, {})[0])
        except Exception as refused:  # whatever it is, it is looked at below
            error = refused
            break
    assert error is not None and error.name == "org.zegod1.Error.InvalidArgument", error
    assert "destroy" in error.message
    measured(f"{len(views)} views, {call.desk.memory_kib('VmRSS') / 1024:.0f} MB")
    for view in views:
        call.desk.call("DestroyTextureRenderer", view)
    call.assert_undisturbed(measured)
    assert call.desk.call("CreateTextureRenderer", 64, 64, {})
