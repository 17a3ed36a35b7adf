"""The hub's WHIP and WHEP: programs and pages that speak HTTP only publish to a room, and watch what is in it."""

import time
from pathlib import Path

import numpy as np
import pytest
from browser.chromium import start_chromium

from rig import whip
from rig.device import start_device, wait_until
from rig.hub import start_hub
from rig.island import make_island
from rig.places import ROOT
from rig.recorder import unwrap
from rig.room_service import call, call_in
from rig.sound import read_wav, tone_level
from sdk.client import start_peer

ROOM = "lobby"
SCRIPT = Path(__file__).parent / "browser" / "whip.js"
GSTREAMER = ROOT / "tests/sdk/gst_session.py"
MODULES = ROOT / "hub/web/node_modules/whip-whep"
FRAGMENT = "application/trickle-ice-sdpfrag"


@pytest.fixture
def loop(stage):
    return whip.Loop(stage)


def people(hub, room=ROOM):
    """Who is in a room, by what a server program is told."""
    return {p.identity: p for p in call(hub, "list_participants", room=room).participants}


def begin(loop, hub, token, *, path="/whip/v1", body=None, content="application/sdp"):
    """One offer: status, header and text of its answer."""
    offer = whip.offer_of(loop, direction="sendonly" if "whip" in path else "recvonly") if body is None else body
    return whip.request(loop, "POST", f"{hub.http}{path}", token=token, body=offer, content_type=content)


def wait_published(hub, identity, tracks=2):
    """Waits until the hub has what somebody publishes: a device publishes as soon as the hub knows that it will."""
    wait_until(lambda: identity in people(hub) and len(people(hub)[identity].tracks) == tracks, f"tracks of {identity}")


def counters(pictures):
    """The bars' counters of what was received, unwrapped."""
    return unwrap([counter for _, counter, _, _ in pictures if counter is not None])


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_a_publisher_is_seen_and_heard_in_the_room_as_any_other(stage, hub, device, loop, codec):
    desk = device("desk", speaker="wav")
    desk.login(ROOM)
    session = whip.publish(stage, loop, f"{hub.http}/whip/v1?stream=stage", hub.token("obs", ROOM), codec)
    added = desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0 and s.args[2])
    assert added.args[2][0][0] == "stage"
    view = desk.texture()
    recorder = desk.record(view)
    desk.play("stage", view=view.view)
    frames = recorder.wait_for_frames(3 * whip.RATE, timeout=20)
    intact = unwrap([frame.counter for frame in frames if frame.counter is not None])
    assert len(intact) >= 0.95 * len(frames) and (np.diff(intact) > 0).all()
    assert view.next().source_width == whip.SIZE[0]
    wait_until(lambda: tone_level(read_wav(desk.speaker)[-24_000:], whip.TONE) > -20, "its tone at the speaker")
    tracks = people(hub)["obs"].tracks
    assert {track.mime_type for track in tracks} == {"audio/opus", f"video/{codec}"}
    assert session.delete() == 200
    desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1)
    assert "obs" not in people(hub)


class OnAnIsland:
    """A network of its own: what follows uses no loopback addresses."""

    pytestmark = pytest.mark.root

    @pytest.fixture
    def island(self, stage):
        return make_island(stage)

    @pytest.fixture
    def hub(self, stage, island):
        return start_hub(stage, address=island.address, namespace=island.namespace)


class TestGStreamer(OnAnIsland):
    """Its WebRTC as it is: an RSA certificate of its own, and candidates told later. It has no loopback addresses."""

    def start(self, stage, island, hub, path, user, *wishes):
        argv = ["/usr/bin/python3", str(GSTREAMER), f"{hub.http}{path}?stream=stage", hub.token(user, ROOM), *wishes]
        return stage.start(f"gst_{user}", argv, namespace=island.namespace)

    def end(self, session):
        session.wait_for_line("^candidates 204$")
        session.end()
        assert "ended 200" in session.output()

    @pytest.mark.parametrize("codec", ["H264", "VP8"])
    def test_it_publishes(self, stage, hub, island, codec):
        desk = start_device(stage, "desk", hub=hub, speaker="wav", namespace=island.namespace)
        desk.login(ROOM)
        publisher = self.start(stage, island, hub, "/whip/v1", "camera", codec)
        desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 0 and s.args[2], timeout=20)
        view = desk.texture()
        recorder = desk.record(view)
        desk.play("stage", view=view.view)
        # They have no bar.
        wait_until(lambda: len(recorder.frames()) > 30, "pictures")
        assert view.next().source_width == 640
        wait_until(lambda: tone_level(read_wav(desk.speaker)[-24_000:], whip.TONE) > -30, "its tone at the speaker")
        self.end(publisher)
        desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1)

    def test_it_plays(self, stage, hub, island):
        door = start_device(stage, "door", hub=hub, namespace=island.namespace)
        door.login(ROOM)
        door.publish("stage")
        there = lambda: call_in(island.namespace, hub, "list_participants", room=ROOM).participants  # noqa: E731
        wait_until(lambda: [len(person.tracks) for person in there()] == [2], "what it publishes")
        player = self.start(stage, island, hub, "/whep/v1", "screen", "H264", "plays")
        for media in ("video", "audio"):
            player.wait_for_line(f"^{media}$")
        self.end(player)


def test_an_endpoint_and_a_session_answer_as_the_standard_says(hub, loop):
    token = hub.token("obs", ROOM)
    endpoint = f"{hub.http}/whip/v1"
    status, headers, text = whip.request(loop, "OPTIONS", endpoint)
    assert (status, headers["accept-post"], headers["access-control-allow-origin"]) == (200, "application/sdp", "*")
    assert "PATCH" in headers["access-control-allow-methods"]
    assert {"Authorization", "If-Match"} <= set(headers["access-control-allow-headers"].split(", "))
    assert whip.request(loop, "GET", endpoint)[0] == 204
    assert whip.request(loop, "PUT", endpoint)[0] == 405

    status, headers, answer = begin(loop, hub, token)
    assert (status, headers["content-type"]) == (201, "application/sdp")
    assert answer.startswith("v=0") and "a=recvonly" in answer and "a=candidate:" in answer
    assert {"Location", "ETag", "Link"} <= set(headers["access-control-expose-headers"].split(", "))
    place, etag = headers["location"], headers["etag"]
    assert place.startswith("/whip/v1/") and etag.startswith('"')
    session = f"{hub.http}{place}"
    assert whip.request(loop, "GET", session)[0] == 204
    assert whip.request(loop, "POST", session, body="x")[0] == 405

    offer = whip.offer_of(loop)
    lines = [line for line in offer.splitlines() if line.startswith(("a=candidate", "a=ice-ufrag", "a=ice-pwd"))][:3]
    fragment = "\r\n".join(["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", *lines, ""])
    patch = lambda body=fragment, content=FRAGMENT, **tag: whip.request(  # noqa: E731
        loop, "PATCH", session, token=token, body=body, content_type=content, **tag
    )
    assert patch()[0] == 428
    assert patch(if_match='"another"')[0] == 412
    assert patch(content="text/plain", if_match=etag)[0] == 415
    assert patch(body="hello", if_match=etag)[0] == 400
    candidate = "\r\n".join(["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=candidate:1 1 udp 1 127.0.0.1 9 typ host", ""])
    assert patch(body=candidate, if_match=etag)[0] == 204
    status, headers, restarted = patch(if_match="*")
    assert (status, headers["content-type"]) == (200, FRAGMENT)
    assert headers["etag"] != etag and "a=ice-ufrag:" in restarted and "a=candidate:" in restarted
    assert patch(body=candidate, if_match=etag)[0] == 412, "the ICE session of the first tag is over"
    assert patch(body=candidate, if_match=headers["etag"])[0] == 204

    assert whip.request(loop, "DELETE", session)[0] == 200
    assert whip.request(loop, "DELETE", session)[0] == 404
    assert patch(if_match="*")[0] == 404


def test_an_offer_that_cannot_be_is_refused_in_words_that_say_what_to_do(hub, loop):
    good, offer = hub.token("obs", ROOM), whip.offer_of(loop)
    watch = hub.token("obs", ROOM, publish=False)
    receives = whip.offer_of(loop, direction="recvonly")
    foreign = offer.replace("H264", "H265").replace("VP8", "VP9")
    cases = [
        ("no token", dict(token=""), 401, 1002067),
        ("an expired token", dict(token=hub.token("obs", ROOM, ttl=-120)), 401, 1002078),
        ("a token to watch only", dict(token=watch), 403, 1003072),
        ("another content type", dict(token=good, content="text/plain"), 415, 1000017),
        ("no offer", dict(token=good, body="hello"), 400, 1000017),
        ("nothing that is sent", dict(token=good, body=receives), 406, 1000017),
        ("codecs that nobody here knows", dict(token=good, body=foreign), 406, 1000017),
        ("a huge body", dict(token=good, body="x" * 100_000), 413, 1000017),
        ("a stream id that is none", dict(token=good, path="/whip/v1?stream=a.b"), 400, 1000016),
        ("nobody to watch", dict(token=good, path="/whep/v1"), 409, 1004002),
    ]
    for what, wishes, status, code in cases:
        token = wishes.pop("token")
        got, headers, text = begin(loop, hub, token, **wishes)
        assert got == status, f"{what}: {got} {text}"
        assert headers["content-type"] == "application/problem+json"
        assert f"[{code}]" in text, f"{what}: {text}"
        assert ("www-authenticate" in headers) == (status == 401)
        assert ("retry-after" in headers) == (what == "nobody to watch")
    assert not people(hub), "nobody was let in on the way"


def test_a_full_room_says_when_to_come_again(hub, loop, device):
    call(hub, "create_room", name=ROOM, max_participants=1)
    device("door").login(ROOM)
    status, headers, text = begin(loop, hub, hub.token("obs", ROOM))
    assert (status, headers["retry-after"]) == (503, "10") and "[1002034]" in text


def test_a_session_ends_by_an_administrator_and_by_a_newer_one_of_the_same_user(stage, hub, loop):
    token = hub.token("obs", ROOM)
    first = whip.publish(stage, loop, f"{hub.http}/whip/v1", token)
    wait_until(lambda: first.state() == "connected", "media of the first")
    second = whip.publish(stage, loop, f"{hub.http}/whip/v1", token)
    wait_until(lambda: first.state() == "closed", "the end of the first")
    wait_until(lambda: second.state() == "connected", "media of the second")
    assert whip.request(loop, "GET", first.url)[0] == 404
    assert list(people(hub)) == ["obs"]
    call(hub, "remove_participant", room=ROOM, identity="obs")
    wait_until(lambda: second.state() == "closed", "the end of the second")
    wait_until(lambda: whip.request(loop, "GET", second.url)[0] == 404, "its URL to be gone")


def test_a_publisher_that_vanishes_leaves_the_room(stage, hub, loop):
    session = whip.publish(stage, loop, f"{hub.http}/whip/v1", hub.token("obs", ROOM))
    wait_until(lambda: session.state() == "connected", "its media")
    session.vanish()
    wait_until(lambda: "obs" not in people(hub), "the room to be without it", timeout=70)
    assert whip.request(loop, "GET", session.url)[0] == 404


def test_a_player_sees_a_stream_at_once_and_goes_on_when_it_returns(stage, hub, device, loop, measured):
    door = device("door")
    door.login(ROOM)
    door.publish("front")
    wait_published(hub, "door")
    asked = time.monotonic()
    session = whip.play(stage, loop, f"{hub.http}/whep/v1?stream=front", hub.token("screen", ROOM))
    wait_until(lambda: session.pictures and session.sounds, "the first picture")
    measured(f"first picture {(session.pictures[0][0] - asked) * 1000:.0f} ms after the offer")
    assert session.pictures[0][0] - asked < 2
    wait_until(lambda: len(counters(session.pictures)) > 30, "pictures")
    assert max(level for _, level in session.sounds) > 0.05
    door.call("StopPublishing", "front")
    time.sleep(0.5)
    before = len(session.pictures)
    again = time.monotonic()
    door.publish("front")
    wait_until(lambda: len(session.pictures) > before + 30, "pictures of the stream that is back")
    measured(f"{(session.pictures[before][0] - again) * 1000:.0f} ms from publishing again to the first picture")
    later = [counter for _, counter, _, _ in session.pictures[before + 5 :]]
    assert sum(counter is None for counter in later) <= 0.05 * len(later)
    assert session.state() == "connected"
    assert session.delete() == 200


def test_a_player_of_a_room_sees_its_first_stream_and_then_the_next(stage, hub, device, loop):
    door, gate = device("door"), device("gate")
    for d in (door, gate):
        d.login(ROOM)
    door.publish("front")
    wait_published(hub, "door")
    session = whip.play(stage, loop, f"{hub.http}/whep/v1", hub.token("screen", ROOM))
    wait_until(lambda: len(session.pictures) > 10, "pictures of the first")
    gate.publish("back", audio=False)
    door.call("StopPublishing", "front")
    before = len(session.pictures)
    wait_until(lambda: len(session.pictures) > before + 30, "pictures of the next")


class TestInABrowser(OnAnIsland):
    """Chromium, with a page of another origin."""

    @pytest.fixture
    def page(self, stage, playwright, island, hub):
        browser = start_chromium(stage, playwright, island, hub)
        page = browser.new_context().new_page()
        page.goto(hub.http)
        return page

    def run(self, page, hub, path, user, **wishes):
        argument = {"endpoint": f"{hub.http}{path}", "token": hub.token(user, ROOM), "watches": "whep" in path, "restart": False}
        return page.evaluate(SCRIPT.read_text(), argument | wishes)

    def test_a_page_watches_what_a_device_publishes(self, stage, hub, island, page):
        door = start_device(stage, "door", hub=hub, namespace=island.namespace)
        door.login(ROOM)
        door.publish("front")
        self.run(page, hub, "/whep/v1?stream=front", "screen")
        watch = (SCRIPT.parent / "watch_bar.js").read_text()
        seen = page.evaluate(watch, {"selector": "#player", "milliseconds": 5000})
        intact = [counter for _, counter, _, _ in seen if counter is not None]
        assert len(seen) >= 50 and len(intact) >= 0.95 * len(seen)
        assert (np.diff(unwrap(intact)) >= 0).all()
        assert page.evaluate("window.whip.end()") == 200

    def test_a_page_publishes_several_sizes_and_restarts_ice(self, stage, hub, island, page):
        desk = start_device(stage, "desk", hub=hub, namespace=island.namespace)
        desk.login(ROOM)
        done = self.run(page, hub, "/whip/v1?stream=page", "anna", restart=True)
        assert done["restarted"] == {"status": 200, "tag": True, "changed": True}
        assert set(done["statuses"]) <= {204}
        peer = start_peer(stage, hub, "ben", ROOM, namespace=island.namespace)
        peer.wait("track", user="anna", stream="page", kind="video")
        view = desk.texture()
        path = desk.play("page", view=view.view)
        wait_until(lambda: desk.get(path, "Player", "Width") == 640, "the best size", timeout=30)
        assert page.evaluate("window.whip.end()") == 200
        desk.wait("RoomStreamUpdate", lambda s: s.args[1] == 1)

    def test_the_clients_of_whip_whep_meet(self, stage, playwright, island, measured):
        """npm's whip-whep, unmodified: publishing, playing, candidates told later, ICE restarts, the end."""
        # When ICE restarts it writes a comma before every candidate but the first, which no browser reads.
        hub = start_hub(stage, address=island.address, namespace=island.namespace, extra="tcp_port = 0")
        browser = start_chromium(stage, playwright, island, hub)
        pages, complaints, answers = {}, [], []

        def begin(user, path):
            page = pages[user] = browser.new_context().new_page()
            page.on("pageerror", lambda error: complaints.append(f"{user}: {error}"))
            page.on("response", lambda answer: answers.append((user, answer.request.method, answer.status)))
            page.goto(f"{hub.http}/healthz")
            for name in ("whip", "whep"):
                module = (MODULES / f"{name}.js").read_text() + f"window.{name.upper()}Client = {name.upper()}Client;"
                page.add_script_tag(content=module, type="module")
            page.wait_for_function("() => Boolean(window.WHIPClient && window.WHEPClient)")
            argument = {"endpoint": f"{hub.http}{path}", "token": hub.token(user, ROOM), "watches": "whep" in path}
            page.evaluate((SCRIPT.parent / "whip_whep.js").read_text(), argument)

        def pictures():
            return pages["screen"].evaluate("document.querySelector('#player').getVideoPlaybackQuality().totalVideoFrames")

        def more_pictures(what):
            before = pictures()
            wait_until(lambda: pictures() > before + 15, what, timeout=15)

        def there():
            found = call_in(island.namespace, hub, "list_participants", room=ROOM).participants
            return {person.identity: len(person.tracks) for person in found}

        begin("anna", "/whip/v1")
        wait_until(lambda: there() == {"anna": 2}, "what anna publishes")
        asked = time.monotonic()
        begin("screen", "/whep/v1?stream=anna")
        wait_until(pictures, "a picture", timeout=15)
        measured(f"first picture {time.monotonic() - asked:.1f} s after the player was begun")
        more_pictures("pictures")
        assert {(user, method) for user, method, _ in answers} >= {(user, "PATCH") for user in pages}, "candidates are told"
        for user in pages:
            credentials = "session.peer.remoteDescription.sdp.match(/a=ice-ufrag:(.*)/)[1]"
            before = pages[user].evaluate(credentials)
            pages[user].evaluate("session.client.restart()")
            assert pages[user].evaluate(credentials) != before
            more_pictures(f"pictures after {user}'s ICE restart")
        for user, page in pages.items():
            page.evaluate("session.client.stop()")
            wait_until(lambda u=user: u not in there(), f"the end of {user}")
        # Its player keeps no tag of the offer's answer, and complains that its candidates are refused without.
        assert set(complaints) <= {"screen: Request rejected with status 428"}
        done = {user: [status for whose, _, status in answers if whose == user] for user in pages}
        assert set(done["anna"]) == {200, 201, 204} and set(done["screen"]) <= {200, 201, 204, 428}
