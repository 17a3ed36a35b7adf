"""The known picture: what it looks like, and whether a device showed it.

A frame carries its number in the bar of zegod's test picture (16 rows of 40 cells: 1010, number, milliseconds, check), and
below it four fields of colours that depend on the number.
"""

import io

ROWS, CELLS = 16, 40
COLOURS = [(60, 90, 200), (180, 60, 110), (110, 190, 80), (200, 128, 128), (80, 170, 160)]


def bar_bits(number: int, millis: int) -> int:
    """The 40 bits of a bar."""
    payload = number << 16 | millis
    check = 0
    for shift in range(0, 32, 4):
        check ^= payload >> shift & 15
    return 0b1010 << 36 | payload << 4 | check


def read_bar(luma: bytes, width: int):
    """The number in the bar of a picture whose rows have `width` bytes; None when it is damaged."""
    cell = width // CELLS
    bits = 0
    for index in range(CELLS):
        begin = index * cell + cell // 4
        end = max(index * cell + cell * 3 // 4, begin + 1)
        rows = range(ROWS // 4, ROWS * 3 // 4)
        total = sum(sum(luma[row * width + begin:row * width + end]) for row in rows)
        bits = bits << 1 | (total > 126 * (end - begin) * len(rows))
    number = bits >> 20 & 0xFFFF
    return number if bits == bar_bits(number, bits >> 4 & 0xFFFF) else None


def field_colours(number: int) -> list:
    """Y, U and V of the four fields: upper left, upper right, lower left, lower right."""
    return [COLOURS[(number // 5 + field) % len(COLOURS)] for field in range(4)]


def make(number: int, width: int, height: int) -> bytes:
    """The known picture with a number: planes Y, U and V."""
    bits = bar_bits(number, number * 67 & 0xFFFF)
    cell = width // CELLS
    cells = b"".join(bytes([235 if bits >> (CELLS - 1 - index) & 1 else 16]) * cell for index in range(CELLS))
    colours = field_colours(number)
    planes = []
    for plane, half in ((0, 1), (1, 2), (2, 2)):
        columns, rows, bar = width // half, height // half, ROWS // half
        top = cells.ljust(width, b"\x10") if plane == 0 else b"\x80" * columns
        upper, lower = (bytes([left[plane]]) * (columns // 2) + bytes([right[plane]]) * (columns - columns // 2)
                        for left, right in (colours[:2], colours[2:]))
        planes.append(top * bar + upper * (rows // 2 - bar) + lower * (rows - rows // 2))
    return b"".join(planes)


def pictures(y4m: bytes):
    """Width, height and pixels of the pictures of a Y4M stream, without one that is cut off."""
    stream = io.BytesIO(y4m)
    size = {field[0]: field[1:] for field in stream.readline().decode().split()[1:]}
    width, height = int(size["W"]), int(size["H"])
    while stream.readline().startswith(b"FRAME"):
        pixels = stream.read(width * height * 3 // 2)
        if len(pixels) == width * height * 3 // 2:
            yield width, height, pixels


def colours_off(pixels: bytes, width: int, height: int, number: int) -> float:
    """By how much the middle of the worst of the four fields is off its colour, in one of Y, U and V."""
    planes = [(0, width, height), (width * height, width // 2, height // 2), (width * height * 5 // 4, width // 2, height // 2)]
    worst = 0.0
    for field, colour in enumerate(field_colours(number)):
        for (start, columns, rows), wanted in zip(planes, colour):
            x, y = columns // 4 + field % 2 * columns // 2, (rows * 5 // 16, rows * 3 // 4)[field // 2]
            around = [pixels[start + (y + row) * columns + x + column] for row in range(-3, 4) for column in range(-3, 4)]
            worst = max(worst, abs(sum(around) / len(around) - wanted))
    return worst


def judge(y4m: bytes, modulo: int, least: int, known: bool) -> str:
    """What a device showed, in words: at least `least` pictures, all intact and in the order of their numbers, which begin
    again at `modulo` (none of them counts twice); with the known picture's colours if it was `known`. Raises AssertionError otherwise."""
    numbers, damaged, off = [], 0, 0.0
    for width, height, pixels in pictures(y4m):
        number = read_bar(pixels, width)
        if number is None:
            damaged += 1
            continue
        numbers.append(number)
        if known:
            off = max(off, colours_off(pixels, width, height, number))
    steps = [(after - before) % modulo for before, after in zip(numbers, numbers[1:])]
    # A screen and a camera that run side by side may see a picture twice, or miss one; never an older one.
    backwards = sum(step >= modulo // 2 for step in steps)
    twice, missed = steps.count(0), sum(step - 1 for step in steps if 0 < step < modulo // 2)
    seen = (f"{len(numbers)} intact pictures, {damaged} damaged, {backwards} out of order, {twice} seen twice, {missed} left out"
            + (f", colours off by at most {off:.0f} of 255" if known else ""))
    if len(numbers) - twice < least or damaged or backwards or off > 16:
        raise AssertionError(f"{seen}; expected at least {least}, all intact and in order, with colours off by at most 16")
    return seen
