#!/usr/bin/env python3
"""screen.py FILE NUMBERS WIDTH HEIGHT: writes the frames of the known picture that a screen shows, one after the other."""

import sys

import picture

path, numbers, width, height = sys.argv[1], *map(int, sys.argv[2:5])
with open(path, "wb") as file:
    for number in range(numbers):
        file.write(picture.make(number, width, height))
