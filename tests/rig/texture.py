"""Texture views read from Python: a client of the documented memory layout, as a kiosk's user interface would be.

`Recorder` in `recorder.py` counts every frame; this one looks at single pictures.
"""

import mmap
import os
import select
import struct
import time
from dataclasses import dataclass

import numpy as np

from rig.bar import luma_of_bgrx

PIXELS = 64
"""Where the pixels of a slot begin."""


@dataclass(frozen=True)
class Frame:
    """One frame, copied out of the view."""

    number: int
    captured_ns: int
    """CLOCK_MONOTONIC ns, 0 = unknown."""
    source_width: int
    source_height: int
    luma: np.ndarray
    """(height, width), u8."""
    pixels: np.ndarray
    """`XR24`: (height, width, 4) as B, G, R, X; `YU12`: the bytes of the three planes."""


class Texture:
    """An opened texture view: the two descriptors of `OpenTexture`, which it closes in the end."""

    def __init__(self, view: int, memory: int, wakeup: int, layout: dict):
        self.view = view
        self.memory = memory
        self.wakeup = wakeup
        self.layout = layout
        size = os.fstat(memory).st_size
        self._map = mmap.mmap(memory, size, mmap.MAP_SHARED, mmap.PROT_READ)
        magic, self.version, self.slots, self.slot_size, self.first, self.fourcc = struct.unpack_from(
            "<4s4I4s", self._map, 0
        )
        self.width, self.height, self.stride = struct.unpack_from("<3I", self._map, 24)
        if magic != b"ZGTX":
            raise ValueError(f"not a texture view: it begins with {magic!r}")

    @property
    def newest(self) -> int:
        """The number of the newest complete frame; 0 = none yet."""
        return struct.unpack_from("<Q", self._map, 40)[0]

    @property
    def superseded(self) -> bool:
        return struct.unpack_from("<I", self._map, 48)[0] == 1

    def read(self, number: int) -> Frame | None:
        """Copies frame `number`; None when it is no longer (or not) there in one piece."""
        slot = self.first + number % self.slots * self.slot_size
        before, stored = struct.unpack_from("<2Q", self._map, slot)
        if before % 2 or stored != number:
            return None
        captured, width, height = struct.unpack_from("<Q2I", self._map, slot + 16)
        size = self.stride * self.height
        if self.fourcc == b"YU12":
            pixels = np.frombuffer(self._map, np.uint8, size * 3 // 2, slot + PIXELS).copy()
            luma = pixels[:size].reshape(self.height, self.stride)[:, : self.width]
        else:
            rows = np.frombuffer(self._map, np.uint8, size, slot + PIXELS).copy().reshape(self.height, self.stride)
            pixels = rows[:, : self.width * 4].reshape(self.height, self.width, 4)
            luma = luma_of_bgrx(pixels)
        if struct.unpack_from("<2Q", self._map, slot) != (before, number):
            return None
        return Frame(number, captured, width, height, luma, pixels)

    def next(self, after: int = 0, timeout: float = 10.0) -> Frame:
        """Waits for a frame newer than `after`, and copies the newest."""
        deadline = time.monotonic() + timeout
        while True:
            number = self.newest
            frame = self.read(number) if number > after else None
            if frame:
                return frame
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"view {self.view}: no frame after {after} within {timeout:g} s")
            if select.select([self.wakeup], [], [], min(left, 0.5))[0]:
                os.read(self.wakeup, 8)

    def close(self) -> None:
        """Unmaps and closes it; harmless when done already."""
        if self._map.closed:
            return
        self._map.close()
        os.close(self.memory)
        os.close(self.wakeup)
