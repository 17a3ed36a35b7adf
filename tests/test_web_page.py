"""The hub's page as meeting software: screens, chat, devices, plots, phones, keyboards, screen readers."""

import pytest
from browser.chromium import HubPage, start_chromium
from browser.layers import LayersPage
from rig.device import start_device
from rig.hub import Hub, start_hub
from rig.island import Island, make_island
from rig.places import ROOT

pytestmark = pytest.mark.root

ROOM = "lobby"
AXE = ROOT / "hub/web/node_modules/axe-core/axe.min.js"
PHONE = (360, 740)
TABS = ("chat", "people", "figures", "settings", "events")


@pytest.fixture
def island(stage) -> Island:
    return make_island(stage)


@pytest.fixture
def hub(stage, island) -> Hub:
    return start_hub(stage, address=island.address, namespace=island.namespace)


@pytest.fixture
def visit(stage, playwright, island, hub):
    """Opens the page in a browser with two cameras and two microphones; in the end no page has complained."""
    chromium = start_chromium(stage, playwright, island, hub, ("--use-fake-device-for-media-stream=device-count=2",))
    pages: list[HubPage] = []

    def open_page(user: str, size: tuple[int, int] = (1280, 800), **query: str | int) -> HubPage:
        page = HubPage(chromium, hub, user, ROOM, size=size)
        page.page.emulate_media(reduced_motion="reduce")
        page.open(**query)
        pages.append(page)
        return page

    yield open_page
    complaints = {page.user: page.console for page in pages if page.console}
    assert not complaints, f"errors in the console: {complaints}"


@pytest.fixture
def door(stage, hub, island):
    """A device in the room that publishes `door-cam`."""
    door = start_device(stage, "door", hub=hub, namespace=island.namespace, speaker="wav")
    door.login(ROOM)
    door.publish("door-cam")
    return door


def join(page: HubPage) -> None:
    page.join()
    page.publish()


def show(page: HubPage, tab: str) -> None:
    """Opens a tab of the side panel."""
    if not page.page.is_visible("#panel"):
        page.page.click("#open-panel")
    page.page.click(f"#tab-{tab}")


def box(page: HubPage, stream: str) -> dict[str, float]:
    found = page.page.locator(page.tile(stream)).bounding_box()
    assert found, f"{stream} is not to be seen"
    return found


def test_a_shared_screen_is_shown_large_and_reaches_devices(visit, door):
    anna, ben = visit("anna"), visit("ben")
    join(anna)
    ben.join()
    ben.wait_stream("anna-web")
    ben.wait_stream("door-cam")
    anna.page.click("#share")
    ben.page.wait_for_selector(f"{ben.tile('anna-screen')}[data-video=on][data-large=true]", timeout=10_000)
    ben.page.wait_for_function("s => document.querySelector(s).videoWidth > 0", arg=f"{ben.tile('anna-screen')} video")
    screen, camera = box(ben, "anna-screen"), box(ben, "anna-web")
    assert screen["width"] > 2 * camera["width"], f"screen {screen}, camera {camera}"
    texture = door.texture(640, 480, format="XR24")
    door.play("anna-screen", view=texture.view)
    texture.next(timeout=15)
    # Whoever wants the camera large instead pins it.
    ben.page.hover(ben.tile("anna-web"))
    ben.page.click(f"{ben.tile('anna-web')} .pin")
    ben.page.wait_for_selector(f"{ben.tile('anna-web')}[data-large=true]")
    anna.page.click("#share")
    ben.page.wait_for_selector(ben.tile("anna-screen"), state="detached", timeout=10_000)


def test_chat_goes_both_ways_with_devices_and_browsers(visit, door):
    anna, ben = visit("anna"), visit("ben")
    anna.join()
    ben.join()
    anna.page.click("#open-chat")
    anna.page.fill("#chat-text", "is <b>anybody</b> there?")
    anna.page.keyboard.press("Enter")
    received = door.wait("BroadcastMessageReceived").args
    assert received[1][0][:2] == ["is <b>anybody</b> there?", "anna"]
    ben.page.wait_for_selector("#unread:text-is('1')")
    assert "Message from anna" in ben.page.inner_text("#announcer")
    door.call("SendBroadcastMessage", ROOM, "at the door")
    for page in (anna, ben):
        page.page.wait_for_selector("#messages li .text:text-is('at the door')", state="attached", timeout=5000)
    show(ben, "chat")
    texts = ben.page.eval_on_selector_all("#messages .text", "all => all.map((one) => one.textContent)")
    assert texts == ["is <b>anybody</b> there?", "at the door"], "each message once, as text"
    # What devices would refuse is refused here, too.
    anna.page.fill("#chat-text", "ü" * 513)
    anna.page.keyboard.press("Enter")
    anna.page.wait_for_selector("#chat-error:has-text('[1009002]')")
    # What was sent before is half a second ago.
    anna.page.wait_for_timeout(600)
    # Two in one go: from here, the second might be a second later on a busy machine.
    anna.page.evaluate("""() => {
      for (const text of ['one', 'two']) {
        document.querySelector('#chat-text').value = text;
        document.querySelector('#chat-form').requestSubmit();
      }
    }""")
    anna.page.wait_for_selector("#chat-error:has-text('[1009015]')")
    # The first one's arrival takes neither the error nor the text of the second.
    anna.page.wait_for_selector("#messages .own .text:text-is('one')", state="attached")
    assert "[1009015]" in anna.page.inner_text("#chat-error")
    assert anna.page.input_value("#chat-text") == "two"


def test_another_camera_and_microphone_are_taken_in_the_middle_of_a_call_and_remembered(visit):
    anna, ben = visit("anna"), visit("ben")
    join(anna)
    ben.join()
    ben.wait_stream("anna-web")
    show(anna, "settings")
    used = """async (selector) => {
        const stream = document.querySelector(selector).srcObject;
        return stream.getTracks()[0].label;
    }"""
    own = f"{anna.tile('anna-web')} video"
    assert anna.page.evaluate(used, own) == "fake_device_0"
    anna.page.select_option("#camera", label="fake_device_1")
    anna.page.wait_for_function("s => document.querySelector(s).srcObject?.getTracks()[0].label === 'fake_device_1'", arg=own)
    microphones = anna.page.eval_on_selector_all("#microphone option", "all => all.map((one) => one.textContent)")
    anna.page.select_option("#microphone", label=microphones[-1])
    # The picture goes on at the other end.
    video = f"document.querySelector('{ben.tile('anna-web')} video')"
    before = ben.page.evaluate(f"{video}.currentTime")
    ben.page.wait_for_function(f"() => {video}.currentTime > {before} + 1")
    assert not anna.page.is_visible("#device-error")
    anna.page.reload()
    anna.page.fill("#token", anna.hub.token("anna", ROOM))
    join(anna)
    assert anna.page.evaluate(used, own) == "fake_device_1"


def test_of_several_layers_it_says_which_one_comes_and_takes_no_better_one_than_is_chosen(visit, hub):
    anna = visit("anna")
    anna.join()
    LayersPage(anna.page.context.browser, hub, "publish_layers.js", "ben", ROOM, dynacast=False)
    show(anna, "figures")
    choice = anna.page.locator(".stream-figures:has([data-figure=layer]) .layer select")
    for chosen, comes in ((None, "high"), ("low", "low"), ("medium", "medium"), ("high", "high")):
        if chosen:
            choice.select_option(chosen)
        anna.page.wait_for_selector(f"[data-figure=layer]:text-is('layer {comes}')", timeout=20_000)


def test_the_sound_goes_to_the_speaker_that_is_chosen(visit, door):
    anna = visit("anna")
    join(anna)
    anna.wait_stream("door-cam")
    show(anna, "settings")
    sink = f"document.querySelector('{anna.tile('door-cam')} audio').sinkId"
    assert anna.page.evaluate(sink) == ""
    chosen = anna.page.locator("#speaker option").nth(1).get_attribute("value")
    anna.page.select_option("#speaker", chosen)
    anna.page.wait_for_function("([chosen]) => " + sink + " === chosen", arg=[chosen])
    assert not anna.page.is_visible("#device-error")


def test_a_tile_fills_the_screen_and_goes_back(visit, door):
    anna = visit("anna")
    anna.join()
    anna.wait_stream("door-cam")
    tile = anna.tile("door-cam")
    for fills in ("true", "false"):
        anna.page.hover(tile)
        anna.page.click(f"{tile} .full")
        anna.page.wait_for_function(f"() => (document.fullscreenElement === document.querySelector('{tile}')) === {fills}")


def test_plots_move_and_words_say_what_they_show(visit, door):
    anna = visit("anna")
    anna.join()
    anna.wait_stream("door-cam")
    show(anna, "figures")
    section = ".stream-figures[data-stream-id=door-cam]"
    line = f"document.querySelector('{section} [data-plot=\"bit rate\"] .line').getAttribute('d')"
    anna.page.wait_for_function(f"() => {line}.split('L').length > 3")
    before = anna.page.evaluate(line)
    anna.page.wait_for_function("([before]) => " + line + " !== before", arg=[before])
    for plot in ("bit rate", "loss", "round trip", "waits here", "pictures"):
        svg = f"{section} [data-plot='{plot}'] svg"
        anna.page.wait_for_selector(f"{svg}[aria-label*=' now ']", timeout=5000)
    assert anna.number("door-cam", "kbps") > 50
    # It beeps once a second.
    anna.page.wait_for_selector(f"{anna.tile('door-cam')}[data-speaking=true]", timeout=5000)


def test_a_banner_says_that_the_hub_is_gone_until_it_is_back(stage, visit, island, hub):
    anna = visit("anna")
    anna.join()
    hub.program.kill()
    anna.page.wait_for_selector("#banner:visible", timeout=20_000)
    assert "lost" in anna.page.inner_text("#banner")
    start_hub(stage, address=island.address, namespace=island.namespace)
    anna.page.wait_for_selector("#banner", state="hidden", timeout=40_000)
    anna.wait_joined()
    # Failed attempts to connect are the browser's own messages.
    anna.console.clear()


def test_whoever_closes_the_page_has_left(visit):
    anna, ben = visit("anna"), visit("ben")
    join(anna)
    ben.join()
    ben.wait_stream("anna-web")
    anna.page.close(run_before_unload=True)
    ben.page.wait_for_selector("#people li[data-user=anna]", state="detached", timeout=5000)


def test_a_link_carries_the_fields_and_sends_no_token(visit, hub):
    anna = visit("anna")
    anna.page.click("#copy-link")
    anna.page.wait_for_selector("#link-hint:visible")
    requests: list[str] = []
    anna.page.on("request", lambda request: requests.append(request.url))
    token = anna.page.input_value("#token")
    anna.page.goto("about:blank")
    anna.page.goto(f"{hub.http}/?room={ROOM}&user=anna&name=Anna#token={token}")
    assert [anna.page.input_value(f"#{id}") for id in ("room", "user", "name", "token")] == [ROOM, "anna", "Anna", token]
    assert not [url for url in requests if token in url.split("#")[0]]
    assert token not in anna.page.url
    hosts = {url.split("/")[2] for url in requests if url.startswith("http")}
    assert hosts == {hub.http.removeprefix("http://")}, f"requests to others: {hosts}"


def test_scripts_of_others_are_shut_out(visit):
    anna = visit("anna")
    policy = anna.page.evaluate("fetch('/').then((reply) => reply.headers.get('content-security-policy'))")
    assert "script-src 'self'" in policy and "unsafe" not in policy
    ran = anna.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'globalThis.ran = true';
            document.body.append(script);
            return globalThis.ran === true;
        }"""
    )
    assert not ran
    # That was its complaint.
    anna.console.clear()


def test_letters_mute_unless_they_are_typed_or_switched_off(visit):
    anna, ben = visit("anna"), visit("ben")
    join(anna)
    ben.join()
    ben.wait_stream("anna-web")
    anna.page.focus("#main")
    anna.page.keyboard.press("m")
    ben.wait_stream("anna-web", audio="muted")
    anna.page.keyboard.press("v")
    ben.wait_stream("anna-web", audio="muted", video="muted")
    anna.page.keyboard.press("m")
    anna.page.keyboard.press("v")
    ben.wait_stream("anna-web")
    anna.page.click("#open-chat")
    anna.page.keyboard.type("mv")
    assert anna.page.input_value("#chat-text") == "mv"
    anna.page.keyboard.press("Escape")
    assert not anna.page.is_visible("#panel")
    assert anna.page.evaluate("document.activeElement.id") == "open-chat"
    show(anna, "settings")
    anna.page.uncheck("#shortcuts")
    anna.page.focus("#main")
    anna.page.keyboard.press("m")
    anna.page.keyboard.press("v")
    assert anna.page.get_attribute("#mute-microphone", "data-off") == "false"
    ben.wait_stream("anna-web")


def test_tab_reaches_everything_in_the_order_of_the_page(visit):
    anna = visit("anna")
    anna.page.focus("#room")
    order = ["room"]
    while order[-1] != "copy-link":
        anna.page.keyboard.press("Tab")
        order.append(anna.page.evaluate("document.activeElement.id"))
        assert len(order) < 20, order
    assert [id for id in order if id] == ["room", "user", "name", "token", "publish-at-once", "join", "copy-link"]
    anna.join()
    anna.page.focus("#tab-settings")
    anna.page.keyboard.press("ArrowRight")
    anna.page.wait_for_selector("#tab-events:focus[aria-selected=true]")
    assert anna.page.is_visible("#panel-events")


def test_the_theme_is_chosen_and_remembered(visit):
    anna = visit("anna")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = anna.page.evaluate(ground)
    anna.page.click("#theme")
    assert anna.page.evaluate(ground) == light
    anna.page.click("#theme")
    dark = anna.page.evaluate(ground)
    assert dark != light
    anna.page.reload()
    assert anna.page.evaluate(ground) == dark


def test_a_phone_has_room_for_all_of_it(visit, door):
    anna = visit("anna", size=PHONE)
    join(anna)
    anna.wait_stream("door-cam")
    for tab in (None, *TABS):
        if tab:
            show(anna, tab)
        width = anna.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE[0], f"{tab}: the page is {width} px wide"
        small = anna.page.evaluate(
            """() => [...document.querySelectorAll('button, select, input:not([type=checkbox], [type=range])')]
                .filter((one) => one.checkVisibility() && one.offsetHeight > 0)
                .filter((one) => one.offsetHeight < 44 || one.offsetWidth < 38)
                .map((one) => `${one.id || one.className} ${one.offsetWidth}x${one.offsetHeight}`)"""
        )
        assert not small, f"{tab}: too small for a finger: {small}"
    anna.page.click("#close-panel")
    for stream in ("anna-web", "door-cam"):
        place = box(anna, stream)
        assert place["x"] >= 0 and place["x"] + place["width"] <= PHONE[0]


@pytest.mark.alone  # Six pages are all that two cores can do.
@pytest.mark.parametrize("size", [(1280, 800), PHONE], ids=["wide", "phone"])
def test_tiles_of_any_number_fill_the_place_and_do_not_overlap(visit, size):
    anna = visit("anna", size=size)
    anna.join()
    if anna.page.is_visible("#panel"):
        anna.page.click("#close-panel")
    for count in range(1, 6):
        # Without pictures, so that any machine can do it.
        visit(f"user{count}", join=1, publish=1, camera=0)
        anna.wait_stream(f"user{count}-web", video="none")
        stage = anna.page.locator("#tiles").bounding_box()
        boxes = [box(anna, f"user{n}-web") for n in range(1, count + 1)]
        for one in boxes:
            assert one["x"] >= stage["x"] - 1 and one["x"] + one["width"] <= stage["x"] + stage["width"] + 1, f"{one} in {stage}"
            assert one["y"] >= stage["y"] - 1 and one["y"] + one["height"] <= stage["y"] + stage["height"] + 1, f"{one} in {stage}"
        apart = [
            a["x"] + a["width"] <= b["x"] + 1 or a["y"] + a["height"] <= b["y"] + 1
            for at, a in enumerate(boxes)
            for b in boxes[at + 1 :]
        ]
        assert all(apart), boxes
        covered = sum(one["width"] * one["height"] for one in boxes) / (stage["width"] * stage["height"])
        assert covered > 0.3, f"{count} tiles cover {covered:.0%} of the place"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_to_complain_of(visit, door, scheme, size):
    anna = visit("anna", size=size)
    anna.page.emulate_media(color_scheme=scheme)
    check_axe(anna, "the form")
    join(anna)
    anna.wait_stream("door-cam")
    door.call("SendBroadcastMessage", ROOM, "hello")
    anna.page.wait_for_selector("#messages li", state="attached")
    for tab in TABS:
        show(anna, tab)
        check_axe(anna, tab)
    anna.page.click("#close-panel")
    check_axe(anna, "the tiles")
    anna.page.click("#mute-microphone")
    anna.page.wait_for_selector("#mute-microphone[data-off=true]")
    check_axe(anna, "muted")


def check_axe(page: HubPage, what: str) -> None:
    """axe-core's rules, the best practices included."""
    page.page.evaluate(AXE.read_text() + "; undefined")
    found = page.page.evaluate("axe.run().then(({ violations }) => violations)")
    said = [f"{v['id']}: {v['help']}: {[node['html'][:120] for node in v['nodes']]}" for v in found]
    assert not said, f"{what}: " + "\n".join(said)
