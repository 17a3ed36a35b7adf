#!/usr/bin/env python3
"""`make bench`: what a call costs with zegod, beside the bare codecs, in one sitting.

The peers run in turn, round after round, because processor time moves with whatever else the machine does: what
counts is the ratio of neighbours, as the median of the rounds. Prints a table; every run is in build/bench/TIME.json.

    make bench                              # 5 rounds at 720p30, 2 Mbit/s, and the standby
    .venv/bin/python tests/bench/run.py --size 480 --rounds 7 --seconds 15
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cost import cost, sample  # noqa: E402
from bench.peers import PEERS, Job  # noqa: E402
from rig.device import options, start_device  # noqa: E402
from rig.flow import judge  # noqa: E402
from rig.places import ROOT, program  # noqa: E402
from rig.stage import Stage  # noqa: E402

SIZES = {"480": (640, 480, 800), "720": (1280, 720, 2000)}
FOLDER = ROOT / "build" / "bench"
WARM_UP = 3.0
GOALS = {"sender CPU / floor": 1.3, "receiver CPU / floor": 1.5, "peak MB": 60, "first frame ms": 400, "standby MB": 15}


def prepare(size: str) -> Job:
    """Makes the clip and the voice, once."""
    width, height, kbps = SIZES[size]
    clip, voice = FOLDER / f"{width}x{height}.y4m", FOLDER / "voice.wav"
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not clip.exists():
        print(f"== Making the reference clip, {width}x{height}, 10 s", flush=True)
        part = clip.with_suffix(".part")
        subprocess.run([program("clipgen"), "clip", str(width), str(height), "300", str(part)], check=True)
        part.rename(clip)
    if not voice.exists():
        subprocess.run([program("clipgen"), "speech", "10", str(voice)], check=True)
    return Job(width, height, kbps, clip, voice)


def measure(peer: str, job: Job, seconds: float) -> dict:
    """One run of one peer."""
    stage = Stage()
    try:
        running = PEERS[peer](stage, job)
        first = running.recorder.wait_for_frames(1, timeout=15)[0]
        time.sleep(WARM_UP)
        begin = time.monotonic()
        processes = {"sender": running.sender, "receiver": running.receiver, **running.others}
        before = {name: sample(process.pid) for name, process in processes.items()}
        time.sleep(seconds)
        end = time.monotonic()
        costs = {name: asdict(cost(process.pid, before[name])) for name, process in processes.items()}
        time.sleep(0.5)
        made = [number for number, at in running.camera.made() if begin <= at <= end - 0.2]
        flow = judge(running.recorder.frames(), begin=begin, end=end - 0.2, made=made)
        return {
            "peer": peer,
            "first_frame_ms": (first.at - running.called_at) * 1000,
            "intact": flow.share,
            "corrupt": flow.corrupt,
            "latency_p50_ms": flow.p50,
            "latency_p95_ms": flow.p95,
            "longest_gap_ms": flow.longest_gap_ms,
            "frames_per_second": flow.made / flow.seconds,
            **costs,
        }
    finally:
        for trouble in stage.clear():
            print(trouble, file=sys.stderr)


def measure_standby(seconds: float) -> dict:
    """A device that was created and is in no room."""
    stage = Stage()
    try:
        device = start_device(stage, "standby")
        device.call("CreateEngine", options())
        time.sleep(2)
        before = sample(device.program.pid)
        time.sleep(seconds)
        return asdict(cost(device.program.pid, before))
    finally:
        stage.clear()


def spread(values: list[float], digits: int) -> str:
    """Median, and the range that it comes from."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def print_table(runs: list[dict], standby: dict, rounds: int) -> None:
    """What a person reads."""
    by_peer = {peer: [run for run in runs if run["peer"] == peer] for peer in PEERS}
    rows = [("", *PEERS)]

    def row(what: str, digits: int, value) -> None:
        rows.append((what, *(spread([value(run) for run in by_peer[peer]], digits) for peer in PEERS)))

    for side in ("sender", "receiver"):
        row(f"{side} CPU s/s", 3, lambda run, side=side: run[side]["cpu"])
        row(f"{side} peak MB", 1, lambda run, side=side: run[side]["peak_mb"])
        row(f"{side} threads", 0, lambda run, side=side: run[side]["threads"])
        row(f"{side} switches/s", 0, lambda run, side=side: run[side]["switches"])
    row("latency p50 ms", 0, lambda run: run["latency_p50_ms"])
    row("latency p95 ms", 0, lambda run: run["latency_p95_ms"])
    row("first frame ms", 0, lambda run: run["first_frame_ms"])
    row("intact %", 2, lambda run: run["intact"] * 100)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(f"\nMedian of {rounds} rounds (lowest–highest):")
    for line in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    print("\nAgainst the goals:")
    zegod = by_peer["zegod"]
    ratios = {
        side: [z[side]["cpu"] / f[side]["cpu"] for z, f in zip(zegod, by_peer["floor"], strict=True)]
        for side in ("sender", "receiver")
    }
    results = [
        ("sender CPU / floor", median(ratios["sender"]), spread(ratios["sender"], 2)),
        ("receiver CPU / floor", median(ratios["receiver"]), spread(ratios["receiver"], 2)),
        ("peak MB", max(max(z["sender"]["peak_mb"], z["receiver"]["peak_mb"]) for z in zegod), ""),
        ("first frame ms", median(z["first_frame_ms"] for z in zegod), ""),
        ("standby MB", standby["held_mb"], f"{standby['pss_mb']:.1f} PSS, {standby['sleeps']:.1f} wake-ups/s"),
    ]
    for what, value, detail in results:
        verdict = "ok" if value <= GOALS[what] else "MISSED"
        print(f"  {what:22} {value:7.2f}  goal {GOALS[what]:<5} {verdict:7} {detail}")
    hub = [z["hub"]["cpu"] for z in zegod]
    print(f"  the hub between them took {spread(hub, 3)} CPU s/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="720")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="measured in each run, after 3 s of warm-up")
    arguments = parser.parse_args()
    job = prepare(arguments.size)
    runs = []
    for number in range(arguments.rounds):
        for peer in PEERS:
            print(f"== Round {number + 1} of {arguments.rounds}: {peer}", flush=True)
            runs.append(measure(peer, job, arguments.seconds))
    print("== Standby", flush=True)
    standby = measure_standby(10)
    print_table(runs, standby, arguments.rounds)
    result = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": f"{platform.platform()}, {Path('/proc/loadavg').read_text().split()[0]} load at the end",
        "size": arguments.size,
        "runs": runs,
        "standby": standby,
    }
    file = FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    file.write_text(json.dumps(result, indent=1))
    print(f"\nEvery run: {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
