#!/usr/bin/env python3
"""`make bench`, second part: what a room server pays for each packet that it forwards and for each participant.

zegohub and livekit-server run in turn, round after round, with the same participants (the tool `load`): one publisher with many
subscribers, and rooms in which everybody publishes. What counts is the ratio of neighbours. Prints tables; every run is in
build/bench/load-TIME.json.

    .venv/bin/python tests/bench/load.py                        # both servers, all scenes
    .venv/bin/python tests/bench/load.py --fan 5,50 --rooms 8   # these only
    .venv/bin/python tests/bench/load.py --video-kbps 800 --server zegohub
"""

import argparse
import json
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cost import cost, sample  # noqa: E402
from bench.run import FOLDER, spread  # noqa: E402
from rig.crowd import start_crowd  # noqa: E402
from rig.livekit import PROGRAM as LIVEKIT  # noqa: E402
from rig.places import ROOT  # noqa: E402
from rig.servers import SERVERS  # noqa: E402
from rig.stage import Stage  # noqa: E402

OURS, THEIRS = "zegohub", "livekit-server"
GOALS = {"CPU per packet": 0.5, "memory": 0.25, "memory per participant": 0.25, "delay p50": 1.0, "delay p99": 1.0}
"""Ours against theirs, at most. Memory is that of the whole process; of a participant, what the process holds more than when it was idle."""

WARM_UP = 10
"""Seconds before the measurement: while the hub's bandwidth estimates rise, each packet costs it up to a half more."""

BUSY = 0.9
"""From this share of a core on, the tool measures itself."""


@dataclass(frozen=True)
class Scene:
    """Who is there."""

    name: str
    people: int
    words: tuple[str, ...]


def fan(subscribers: int) -> Scene:
    """One publishes, the others receive."""
    return Scene(f"1 to {subscribers}", subscribers + 1, ("--publishers=1", f"--subscribers={subscribers}"))


def room(members: int) -> Scene:
    """Everybody publishes and receives everybody else."""
    return Scene(f"room of {members}", members, (f"--members={members}",))


def measure(server: str, scene: Scene, words: list[str], seconds: float) -> dict:
    """One run."""
    stage = Stage()
    try:
        hub = SERVERS[server](stage)
        pid = hub.program.pid
        time.sleep(1)
        idle = cost(pid, sample(pid))
        crowd = start_crowd(stage, hub, *scene.words, *words, seconds=seconds)
        crowd.wait_measuring()
        before = sample(pid)
        time.sleep(seconds)
        paid = cost(pid, before)
        report = crowd.report()
        crowd.leave()
    finally:
        for trouble in stage.clear():
            print(trouble, file=sys.stderr)
    return {
        "server": server,
        "scene": scene.name,
        "people": scene.people,
        "cpu": paid.cpu,
        "us_per_packet": paid.cpu * 1e6 / (report["received"] / seconds),
        "idle_mb": idle.pss_mb,
        "mb": paid.pss_mb,
        "mb_per_participant": (paid.pss_mb - idle.pss_mb) / scene.people,
        "sleeps": paid.sleeps,
        **report,
    }


def print_tables(runs: list[dict], scenes: list[Scene], servers: list[str], rounds: int) -> None:
    """What a person reads."""

    def of(server: str, scene: Scene) -> list[dict]:
        return [run for run in runs if (run["server"], run["scene"]) == (server, scene.name)]

    columns = [
        ("packets/s out", 0, lambda run: run["received"] / run["seconds"]),
        ("CPU s/s", 3, lambda run: run["cpu"]),
        ("µs/packet", 1, lambda run: run["us_per_packet"]),
        ("MB", 1, lambda run: run["mb"]),
        ("MB/participant", 2, lambda run: run["mb_per_participant"]),
        ("delay p50 ms", 2, lambda run: run["delay_ms"]["p50"]),
        ("p99 ms", 2, lambda run: run["delay_ms"]["p99"]),
        ("lost", 0, lambda run: run["lost"]),
    ]
    rows = [("", "", *(title for title, _, _ in columns))]
    for scene in scenes:
        for server in servers:
            cells = (spread([value(run) for run in of(server, scene)], digits) for _, digits, value in columns)
            rows.append((scene.name, server, *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(f"\nMedian of {rounds} rounds (lowest–highest):")
    for line in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    busy = sorted({run["scene"] for run in runs if run["tool"]["cpu"] > BUSY})
    if busy:
        print(f"  The tool itself had no core to spare in: {', '.join(busy)}; delays there are its own.")
    if len(servers) < 2:
        return
    print("\nzegohub / livekit-server, against the goals:")
    for scene in scenes:
        pairs = list(zip(of(OURS, scene), of(THEIRS, scene), strict=True))
        ratios = {
            "CPU per packet": [a["us_per_packet"] / b["us_per_packet"] for a, b in pairs],
            "memory": [a["mb"] / b["mb"] for a, b in pairs],
            "memory per participant": [a["mb_per_participant"] / b["mb_per_participant"] for a, b in pairs],
            "delay p50": [a["delay_ms"]["p50"] / b["delay_ms"]["p50"] for a, b in pairs],
            "delay p99": [a["delay_ms"]["p99"] / b["delay_ms"]["p99"] for a, b in pairs],
        }
        for what, values in ratios.items():
            verdict = "ok" if median(values) <= GOALS[what] else "MISSED"
            print(f"  {scene.name:12} {what:24} {spread(values, 2):20} goal {GOALS[what]:<5} {verdict}")


def print_capacity(runs: list[dict], scenes: list[Scene]) -> None:
    """How much one core and one gigabyte of this machine carry, by these figures."""
    print("\nOne core of this machine forwards (zegohub, from the processor time per packet):")
    for scene in scenes:
        ours = [run for run in runs if (run["server"], run["scene"]) == (OURS, scene.name)]
        packets = median(1e6 / run["us_per_packet"] for run in ours)
        mbit = median(run["received_bytes"] * 8 / run["received"] for run in ours) * packets / 1e6
        streams = packets / median(run["received"] / run["seconds"] / (run["subscriptions"] / 2) for run in ours)
        print(f"  {scene.name:12} {packets:7.0f} packets/s, {mbit:5.0f} Mbit/s, {streams:5.0f} streams of sound and picture")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: [int(word) for word in text.split(",") if word]  # noqa: E731
    parser.add_argument("--fan", type=numbers, default=[5, 20, 50], help="subscribers of one publisher")
    parser.add_argument("--rooms", type=numbers, default=[4, 8, 12], help="members of rooms in which all publish")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="measured in each run, after 10 s of warm-up")
    parser.add_argument("--video-kbps", type=int, default=1500)
    parser.add_argument("--audio-kbps", type=int, default=32)
    parser.add_argument("--simulcast", action="store_true", help="pictures in three layers")
    parser.add_argument("--path", choices=["one", "two"], default="one", help="peer connections of each participant")
    parser.add_argument("--server", choices=list(SERVERS), help="only this one")
    arguments = parser.parse_args()
    servers = [arguments.server] if arguments.server else list(SERVERS)
    if THEIRS in servers and not LIVEKIT.exists():
        servers.remove(THEIRS)
        print("== livekit-server is not installed: zegohub alone. `make livekit-server` installs it")
    scenes = [fan(count) for count in arguments.fan] + [room(count) for count in arguments.rooms]
    words = [f"--video-kbps={arguments.video_kbps}", f"--audio-kbps={arguments.audio_kbps}", f"--path={arguments.path}", f"--warm-up={WARM_UP}"]
    words += ["--simulcast"] if arguments.simulcast else []
    runs = []
    for number in range(arguments.rounds):
        for scene in scenes:
            for server in servers:
                print(f"== Round {number + 1} of {arguments.rounds}: {scene.name}, {server}", flush=True)
                runs.append(measure(server, scene, words, arguments.seconds))
    print_tables(runs, scenes, servers, arguments.rounds)
    if OURS in servers:
        print_capacity(runs, scenes)
    result = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": f"{platform.platform()}, {Path('/proc/loadavg').read_text().split()[0]} load at the end",
        "words": words,
        "runs": runs,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"load-{time.strftime('%Y%m%d-%H%M%S')}.json"
    file.write_text(json.dumps(result, indent=1))
    print(f"\nEvery run: {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
