"""The network goes and comes back: cut lines, pulled cables, other addresses, and servers that die, between namespaces.

`door` is beside the hub, `desk` at the far end of the line. Both publish, and each plays the other. Whatever happens to the
line, nobody calls anything: what ran runs again by itself, and whoever was not cut off hears nothing of it.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from dbus_fast import Variant

from rig.broken_line import BACK, GIVEN_UP, LOST, RECOVERY, RUNS, WAITING, Call, chapters, in_time, make_call, outage, states, story, told
from rig.device import options, start_device, wait_until
from rig.hub import start_hub
from rig.network import make_link
from rig.stage import Stage

pytestmark = pytest.mark.root

MOVES = ("RoomUserUpdate", "RoomStreamUpdate", "RoomOnlineUserCountUpdate")
"""What says that somebody came or went."""
WENT = [("RoomStreamUpdate", 1), ("RoomUserUpdate", 1), ("RoomOnlineUserCountUpdate", 1)]
CAME = [("RoomUserUpdate", 0), ("RoomOnlineUserCountUpdate", 2), ("RoomStreamUpdate", 0)]
"""The order in which they say it, with what was added (0) or removed (1), or with how many are there."""


def moves(news: list[tuple]) -> list[tuple]:
    """Of a device's news those of who came and went, as in `WENT` and `CAME`."""
    return [(c[0], c[2]) for c in news if c[0] in MOVES]


@pytest.fixture
def call(stage: Stage) -> Callable[..., Call]:
    """Makes the call: `call(hub_extra="…further lines of the hub's configuration…")`."""
    return partial(make_call, stage)


# Of a line without a carrier the kernel tells at once, or after up to a second when another line anywhere has just changed.
@pytest.mark.parametrize("kind", ["down", pytest.param("unplugged", marks=pytest.mark.alone), "silent"])
def test_a_short_loss_is_made_good(call, measured, kind):
    """Five seconds without a line, four times: the interface goes down, the cable is pulled, or nobody is told at all."""
    c = call()
    c.start()
    ways = {"down": (c.link.down, c.link.up), "unplugged": (c.link.unplug, c.link.plug), "silent": (c.link.cut, c.link.mend)}
    # Without anybody's telling, a loss is noticed after some seconds: not all of five seconds are lost for certain.
    times = [outage(c, *ways[kind], seconds=8.0 if kind == "silent" else 5.0) for _ in range(4)]
    measured(told(times))
    in_time(times)


def test_an_outage_is_over_once(call, measured):
    """ICE finds after four seconds that nothing is heard: when the line is back just before that, nobody is told of another outage.

    At which moment it asks is chance: five times.
    """
    c = call()
    c.start()
    times = []
    for step in range(5):
        mark = c.desk.mark()
        times.append(outage(c, c.link.down, c.link.up, seconds=3.45))
        time.sleep(0.17 * step)
        assert len(states(c.desk, "RoomStateUpdate", mark)) == 2
    measured(told(times))
    in_time(times)


def test_a_long_loss_is_made_good(call, measured):
    """A minute without a line, twice, is inside the server's heartbeat time: for `door`, `desk` was there all the time.

    Both kinds of loss at the same time, each in a call and a network of its own: the minutes are waiting, not work.
    """
    calls = {"down": call(), "silent": call()}
    for c in calls.values():
        c.start()
    links = {kind: c.link for kind, c in calls.items()}
    ways = {"down": (links["down"].down, links["down"].up), "silent": (links["silent"].cut, links["silent"].mend)}

    def outages(kind: str) -> list[dict[str, float]]:
        return [outage(calls[kind], *ways[kind], seconds=60.0) for _ in range(2)]

    with ThreadPoolExecutor() as threads:
        times = dict(zip(calls, threads.map(outages, calls), strict=True))
    for kind in calls:
        measured(f"{kind}: {told(times[kind])}")
        in_time(times[kind])


def test_a_new_address_is_moved_to(call, measured):
    """The interface gets another address, six times, at once or after having none: media and signalling move to it."""
    c = call()
    c.start()
    times = []
    for host, without in ((9, 0.0), (10, 0.0), (11, 0.25), (12, 0.5), (13, 1.0), (2, 3.0)):
        times.append(outage(c, lambda: None, lambda h=host, w=without: c.link.move(f"10.77.0.{h}", w), seconds=0))
    measured(told(times))
    # Counted from when the old address went.
    assert max(max(t.values()) for t in times[:5]) <= RECOVERY, told(times)
    assert max(times[5].values()) <= RECOVERY + 3.0, told(times)


def test_a_loss_beyond_the_heartbeat_is_a_departure(call, measured):
    """Over the heartbeat time the others see `desk` go (reason 2) and come again, once each."""
    c = call(hub_extra="heartbeat_timeout_s = 4")
    c.start()
    times = []
    for _ in range(2):
        mark, quiet = c.desk.mark(), c.door.mark()
        c.link.down()
        gone = c.door.wait("RoomUserUpdate", lambda s: s.args[1] == 1, after=quiet, timeout=40)
        assert [user[0] for user in gone.args[2]] == ["desk"]
        wait_until(lambda: not c.door.objects("Stream"), "desk's stream to go")
        since = time.monotonic()
        c.link.up()
        seconds = c.flows_again(since)
        seconds["told"] = c.desk.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark).at - since
        times.append(seconds)
        c.door.wait("RoomUserUpdate", lambda s: s.args[1] == 0, after=quiet)
        news = story(c.door, quiet)
        assert moves(news) == WENT + CAME, news
        assert news[0][3][0][3]["delete_reason"] == 2, news
        assert [c for c in news if c[0] == "player"] == [("player", 1, 1004020), ("player", 2, 0)]
        assert states(c.desk, "RoomStateUpdate", mark) == [LOST, BACK]
        assert states(c.door, "RoomStateUpdate", quiet) == []
        (room,) = c.door.objects("Room").values()
        assert [user[0] for user in room["Users"]] == ["desk"], "one, not two"
    measured(told(times))
    in_time(times)


@pytest.mark.parametrize("kind", ["down", "silent"])
def test_a_login_without_a_network_succeeds_when_it_comes(call, measured, kind):
    """The line is gone before the login, three times; it is there three seconds at the most after the line."""
    c = call()
    c.door.login("lobby")
    ways = {"down": (c.link.down, c.link.up), "silent": (c.link.cut, c.link.mend)}
    begin, end = ways[kind]
    seconds = []
    for _ in range(3):
        begin()
        mark = c.desk.mark()
        token = options(
            token=c.hub.token("desk", "lobby"), server=c.hub.url, wait=False, is_user_status_notify=True
        )
        assert c.desk.call("LoginRoom", "lobby", "desk", "", token)[1] == 1
        c.desk.call("StartPublishing", "desk", {})
        time.sleep(6)
        assert states(c.desk, "RoomStateUpdate", mark) == [(1, 0)]
        since = time.monotonic()
        end()
        c.desk.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=mark)
        published = c.desk.wait("PublisherStateUpdate", lambda s: s.args[1] == 2, after=mark)
        seconds.append(published.at - since)
        assert states(c.desk, "RoomStateUpdate", mark) == [(1, 0), (2, 0)]
        wait_until(lambda: len(c.door.objects("Stream")) == 1, "door to see the stream")
        (room,) = c.door.objects("Room").values()
        assert [user[0] for user in room["Users"]] == ["desk"]
        c.desk.call("LogoutRoom", "lobby")
        wait_until(lambda: not c.door.objects("Stream"), "the stream to go")
    measured(f"publishing {', '.join(f'{s:.2f}' for s in seconds)} s after the line is back")
    assert max(seconds) <= RECOVERY


def test_a_line_that_breaks_during_the_login(call, measured):
    """It goes at some moment of the login, another one each time, and comes back: one user, one stream, no ghost."""
    c = call()
    c.door.login("lobby")
    seconds = []
    for delay in (0.0, 0.02, 0.04, 0.07, 0.12):
        mark, quiet = c.desk.mark(), c.door.mark()
        token = options(
            token=c.hub.token("desk", "lobby"), server=c.hub.url, wait=False, is_user_status_notify=True
        )
        c.desk.call("LoginRoom", "lobby", "desk", "", token)
        c.desk.call("StartPublishing", "desk", {})
        time.sleep(delay)
        c.link.down()
        time.sleep(4)
        since = time.monotonic()
        c.link.up()
        (room,) = c.desk.objects("Room")
        wait_until(lambda path=room: c.desk.get(path, "Room", "State") == "connected", "the room")
        wait_until(lambda: next(iter(c.desk.objects("Publisher").values()))["State"] == "publishing", "the publisher")
        seconds.append(time.monotonic() - since)
        reasons = [s.args[3]["reason"] for s in c.desk.signals("RoomStateUpdate", mark)]
        assert reasons in (["logining", "logined"], ["logining", "logined", "reconnecting", "reconnected"])
        wait_until(lambda: len(c.door.objects("Stream")) == 1, "door to see the stream")
        (seen,) = c.door.objects("Room").values()
        assert [user[0] for user in seen["Users"]] == ["desk"]
        assert not [s for s in c.door.signals("RoomStateUpdate", quiet)]
        c.desk.call("LogoutRoom", "lobby")
        wait_until(lambda: not c.door.objects("Stream"), "the stream to go")
    measured(f"publishing {', '.join(f'{s:.2f}' for s in seconds)} s after the line is back")
    assert max(seconds) <= RECOVERY


def test_a_killed_server_is_joined_again(call, measured):
    """The hub is killed and started anew, three times: users and streams are there once each, with mutes and extra info."""
    c = call()
    c.start()
    for device in (c.door, c.desk):
        device.set(next(iter(device.objects("Publisher"))), "Publisher", "AudioMuted", Variant("b", True))
        device.set(next(iter(device.objects("Player"))), "Player", "Volume", Variant("i", 40))
    players = {d.name: list(d.objects("Player")) for d in (c.door, c.desk)}
    times = []
    for pause in (0.5, 3.0, 8.0):
        marks = {d.name: d.mark() for d in (c.door, c.desk)}
        c.hub.program.kill()
        for d in (c.door, c.desk):
            d.wait("RoomStateUpdate", lambda s: s.args[1:3] == list(LOST), after=marks[d.name], timeout=2)
        time.sleep(pause)
        c.restart_server()
        since = time.monotonic()
        # Nobody hears anything: both are muted.
        seconds = c.flows_again(since, sound=False)
        backs = [d.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=marks[d.name]).at for d in (c.door, c.desk)]
        seconds["told"] = max(backs) - since
        times.append(seconds)
        for d, other in ((c.door, c.desk), (c.desk, c.door)):
            assert states(d, "RoomStateUpdate", marks[d.name]) == [LOST, BACK]
            assert states(d, "PublisherStateUpdate", marks[d.name]) == [(1, 1003020), (2, 0)]
            assert states(d, "PlayerStateUpdate", marks[d.name]) == [(1, 1004020), (2, 0)]
            (room,) = d.objects("Room").values()
            assert [user[0] for user in room["Users"]] == [other.name]
            wait_until(lambda d=d: [s["AudioMuted"] for s in d.objects("Stream").values()] == [True], "the mute")
            (stream,) = d.objects("Stream").values()
            assert stream["ExtraInfo"] == f"this is {other.name}"
            (player,) = d.objects("Player").values()
            assert (list(d.objects("Player")), player["Volume"]) == (players[d.name], 40)
    measured(told(times))
    in_time(times)


def test_livekit_s_own_server_gives_a_call_back(call, measured):
    """As the hub does: after a short loss, with another address, and killed and started anew."""
    c = call(server="livekit-server")
    c.start()
    times = [outage(c, c.link.down, c.link.up, seconds=5), outage(c, c.link.cut, c.link.mend, seconds=8)]
    times += [outage(c, lambda: None, lambda h=host: c.link.move(f"10.77.0.{h}"), seconds=0) for host in (9, 2)]
    times.append(killed(c))
    measured(told(times))
    in_time(times)


def test_a_killed_hub_is_heard_again(call, measured):
    """The call has its sound back as soon as its pictures."""
    c = call()
    c.start()
    times = [killed(c)]
    measured(told(times))
    in_time(times)


def killed(c: Call) -> dict[str, float]:
    """Kills the server and starts it anew: what both say of it, and the seconds until they have each other again."""
    both = ((c.door, c.desk), (c.desk, c.door))
    marks = {d.name: d.mark() for d, _ in both}
    c.hub.program.kill()
    for d, _ in both:
        d.wait("RoomStateUpdate", lambda s: s.args[1:3] == list(LOST), after=marks[d.name], timeout=2)
    c.restart_server()
    since = time.monotonic()
    seconds = c.flows_again(since)
    backs = [d.wait("RoomStateUpdate", lambda s: s.args[1] == 2, after=marks[d.name]).at for d, _ in both]
    seconds["told"] = max(backs) - since
    for d, other in both:
        news = chapters(BACK, {}, chapters(LOST, WAITING, story(d, marks[d.name])))
        # Who is there first sees the other, or only the other's stream, go and come again; who is there last, neither.
        moved = moves(news)
        assert moved == [move for move in WENT + CAME if move[0] in {member for member, _ in moved}], f"{d.name}: {news}"
        # The media is another one.
        kinds = ("audio_received", "video_received", "video_rendered")
        firsts = [("PlayerFirstFrame", other.name, kind) for kind in kinds]
        rest = [chapter for chapter in news if chapter[0] not in MOVES]
        runs = [(word, *state) for word, state in RUNS.items()]
        assert sorted(rest) == sorted([*runs, *firsts, ("PlayerVideoSizeChanged", other.name, 640, 480)]), f"{d.name}: {rest}"
    return seconds


def test_what_is_asked_for_during_an_outage_happens_after_it(call):
    """Publishing and mutes that are asked for without a line are not refused: they wait for it."""
    c = call()
    c.start()
    publisher = next(iter(c.desk.objects("Publisher")))
    mark = c.desk.mark()
    c.link.down()
    c.desk.wait("RoomStateUpdate", lambda s: s.args[1:3] == list(LOST), after=mark)
    c.desk.set(publisher, "Publisher", "VideoMuted", Variant("b", True))
    assert c.desk.call("StartPublishing", "aux", options(channel=1, video=False))[1] == 1
    # Longer than an answer of the server may take.
    time.sleep(12)
    c.link.up()
    c.desk.wait("PublisherStateUpdate", lambda s: s.args[:3] == ["aux", 2, 0], after=mark)
    assert not [s for s in c.desk.signals("PublisherStateUpdate", mark) if s.args[1] == 0]

    def seen() -> dict[str, bool]:
        return {s["StreamID"]: s["VideoMuted"] for s in c.door.objects("Stream").values()}

    wait_until(lambda: seen() == {"desk": True, "aux": False}, "door to see both")


def test_an_outage_ends_after_the_retry_time(call, measured):
    """Then the room, and all that is in it, ends with 1002053; when the line is back nobody returns."""
    c = call(retry_time_s=6, hub_extra="heartbeat_timeout_s = 8")
    times, entered = [], {"door": 0, "desk": 0}
    for begin, end in [(c.link.down, c.link.up)] * 3 + [(c.link.cut, c.link.mend)]:
        if times:
            c.enter(c.desk)
            c.desk.play("door")
        else:
            c.start()
        firsts = [(c.desk, "Publisher", "audio_sent"), (c.desk, "Publisher", "video_sent"), (c.desk, "Player", "audio_received")]
        firsts += [(c.door, "Player", "audio_received"), (c.door, "Player", "video_rendered")]
        for device, whose, kind in firsts:
            device.wait(f"{whose}FirstFrame", lambda s, k=kind: s.args[1] == k, after=entered[device.name])
        mark, quiet = c.desk.mark(), c.door.mark()
        begin()
        lost = c.desk.wait("RoomStateUpdate", after=mark, timeout=8)
        out = c.desk.wait("RoomStateUpdate", lambda s: s.args[1] == 0, after=mark, timeout=20)
        times.append(out.at - lost.at)
        assert out.args[3]["reason"] == "reconnect_failed"
        wait_until(lambda: not c.desk.objects("Room") and not c.desk.objects("Player"), "the objects to go")
        entered = {d.name: d.mark() for d in (c.door, c.desk)}
        end()
        c.door.wait("PlayerStateUpdate", lambda s: s.args[1] == 1, after=quiet, timeout=30)
        c.door.wait("RoomOnlineUserCountUpdate", after=quiet)
        (room,) = c.door.objects("Room").values()
        assert room["Users"] == []
        left = chapters((0, 1002053), GIVEN_UP, chapters(LOST, WAITING, story(c.desk, mark)))
        assert not left, f"nobody returns: {left}"
        news = story(c.door, quiet)
        assert moves(news) == WENT and [c for c in news if c[0] not in MOVES] == [("player", 1, 1004020)], news
    measured(f"given up after {', '.join(f'{s:.2f}' for s in times)} s of 6")
    assert 5.5 <= min(times) and max(times) <= 8


def test_the_network_mode_follows_the_default_route(stage):
    """NetworkMode and NetworkModeChanged, without a wake-up in between."""
    link = make_link(stage)
    desk = start_device(stage, "desk", namespace=link.right)

    def mode() -> str:
        return desk.get("/org/zegod1", "Engine", "NetworkMode")

    # A TUN device is of no kind that has a word.
    assert mode() == "unknown"
    for _ in range(3):
        for change, word in ((link.down, "offline"), (link.up, "unknown"), (link.unplug, "offline"), (link.plug, "unknown")):
            mark = desk.mark()
            change()
            assert desk.wait("NetworkModeChanged", after=mark, timeout=2).args == [word]
            assert mode() == word
            assert len(desk.signals("NetworkModeChanged", mark)) == 1
    mark = desk.mark()
    link.move("10.77.0.9")
    time.sleep(0.5)
    assert not desk.signals("NetworkModeChanged", mark), "another address is not another mode"
    assert desk.wakeups(5) == 0, "nothing polls"
