"""A call between two devices, as many tests begin."""

from rig.device import Device
from rig.texture import Texture


def watch(door: Device, desk: Device) -> Texture:
    """Both log in to the lobby, `door` publishes, `desk` plays it; returns the view, when its first picture is there."""
    for device in (door, desk):
        device.login("lobby")
    door.publish(door.name)
    view = desk.texture()
    desk.play(door.name, view=view.view)
    view.next()
    return view
