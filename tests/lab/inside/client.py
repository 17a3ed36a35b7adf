#!/usr/bin/env python3
"""A user interface in Python, as far as zegod is concerned: a call on the system bus by Debian's dbus-next.

  client.py ROOM USER TOKEN SERVER OWN_STREAM OTHER_STREAM

Logs in, publishes, plays the other's stream into a texture and into a pipe, reads the test picture's bar from both, stops and
logs out. Prints one line for each thing seen; ends with status 1 and the reason when one is missing.
"""

import asyncio
import mmap
import os
import select
import struct
import sys
import time

from dbus_next import BusType, Message, MessageType, Variant
from dbus_next.aio import MessageBus

from picture import read_bar

ENGINE = "org.zegod1.Engine"


class Client:
    def __init__(self, bus):
        self.bus, self.signals = bus, []
        bus.add_message_handler(self.receive)

    def receive(self, message):
        if message.message_type == MessageType.SIGNAL and message.interface == ENGINE:
            self.signals.append((message.member, message.body))

    async def call(self, method, signature="", *body, descriptors=(), path="/org/zegod1", interface=ENGINE):
        answer = await self.bus.call(Message(
            destination="org.zegod1", path=path, interface=interface, member=method, signature=signature, body=list(body),
            unix_fds=list(descriptors)))
        if answer.message_type == MessageType.ERROR:
            sys.exit(f"{method} was refused: {answer.error_name}: {answer.body[0]}")
        return answer

    async def signal(self, name, wanted, patience=30):
        """Waits for a signal with the given beginning of its arguments."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if any(member == name and body[:len(wanted)] == wanted for member, body in self.signals):
                print(f"signal {name}{tuple(wanted)}")
                return
            await asyncio.sleep(0.05)
        sys.exit(f"no signal {name} with {wanted}; there were {self.signals}")


async def texture_counters(client, view, count):
    """The numbers of the pictures that a texture shows, read as any user interface would."""
    answer = await client.call("OpenTexture", "t", view)
    memory, wakeup = (answer.unix_fds[index] for index in answer.body[:2])
    pixels = mmap.mmap(memory, 0, prot=mmap.PROT_READ)
    assert pixels[:4] == b"ZGTX", pixels[:4]
    _, slots, slot_size, first = struct.unpack_from("<4I", pixels, 4)
    width, height, stride = struct.unpack_from("<3I", pixels, 24)
    assert answer.body[2]["width"].value == width and pixels[20:24] == b"XR24"
    counters, torn, end = [], 0, time.monotonic() + 60
    while len(counters) < count and time.monotonic() < end:
        await asyncio.sleep(0)
        if not select.select([wakeup], [], [], 5)[0]:
            break
        os.read(wakeup, 8)
        number, = struct.unpack_from("<Q", pixels, 40)
        slot = first + number % slots * slot_size
        lock, = struct.unpack_from("<Q", pixels, slot)
        bar = b"".join(pixels[slot + 64 + row * stride:slot + 64 + row * stride + width * 4] for row in range(16))
        if lock % 2 or struct.unpack_from("<Q", pixels, slot)[0] != lock:
            torn += 1
            continue
        # Grey cells: green is as good as luma.
        counter = read_bar(bar[1::4], width)
        assert counter is not None, "a damaged bar in the texture"
        counters.append(counter)
    print(f"texture {width}x{height}: {len(counters)} pictures read, {torn} overtaken while they were read")
    return counters


def pipe_counters(descriptor, count):
    """The numbers of the pictures that come through a pipe."""
    with os.fdopen(descriptor, "rb") as stream:
        header = {field[0]: field[1:] for field in stream.readline().decode().split()[1:]}
        width, height = int(header["W"]), int(header["H"])
        counters = []
        for _ in range(count):
            assert stream.readline().startswith(b"FRAME")
            counter = read_bar(stream.read(width * height * 3 // 2), width)
            assert counter is not None, "a damaged bar in the pipe"
            counters.append(counter)
        print(f"pipe {width}x{height}: {len(counters)} pictures read")
        return counters


def in_order(counters, least, what):
    steps = [(after - before) & 0xFFFF for before, after in zip(counters, counters[1:])]
    if len(counters) < least or not all(0 < step < 1000 for step in steps):
        sys.exit(f"{what}: expected {least} pictures in order, got {counters}")


async def main(room, user, token, server, own, other):
    client = Client(await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect())
    await client.bus.call(Message(
        destination="org.freedesktop.DBus", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
        member="AddMatch", signature="s", body=["type='signal',sender='org.zegod1'"]))
    config = {"token": Variant("s", token), "server": Variant("s", server)}
    answer = await client.call("LoginRoom", "sssa{sv}", room, user, "Python", config)
    assert answer.body[1] == 2, f"state {answer.body[1]} after the login"
    await client.signal("RoomStateUpdate", [room, 1, 0])
    await client.signal("RoomStateUpdate", [room, 2, 0])
    await client.call("StartPublishing", "sa{sv}", own, {})
    await client.signal("PublisherStateUpdate", [own, 2, 0])
    await client.signal("PublisherFirstFrame", [own, "video_sent"])

    view = (await client.call("CreateTextureRenderer", "uua{sv}", 320, 240, {})).body[0]
    await client.call("StartPlaying", "sa{sv}", other, {"view": Variant("t", view)})
    await client.signal("PlayerStateUpdate", [other, 2, 0])
    await client.signal("PlayerFirstFrame", [other, "video_rendered"])
    in_order(await texture_counters(client, view, 20), 20, "texture")

    await client.call("StopPlaying", "s", other)
    reading, writing = os.pipe()
    pipe = (await client.call("CreatePlatformView", "a{sv}", {"kind": Variant("s", "pipe"), "fd": Variant("h", 0)},
                              descriptors=[writing])).body[0]
    os.close(writing)
    await client.call("StartPlaying", "sa{sv}", other, {"view": Variant("t", pipe)})
    counters = await asyncio.get_running_loop().run_in_executor(None, pipe_counters, reading, 20)
    in_order(counters, 20, "pipe")

    await client.call("StopPlaying", "s", other)
    await client.call("StopPublishing", "s", own)
    await client.call("LogoutRoom", "s", room)
    await client.signal("RoomStateUpdate", [room, 0, 0])


asyncio.run(main(*sys.argv[1:]))
