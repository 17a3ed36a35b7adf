"""A browser that publishes a simulcast, and one that watches it: `livekit-client` as it comes, without a page around it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright

from browser.chromium import start_chromium
from rig.device import wait_until
from rig.hub import Hub
from rig.island import Island
from rig.network import Link
from rig.places import ROOT
from rig.stage import Stage

HERE = Path(__file__).parent
SDK = ROOT / "hub" / "web" / "node_modules" / "livekit-client" / "dist" / "livekit-client.umd.js"

WIDTHS = (240, 480, 960)
"""Of the three layers."""


class LayersPage:
    """A page with the SDK in it."""

    def __init__(self, browser: Browser, hub: Hub, script: str, user: str, room: str, **wishes: object):
        self.page: Page = browser.new_context(bypass_csp=True).new_page()
        self.page.goto(hub.http)
        self.page.add_script_tag(path=str(SDK))
        argument = {"url": hub.url, "token": hub.token(user, room), **wishes}
        self.page.evaluate((HERE / script).read_text(), argument)

    def now(self) -> float:
        """Seconds on the page's clock."""
        return self.page.evaluate("performance.now() / 1000")

    def seen(self, since: float = 0) -> list[tuple[float, int]]:
        """When pictures were presented, and their widths."""
        return [(at, width) for at, width in self.page.evaluate("window.seen") if at >= since]

    def width(self) -> int:
        """Of the newest picture, 0 before the first."""
        return self.page.evaluate("window.seen.length ? window.seen[window.seen.length - 1][1] : 0")

    def wait_width(self, wanted: int, timeout: float) -> None:
        """Waits until a picture of that width is presented."""
        condition = "(wanted) => window.seen.length && window.seen[window.seen.length - 1][1] === wanted"
        try:
            self.page.wait_for_function(condition, arg=wanted, timeout=timeout * 1000)
        except Exception as error:
            raise AssertionError(f"no picture {wanted} wide in {timeout:g} s, but {self.width()}") from error

    def wait_smaller(self, than: int, timeout: float) -> None:
        """Waits until a picture of less than that width is presented."""
        condition = "(than) => window.seen.length && window.seen[window.seen.length - 1][1] < than"
        self.page.wait_for_function(condition, arg=than, timeout=timeout * 1000)

    def wait_picture(self, since: float, timeout: float) -> None:
        """Waits for a picture that is presented after `since` (see `now`)."""
        condition = "(since) => window.seen.length && window.seen[window.seen.length - 1][0] > since"
        self.page.wait_for_function(condition, arg=since, timeout=timeout * 1000)

    def wait_state(self, wanted: str, timeout: float) -> None:
        """Waits until the server tells that the pictures are `paused` or `active`."""
        condition = "(wanted) => window.states.length && window.states[window.states.length - 1][1] === wanted"
        try:
            self.page.wait_for_function(condition, arg=wanted, timeout=timeout * 1000)
        except Exception as error:
            states = self.page.evaluate("window.states")
            raise AssertionError(f"not {wanted} in {timeout:g} s: {states}") from error

    def take_quality(self, quality: str) -> None:
        """Wishes for `LOW`, `MEDIUM` or `HIGH` quality."""
        ask = """(quality) => {
          const [publication] = [...window.room.remoteParticipants.values()]
            .flatMap((person) => [...person.videoTrackPublications.values()]);
          publication.setVideoQuality(LivekitClient.VideoQuality[quality]);
        }"""
        self.page.evaluate(ask, quality)

    def show(self, width: int) -> None:
        """Shows the picture so wide on the page; 0 hides it."""
        change = """(width) => {
          const { style } = document.querySelector('video');
          style.display = width ? '' : 'none';
          style.width = `${width}px`;
        }"""
        self.page.evaluate(change, width)

    def wait_nothing(self, timeout: float) -> None:
        """Waits until no picture has come for a second."""
        last = (-1, time.monotonic())

        def is_still() -> bool:
            nonlocal last
            count, now = self.figures("video")["framesReceived"], time.monotonic()
            if count != last[0]:
                last = (count, now)
            return now - last[1] >= 1

        wait_until(is_still, "no picture to come", timeout)

    def wait_qualities(self, wanted: list[int], timeout: float) -> None:
        """Waits until the server tells that just these qualities (0 to 2) are taken of what is published here."""
        condition = "(wanted) => JSON.stringify(window.qualities[window.qualities.length - 1]) === JSON.stringify(wanted)"
        try:
            self.page.wait_for_function(condition, arg=wanted, timeout=timeout * 1000)
        except Exception as error:
            told = self.page.evaluate("window.qualities")
            raise AssertionError(f"not told {wanted} in {timeout:g} s, but {told}") from error

    def figures(self, kind: str) -> dict[str, Any]:
        """The receive statistics (`inbound-rtp`) of `audio` or `video`."""
        return self.page.evaluate("(kind) => window.figures(kind)", kind)


def longest_gap(seen: list[tuple[float, int]]) -> float:
    """The longest time between two pictures, in seconds."""
    times = [at for at, _ in seen]
    return max((after - before for before, after in zip(times, times[1:])), default=float("inf"))


def opener(stage: Stage, playwright: Playwright, link: Link, hub: Hub, room: str) -> Callable[..., LayersPage]:
    """Opens pages at the ends of a link, each in a browser of its own: `open_page("left", script, user, …)`."""

    def open_page(end: str, script: str, user: str, **wishes: object) -> LayersPage:
        island = Island(getattr(link, end), getattr(link, f"{end}_address"))
        return LayersPage(start_chromium(stage, playwright, island, hub), hub, script, user, room, **wishes)

    return open_page
