"""A call between two devices, as many tests begin."""

from collections.abc import Callable

from rig.device import Device
from rig.texture import Texture


def enter(device: Device) -> None:
    """Logs a device in to the lobby."""
    device.login("lobby")


def watch(door: Device, desk: Device, login: Callable[[Device], None] = enter) -> Texture:
    """Both log in to the lobby, `door` publishes, `desk` plays it; returns the view, when its first picture is there."""
    for device in (door, desk):
        login(device)
    door.publish(door.name)
    view = desk.texture()
    desk.play(door.name, view=view.view)
    view.next()
    return view
