"""Snapshots: images of the camera and of a played stream, which any program can open."""

import io
import os
import time

import numpy as np
from dbus_fast import Variant
from PIL import Image
from rig.bar import read_bar
from rig.call import watch
from rig.device import Device, options
from rig.places import program


def snapshot(device: Device, stream: str = "", **wishes: object) -> Image.Image:
    """Takes a snapshot, whose descriptor is read from its beginning and cannot be changed."""
    (memory,) = device.call("TakeSnapshot", stream, options(**wishes))
    with open(memory, "rb") as file:
        data = file.read()
        try:
            os.pwrite(memory, b"x", 0)
            raise AssertionError("the image can be changed")
        except OSError:
            pass
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def check(image: Image.Image, kind: str, size: tuple[int, int]) -> int:
    """The image is what was asked for and shows the camera's picture, made just now; the bar's counter."""
    assert (image.format, image.mode, image.size) == (kind, "RGB", size)
    pixels = np.asarray(image).astype(np.float32)
    luma = (pixels @ [0.299, 0.587, 0.114]).astype(np.uint8)
    bar = read_bar(luma)
    assert bar, "the bar is damaged"
    assert bar.age_ms() < 3000
    # White and black of the bar are those of a screen, not those of video.
    rows = luma[4:12, : size[0] // 40 * 4]
    assert rows.max() > 245 and rows.min() < 10, f"{rows.min()} to {rows.max()}"
    return bar.counter


def test_the_camera_s_picture_is_taken_in_both_formats(device):
    """Of a preview, without any room."""
    door = device("door", hub=None)
    door.call("StartPreview", options())
    first = check(snapshot(door), "PNG", (640, 480))
    second = check(snapshot(door, format="jpeg"), "JPEG", (640, 480))
    assert 0 < (second - first) & 0xFFFF < 300
    check(snapshot(door, format="png"), "PNG", (640, 480))


def test_a_snapshot_has_the_size_that_is_encoded(device):
    door = device("door", hub=None)
    door.call("SetVideoConfig", options(encode_width=320, encode_height=240), 0)
    door.call("StartPreview", options())
    check(snapshot(door), "PNG", (320, 240))


def test_own_and_played_streams_are_taken_by_their_ids(hub, device):
    door, desk = device("door", fps=30), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door-cam", channel=1)
    view = desk.texture()
    desk.play("door-cam", view=view.view)
    view.next()
    check(snapshot(door, "door-cam"), "PNG", (640, 480))
    check(snapshot(desk, "door-cam"), "PNG", (640, 480))
    check(snapshot(desk, "door-cam", format="jpeg"), "JPEG", (640, 480))
    # Nothing of the call was disturbed.
    newest = view.newest
    time.sleep(1)
    assert view.newest - newest > 15


def test_refusals_say_what_is_missing(hub, device):
    door, desk = device("door"), device("desk")
    assert door.refusal("TakeSnapshot", "", options()).code == 1003001
    assert door.refusal("TakeSnapshot", "nobody", options()).code == 1004011
    assert door.refusal("TakeSnapshot", "a b", options()).code == 1000016
    door.call("StartPreview", options())
    assert door.refusal("TakeSnapshot", "", options(format="bmp")).code == 1000017
    assert door.refusal("TakeSnapshot", "", {"formt": Variant("s", "png")}).code == 1000017
    door.call("EnableCamera", False, 0)
    assert door.refusal("TakeSnapshot", "", options()).code == 1003030
    door.call("EnableCamera", True, 0)
    check(snapshot(door), "PNG", (640, 480))
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    desk.play("door")
    assert desk.refusal("TakeSnapshot", "door", options()).code == 1004030, "only its sound is played"


def test_a_stream_whose_pictures_stopped_gives_none(hub, device):
    door, desk = device("door"), device("desk")
    watch(door, desk)
    mark = desk.mark()
    door.call("EnableCamera", False, 0)
    desk.wait("RemoteDeviceStateUpdate", lambda s: s.args[:2] == ["door", "camera"], after=mark)
    time.sleep(0.5)
    begin = time.monotonic()
    assert desk.refusal("TakeSnapshot", "door", options()).code == 1004030
    assert time.monotonic() - begin < 3


def test_zegoctl_saves_a_picture_by_the_file_s_suffix(stage, device):
    door = device("door", hub=None)
    door.call("StartPreview", options())
    for suffix, kind in (("png", "PNG"), ("jpg", "JPEG")):
        file = stage.path(f"door.{suffix}")
        ctl = stage.start(f"snapshot-{suffix}", [program("zegoctl"), "--bus", door.address, "snapshot", "-o", str(file)])
        assert ctl.wait() == 0
        check(Image.open(file), kind, (640, 480))
