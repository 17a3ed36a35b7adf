"""A modem's service on a device's bus: ModemManager or oFono, played by python-dbusmock."""

from rig.bus import BusClient
from rig.device import Device
from rig.program import Program
from rig.stage import Stage

from dbus_fast import Variant

MOCK = "org.freedesktop.DBus.Mock"
MANAGER = "org.freedesktop.ModemManager1"
VOICE = "org.freedesktop.ModemManager1.Modem.Voice"
CALL = "org.freedesktop.ModemManager1.Call"
PYTHON = "/usr/bin/python3"
"""dbusmock needs Debian's own Python, for its packages of libdbus and GLib."""


class Mock:
    """A running dbusmock that owns one name."""

    def __init__(self, stage: Stage, device: Device, name: str, arguments: list[str]):
        self.name = name
        self.bus = BusClient(device.address)
        self.program: Program = stage.start(
            name, [PYTHON, "-m", "dbusmock", *arguments], environment={"DBUS_SYSTEM_BUS_ADDRESS": device.address}
        )
        self.program.exit_wanted = -15
        self.program.wait_until(lambda: self.bus.name_has_owner(name), f"{name} on the bus")
        stage.at_end(f"{name}'s client", self.bus.close)

    def call(self, path: str, interface: str, member: str, signature: str = "", *body: object):
        return self.bus.call(self.name, path, interface, member, signature, body)


class Ofono(Mock):
    """oFono with one modem, by dbusmock's own template."""

    def __init__(self, stage: Stage, device: Device):
        super().__init__(stage, device, "org.ofono", ["--system", "--template", "ofono"])

    def dial(self) -> str:
        return self.call("/ril_0", "org.ofono.VoiceCallManager", "Dial", "ss", "+49301234567", "")[0]

    def hang_up(self, call: str) -> None:
        self.call(call, "org.ofono.VoiceCall", "Hangup")
        # The template sends this from the call that it has just removed, so that nobody gets it; oFono sends it from the modem.
        removed = ("org.ofono.VoiceCallManager", "CallRemoved", "o", [Variant("o", call)])
        self.call("/ril_0", MOCK, "EmitSignal", "sssav", *removed)


class ModemManager(Mock):
    """ModemManager with one modem that makes calls; the objects and signals are those of its documentation."""

    def __init__(self, stage: Stage, device: Device):
        root = "/org/freedesktop/ModemManager1"
        super().__init__(stage, device, MANAGER, ["--system", "-m", MANAGER, root, MANAGER])
        self.modem = f"{root}/Modem/0"
        self.call(root, MOCK, "AddObject", "ssa{sv}a(ssss)", self.modem, VOICE, {"Calls": Variant("ao", [])}, [])

    def ring(self, number: int = 0) -> str:
        """Somebody calls: state 3, ringing in."""
        call = f"/org/freedesktop/ModemManager1/Call/{number}"
        self.call(self.modem, MOCK, "AddObject", "ssa{sv}a(ssss)", call, CALL, {"State": Variant("i", 3)}, [])
        self._calls([call])
        self._emit(self.modem, VOICE, "CallAdded", "o", Variant("o", call))
        return call

    def change(self, call: str, old: int, new: int) -> None:
        """The call's state: 4 active, 5 held, 7 terminated."""
        self.call(call, "org.freedesktop.DBus.Properties", "Set", "ssv", CALL, "State", Variant("i", new))
        self._emit(call, CALL, "StateChanged", "iiu", Variant("i", old), Variant("i", new), Variant("u", 1))

    def forget(self, call: str) -> None:
        """The call is over and its object goes."""
        self._calls([])
        self.call(self.modem, MOCK, "RemoveObject", "s", call)
        self._emit(self.modem, VOICE, "CallDeleted", "o", Variant("o", call))

    def _calls(self, calls: list[str]) -> None:
        self.call(self.modem, MOCK, "UpdateProperties", "sa{sv}", VOICE, {"Calls": Variant("ao", calls)})

    def _emit(self, path: str, interface: str, signal: str, signature: str, *arguments: Variant) -> None:
        self.call(path, MOCK, "EmitSignal", "sssav", interface, signal, signature, list(arguments))
