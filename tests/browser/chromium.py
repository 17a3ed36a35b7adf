"""Chromium in a network namespace, and the hub's page in it, driven as a person would."""

import re
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

from rig import tokens
from rig.device import wait_until
from rig.hub import Hub
from rig.island import Island
from rig.network import has_settled
from rig.stage import Stage

HERE = Path(__file__).parent

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A green picture with a clock, 20 frames a second, and a beep twice a second.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def start_chromium(stage: Stage, playwright: Playwright, island: Island, hub: Hub, flags: tuple[str, ...] = ()) -> Browser:
    """Debian's Chromium, headless, on the island. The hub's page counts as secure, as it would from https."""
    program = stage.folder / "chromium"
    program.write_text(f'#!/bin/sh\nexec setpriv --pdeathsig KILL -- ip netns exec {island.namespace} /usr/bin/chromium "$@"\n')
    program.chmod(0o755)
    browser = playwright.chromium.launch(
        executable_path=str(program),
        args=[*FLAGS, f"--unsafely-treat-insecure-origin-as-secure={hub.http}", *flags],
        env={"HOME": str(stage.folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    stage.at_end("chromium", browser.close)
    # An address that comes while a page is loaded ends the loading (ERR_NETWORK_CHANGED).
    wait_until(lambda: has_settled(island.namespace), "the island's addresses")
    return browser


class HubPage:
    """One visitor of the hub's page."""

    def __init__(self, browser: Browser, hub: Hub, user: str, room: str, *, size: tuple[int, int] = (1280, 1000)):
        self.hub, self.user, self.room = hub, user, room
        self.console: list[str] = []
        """What the page wrote to the console as an error, and every exception that nobody caught."""
        self.page: Page = browser.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda e: self.console.append(str(e)))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console.append(f"{message.text} ({message.location['url'].split('?')[0]})")

    def open(self, **query: str | int) -> None:
        """Opens the page with its fields filled, a good token included."""
        fields = {"app_id": tokens.APP_ID, "room": self.room, "user": self.user, "server": self.hub.url}
        fields["token"] = self.hub.token(self.user, self.room)
        fields |= query
        # What stands behind # is not sent.
        fragment = urlencode({"token": fields.pop("token")})
        reply = self.page.goto(f"{self.hub.http}/?{urlencode(fields)}#{fragment}")
        assert "join-form" in reply.text(), f"this zegohub was built without its web page (run `make build`): {reply.text()}"

    def join(self) -> None:
        """Presses Join and waits until the room is joined."""
        self.page.click("#join")
        self.wait_joined()

    def wait_joined(self, timeout: float = 15.0) -> None:
        try:
            self.page.wait_for_selector("#state[data-state=connected]", timeout=timeout * 1000)
        except Exception as error:
            raise AssertionError(f"{self.user} is not in the room: {self.what_it_says()}") from error

    def publish(self) -> None:
        """Presses Publish and waits until both tracks are published."""
        self.page.click("#publish")
        self.wait_published()

    def wait_published(self, timeout: float = 15.0) -> None:
        own = ".tile[data-local=true][data-video=on][data-audio=on]"
        try:
            self.page.wait_for_selector(own, timeout=timeout * 1000)
        except Exception as error:
            raise AssertionError(f"{self.user} does not publish: {self.what_it_says()}") from error

    def tile(self, stream: str) -> str:
        """The selector of a stream's tile."""
        return f'.tile[data-stream-id="{stream}"]'

    def wait_stream(self, stream: str, *, video: str = "on", audio: str = "on", timeout: float = 10.0) -> None:
        """Waits until a stream is shown in the given condition (`on`, `muted`, `none`)."""
        wanted = f'{self.tile(stream)}[data-video="{video}"][data-audio="{audio}"]'
        try:
            self.page.wait_for_selector(wanted, timeout=timeout * 1000)
        except Exception as error:
            raise AssertionError(f"no {wanted}: {self.what_it_says()}") from error

    def wait_empty(self, timeout: float = 10.0) -> None:
        """Waits until no stream is shown."""
        try:
            self.page.wait_for_selector("#empty:visible", timeout=timeout * 1000)
        except Exception as error:
            raise AssertionError(f"streams are still shown: {self.what_it_says()}") from error

    def watch(self, stream: str, seconds: float) -> list[tuple[float, int | None, int, int]]:
        """The bar of every picture that the stream's own `<video>` presents: (seconds, counter, width, height)."""
        script = (HERE / "watch_bar.js").read_text()
        argument = {"selector": f"{self.tile(stream)} video", "milliseconds": seconds * 1000}
        return [tuple(look) for look in self.page.evaluate(script, argument)]

    def watch_and_hear(self, stream: str, seconds: float, frequency: float):
        """`watch`, and at the same time what the stream's own `<audio>` plays, as beeps (see `beeps_of`)."""
        watch, hear = (HERE / name for name in ("watch_bar.js", "hear_beeps.js"))
        seen, looks = self.page.evaluate(
            f"async (a) => Promise.all([({watch.read_text()})(a.watch), ({hear.read_text()})(a.hear)])",
            {
                "watch": {"selector": f"{self.tile(stream)} video", "milliseconds": seconds * 1000},
                "hear": {
                    "selector": f"{self.tile(stream)} audio",
                    "milliseconds": seconds * 1000,
                    "frequency": frequency,
                },
            },
        )
        return [tuple(look) for look in seen], beeps_of(looks)

    def hear_sides(self, stream: str, seconds: float, frequencies: list[float]) -> list[list[float]]:
        """How loud (0 to 1) each tone is in the left and in the right channel of what the stream's own `<audio>` plays."""
        script = (HERE / "hear_sides.js").read_text()
        argument = {"selector": f"{self.tile(stream)} audio", "milliseconds": seconds * 1000, "frequencies": frequencies}
        return self.page.evaluate(script, argument)

    def figure(self, stream: str, key: str) -> str:
        """A figure of the stream's statistics, as shown; the first (the picture's, if it has one). Empty when absent."""
        found = self.page.query_selector(f'.stream-figures[data-stream-id="{stream}"] [data-figure={key}]')
        return (found.text_content() or "") if found else ""

    def number(self, stream: str, key: str) -> float:
        """A figure as a number."""
        text = self.figure(stream, key)
        match = re.search(r"-?\d+(\.\d+)?", text)
        assert match, f"no {key} at {stream}: {text!r}"
        return float(match[0])

    def events(self) -> list[str]:
        """The list of events, without their times."""
        return self.page.eval_on_selector_all("#log li", "items => items.map((item) => item.lastChild.textContent)")

    def what_it_says(self) -> str:
        """Errors and events, for a failure's report."""
        errors = [e for e in self.page.eval_on_selector_all(".error", "all => all.map((e) => e.textContent)") if e]
        return f"errors {errors}; console {self.console}; events {self.events()}"


def beeps_of(looks: list[list[float]]) -> list[float]:
    """When each beep began, in seconds: the tone is loud, and it makes up most of the sound."""
    begins: list[float] = []
    on = False
    for at, tone, peak in looks:
        if not on and tone > 0.05 and tone > 0.5 * peak:
            on = True
            begins.append(at)
        elif on and tone < 0.01:
            on = False
    return begins
