#!/usr/bin/env python3
"""What a node pays when many devices log in all at once, as after a fault, and for each that is there without a stream.

zegohub and livekit-server run in turn, round after round. The devices are the tool `load` with `--logins`: signalling, ICE and DTLS,
two to a room. They share the machine with the server, so their times are longer than a node's of its own would be. Prints a table.

    .venv/bin/python tests/bench/logins.py
    .venv/bin/python tests/bench/logins.py --people 1000 --rounds 1 --server livekit-server
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cost import cost, sample  # noqa: E402
from bench.run import spread  # noqa: E402
from rig.crowd import start_crowd  # noqa: E402
from rig.servers import SERVERS  # noqa: E402
from rig.stage import Stage  # noqa: E402

LIMIT = 150
"""Seconds for all of them to be in: more than the tool's own limit."""
QUIET = 15
"""Seconds in which nobody does anything."""

COLUMNS = [
    ("half in, s", 1, "half_s"),
    ("all in, s", 1, "all_s"),
    ("logins that were tried again", 0, "failed"),
    ("server CPU, ms a login", 2, "ms_per_login"),
    ("the tool's", 2, "tool_ms_per_login"),
    ("MB", 1, "mb"),
    ("MB a device", 3, "mb_per_device"),
    ("CPU while quiet, s/s", 3, "quiet_cpu"),
]


def measure(server: str, people: int) -> dict[str, float]:
    """One run."""
    stage = Stage()
    try:
        hub = SERVERS[server](stage)
        pid = hub.program.pid
        time.sleep(1)
        begin = sample(pid)
        idle = cost(pid, begin)
        crowd = start_crowd(stage, hub, f"--logins={people}")
        report = json.loads(crowd.tool.wait_for_line(r"^\{.*\}$", LIMIT).group())
        end = sample(pid)
        time.sleep(QUIET)
        quiet = cost(pid, end)
        crowd.leave()
    finally:
        for trouble in stage.clear():
            print(trouble, file=sys.stderr)
    return {
        "half_s": report["half_s"],
        "all_s": report["all_s"],
        "failed": report["failed"],
        "ms_per_login": (end.cpu - begin.cpu) * 1e3 / people,
        "tool_ms_per_login": report["tool"]["cpu_s"] * 1e3 / people,
        "mb": quiet.pss_mb,
        "mb_per_device": (quiet.pss_mb - idle.pss_mb) / people,
        "quiet_cpu": quiet.cpu,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", choices=list(SERVERS), help="only this one")
    arguments = parser.parse_args()
    servers = [arguments.server] if arguments.server else list(SERVERS)
    runs: dict[str, list[dict[str, float]]] = {server: [] for server in servers}
    for number in range(arguments.rounds):
        for server in servers:
            print(f"== Round {number + 1} of {arguments.rounds}: {server}", flush=True)
            runs[server].append(measure(server, arguments.people))
    print(f"\n{arguments.people} devices at once, median of {arguments.rounds} rounds (lowest–highest):")
    for title, digits, key in COLUMNS:
        figures = (f"{server} {spread([run[key] for run in runs[server]], digits)}" for server in servers)
        print(f"  {title}: {'; '.join(figures)}")


if __name__ == "__main__":
    main()
