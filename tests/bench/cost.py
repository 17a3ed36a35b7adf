"""What a process costs: processor time, memory, threads, context switches, read from /proc."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """A process at one moment."""

    at: float
    cpu: float
    """User and system time so far, in seconds."""
    switches: int
    """Context switches of the threads that live, voluntary and not."""
    sleeps: int
    """The voluntary ones."""
    threads: int


@dataclass(frozen=True)
class Cost:
    """A process between two moments."""

    cpu: float
    """Seconds of processor per second."""
    switches: float
    """Context switches per second."""
    sleeps: float
    """Voluntary ones per second: how often it went to sleep, and so was woken."""
    threads: int
    peak_mb: float
    """The most memory that it ever held (VmHWM)."""
    held_mb: float
    """What it holds now (VmRSS)."""
    pss_mb: float
    """The same, with shared pages divided by those who share them."""


def sample(pid: int) -> Sample:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    voluntary = forced = threads = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            text = (task / "status").read_text()
        except FileNotFoundError:
            continue
        threads += 1
        for line in text.splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                voluntary += int(line.split()[1])
            elif line.startswith("nonvoluntary_ctxt_switches"):
                forced += int(line.split()[1])
    cpu = (int(fields[11]) + int(fields[12])) / TICKS
    return Sample(time.monotonic(), cpu, voluntary + forced, voluntary, threads)


def cost(pid: int, begin: Sample) -> Cost:
    """What the process cost since `begin`."""
    end = sample(pid)
    seconds = end.at - begin.at
    return Cost(
        cpu=(end.cpu - begin.cpu) / seconds,
        switches=(end.switches - begin.switches) / seconds,
        sleeps=(end.sleeps - begin.sleeps) / seconds,
        threads=end.threads,
        peak_mb=_status(pid, "VmHWM"),
        held_mb=_status(pid, "VmRSS"),
        pss_mb=_rollup(pid),
    )


def _status(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _rollup(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return float("nan")
