"""A screen without a monitor: Xvfb, which keeps its pixels in a file that can be read at any time."""

import struct
import zlib
from pathlib import Path

import numpy as np

from rig.program import Program
from rig.stage import Stage


class Screen:
    """A running X server with one screen."""

    def __init__(self, stage: Stage, width: int = 1024, height: int = 512):
        folder = stage.path("screen")
        folder.mkdir()
        self._pixels = folder / "Xvfb_screen0"
        self.program: Program = stage.start(
            "xvfb",
            ["Xvfb", "-displayfd", "1", "-screen", "0", f"{width}x{height}x24", "-fbdir", str(folder), "-nolisten", "tcp"],
        )
        number = self.program.wait_for_line(r"^(\d+)$")[1]
        self.display = f":{number}"

    def picture(self) -> np.ndarray:
        """What it shows: (height, width, 4), B, G, R, X. The file is an X window dump (xwd), big-endian header."""
        data = self._pixels.read_bytes()
        header = struct.unpack_from(">25I", data)
        size, width, height, stride, colours = header[0], header[4], header[5], header[12], header[19]
        begin = size + colours * 12
        rows = np.frombuffer(data, np.uint8, stride * height, begin).reshape(height, stride)
        return rows[:, : width * 4].reshape(height, width, 4)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Writes B, G, R, X pixels as a PNG (RFC 2083: 8-bit RGB, no filter)."""
    height, width, _ = picture.shape
    lines = np.zeros((height, 1 + width * 3), np.uint8)
    lines[:, 1:] = picture[..., 2::-1].reshape(height, width * 3)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
