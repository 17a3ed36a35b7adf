#!/usr/bin/env python3
"""`make conformance`: the test suite of LiveKit's python-sdks, unmodified, on zegohub and on livekit-server.

Takes a checkout of github.com/livekit/python-sdks and runs those of its tests that need a server, on the servers in turn, round
after round. Prints a table: of how many runs each test passed how many, and why it failed. Needs root: the SDK uses no loopback. Other
options than its own are pytest's.

    git clone https://github.com/livekit/python-sdks /tmp/python-sdks
    sudo .venv/bin/python tests/conformance/python_sdks.py /tmp/python-sdks
    sudo .venv/bin/python tests/conformance/python_sdks.py /tmp/python-sdks --rounds 1 --server zegohub -k data_track
"""

import argparse
import subprocess
import sys
import venv
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rig import tokens  # noqa: E402
from rig.island import make_island  # noqa: E402
from rig.livekit import PROGRAM as LIVEKIT  # noqa: E402
from rig.places import ROOT  # noqa: E402
from rig.servers import SERVERS  # noqa: E402
from rig.stage import Stage  # noqa: E402

FOLDER = ROOT / "build" / "conformance"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
SDK = ROOT / "tests" / "requirements.txt"
"""Where the version of the SDK stands."""

PLACES = ("livekit-rtc/tests", "tests/rtc")
NEEDS_SERVER = "skip_if_no_credentials"
"""What a file of tests that need a server has in it."""

ROUND_LIMIT = 900
"""Seconds for all tests on one server."""


@dataclass(frozen=True)
class Result:
    """One run of one test."""

    test: str
    outcome: str
    """`passed`, `failed` or `skipped`."""
    why: str


def interpreter() -> Path:
    """A Python that has the SDK and what its tests need."""
    python = FOLDER / "venv" / "bin" / "python"
    if not python.exists():
        print("== Installing the SDK and what its tests need")
        venv.create(FOLDER / "venv", with_pip=True)
    sdk = [line for line in SDK.read_text().split() if line.startswith("livekit")]
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS), *sdk]
    subprocess.run(command, check=True)
    return python


def run(server: str, checkout: Path, python: Path, words: list[str]) -> list[Result]:
    """All tests once, on a new server."""
    files = [
        str(file.relative_to(checkout))
        for place in PLACES
        for file in sorted((checkout / place).glob("test_*.py"))
        if NEEDS_SERVER in file.read_text()
    ]
    stage = Stage()
    try:
        island = make_island(stage)
        hub = SERVERS[server](stage, address=island.address, namespace=island.namespace)
        report = stage.path("report.xml")
        suite = stage.start(
            "pytest",
            [str(python), "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *files, *words],
            namespace=island.namespace,
            cwd=checkout,
            environment={
                "LIVEKIT_URL": hub.url,
                "LIVEKIT_API_KEY": str(tokens.APP_ID),
                "LIVEKIT_API_SECRET": tokens.SECRET,
                "RUN_DATA_TRACK_TESTS": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
        # Its status says whether all passed; the report says more.
        suite.wait(ROUND_LIMIT)
        if not report.exists():
            raise suite.fail("no report")
        return results(report)
    finally:
        for trouble in stage.clear():
            print(trouble, file=sys.stderr)


def results(report: Path) -> list[Result]:
    """What a report in JUnit's format says."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        # Folders, the file, a class if there is one.
        file = next(part for part in case.get("classname", "").split(".") if part.startswith("test_"))
        name = f"{file}.py::{case.get('name')}"
        bad = [part for part in case if part.tag in ("failure", "error")]
        skipped = [part for part in case if part.tag == "skipped"]
        outcome = "failed" if bad else "skipped" if skipped else "passed"
        why = next((part.get("message", "").splitlines()[0] for part in [*bad, *skipped] if part.get("message")), "")
        found.append(Result(name, outcome, why))
    return found


def cell(runs: list[Result]) -> str:
    """How often a test passed."""
    counts = Counter(result.outcome for result in runs)
    return "skipped" if counts["skipped"] == len(runs) else f"{counts['passed']} of {len(runs)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a checkout of python-sdks")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", choices=list(SERVERS), help="only this one")
    arguments, words = parser.parse_known_args()
    checkout = arguments.checkout.resolve()
    if not all((checkout / place).is_dir() for place in PLACES):
        parser.error(f"{checkout} is no checkout of python-sdks: it lacks {' or '.join(PLACES)}")
    servers = [arguments.server] if arguments.server else list(SERVERS)
    if "livekit-server" in servers and not LIVEKIT.exists():
        parser.error("livekit-server is not installed: `make livekit-server` installs it; --server zegohub goes without")
    python = interpreter()
    runs: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for number in range(arguments.rounds):
        for server in servers:
            print(f"== Round {number + 1} of {arguments.rounds}: {server}", flush=True)
            for result in run(server, checkout, python, words):
                runs[result.test][server].append(result)
    print(f"\n| test | {' | '.join(servers)} |\n| --- |{' --- |' * len(servers)}")
    for test, found in runs.items():
        print(f"| `{test}` | {' | '.join(cell(found[server]) for server in servers)} |")
    for test, found in runs.items():
        for server in servers:
            for why, count in Counter(result.why for result in found[server] if result.outcome != "passed").items():
                print(f"{test} on {server}, {count} times: {why}")


if __name__ == "__main__":
    main()
