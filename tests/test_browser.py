"""The hub's page in Chromium: its forms as a person uses them, and calls with a device and with an SDK."""

import time

import numpy as np
import pytest
from browser.chromium import HubPage, start_chromium
from rig.device import start_device, wait_until
from rig.hub import Hub, start_hub
from rig.island import Island, make_island
from rig.recorder import unwrap
from rig.sound import find_beeps, read_wav
from sdk.client import start_peer

pytestmark = [pytest.mark.root, pytest.mark.alone]

ROOM = "lobby"
SECONDS = 10.0
FAKE_BEEP = 400.0
"""Hz of the beep that Chromium's fake microphone makes twice a second, 20 ms long."""


@pytest.fixture
def island(stage) -> Island:
    return make_island(stage)


@pytest.fixture
def hub(stage, island) -> Hub:
    """A hub where a browser can reach it."""
    return start_hub(stage, address=island.address, namespace=island.namespace)


@pytest.fixture
def chromium(stage, playwright, island, hub):
    return start_chromium(stage, playwright, island, hub)


@pytest.fixture
def visit(chromium, hub):
    """Opens the page as a user: `visit("anna")`; checks in the end that no page complained."""
    pages: list[HubPage] = []

    def open_page(user: str, room: str = ROOM, **query: str | int) -> HubPage:
        page = HubPage(chromium, hub, user, room)
        page.open(**query)
        pages.append(page)
        return page

    yield open_page
    complaints = {page.user: page.console for page in pages if page.console}
    assert not complaints, f"errors in the console: {complaints}"


def check_watched(seen: list[tuple[float, int | None, int, int]], seconds: float, size=(640, 480)) -> None:
    """At least 95 % of the pictures that the page presented carried an intact bar, and the counters only went up."""
    counters = [counter for _, counter, _, _ in seen]
    intact = [counter for counter in counters if counter is not None]
    assert len(seen) >= seconds * 10, f"only {len(seen)} pictures in {seconds:g} s"
    assert seen[-1][0] - seen[0][0] >= 0.9 * seconds, f"the picture stopped after {seen[-1][0]:.1f} s"
    assert len(intact) >= 0.95 * len(seen), f"{len(seen) - len(intact)} of {len(seen)} bars are damaged"
    steps = np.diff(unwrap(intact))
    # A picture may be presented twice (a repaint), but never an older one after a newer.
    assert (steps >= 0).all(), f"pictures out of order: {intact}"
    # Two encoders, three decoders and a browser's compositor share this machine: how many pictures a second are made
    # and presented depends on it, that they go on does not.
    assert unwrap(intact)[-1] - intact[0] >= 20 * seconds, f"{intact[0]} to {intact[-1]} in {seconds:g} s"
    assert {(width, height) for _, _, width, height in seen} == {size}


def check_heard(beeps: list[float], seconds: float) -> None:
    """One beep a second."""
    assert len(beeps) >= seconds - 2, f"only {len(beeps)} beeps in {seconds:g} s: {beeps}"
    steps = np.diff(beeps)
    assert (np.abs(steps - np.round(steps)) < 0.3).all() and (steps > 0.5).all(), f"beeps at {beeps}"


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_browser_and_a_device_see_and_hear_each_other(stage, hub, island, visit, codec):
    door = start_device(stage, "door", hub=hub, namespace=island.namespace, speaker="wav")
    door.login(ROOM)
    door.publish("door-cam")

    anna = visit("anna", codec=codec, processing=0)
    anna.join()
    anna.wait_stream("door-cam")
    anna.publish()
    texture = door.texture(640, 480, format="XR24")
    player = door.play("anna-web", view=texture.view)
    first = texture.next(timeout=15)
    time.sleep(2)

    begin, before = time.monotonic(), texture.newest
    seen, beeps = anna.watch_and_hear("door-cam", SECONDS, 1000)
    shown = (texture.newest - before) / (time.monotonic() - begin)
    check_watched(seen, SECONDS)
    check_heard(beeps, SECONDS)
    assert anna.figure("door-cam", "codec") == "H264"
    assert anna.number("door-cam", "kbps") > 50
    assert anna.page.inner_text("#people li[data-user=door] .quality-word") in ("excellent", "good", "poor")
    assert "RTT" in anna.page.inner_text("#quality") and f"UDP {island.address}" in anna.page.inner_text("#quality")

    # Chromium's camera makes 20 pictures a second: a green ground, on which something moves.
    assert shown > 12, f"the device showed {shown:.1f} pictures a second of the browser's"
    assert door.get(player, "Player", "VideoCodec") == codec.upper()
    last = texture.next(after=texture.newest)
    assert (last.source_width, last.source_height) == (640, 480)
    for frame in (first, last):
        blue, green, red = (frame.pixels[..., channel].astype(float) for channel in range(3))
        assert green.mean() > red.mean() + 60 and green.mean() > blue.mean() + 60, "not Chromium's green picture"
        assert green.std() > 10, "the picture is uniform"
    assert np.abs(first.luma.astype(int) - last.luma.astype(int)).max() > 30, "the picture does not move"
    heard = find_beeps(read_wav(door.speaker)[-int(SECONDS * 48_000) :], FAKE_BEEP, level_dbfs=-30)
    assert len(heard) >= 2 * SECONDS - 4, f"the device heard only {len(heard)} of the browser's beeps"
    steps = np.diff([beep.begin for beep in heard])
    assert np.median(np.abs(steps - 0.5)) < 0.05, f"not twice a second: {steps}"


@pytest.mark.parametrize("transport", ["v0", "v1"])
def test_a_browser_and_an_sdk_see_and_hear_each_other(stage, hub, island, visit, transport):
    anna = visit("anna", transport=transport, codec="h264", processing=0)
    anna.join()
    anna.publish()
    ben = start_peer(stage, hub, "ben", ROOM, namespace=island.namespace, publish="ben-cam", sees="anna-web")
    anna.wait_stream("ben-cam")
    for kind in ("video", "audio"):
        ben.wait("track", stream="anna-web", kind=kind)
    time.sleep(2)
    seen, beeps = anna.watch_and_hear("ben-cam", 5, 1000)
    check_watched(seen, 5)
    check_heard(beeps, 5)
    assert anna.figure("ben-cam", "codec") == "VP8"
    frames = ben.watch("anna-web", 3)
    assert len(frames) > 40 and {(f.width, f.height) for f in frames} == {(640, 480)}
    assert len(find_beeps(read_wav(ben.wav("anna-web"))[-3 * 48_000 :], FAKE_BEEP, level_dbfs=-30)) >= 4


def test_mutes_are_shown_and_streams_come_and_go(visit):
    anna, ben = visit("anna"), visit("ben")
    anna.join()
    ben.join()
    ben.wait_empty()
    anna.publish()
    ben.wait_stream("anna-web")
    anna.page.click("#mute-microphone")
    ben.wait_stream("anna-web", audio="muted")
    anna.page.click("#mute-camera")
    ben.wait_stream("anna-web", audio="muted", video="muted")
    assert "Microphone muted" in ben.page.inner_text(f"{ben.tile('anna-web')} .badges")
    anna.page.click("#mute-camera")
    anna.page.click("#mute-microphone")
    ben.wait_stream("anna-web")
    anna.page.click("#unpublish")
    ben.wait_empty()
    anna.publish()
    ben.wait_stream("anna-web")
    anna.page.click("#leave")
    ben.wait_empty()
    assert anna.page.inner_text("#state") == "Not connected"
    # And once more, without loading the page again.
    anna.join()
    anna.publish()
    ben.wait_stream("anna-web")
    assert any("anna left" in event for event in ben.events())


def test_the_address_joins_and_publishes_by_itself_and_forgets_the_token(visit):
    anna = visit("anna", join=1, publish=1, codec="h264", stream="front-door")
    anna.wait_joined()
    anna.wait_published()
    assert "token" not in anna.page.url
    assert anna.page.input_value("#token")
    assert anna.page.get_attribute(".tile[data-local=true]", "data-stream-id") == "front-door"
    anna.page.click("#tab-figures")
    figure = ".stream-figures[data-stream-id=front-door] [data-figure=codec]:text-is('H264')"
    anna.page.wait_for_selector(figure, timeout=10_000)


def test_a_page_that_may_not_play_sound_asks_for_a_click(stage, playwright, island, hub):
    chromium = start_chromium(stage, playwright, island, hub, ("--autoplay-policy=document-user-activation-required",))
    start_peer(stage, hub, "ben", ROOM, namespace=island.namespace, publish="ben-cam")
    anna = HubPage(chromium, hub, "anna", ROOM)
    anna.open(join=1)
    # Whatever Playwright evaluates in a page counts as a click of its user: until the sound is blocked, hands off.
    time.sleep(5)
    anna.wait_stream("ben-cam")
    anna.page.wait_for_selector("#enable-sound:visible", timeout=5000)
    paused = f"document.querySelector('{anna.tile('ben-cam')} audio').paused"
    assert anna.page.evaluate(paused)
    anna.page.click("#enable-sound")
    anna.page.wait_for_selector("#enable-sound", state="hidden", timeout=5000)
    assert not anna.page.evaluate(paused)
    check_watched(anna.watch("ben-cam", 3), 3)


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (lambda hub: hub.token("anna", ROOM, ttl=-3600), 1002078),
        (lambda hub: hub.token("ben", ROOM), 1002077),
        (lambda hub: hub.token("anna", "other"), 1002033),
        (lambda hub: "nonsense", None),
    ],
    ids=["expired", "another user's", "another room's", "nonsense"],
)
def test_a_refusal_of_the_hub_is_shown(chromium, hub, token, code):
    anna = HubPage(chromium, hub, "anna", ROOM)
    anna.open(token=token(hub))
    anna.page.click("#join")
    anna.page.wait_for_selector("#join-error:visible")
    text = anna.page.inner_text("#join-error")
    assert (f"[{code}]" if code else "[10020") in text, text
    assert anna.page.inner_text("#state") == "Not connected"
    # The field is right there to be corrected.
    anna.page.fill("#token", hub.token("anna", ROOM))
    anna.join()
    assert not anna.page.is_visible("#join-error")


def test_what_is_missing_or_wrong_is_said_before_the_server_is_asked(visit):
    anna = visit("anna", join=1, token="", room="")
    assert "[1002011]" in anna.page.inner_text("#join-error")
    anna.page.fill("#room", ROOM)
    anna.page.click("#join")
    assert "[1002067]" in anna.page.inner_text("#join-error")
    anna.page.fill("#token", anna.hub.token("anna", ROOM))
    anna.page.click("#more summary")
    anna.page.fill("#app_id", "42")
    anna.page.click("#join")
    anna.page.wait_for_selector("#join-error:has-text('[1002076]')")
    anna.page.fill("#app_id", "")
    anna.join()
    anna.page.fill("#stream", "anna's stream")
    anna.page.click("#publish")
    assert "[1000016]" in anna.page.inner_text("#publish-error")


def test_a_token_without_the_right_to_publish_can_only_watch(visit, hub):
    anna = visit("anna", token=hub.token("anna", ROOM, publish=False))
    anna.join()
    assert anna.page.is_disabled("#publish")
    assert "[1003072]" in anna.page.inner_text("#publish-hint")


def test_a_stream_id_that_is_taken_is_refused(visit):
    anna, ben = visit("anna", stream="front"), visit("ben", stream="front")
    anna.join()
    anna.publish()
    ben.join()
    ben.page.click("#publish")
    ben.page.wait_for_selector("#publish-error:visible", timeout=5000)
    assert "[1003028]" in ben.page.inner_text("#publish-error")
    assert ben.page.is_enabled("#publish"), "another id can be tried"
    ben.page.fill("#stream", "back")
    ben.publish()
    anna.wait_stream("back")


def test_the_page_can_be_used_by_keyboard_alone(visit):
    anna = visit("anna")
    page = anna.page
    page.focus("#room")
    page.keyboard.press("Enter")
    anna.wait_joined()
    page.focus("#stream")
    page.keyboard.press("Enter")
    anna.wait_published()
    page.focus("#leave")
    page.keyboard.press("Space")
    page.wait_for_selector("#state[data-state=disconnected]")
    unnamed = page.eval_on_selector_all(
        "button, input, select, textarea",
        "all => all.filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map((e) => e.outerHTML)",
    )
    assert not unnamed


def test_the_page_sends_its_sound_with_redundancy(chromium, hub):
    page = HubPage(chromium, hub, "anna", ROOM)
    # What the page connects is seen before its own scripts run.
    page.page.add_init_script("""
      window.connections = [];
      const Connection = window.RTCPeerConnection;
      window.RTCPeerConnection = class extends Connection {
        constructor(...words) { super(...words); window.connections.push(this); }
      };
      window.sent = () => {
        const senders = window.connections.flatMap((connection) => connection.getSenders());
        return senders.find((sender) => sender.track?.kind === 'audio')?.getParameters().codecs[0]?.mimeType;
      };
    """)
    page.open(join=1, publish=1)
    page.wait_joined()
    page.wait_published()
    wait_until(lambda: page.page.evaluate("window.sent()") == "audio/red", "redundant sound")


def test_the_page_fits_a_phone(chromium, hub):
    page = HubPage(chromium, hub, "anna", ROOM, size=(360, 740))
    page.open(join=1, publish=1)
    page.wait_joined()
    page.wait_published()
    width = page.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360, f"the page is {width} px wide"


def test_the_page_comes_back_after_the_hub_was_gone(stage, chromium, island, hub):
    anna, ben = HubPage(chromium, hub, "anna", ROOM), HubPage(chromium, hub, "ben", ROOM)
    for page in (anna, ben):
        page.open(join=1)
        page.wait_joined()
    anna.publish()
    ben.wait_stream("anna-web")
    hub.program.kill()
    anna.page.wait_for_selector("#state:has-text('Reconnecting')", timeout=20_000)
    start_hub(stage, address=island.address, namespace=island.namespace)
    for page in (anna, ben):
        page.wait_joined(40)
    ben.wait_stream("anna-web", timeout=20)
    moving = f"document.querySelector('{ben.tile('anna-web')} video').currentTime"
    before = ben.page.evaluate(moving)
    time.sleep(2)
    assert ben.page.evaluate(moving) > before + 1, "the picture stands still"
