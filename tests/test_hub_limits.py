"""Clients that want too much of the hub: they are slowed down, refused or put out, and a call beside them does not notice."""

import base64
import dataclasses
import json
import threading
import time
from collections.abc import Callable

import pytest
from sdk.client import start_peer

from rig import tokens
from rig.device import options, start_device, wait_until
from rig.hub import Hub, start_hub
from rig.island import Island, make_island
from rig.network import ip
from rig.running_call import RunningCall
from rig.stranger import Stranger

pytestmark = pytest.mark.root

PORT = 7880
FIRST, SECOND = "10.77.1.2", "10.77.1.3"
"""Addresses of strangers; the call's devices have the island's own."""
SIGNALLING_TOO_FAST = 1002073
NO_PUBLISHING = 1003025
ROOM_FULL = 1002034


@pytest.fixture
def island(stage):
    island = make_island(stage)
    for address in (FIRST, SECOND):
        ip("-n", island.namespace, "address", "add", f"{address}/24", "dev", "shore")
    return island


@pytest.fixture
def start(stage, island):
    """Starts a hub that other machines reach: `start(joins_per_user=1)`."""

    def start(**limits: int) -> Hub:
        lines = "\n".join(f"{key} = {value}" for key, value in limits.items())
        hub = start_hub(stage, address="0.0.0.0", namespace=island.namespace, extra=f"[limits]\n{lines}\n")
        return dataclasses.replace(hub, http=f"http://{island.address}:{PORT}", url=f"ws://{island.address}:{PORT}")

    return start


@pytest.fixture
def stranger(stage, island):
    """Connects somebody from an address of the island's."""

    def connect(source: str = FIRST, **wishes: int) -> Stranger:
        host = "127.0.0.1" if source.startswith("127.") else island.address
        somebody = Stranger(host, PORT, namespace=island.namespace, source=source, **wishes)
        stage.at_end("a stranger", somebody.close)
        return somebody

    return connect


@pytest.fixture
def call(stage, island) -> Callable[[Hub], RunningCall]:
    """A call of two devices on a hub."""
    return lambda hub: RunningCall(lambda name: start_device(stage, name, hub=hub, namespace=island.namespace))


def enter(somebody: Stranger, hub: Hub, user: str, room: str = "lobby", **query: str) -> None:
    """Joins, and hears so."""
    status, _, text = somebody.join(hub.token(user, room), **query)
    assert status == 101, text
    somebody.greet()


def met(stranger, limit: str) -> int:
    """How often a limit was met, by the hub's own count."""
    _, _, text = stranger("127.0.0.1").request("/metrics")
    return int(float(text.split(f'zegohub_limited_total{{limit="{limit}"}} ')[1].split("\n")[0]))


def administer(stranger, method: str, **fields: object) -> tuple[int, str]:
    """A call of RoomService from this machine: status and answer."""
    token = tokens.server_token(roomAdmin=True, room=fields.get("room", "lobby"))
    program = stranger("127.0.0.1")
    status, _, text = program.request(
        f"/twirp/livekit.RoomService/{method}",
        method="POST",
        body=json.dumps(fields).encode(),
        Authorization=f"Bearer {token}",
        Content_Type="application/json",
    )
    program.close()
    return status, text


@pytest.mark.paired
def test_an_address_has_only_so_many_connections(start, stranger, call, measured):
    hub = start(connections_per_address=50)
    running = call(hub)
    silent = [stranger() for _ in range(50)]
    status, headers, text = stranger().answer()
    assert (status, headers["retry-after"]) == (429, "5") and "too many connections" in text
    assert stranger(SECOND).request("/healthz")[0] == 200, "others are not concerned"
    silent.pop().close()
    wait_until(lambda: stranger().request("/healthz")[0] == 200, "a place that is free again")
    assert met(stranger, "connections") >= 1
    running.assert_undisturbed(measured)


def test_who_is_slow_to_say_what_it_wants_is_not_waited_for(start, stranger):
    start()
    silent, dripping, half = stranger(), stranger(), stranger()
    half.socket.sendall(b"POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n{")
    dripping.socket.sendall(b"GET / HTTP/1.1\r\n")
    begun = time.monotonic()
    while time.monotonic() < begun + 9:
        dripping.socket.sendall(b"X: y\r\n")
        time.sleep(0.5)
    assert silent.is_over(5) and dripping.is_over(5)
    status, _, text = half.answer()
    assert (status, json.loads(text)["code"]) == (400, "malformed") and "in time" in text


def until_refused(attempt: Callable[[], tuple[int, dict[str, str], str]]) -> tuple[dict[str, str], str]:
    """Tries until it is too much: headers and text of the refusal."""
    for _ in range(200):
        status, headers, text = attempt()
        if status == 429:
            return headers, text
    raise AssertionError(f"never too much; the last answer was {status} {text}")


def test_an_address_asks_only_so_often(start, stranger):
    hub = start(requests_per_address=5)
    somebody, path = stranger(), f"/rtc/validate?access_token={hub.token('anna', 'lobby')}"
    answers = [somebody.request("/healthz")[0] for _ in range(150)]
    assert answers.count(200) >= 50 and answers.count(429) == 150 - answers.count(200) > 50
    proxy = stranger("127.0.0.1")
    assert proxy.request(path)[0] == 200, "a program on this machine is not limited by its address"
    until_refused(lambda: proxy.request(path, X_Forwarded_For=f"198.51.100.1, {FIRST}"))
    _, text = until_refused(lambda: somebody.request("/twirp/livekit.RoomService/ListRooms", method="POST", body=b"{}"))
    assert json.loads(text)["code"] == "resource_exhausted"
    assert stranger(SECOND).request(path)[0] == 200
    headers, text = until_refused(lambda: somebody.request(path))
    assert "asks too often" in text and headers["access-control-allow-origin"] == "*"
    time.sleep(int(headers["retry-after"]))
    assert somebody.request(path)[0] == 200
    assert met(stranger, "requests") > 50


@pytest.mark.alone
def test_two_hundred_devices_behind_one_address_come_back_at_once(start, stranger, call, island, measured):
    """As after an outage: their old connections are still open, and each is asked and answered before it joins."""
    hub = start()
    running = call(hub)
    crowd: list[Stranger] = []
    faults: list[str] = []

    def come(first: int, questions: int) -> None:
        for number in range(first, first + 10):
            user, room = f"user{number}", f"room{number // 20}"
            for _ in range(questions):
                asked = stranger()
                status, _, text = asked.request(f"/rtc/validate?access_token={hub.token(user, room)}")
                faults.extend([text] * (status != 200))
                asked.close()
            crowd.append(stranger())
            try:
                enter(crowd[-1], hub, user, room)
            except AssertionError as error:
                faults.append(str(error))

    for questions in (0, 2):
        begun = time.monotonic()
        threads = [threading.Thread(target=come, args=(first, questions)) for first in range(0, 200, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        measured(f"200 came in after {time.monotonic() - begun:.1f} s")
        assert not faults, faults[:3]
    for limit in ("connections", "requests", "joins", "messages", "slow_readers"):
        assert met(stranger, limit) == 0
    running.assert_undisturbed(measured)


def test_a_user_joins_only_so_often(start, stranger):
    hub = start(joins_per_user=1)
    for _ in range(20):
        enter(stranger(), hub, "anna")
    headers, text = until_refused(lambda: stranger().join(hub.token("anna", "lobby")))
    assert "'anna' joins too often" in text and "[" not in text
    enter(stranger(), hub, "ben")
    time.sleep(int(headers["retry-after"]))
    enter(stranger(), hub, "anna")


@pytest.mark.paired
def test_who_says_too_much_is_slowed_down_and_put_out(start, stranger, call, measured):
    hub = start()
    running = call(hub)
    loud, quiet = stranger(), stranger(SECOND)
    enter(loud, hub, "loud", zego_login="7")
    enter(quiet, hub, "quiet")
    over = threading.Event()

    def shout() -> None:
        try:
            while not over.is_set():
                loud.say("pingReq", timestamp="1", rtt="0")
        except OSError:
            pass

    shouting = threading.Thread(target=shout)
    begun = time.monotonic()
    shouting.start()
    pongs, last = 0, None
    while (message := loud.hear(20)) is not None:
        pongs += "pongResp" in message
        last = message
    seconds = time.monotonic() - begun
    over.set()
    loud.close()
    shouting.join()
    measured(f"{pongs} of its messages were answered in {seconds:.1f} s")
    assert 9 < seconds < 15
    assert pongs <= 500 + 50 * (seconds + 1)
    assert varint(SIGNALLING_TOO_FAST) in last["protobuf"], last
    assert loud.closed_with == 1000
    quiet.say("pingReq", timestamp="5", rtt="0")
    assert int(quiet.wait("pongResp")["lastPingTimestamp"]) == 5
    assert met(stranger, "messages") == 2
    running.assert_undisturbed(measured)


def varint(number: int) -> bytes:
    """As protobuf writes it."""
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def test_texts_and_lists_have_bounds(start, stranger):
    hub = start()
    anna = stranger()
    token = tokens.livekit_token("anna", "lobby", grants={"canUpdateOwnMetadata": True})
    assert anna.join(token)[0] == 101
    anna.greet()
    for fields in (
        {"name": "x" * 257},
        {"metadata": "x" * 64_001},
        {"attributes": {"a": "x" * 64_000}},
    ):
        anna.say("updateMetadata", requestId=7, **fields)
        answer = anna.wait("requestResponse")
        assert (answer["requestId"], answer["reason"]) == (7, "LIMIT_EXCEEDED"), answer
        assert "more than" in answer["message"]
    for fields in ({"name": "x" * 513}, {"layers": [{}] * 17}, {"audioFeatures": [0] * 1000}):
        anna.say("addTrack", cid="mine", type="VIDEO", **fields)
        answer = anna.wait("requestResponse")
        assert (answer["reason"], answer["addTrack"]["cid"]) == ("LIMIT_EXCEEDED", "mine"), answer
    # What has no answer is not done, and its sender stays.
    anna.say("subscription", trackSids=["TR_x"] * 5_000, subscribe=True)
    anna.say("pingReq", timestamp="5", rtt="0")
    assert "pongResp" in anna.hear()
    anna.say("updateMetadata", requestId=8, metadata="x" * 64_000)
    assert anna.wait("requestResponse").get("reason", "OK") == "OK"
    assert met(stranger, "texts") == 7
    status, text = administer(stranger, "SendData", room="lobby", data="A" * 100_000)
    assert status == 400 and "64000 bytes" in text


@pytest.mark.paired
def test_session_descriptions_have_bounds(start, stranger, call, measured):
    hub = start()
    running = call(hub)
    formats = "".join(f" {n}" for n in range(60_000))
    maps = "".join(f"a=rtpmap:{n} VP8/90000\r\n" for n in range(20_000))
    for sdp in (
        "v=0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 600,
        f"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF{formats}\r\na=sendonly\r\n{maps}",
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n" + "a=ssrc:1 cname:x\r\n" * 20_000,
    ):
        somebody = stranger()
        enter(somebody, hub, "anna")
        somebody.say("offer", type="offer", sdp=sdp)
        assert somebody.wait("leave")["reason"] == "MEDIA_FAILURE"
    huge = stranger()
    enter(huge, hub, "huge")
    begun = time.monotonic()
    try:
        huge.say("offer", type="offer", sdp="x" * (2 << 20))
    except ConnectionError:
        pass
    assert huge.is_over(5) and time.monotonic() - begun < 5
    assert met(stranger, "descriptions") == 3
    running.assert_undisturbed(measured)


def test_a_participant_publishes_only_so_many_tracks(start, stranger, stage, island):
    hub = start(tracks_per_participant=2)
    anna = stranger()
    enter(anna, hub, "anna")
    for number in range(3):
        anna.say("addTrack", cid=f"cid{number}", name=f"track{number}", type="AUDIO")
    assert [anna.wait("trackPublished")["cid"] for _ in range(2)] == ["cid0", "cid1"]
    answer = anna.wait("requestResponse")
    assert (answer["reason"], answer["addTrack"]["cid"]) == ("LIMIT_EXCEEDED", "cid2")
    door = start_device(stage, "door", hub=hub, namespace=island.namespace)
    door.login("lobby")
    door.publish("first")
    error = door.refusal("StartPublishing", "second", options(channel=1))
    assert error.code == NO_PUBLISHING and "2 tracks at most" in error.message


def test_an_app_has_only_so_many_participants(start, stranger):
    hub = start(participants_per_app=2)
    anna, ben = stranger(), stranger()
    enter(anna, hub, "anna", "one")
    enter(ben, hub, "ben", "two")
    status, _, text = stranger().join(hub.token("carl", "three"))
    assert status == 403 and f"[{ROOM_FULL}]" in text
    enter(stranger(), hub, "anna", "one")
    ben.say("leave")
    carl = stranger()
    wait_until(lambda: stranger().request(f"/rtc/validate?access_token={hub.token('carl', 'three')}")[0] == 200, "room")
    enter(carl, hub, "carl", "three")


def test_who_does_not_read_costs_only_itself(start, stranger, measured):
    hub = start()
    deaf, ben = stranger(buffer=4096), stranger(SECOND)
    enter(deaf, hub, "deaf", "hall")
    enter(ben, hub, "ben", "hall")
    before = memory_kib(hub)
    heard: list[str] = []

    def listen() -> None:
        while len(heard) < 400 and (message := ben.hear(20)) is not None:
            heard.extend(room["metadata"][:3] for room in [message.get("roomUpdate", {}).get("room")] if room)

    listening = threading.Thread(target=listen)
    listening.start()
    for number in range(400):
        status, text = administer(stranger, "UpdateRoomMetadata", room="hall", metadata=f"{number:03}" + "x" * 60_000)
        assert status == 200, text
        wait_until(lambda number=number: len(heard) > number - 20, "who reads to keep up")
    listening.join()
    assert heard == [f"{number:03}" for number in range(400)], "who reads hears everything"
    assert met(stranger, "slow_readers") == 1
    measured(f"{(memory_kib(hub) - before) / 1024:.1f} MB more at the peak")
    assert memory_kib(hub) - before < 30 * 1024


def memory_kib(hub: Hub) -> int:
    """The most memory that the hub had so far."""
    with open(f"/proc/{hub.program.pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])


@pytest.mark.paired
def test_data_beyond_its_share_is_dropped(start, stranger, stage, island, call, measured):
    hub = start(data_kib_per_participant=50)  # and a packet of 900 bytes counts as one
    running = call(hub)
    anna, ben = (start_peer(stage, hub, user, "hall", namespace=island.namespace) for user in ("anna", "ben"))
    anna.wait("joined", user="ben")
    begun = time.monotonic()
    anna.tell("flood noise 3000 900")
    anna.wait("flooded", timeout=30)
    wait_until(lambda: len(ben.events("data")) + met(stranger, "data") == 3000, "each to be passed on or counted")
    came = len(ben.events("data"))
    measured(f"{came} of 3000 packets were passed on")
    assert 200 <= came <= 200 + 50 * (time.monotonic() - begun)
    ben.tell("data zego.command anna still heard")
    anna.wait("data", user="ben", text="still heard")
    running.assert_undisturbed(measured)


def test_tokens_that_prove_nothing_are_refused(start, stranger):
    hub = start()
    good = hub.token("anna", "lobby")
    _, claims, signature = good.split(".")

    def made(algorithm: str, signed: str) -> str:
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).rstrip(b"=").decode()
        return ".".join([header, claims, signed])

    somebody = stranger()
    for token in (made("none", ""), made("none", signature), made("HS512", signature), made("RS256", signature)):
        status, _, text = somebody.request(f"/rtc/validate?access_token={token}")
        assert status == 401 and "[10020" in text, text
    assert somebody.request(f"/rtc/validate?access_token={good}")[0] == 200


def test_each_message_needs_its_grant(start, stranger):
    hub = start()
    anna = stranger()
    assert anna.join(tokens.livekit_token("anna", "lobby", publish=False))[0] == 101
    anna.greet()
    anna.say("addTrack", cid="mine", name="mine", type="AUDIO")
    assert anna.wait("requestResponse")["reason"] == "NOT_ALLOWED"
    anna.say("updateMetadata", requestId=3, metadata="mine")
    assert anna.wait("requestResponse")["reason"] == "NOT_ALLOWED"
