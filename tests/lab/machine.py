"""Emulated machines: one that is booted and saved, and its clones, which begin where it was saved.

The memory of the saved machine is a file. A clone maps it copy-on-write and only loads the state of its devices, so it
runs after a fraction of a second; its disk keeps no change. Nothing reaches the guest, and the guest reaches nothing,
but for the agent's port on 127.0.0.1.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from agent import Agent

MEMORY_MB = 640


class Control:
    """QEMU's control socket."""

    def __init__(self, path: Path, patience: float = 30):
        end = time.monotonic() + patience
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                self._socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        self._stream = self._socket.makefile("rw")
        self._stream.readline()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments):
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        for line in self._stream:
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise RuntimeError(f"{command}: QEMU is gone")


class Machine:
    """A running machine."""

    def __init__(self, folder: Path, process: subprocess.Popen, control: Control, agent: Agent):
        self.folder, self.process, self.control, self.agent = folder, process, control, agent

    def save(self) -> None:
        """Stops it and writes its state beside its memory."""
        self.control("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
        self.control("migrate-set-parameters", **{"max-bandwidth": 1 << 34})
        self.control("stop")
        self.control("migrate", uri=f"exec:cat > {self.folder / 'state'}")
        while True:
            status = self.control("query-migrate").get("status")
            if status == "completed":
                break
            if status in ("failed", "cancelled"):
                raise RuntimeError(f"saving the machine: {status}")
            time.sleep(0.02)
        self.control("quit")
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def _start(folder: Path, state: Path, clone: bool):
    """Runs QEMU with the machine of `folder`; `state` takes what belongs to this run."""
    port = _free_port()
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        # AVX is emulated slowly: with a processor that has none, the codecs choose code that is not.
        "-machine", "q35,memory-backend=ram", "-cpu", "Nehalem", "-accel", "tcg,thread=multi,tb-size=256", "-smp", "2",
        "-m", str(MEMORY_MB),
        "-object", f"memory-backend-file,id=ram,size={MEMORY_MB}M,mem-path={folder / 'memory'},share={'off' if clone else 'on'}",
        "-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.gz"),
        "-append", "console=ttyS0 quiet loglevel=3 mitigations=off nokaslr tsc=reliable no_timer_check audit=0 rw",
        "-chardev", f"file,id=console,path={state / 'console.log'}", "-serial", "chardev:console",
        "-qmp", f"unix:{state / 'control'},server=on,wait=off",
        "-device", "virtio-rng-pci",
        "-drive", f"if=none,id=disk,file={folder / 'disk.raw'},format=raw,cache=unsafe,snapshot={'on' if clone else 'off'}",
        "-device", "virtio-blk-pci,drive=disk",
        "-netdev", f"user,id=management,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:7700",
        "-device", "virtio-net-pci,netdev=management,mac=52:54:00:00:00:01,romfile=",
    ]
    if clone:
        command += ["-incoming", "defer"]
    log = (state / "qemu.log").open("w")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield Machine(folder, process, Control(state / "control"), Agent(port))
    except (OSError, RuntimeError) as error:
        said = (state / "qemu.log").read_text().strip() or (state / "console.log").read_text()[-2000:]
        raise SystemExit(f"the virtual device failed: {error}\n{said}") from error
    finally:
        process.terminate()
        process.wait()
        log.close()


@contextlib.contextmanager
def boot(folder: Path):
    """Boots the machine in `folder` (vmlinuz, initrd.gz, disk.raw)."""
    # The control socket's path must be short.
    state = Path(tempfile.mkdtemp(prefix="zegod-lab-"))
    try:
        with _start(folder, state, clone=False) as machine:
            yield machine
    finally:
        shutil.rmtree(state)


@contextlib.contextmanager
def clone(folder: Path):
    """A machine that goes on where the one in `folder` was saved."""
    state = Path(tempfile.mkdtemp(prefix="zegod-lab-"))
    try:
        with _start(folder, state, clone=True) as machine:
            machine.control("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
            machine.control("migrate-incoming", uri=f"exec:cat {folder / 'state'}")
            while machine.control("query-status")["status"] == "inmigrate":
                time.sleep(0.01)
            machine.control("cont")
            machine.agent.wait(60)
            # The guest's clock stands where the machine was saved.
            machine.agent.check(f"date -s @{time.time():.3f} >/dev/null")
            yield machine
    finally:
        shutil.rmtree(state)
