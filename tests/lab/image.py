"""From nothing but apt to a booted guest that can be cloned in a second.

Each step's result lies in build/lab under a name with the hash of everything that went into it, so a second run does
none of them again, and a change does those that it touches.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import machine
import modules

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / "build/lab"

# The guest's Debian: systemd and a bus, what feeds and looks at its devices, Python for the tests that run inside.
PACKAGES = [
    "systemd-sysv", "dbus", "dbus-daemon", "udev", "kmod", "procps", "iproute2",
    "alsa-utils", "v4l-utils", "python3", "python3-dbus-next",
]

# Units that a machine of a few minutes' life has no use for.
MASKED = [
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "getty@tty1.service", "serial-getty@ttyS0.service", "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service", "systemd-pstore.service", "systemd-random-seed.service",
    "systemd-journal-flush.service", "systemd-journal-catalog-update.service", "systemd-hwdb-update.service",
    "systemd-binfmt.service", "systemd-firstboot.service", "systemd-machine-id-commit.service", "ldconfig.service",
    "alsa-restore.service", "alsa-state.service", "proc-sys-fs-binfmt_misc.automount", "dev-hugepages.mount",
    "dev-mqueue.mount", "sys-kernel-tracing.mount", "modprobe@efi_pstore.service", "modprobe@drm.service",
]

# Devices that udev looks at when the guest starts: all others only cost time there.
COLDPLUG = ["block", "net", "sound", "video4linux", "virtio", "pci"]


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def run(*command, **options) -> subprocess.CompletedProcess:
    """Runs a command; its output is shown only when it fails."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.decode(errors="replace").splitlines()[-25:])
        raise SystemExit(f"`{' '.join(map(str, command))}` failed with status {done.returncode}:\n{tail}")
    return done


def digest(*parts) -> str:
    """A short hash of texts and files."""
    together = hashlib.sha256()
    for part in parts:
        together.update(part.read_bytes() if isinstance(part, Path) else str(part).encode())
        together.update(b"\0")
    return together.hexdigest()[:12]


def replace(folder: Path, key: str, build) -> Path:
    """The cached result of a step; builds it, and throws older ones away, when it is not there."""
    result = folder.with_name(f"{folder.name}-{key}")
    if not result.exists():
        for old in folder.parent.glob(f"{folder.name}-*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        unfinished = folder.with_name(f"{folder.name}-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        begin = time.monotonic()
        build(unfinished)
        unfinished.rename(result)
        say(f"{folder.name} made in {time.monotonic() - begin:.0f} s")
    return result


def kernel_package() -> str:
    """The package of the kernel that `linux-image-amd64` stands for today: it changes with every security update."""
    for _ in range(2):
        answer = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True)
        found = re.search(r"Depends: (linux-image-\S+)", answer.stdout)
        if found:
            return found[1]
        say("apt knows no kernel yet: apt-get update")
        run("apt-get", "update")
    raise SystemExit("apt has no package linux-image-amd64: check /etc/apt/sources.list")


def make_kernel(package: str, into: Path) -> None:
    """Downloads and unpacks the kernel; nothing of it is installed on this machine."""
    downloaded = subprocess.run(["apt-get", "download", package], cwd=into, capture_output=True, text=True)
    if downloaded.returncode != 0:
        # The list names a version that the mirror has replaced meanwhile.
        run("apt-get", "update")
        run("apt-get", "download", package, cwd=into)
    archive = next(into.glob("*.deb"))
    run("dpkg-deb", "-x", archive, into)
    archive.unlink()


def sources() -> list[Path]:
    """This machine's own Debian sources: the guest is made of the same."""
    candidates = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("debian*.sources"))]
    found = [path for path in candidates if path.exists() and re.search(r"^(deb|Types:)\s", path.read_text(), re.M)]
    if not found:
        raise SystemExit("no Debian source in /etc/apt/sources.list or /etc/apt/sources.list.d/debian*.sources")
    return found


def apt_options() -> list[str]:
    """How this machine's apt reaches its sources (proxies, retries, clocks), for the guest's apt."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True).stdout
    wanted = re.compile(r'^Acquire::(http|https|Check-Valid-Until|Check-Date|Retries|ForceIPv4)(::\S+)? "[^"]+";$', re.M)
    return [f"--aptopt={match[0]}" for match in wanted.finditer(dump)]


def make_rootfs(packages: list[str], into: Path) -> None:
    """Debian's packages in a tar."""
    suite = re.search(r"^VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text(), re.M)[1]
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info")]
    run(
        "mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(packages)}",
        "--aptopt=APT::Install-Recommends \"false\";", *apt_options(), *left_out, suite, into / "rootfs.tar", *sources(),
    )


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def settle(tree: Path) -> None:
    """The guest's own settings."""
    write(tree / "etc/hostname", "lab\n")
    write(tree / "etc/hosts", "127.0.0.1 localhost lab\n")
    write(tree / "etc/machine-id", "1ab0" * 8 + "\n")
    write(tree / "etc/fstab", "/dev/vda / ext4 noatime 0 0\n")
    write(tree / "etc/modules-load.d/lab.conf", "vivid\nsnd-aloop\n")
    # One instance with a camera node and a screen node: what is put on the screen is what the camera sees. Small pictures lie
    # in the screen's corner, and the camera cuts them out (1 and 2 stand for that): nothing is scaled, which costs much in an
    # emulated machine, and which the driver gets wrong.
    write(tree / "etc/modprobe.d/lab.conf",
          "options vivid n_devs=1 node_types=0x101 ccs_cap_mode=1 ccs_out_mode=2\noptions snd-aloop pcm_substreams=2\n")
    write(tree / "etc/systemd/journald.conf.d/lab.conf", "[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n")
    units = tree / "etc/systemd/system"
    write(units / "systemd-udev-trigger.service.d/lab.conf", "\n".join([
        "[Service]", "ExecStart=",
        "ExecStart=-udevadm trigger --type=devices --action=add "
        + " ".join(f"--subsystem-match={subsystem}" for subsystem in COLDPLUG), "",
    ]))
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    shutil.copy(HERE / "guest/agent.py", tree / "usr/local/lib/lab-agent.py")
    shutil.copy(HERE / "guest/management.link", tree / "etc/systemd/network/10-management.link")
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    for unit in ("lab-network.service", "lab-agent.service"):
        shutil.copy(HERE / "guest" / unit, units / unit)
        (wants / unit).symlink_to(f"../{unit}")
    # The people of the tests: one who may use zegod once its group is there, and one who may not.
    for number, name in enumerate(("resident", "stranger"), start=1000):
        run("chroot", tree, "useradd", "--create-home", "--uid", number, "--groups", "audio", name)


def make_image(rootfs: Path, kernel: Path, release: str, into: Path) -> None:
    """Kernel, initrd and disk."""
    tree, early = into / "tree", into / "early"
    tree.mkdir()
    run("tar", "-C", tree, "--numeric-owner", "--xattrs", "-xf", rootfs / "rootfs.tar")
    modules.install(kernel, release, tree, modules.BOOT + modules.DEVICES + modules.SYSTEM)
    settle(tree)
    for folder in ("bin", "dev", "proc", "sys", "root"):
        (early / folder).mkdir(parents=True)
    modules.install(kernel, release, early, modules.BOOT)
    shutil.copy("/bin/busybox", early / "bin/busybox")
    shutil.copy(HERE / "guest/init", early / "init")
    (early / "init").chmod(0o755)
    write(early / "modules", " ".join(modules.BOOT) + "\n")
    archive = run("cpio", "-o", "-H", "newc", "--quiet", cwd=early, input="\n".join(
        str(path.relative_to(early)) for path in [early, *sorted(early.rglob("*"))]).encode()).stdout
    (into / "initrd.gz").write_bytes(gzip.compress(archive, 1))
    shutil.copy(kernel / f"boot/vmlinuz-{release}", into / "vmlinuz")
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-m", "0", "-E",
        "lazy_itable_init=0,root_owner=0:0", "-d", tree, into / "root.ext4", "900M")
    shutil.rmtree(tree)
    shutil.rmtree(early)


def make_template(image: Path, into: Path) -> None:
    """Boots the image once and keeps the running machine."""
    shutil.copy(image / "vmlinuz", into)
    shutil.copy(image / "initrd.gz", into)
    run("cp", "--sparse=always", "--reflink=auto", image / "root.ext4", into / "disk.raw")
    with machine.boot(into) as guest:
        guest.agent.wait(600)
        guest.agent.check("for i in $(seq 300); do case $(systemctl is-system-running) in running|degraded) exit 0; esac; "
                          "sleep 0.3; done; systemctl list-jobs; exit 1")
        failed = guest.agent.check("systemctl --failed --no-legend --plain").strip()
        if failed:
            raise SystemExit(f"the guest started with failed units:\n{failed}")
        # Loaded once here, the programs of the tests are in every clone's memory.
        guest.agent.check("v4l2-ctl --list-devices; aplay -l; python3 -c 'import dbus_next, dbus_next.aio'; sync; sleep 1")
        guest.save()


def dependencies(packages: list[Path]) -> list[str]:
    """What Debian packages need beside each other. Of alternatives, the first."""
    own = {path.name.split("_")[0] for path in packages}
    fields = [subprocess.run(["dpkg-deb", "-f", path, "Depends"], capture_output=True, text=True, check=True).stdout
              for path in packages]
    names = {re.split(r"[ (|:]", need.strip())[0] for field in fields for need in field.split(",") if need.strip()}
    return sorted(names - own)


def template(extra_packages: list[str]) -> Path:
    """A booted guest with the given packages besides its own, ready to be cloned."""
    if os.geteuid() != 0:
        raise SystemExit("the virtual device is built by root: run it with sudo")
    if subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True).stdout.strip() != "amd64":
        raise SystemExit("the virtual device is an amd64 one: run it on an amd64 machine")
    CACHE.mkdir(parents=True, exist_ok=True)
    packages = PACKAGES + sorted(set(extra_packages) - set(PACKAGES))
    kernel_name = kernel_package()
    rootfs_key = digest(*packages, *sources())
    guest_files = sorted(path for path in (HERE / "guest").iterdir() if path.is_file())
    image_key = digest(rootfs_key, kernel_name, HERE / "image.py", HERE / "modules.py", *guest_files)
    emulator = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True).stdout
    template_key = digest(image_key, HERE / "machine.py", emulator)

    def build_image(into: Path) -> None:
        with ThreadPoolExecutor() as both:
            say("downloading the kernel and Debian's packages, about a minute and a half")
            kernel = both.submit(replace, CACHE / "kernel", kernel_name, lambda into: make_kernel(kernel_name, into))
            rootfs = both.submit(replace, CACHE / "rootfs", rootfs_key, lambda into: make_rootfs(packages, into))
            make_image(rootfs.result(), kernel.result(), kernel_name.removeprefix("linux-image-"), into)

    def build_template(into: Path) -> None:
        image = replace(CACHE / "image", image_key, build_image)
        say("booting it once, about half a minute")
        make_template(image, into)

    return replace(CACHE / "template", template_key, build_template)
