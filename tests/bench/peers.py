"""What is measured: each peer sends a clip and a voice in real time, and receives them as raw pictures in a pipe.

All get the same input in the same way (Y4M from a FIFO that the feeder plays into, a WAV file) and deliver the same
output (Y4M into a pipe that the probe reads), so that all pay for the same copies.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from dbus_fast import Variant

from rig.camera import ClipCamera, clip_camera
from rig.device import Device, options, start_device
from rig.hub import start_hub
from rig.network import free_port
from rig.places import program
from rig.program import Program
from rig.recorder import Recorder, record_pipe
from rig.stage import Stage


@dataclass(frozen=True)
class Job:
    """What is sent."""

    width: int
    height: int
    kbps: int
    clip: Path
    voice: Path


@dataclass
class Running:
    """A peer at work."""

    sender: Program
    receiver: Program
    camera: ClipCamera
    recorder: Recorder
    others: dict[str, Program]
    """Further processes that belong to it, by what they are."""
    called_at: float
    """When the receiver was told to play (CLOCK_MONOTONIC, s)."""


def run_floor(stage: Stage, job: Job) -> Running:
    """The codecs alone, over bare UDP."""
    address = f"127.0.0.1:{free_port()}"
    read_end, write_end = os.pipe()
    receiver = stage.start("floor-receive", [program("floor"), "receive", address], stdout=write_end)
    os.close(write_end)
    recorder = record_pipe(stage, read_end)
    time.sleep(0.3)
    camera = clip_camera(stage, job.clip)
    called_at = time.monotonic()
    sender = stage.start(
        "floor-send",
        [program("floor"), "send", camera.source.removeprefix("file:"), address, f"--kbps={job.kbps}", f"--sound={job.voice}"],
    )
    return Running(sender, receiver, camera, recorder, {}, called_at)


def run_zegod(stage: Stage, job: Job) -> Running:
    """Two devices on a hub: one only publishes, the other only plays."""
    hub = start_hub(stage, log_level="warn")
    camera = clip_camera(stage, job.clip)
    sender = start_device(
        stage, "sender", hub=hub, camera=camera.source, microphone=f"file:{job.voice}",
        width=job.width, height=job.height, bitrate_kbps=job.kbps, log_level="warn",
    )  # fmt: skip
    receiver = start_device(stage, "receiver", hub=hub, camera="none", microphone="none", log_level="warn")
    receiver.login("bench")
    sender.login("bench")
    sender.publish("clip")
    receiver.wait("RoomStreamUpdate")
    time.sleep(0.5)
    view, recorder = pipe_view(stage, receiver)
    called_at = time.monotonic()
    receiver.call("StartPlaying", "clip", options(view=view))
    return Running(sender.program, receiver.program, camera, recorder, {"hub": hub.program}, called_at)


def pipe_view(stage: Stage, device: Device) -> tuple[int, Recorder]:
    """A view that writes Y4M to a recording probe."""
    read_end, write_end = os.pipe()
    target = {"kind": Variant("s", "pipe"), "fd": Variant("h", 0)}
    view = device.call("CreatePlatformView", target, fds=[write_end])[0]
    os.close(write_end)
    return view, record_pipe(stage, read_end)


PEERS = {"floor": run_floor, "zegod": run_zegod}
"""In the order in which they run."""
