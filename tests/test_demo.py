"""`make run` as a newcomer sees it: the demo program starts everything, shows that media flows, and cleans up."""

import os
import pty
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from rig.device import wait_until
from rig.network import free_port
from rig.places import ROOT, program

STATUS = re.compile(r"2 people +2 streams .*door.*fps.*desk.*fps")


def running() -> set[str]:
    """Programs of a demo that run now: all of them are told a path in its folder."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "/tmp/zego-demo-" in command and "zegoctl" not in command:
            found.add(f"{entry.name} {command}")
    return found


def files() -> set[Path]:
    return set(Path("/tmp").glob("zego-demo*"))


def demo(*words: str, listen: str | None = None) -> list[str]:
    return [program("demo"), "--listen", listen or f"127.0.0.1:{free_port()}", *words]


def test_it_runs_shows_and_ends_by_itself():
    before, left = running(), files()
    words = ["make", "--silent", "run", "DURATION=12", f"LISTEN=127.0.0.1:{free_port()}"]
    make = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = make.communicate(timeout=300)
    except BaseException:
        os.killpg(make.pid, signal.SIGTERM)  # whatever make is doing just now
        make.communicate()
        raise
    assert make.returncode == 0, output + errors
    lines = output.splitlines()
    assert [line for line in lines if re.search(r"http://127\.0\.0\.1:\d+/\?\S*room=lobby\S*token=\S+", line)]
    assert [line for line in lines if re.search(r"zegoctl --bus unix:\S+ status", line)]
    status = [line for line in lines if STATUS.search(line)]
    assert len(status) >= 8, output
    assert re.search(r"p50 +\d+ ms", status[-1]) and "Mbit/s" in status[-1] and "lost" in status[-1]
    assert "\r" not in output and "\x1b" not in output, "plain lines where there is no terminal"
    assert running() == before
    assert files() == left


def test_the_printed_commands_and_page_work():
    child = subprocess.Popen(demo("--duration", "20"), stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    try:
        text = ""
        while not STATUS.search(text):
            line = child.stdout.readline()
            assert line, text
            text += line
        address = re.search(r"http://\S+", text)[0]
        page = urllib.request.urlopen(address, timeout=5).read().decode()
        assert "<html" in page.lower()
        commands = re.findall(r"^\s*(\S*zegoctl --bus \S+ .+)$", text, re.MULTILINE)
        assert len(commands) >= 3, text
        for command in commands:
            if "monitor" in command or "--watch" in command:
                continue
            done = subprocess.run(command.split("#")[0], shell=True, cwd=ROOT, capture_output=True, text=True, timeout=20)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(10)
        child.stdout.close()


def test_ctrl_c_on_a_terminal_ends_all_of_it():
    before, left = running(), files()
    master, slave = pty.openpty()
    child = subprocess.Popen(demo(), stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    os.set_blocking(master, False)
    seen = b""

    def read() -> bytes:
        nonlocal seen
        try:
            seen += os.read(master, 65536)
        except BlockingIOError:
            pass
        return seen

    wait_until(lambda: len(STATUS.findall(read().decode().replace("\r", "\n"))) >= 3, "three status lines", 30)
    drawn = seen.decode().split("Ctrl-C")[-1]
    assert drawn.count("\n") <= 3 and "\x1b[" in drawn, "the status is drawn in place"
    begin = time.monotonic()
    # What the terminal does at Ctrl-C: SIGINT to the whole foreground group.
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(10) == 0, read().decode()
    assert time.monotonic() - begin < 5
    os.close(master)
    assert running() == before
    assert files() == left


def test_it_fails_when_media_does_not_flow():
    """A camera from which nothing comes: exit status 1, and the reason."""
    before, left = running(), files()
    done = subprocess.run(
        demo("--duration", "8", "--camera", "none"), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "door" in done.stderr
    assert running() == before
    assert files() == left


def test_a_busy_port_is_named():
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = subprocess.run(demo("--duration", "5", listen=f"127.0.0.1:{port}"), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert str(port) in done.stderr and "LISTEN=" in done.stderr, done.stderr
