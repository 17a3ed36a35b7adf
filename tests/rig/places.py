"""Where the programs under test and the measuring tools are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

PROGRAMS = Path(os.environ.get("ZEGO_PROGRAMS", ROOT / "target" / "release"))
"""The folder of `zegod`, `zegohub`, `zegoctl` and the tools."""

REPORTS = ROOT / "build" / "reports"
"""Measurements that tests leave for people to read."""


def program(name: str) -> str:
    """The path of a built program, or an error that says how to build it."""
    path = PROGRAMS / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built: run `make build` first")
    return str(path)
