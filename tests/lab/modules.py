"""Which kernel modules a guest needs, and all that those need."""

import re
import shutil
import subprocess
from pathlib import Path

# Debian's kernel has even the disk and its file system as modules: the initrd must bring them.
BOOT = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "ext4", "crc32c_generic"]
# What the tests are about (a camera with a screen for it to look at, a sound card that hears what it plays), and systemd's.
DEVICES = ["vivid", "snd-aloop"]
SYSTEM = ["autofs4", "configfs", "af_packet", "unix_diag"]


def _name(text: str) -> str:
    """A module's name as the kernel writes it, from a file name or a list."""
    return re.sub(r"\.ko(\..*)?$", "", Path(text).name).replace("-", "_")


def _closure(base: Path, wanted: list[str]) -> set[str]:
    """The files of the wanted modules and of everything they depend on, soft dependencies included."""
    depends = {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        depends[_name(path)] = (path, [_name(need) for need in needs.split()])
    soft = {}
    for line in (base / "modules.softdep").read_text().splitlines():
        words = line.split()
        if words[:1] == ["softdep"]:
            soft.setdefault(_name(words[1]), []).extend(_name(word) for word in words[2:] if not word.endswith(":"))
    files, seen, todo = set(), set(), [_name(want) for want in wanted]
    while todo:
        module = todo.pop()
        # What is not in the list is built into this kernel.
        if module in seen or module not in depends:
            continue
        seen.add(module)
        path, needs = depends[module]
        files.add(path)
        todo += needs + soft.get(module, [])
    return files


def install(kernel: Path, release: str, target: Path, wanted: list[str]) -> int:
    """Copies the wanted modules from an unpacked kernel package into a tree, stripped; returns how many there are."""
    base = kernel / "lib/modules" / release
    if not (base / "modules.dep").exists():
        subprocess.run(["depmod", "-b", kernel, release], check=True)
    into = target / "lib/modules" / release
    files = _closure(base, wanted)
    for file in sorted(files):
        copy = into / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        # Without their signature and debugging data they load several times faster in an emulated machine.
        subprocess.run(["strip", "--strip-debug", "-o", copy, base / file], check=True)
    for file in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if (base / file).exists():
            shutil.copy(base / file, into / file)
    subprocess.run(["depmod", "-b", target, release], check=True)
    return len(files)
