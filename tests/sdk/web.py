"""The test's side of `web_peer.js`: opens a page with nothing but LiveKit's JavaScript SDK in it, at the server's own address."""

from typing import Any

from playwright.sync_api import Browser

from rig.device import wait_until
from rig.hub import Hub
from rig.places import ROOT

SDK = ROOT / "hub/web/node_modules/livekit-client/dist/livekit-client.umd.js"
"""The version of the hub's own page."""
PEER = ROOT / "tests/sdk/web_peer.js"


class WebPeer:
    """A participant in a browser."""

    def __init__(self, browser: Browser, hub: Hub, user: str):
        self.user = user
        self.complaints: list[str] = []
        """Exceptions that nobody caught."""
        self.page = browser.new_context().new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        # LiveKit's server has no page of its own; this refusal, as a text, is at an address that both have.
        self.page.goto(f"{hub.http}/rtc/validate")
        for script in (SDK, PEER):
            self.page.add_script_tag(path=script)

    def do(self, what: str, *arguments: Any) -> Any:
        """Calls a function of `peer`."""
        return self.page.evaluate(f"(a) => peer.{what}(...a)", list(arguments))

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it was told so far under this name."""
        return [event for event in self.page.evaluate("told") if event["event"] == name]

    def wait(self, name: str, timeout: float = 15.0, **words: Any) -> dict[str, Any]:
        """Waits until it is told an event with these words."""

        def look() -> list[dict[str, Any]]:
            return [event for event in self.events(name) if words.items() <= event.items()]

        try:
            return wait_until(look, f"{self.user}: {name} {words}", timeout)[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; told: {self.page.evaluate('told')}") from None

    def wait_pictures(self) -> None:
        """Waits until it shows new pictures."""
        before = self.do("pictures")
        wait_until(lambda: self.do("pictures") > before + 10, f"{self.user}'s pictures", 15)


def join(browser: Browser, hub: Hub, user: str, room: str, *, one_connection: bool, **grants: object) -> WebPeer:
    """A participant that is in the room; its token grants more than usual."""
    peer = WebPeer(browser, hub, user)
    token = hub.token(user, room, grants={"canUpdateOwnMetadata": True, **grants})
    peer.do("join", hub.url, token, one_connection)
    peer.wait("connected")
    return peer
