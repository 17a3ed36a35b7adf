"""What the quality signals say: every value follows what really happens."""

import pytest

from rig.device import options, start_device, wait_until
from rig.hub import start_hub
from rig.network import ip, make_link

pytestmark = pytest.mark.paired

PLAYED = (
    "rtt av_timestamp_diff video_buffer_delay audio_buffer_delay video_withheld_frames "
    "video_recv_fps video_dejitter_fps video_decode_fps video_render_fps video_kbps video_break_rate audio_recv_fps "
    "audio_dejitter_fps audio_decode_fps audio_render_fps audio_kbps audio_break_rate mos packet_lost_rate level delay "
    "peer_to_peer_delay "
    "is_hardware_decode video_codec_id total_recv_bytes audio_recv_bytes video_recv_bytes audio_cumulative_break_count "
    "audio_cumulative_break_time audio_cumulative_break_rate audio_cumulative_decode_time "
    "video_cumulative_break_count video_cumulative_break_time video_cumulative_break_rate "
    "video_cumulative_decode_time mute_video mute_audio"
).split()
PUBLISHED = (
    "video_capture_fps video_encode_fps video_send_fps video_kbps audio_capture_fps audio_send_fps audio_kbps rtt "
    "packet_lost_rate level is_hardware_encode video_codec_id total_send_bytes audio_send_bytes video_send_bytes "
    "video_dropped_frames video_key_frames video_target_kbps"
).split()


def test_every_value_is_there_and_follows_the_call(device, measured):
    """All keys of a running call; another rate and size changes those that depend on it, and only then."""
    door, desk = device("door"), device("desk")
    for one in (door, desk):
        one.login("lobby")
    door.publish("door")
    desk.publish("desk")
    desk.play("door", view=desk.texture().view)

    def played(after, where=lambda q: True):
        def full(signal):
            # The server's clock is known by its second answer, some seconds after the login.
            late = ("mos", "video_recv_fps", "peer_to_peer_delay", "av_timestamp_diff")
            return all(key in signal.args[1] for key in late) and where(signal.args[1])

        return desk.wait("PlayerQualityUpdate", full, timeout=20, after=after).args[1]

    mark = door.mark()
    before = played(desk.mark())
    sent = door.wait("PublisherQualityUpdate", lambda s: "rtt" in s.args[1] and "video_kbps" in s.args[1], timeout=15)
    assert not [key for key in PLAYED if key not in before], before
    assert not [key for key in PUBLISHED if key not in sent.args[1]], sent.args[1]
    for key in ("audio_recv_fps", "audio_dejitter_fps", "audio_decode_fps", "audio_render_fps"):
        assert 40 < before[key] < 60, (key, before)
    assert 3.5 < before["mos"] < 4.42, before
    assert abs(before["av_timestamp_diff"]) < 200, before
    assert before["audio_cumulative_decode_time"] > 0 and before["video_cumulative_decode_time"] > 0
    door.call("SetVideoConfig", options(fps=5, bitrate=200), 0)
    slow = ("video_recv_fps", "video_dejitter_fps", "video_decode_fps", "video_render_fps")
    after = played(desk.mark(), lambda q: all(3 < q[key] < 8 for key in slow))
    assert after["video_kbps"] < before["video_kbps"]
    assert after["total_recv_bytes"] > before["total_recv_bytes"]
    door.wait("PublisherQualityUpdate", lambda s: 3 < s.args[1].get("video_send_fps", 0) < 8, after=mark, timeout=15)
    measured(f"delay {before['delay']} ms, mos {before['mos']:.2f}, {before['video_recv_fps']:.0f} -> 5 fps")


def test_the_first_values_are_whole(hub, device):
    """Three seconds after the start the first signal has all rates, those of each side."""
    door, desk = device("door"), device("desk")
    for one in (door, desk):
        one.login("lobby")
    door.publish("door")
    desk.play("door", view=desk.texture().view)
    rates = {"video_kbps", "audio_kbps", "video_encode_fps", "video_send_fps", "audio_send_fps", "video_capture_fps"}
    assert not rates - door.wait("PublisherQualityUpdate").args[1].keys()
    rates = {"video_kbps", "audio_kbps", "video_recv_fps", "video_render_fps", "audio_recv_fps", "audio_render_fps", "mos"}
    assert not rates - desk.wait("PlayerQualityUpdate").args[1].keys()


@pytest.mark.root
def test_the_way_is_measured_as_it_is(stage, measured):
    """80 ms each way and 3 % loss: every figure about the way says so, at both ends, and they come every three seconds."""
    link = make_link(stage, delay_ms=80, loss_percent=3)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    door = start_device(stage, "door", hub=hub, namespace=link.right, bitrate_kbps=600)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right, camera="none", microphone="none")
    for one in (door, desk):
        one.login("lobby")
    door.publish("door")
    desk.play("door", view=desk.texture().view)

    def told(device, member):
        signals = wait_until(lambda: device.signals(member)[3:] and device.signals(member), "four signals", timeout=20)
        steps = [after.at - before.at for before, after in zip(signals, signals[1:], strict=False)]
        assert all(2.7 < step < 3.3 for step in steps), steps
        return [s.args[1] for s in signals[1:]]

    sent, played = told(door, "PublisherQualityUpdate"), told(desk, "PlayerQualityUpdate")
    for quality in (*sent, *played):
        assert 158 <= quality["rtt"] <= 220, quality
        assert quality["level"] in (1, 2), "good or medium: neither excellent nor bad"
    for name, end in (("sent", sent), ("played", played)):
        losses = [quality["packet_lost_rate"] for quality in end]
        measured(f"{name}: lost {', '.join(f'{loss:.3f}' for loss in losses)}; rtt {[quality['rtt'] for quality in end]}")
        assert 0.005 < sum(losses) / len(losses) < 0.15, losses
    for quality in played:
        # To the hub and on; the hub's clock is known after some seconds.
        assert 150 <= quality.get("peer_to_peer_delay", 150) < 700, quality
        assert 10 <= quality["delay"] < 500, quality
        assert 1 < quality["mos"] < 4.36, "a call without delay and loss has 4.4"
    assert "peer_to_peer_delay" in played[-1]


@pytest.mark.root
def test_a_cut_line_breaks_sound_and_pictures_and_both_resume(stage, measured):
    """Two seconds without a packet: PlayerMediaEvent 0 and 2, then 1 and 3; counters, rates and MOS show it."""
    link = make_link(stage)
    hub = start_hub(stage, address=link.left_address, namespace=link.left)
    door = start_device(stage, "door", hub=hub, namespace=link.left)
    desk = start_device(stage, "desk", hub=hub, namespace=link.right)
    for one in (door, desk):
        one.login("lobby")
    door.publish("door")
    desk.play("door", view=desk.texture().view)
    good = desk.wait("PlayerQualityUpdate", lambda s: "mos" in s.args[1], timeout=15).args[1]
    mark = desk.mark()
    # The packets are thrown away; every interface stays up, so nobody is told.
    ip("-n", link.left, "route", "add", "blackhole", f"{link.right_address}/32")
    broke = [desk.wait("PlayerMediaEvent", lambda s, e=e: s.args == ["door", e], after=mark, timeout=5) for e in (0, 2)]
    ip("-n", link.left, "route", "del", "blackhole", f"{link.right_address}/32")
    back = [desk.wait("PlayerMediaEvent", lambda s, e=e: s.args == ["door", e], after=mark, timeout=15) for e in (1, 3)]
    bad = desk.wait(
        "PlayerQualityUpdate",
        lambda s: s.args[1].get("video_cumulative_break_count", 0) > good["video_cumulative_break_count"]
        and s.args[1].get("audio_cumulative_break_count", 0) > good["audio_cumulative_break_count"],
        after=mark,
        timeout=15,
    ).args[1]
    for kind in ("audio", "video"):
        assert bad[f"{kind}_cumulative_break_time"] > good[f"{kind}_cumulative_break_time"] + 100
        assert bad[f"{kind}_cumulative_break_rate"] > 0
    measured(
        f"sound broke for {back[0].at - broke[0].at:.2f} s, pictures for {back[1].at - broke[1].at:.2f} s, "
        f"mos {good['mos']:.2f} -> {bad['mos']:.2f}"
    )
