"""The machine-readable bar of the `pattern` camera, and its flash (docs/design: "Simulated devices").

The top 16 luma rows hold 40 equal cells, white = 1: `1010`, 16-bit frame counter, 16-bit milliseconds of CLOCK_MONOTONIC,
4-bit xor of the eight nibbles before it. In the first 100 ms of each second a white square fills the bottom right corner.
"""

import time
from dataclasses import dataclass

import numpy as np

ROWS = 16
CELLS = 40


@dataclass(frozen=True)
class Bar:
    """What a bar says."""

    counter: int
    """Frame number, modulo 65536."""
    made_ms: int
    """CLOCK_MONOTONIC milliseconds when the frame was made, modulo 65536."""

    def age_ms(self, now: float | None = None) -> int:
        """Milliseconds since the frame was made, at `now` (seconds of CLOCK_MONOTONIC)."""
        return (int((time.monotonic() if now is None else now) * 1000) - self.made_ms) & 0xFFFF


def read_bar(luma: np.ndarray) -> Bar | None:
    """Reads the bar of a picture's luma plane (height, width; u8); None when it is not intact."""
    height, width = luma.shape
    # The page and the codecs may scale the picture; the bar scales with it.
    cell = width / CELLS
    rows = luma[ROWS // 4 : ROWS * 3 // 4].mean(axis=0)
    bits = 0
    for index in range(CELLS):
        level = rows[round((index + 0.3) * cell) : max(round((index + 0.7) * cell), round((index + 0.3) * cell) + 1)].mean()
        bits = bits << 1 | int(level > 125)
    counter, made_ms = bits >> 20 & 0xFFFF, bits >> 4 & 0xFFFF
    return Bar(counter, made_ms) if bits == pack_bar(counter, made_ms) else None


def pack_bar(counter: int, made_ms: int) -> int:
    """The 40 bits of a bar."""
    payload = counter << 16 | made_ms
    check = 0
    for shift in range(0, 32, 4):
        check ^= payload >> shift & 15
    return 0b1010 << 36 | payload << 4 | check


def luma_of_bgrx(pixels: np.ndarray) -> np.ndarray:
    """Luma of `XR24` pixels (height, width, 4; u8), BT.601 weights on 0–255."""
    blue, green, red = (pixels[..., channel].astype(np.float32) for channel in range(3))
    return (0.299 * red + 0.587 * green + 0.114 * blue).astype(np.uint8)


def flash_is_on(luma: np.ndarray) -> bool:
    """Whether the white square is in the bottom right corner."""
    height, width = luma.shape
    side = height // 4
    square = luma[height - side * 3 // 4 : height - side // 4, width - side * 3 // 4 : width - side // 4]
    return bool(square.mean() > 200)
