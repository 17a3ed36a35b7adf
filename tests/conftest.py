"""Fixtures of the whole-system tests: a stage for each test, and makers of what stands on it.

    def test_something(hub, device):
        door, desk = device("door"), device("desk")
        door.login("lobby")
        …

When a test fails, the end of every program's log is in the report.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

import rig.device  # noqa: E402
from rig.bus import REFUSALS  # noqa: E402
from rig.device import Device, start_device  # noqa: E402
from rig.hub import Hub  # noqa: E402
from rig.network import leftover_namespaces  # noqa: E402
from rig.places import program  # noqa: E402
from rig.reference import undocumented  # noqa: E402
from rig.servers import SERVERS  # noqa: E402
from rig.stage import Stage  # noqa: E402

_STAGE = pytest.StashKey[Stage]()
MEASURED = "measured"
"""What a report's measurements are kept under."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "root: makes network namespaces, so it needs root")
    config.addinivalue_line("markers", "any_server: runs on the hub, and again on LiveKit's own server")
    config.addinivalue_line("markers", "alone: counts pictures or measures times, so no other test may run beside it")
    config.addinivalue_line("markers", "paired: the same, where half of the machine is enough: two of these run at a time")
    # Ended by a time limit, it cleans up as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # Reports come from whichever process ran the test.
    ended = [report for reports in terminalreporter.stats.values() for report in reports]
    ended = [report for report in ended if getattr(report, "when", "") == "teardown"]
    lines = [f"{r.nodeid.rsplit('::')[-1]}: {text}" for r in ended for name, text in r.user_properties if name == MEASURED]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("any_server"):
        metafunc.parametrize("hub", SERVERS, indirect=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root: run `sudo make test`")
    # Where any others run beside it nobody counts pictures: half as many leave the processor to everybody's timers.
    counts = item.get_closest_marker("alone") or item.get_closest_marker("paired")
    rig.device.camera_fps = 30 if counts else 15


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS"):
        report.outcome, report.longrepr = "failed", f"Skipped, where nothing may be (NO_SKIPS): {report.longrepr}"
    stage = item.stash.get(_STAGE, None)
    if report.failed and stage:
        for name, log in stage.logs():
            report.sections.append((f"log of {name}", log))
    return report


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fails the run when it leaves a child process or a namespace."""
    yield
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    # One that ended and that nobody asked about has no command line any more.
    commands = [Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in children]
    left = [f"{pid} {command}" for pid, command in zip(children, commands, strict=True) if command]
    assert not left, f"processes left behind: {left}"
    assert not leftover_namespaces(), f"namespaces left behind: {leftover_namespaces()}"


@pytest.fixture(scope="session", autouse=True)
def every_refusal_is_documented() -> Iterator[None]:
    """Fails the run when zegod refused something, in whichever test, with an error that docs/reference/dbus.md does not name there."""
    yield
    missing = undocumented(REFUSALS)
    assert not missing, f"say it in the doc comment in daemon/src/bus, and run `make docs`: {missing}"


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Where a test starts its programs; ended and removed after it."""
    stage = Stage()
    request.node.stash[_STAGE] = stage
    yield stage
    troubles = stage.clear()
    assert not troubles, "\n".join(troubles)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a measurement; all of them are printed at the end of the run."""
    return lambda text: request.node.user_properties.append((MEASURED, text))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A reference clip, 640x480, 5 s at 30 frames a second, that a camera can play and a probe compare with."""
    path = tmp_path_factory.mktemp("clips") / "640x480.y4m"
    subprocess.run([program("clipgen"), "clip", "640", "480", "150", str(path)], check=True)
    yield path
    path.unlink()


@pytest.fixture
def hub(stage: Stage, request: pytest.FixtureRequest) -> Hub:
    """A hub on loopback; for a test with the mark `any_server`, LiveKit's server in its second run."""
    return SERVERS[getattr(request, "param", "zegohub")](stage)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """What drives browsers. Its event loop runs in this thread for as long as it is there: not longer than a module."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture
def device(stage: Stage, request: pytest.FixtureRequest) -> Callable[..., Device]:
    """Starts a device on the test's hub: `device(name, camera=…, microphone=…, speaker=…)`."""

    def start(name: str, **wishes: object) -> Device:
        wishes.setdefault("hub", request.getfixturevalue("hub"))
        return start_device(stage, name, **wishes)

    return start
