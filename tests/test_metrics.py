"""`/metrics` and `/healthz` of the hub, read as Prometheus and a supervisor read them."""

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from rig.device import wait_until
from rig.hub import start_hub
from rig.room_service import call


def get(hub, path, **headers):
    """Status and text."""
    request = urllib.request.Request(f"{hub.http}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def scrape(hub, **headers):
    """Every sample: (name, its label's value or None) -> value."""
    status, text = get(hub, "/metrics", **headers)
    assert status == 200, text
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {(s.name, next(iter(s.labels.values()), None)): s.value for f in families for s in f.samples}


def test_a_call_is_counted(hub, device):
    door, desk = device("door"), device("desk")
    for d in (door, desk):
        d.login("lobby")
    door.publish("door")
    desk.play("door", view=desk.texture(640, 480).view)
    first = scrape(hub)
    assert first["zegohub_rooms", None] == 1
    assert first["zegohub_participants", None] == 2
    assert first["zegohub_tracks", "audio"] == first["zegohub_tracks", "video"] == 1
    assert first["zegohub_joins_total", None] == 2
    wait_until(lambda: scrape(hub)["zegohub_rtp_packets_total", "out"] > 100, "packets to be counted")
    later = scrape(hub)
    for name in ("datagrams", "bytes"):
        for direction in ("in", "out"):
            assert later[f"zegohub_{name}_total", direction] > first[f"zegohub_{name}_total", direction] > 0
    assert later["zegohub_bytes_total", "in"] > 50 * later["zegohub_datagrams_total", "in"]
    assert later["zegohub_rtp_packets_total", "in"] <= later["zegohub_datagrams_total", "in"]
    assert all((f"zegohub_{name}_total", d) in later for name in ("nacks", "plis", "rtp_lost") for d in ("in", "out"))
    assert later["zegohub_plis_total", "in"] >= 1, "whoever begins to see needs a key frame of the publisher"
    wait_until(lambda: scrape(hub)["zegohub_join_duration_seconds_count", None] == 2, "two joins")
    assert later["zegohub_join_duration_seconds_bucket", "+Inf"] == 2
    assert 0 < later["zegohub_join_duration_seconds_sum", None] < 60
    assert 1e6 < later["process_resident_memory_bytes", None] < 1e9
    assert 5 < later["process_open_fds", None] < later["process_max_fds", None]
    assert later["process_cpu_seconds_total", None] > 0
    door.call("LogoutRoom", "lobby")
    wait_until(lambda: scrape(hub)["zegohub_participants", None] == 1, "one to be gone")
    assert scrape(hub)["zegohub_leaves_total", "yes"] == 1
    assert scrape(hub)["zegohub_tracks", "video"] == 0


def test_how_much_is_written_does_not_depend_on_how_many_there_are(hub):
    before = scrape(hub).keys()
    for n in range(50):
        call(hub, "create_room", name=f"room{n}")
    after = scrape(hub)
    assert after["zegohub_rooms", None] == 50
    assert after.keys() == before


def test_metrics_are_for_this_machine_or_for_the_token(stage):
    local = start_hub(stage)
    assert get(local, "/metrics")[0] == 200
    assert get(local, "/metrics", **{"X-Forwarded-For": "192.0.2.1"})[0] == 403, "it came through a proxy"
    watched = start_hub(stage, extra='[metrics]\ntoken = "scrape-me"\n')
    assert get(watched, "/metrics")[0] == 403
    assert get(watched, "/metrics", Authorization="Bearer wrong")[0] == 403
    assert scrape(watched, Authorization="Bearer scrape-me")["zegohub_rooms", None] == 0


def test_the_hub_is_well(hub):
    assert get(hub, "/healthz") == (200, "ok\n")
