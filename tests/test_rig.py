"""The rig itself: an instrument that cannot see a fault proves nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rig.bar import CELLS, ROWS, Bar, flash_is_on, pack_bar, read_bar
from rig.bus import BusClient, BusError, start_bus
from rig.device import wait_until
from rig.network import free_port, make_link
from rig.places import ROOT, program
from rig.program import ProgramError
from rig.recorder import record_pipe, unwrap
from rig.sound import RATE, find_beeps


def picture_with(bar: Bar, width: int = 640, height: int = 480) -> np.ndarray:
    luma = np.full((height, width), 90, np.uint8)
    bits = pack_bar(bar.counter, bar.made_ms)
    for cell in range(CELLS):
        white = bits >> (CELLS - 1 - cell) & 1
        luma[:ROWS, cell * width // CELLS : (cell + 1) * width // CELLS] = 235 if white else 16
    return luma


def test_the_bar_is_read_at_any_size():
    for width, height in [(160, 120), (320, 240), (640, 480), (1280, 720)]:
        bar = Bar(54321, 4242)
        assert read_bar(picture_with(bar, width, height)) == bar


def test_a_damaged_bar_is_not_read():
    luma = picture_with(Bar(1, 2))
    for cell in range(CELLS):
        damaged = luma.copy()
        damaged[:ROWS, cell * 16 : (cell + 1) * 16] = 251 - damaged[:ROWS, cell * 16 : (cell + 1) * 16]
        assert read_bar(damaged) is None, f"cell {cell} was changed and nobody noticed"


def test_the_flash_is_seen_only_when_it_is_there():
    luma = picture_with(Bar(1, 2))
    assert not flash_is_on(luma)
    luma[-120:, -120:] = 235
    assert flash_is_on(luma)


def test_beeps_are_found_with_place_pitch_and_level():
    time = np.arange(RATE * 3) / RATE
    samples = np.where(time % 1 < 0.1, 10 ** (-12 / 20) * np.sin(2 * np.pi * 1000 * time), 0).astype(np.float32)
    samples += np.random.default_rng(1).normal(0, 0.002, len(samples)).astype(np.float32)
    beeps = find_beeps(samples)
    assert [round(b.begin) for b in beeps] == [0, 1, 2]
    assert all(abs(b.begin - round(b.begin)) < 0.001 and abs(b.length - 0.1) < 0.006 for b in beeps)
    assert all(abs(b.peak + 12) < 0.3 and abs(b.frequency - 1000) < 10 for b in beeps)
    assert not find_beeps(samples, frequency=2000)


def test_counters_are_unwrapped_in_both_directions():
    assert unwrap([65534, 65535, 0, 1]) == [65534, 65535, 65536, 65537]
    assert unwrap([0, 65535, 1]) == [0, -1, 1]


def test_a_bus_answers_and_gives_descriptors_only_what_was_asked(stage):
    client = BusClient(start_bus(stage))
    assert not client.name_has_owner("org.zegod1")
    with pytest.raises(BusError) as error:
        client.call("org.zegod1", "/org/zegod1", "org.zegod1.Engine", "DestroyEngine")
    assert error.value.name == "org.freedesktop.DBus.Error.ServiceUnknown"
    client.close()


def test_a_program_that_ends_badly_is_noticed(stage):
    crash = stage.start("crash", [sys.executable, "-c", "print('last words', flush=True); raise SystemExit(3)"])
    crash.process.wait(5)
    with pytest.raises(ProgramError, match="status 3(.|\n)*last words"):
        crash.end()
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    program = stage.start("stubborn", [sys.executable, "-c", stubborn])
    program.wait_for_line("^up$")
    with pytest.raises(ProgramError, match="did not end"):
        program.end(timeout=0.3)
    assert not program.running


def test_a_program_ends_with_the_test_run():
    """A test run that is killed leaves no daemon behind: the kernel ends its programs."""
    code = (
        "import sys, time; sys.path.insert(0, 'tests'); from rig.stage import Stage; stage = Stage()\n"
        "program = stage.start('sleep', ['sleep', '60']); print(program.pid, stage.folder, flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pid, folder = run.stdout.readline().split()
    shutil.rmtree(folder)
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "the program itself", 5)
    run.kill()
    run.wait()
    run.stdout.close()
    wait_until(lambda: not still_runs(pid), f"the end of process {pid}, which outlived the test run", 5)


def still_runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.root
def test_the_instruments_agree_on_an_emulated_link(stage):
    """Camera, codec, link and probe in a row: what the link does to the packets is what the probe sees."""
    clip = stage.folder / "clip.y4m"
    subprocess.run([program("clipgen"), "clip", "320", "240", "90", str(clip)], check=True)
    link = make_link(stage, delay_ms=40, loss_percent=0)
    camera = stage.folder / "camera"
    os.mkfifo(camera)
    read_end, write_end = os.pipe()
    stage.start("receive", [program("floor"), "receive", "10.77.0.2:5000"], namespace=link.right, stdout=write_end)
    os.close(write_end)
    recorder = record_pipe(stage, read_end, clip=clip)
    stage.start("send", [program("floor"), "send", str(camera), "10.77.0.2:5000", "--kbps=400"], namespace=link.left)
    feeder = stage.start("feeder", [program("feeder"), str(clip), str(camera), "--seconds=3"])
    assert feeder.wait() == 0
    frames = recorder.wait_for_frames(90, timeout=3)
    assert [f.counter for f in frames] == list(range(90))
    assert min(f.latency_ms for f in frames) >= 40
    assert max(f.difference for f in frames) < 12
    counts = link.finish()
    assert counts["left_to_right_packets"] >= 90 and counts["left_to_right_lost"] == 0


def test_a_free_port_is_given_once():
    """Not by another test process either, nor by the kernel to whoever names none."""
    other = "import sys; sys.path.insert(0, 'tests'); from rig.network import free_port; print(free_port()); input()"
    with subprocess.Popen([sys.executable, "-c", other], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        theirs = int(process.stdout.readline())
        ours = [free_port() for _ in range(250)]
        process.communicate(b"\n")
    assert len(set(ours)) == len(ours) and theirs not in ours
    assert max(ours) < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
