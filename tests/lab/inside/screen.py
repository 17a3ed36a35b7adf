#!/usr/bin/env python3
"""screen.py NODE NUMBERS HOLD WIDTH HEIGHT: shows the known picture on a V4L2 output, whose format is set already.

Each number is shown HOLD times, at the pace of the device; after NUMBERS it begins again with 0.
"""

import subprocess
import sys

import picture

node, numbers, hold, width, height = sys.argv[1], *map(int, sys.argv[2:6])
frames = [picture.make(number, width, height) for number in range(numbers)]
screen = subprocess.Popen(["v4l2-ctl", "-d", node, "--stream-out-mmap=4", "--stream-from=-"], stdin=subprocess.PIPE)
while True:
    for frame in frames:
        for _ in range(hold):
            screen.stdin.write(frame)
