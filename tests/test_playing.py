"""Playing, and what publishing looks like from the other side: canvas, volume, mutes, views, many streams."""

import time

import numpy as np
import pytest
from dbus_fast import Variant

from rig.bar import read_bar
from rig.device import options, wait_until
from rig.sound import WavWatch


def two_in_a_room(device, **wishes):
    """`door` publishes, `desk` only plays."""
    door, desk = device("door", **wishes), device("desk", speaker="wav", camera="none", microphone="none")
    for d in (door, desk):
        d.login("lobby")
    return door, desk


def edges(frame) -> tuple[np.ndarray, np.ndarray]:
    """B, G, R in the middle of the top and of the left edge, some pixels in."""
    height, width = frame.pixels.shape[:2]
    return frame.pixels[6, width // 2, :3], frame.pixels[height // 2, 6, :3]


def is_red(pixel: np.ndarray) -> bool:
    blue, green, red = pixel.astype(int)
    return red > 240 and green < 12 and blue < 12


@pytest.mark.parametrize(("width", "height"), [(640, 200), (200, 640)])
def test_canvas_modes_in_a_view_of_another_shape(hub, device, width, height):
    """A 4:3 picture in a wide and in a tall view: bars of the background colour in mode 0 only."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    view = desk.texture(width, height, format="XR24")
    wide = width > height
    for mode in (0, 1, 2, 0):
        desk.play("door", view=view.view, view_mode=mode, background_color=0xFF0000)
        before = view.newest
        frame = view.next(before + 3)
        top, left = edges(frame)
        assert is_red(left) == (mode == 0 and wide), f"mode {mode}: {left}"
        assert is_red(top) == (mode == 0 and not wide), f"mode {mode}: {top}"
        middle = frame.pixels[height // 2, width // 2, :3]
        assert not is_red(middle), "the picture is in the middle"
        if mode == 0:
            red = (frame.pixels[..., 2] > 240) & (frame.pixels[..., 1] < 12) & (frame.pixels[..., 0] < 12)
            shown = 1 - red.mean()
            # What a 4:3 picture covers of the view, when it touches its long sides.
            expected = height * 4 / 3 / width if wide else width * 3 / 4 / height
            assert abs(shown - expected) < 0.03, f"{shown:.3f} of the view shows the picture, not {expected:.3f}"


def test_another_view_while_playing(hub, device, measured):
    """StartPlaying again with another view: the old one stops, the new one starts within a few frames."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    first, second = desk.texture(), desk.texture()
    player = desk.play("door", view=first.view)
    first.next(first.next().number + 10)
    mark, begin = desk.mark(), time.monotonic()
    desk.call("StartPlaying", "door", options(view=second.view))
    second.next()
    took = (time.monotonic() - begin) * 1000
    measured(f"the other view shows it after {took:.0f} ms")
    assert took < 250
    stopped = first.newest
    second.next(second.newest + 10)
    assert first.newest <= stopped + 1, "the old view goes on"
    assert list(desk.objects("Player")) == [player], "it is the same player"
    assert not desk.signals("PlayerStateUpdate", mark), "nothing was interrupted"
    shows = {v["ViewID"]: v["Source"] for v in desk.objects("View").values()}
    assert shows == {first.view: "", second.view: "door"}


def test_playing_again_with_other_wishes(hub, device):
    """`audio` and `video` hold from the second call on as from the first; without a view there are no pictures."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    view = desk.texture()
    player = desk.play("door", view=view.view)
    view.next(view.next().number + 10)

    def receives(audio: bool, video: bool) -> None:
        def is_so(s) -> bool:
            rates = [s.args[1].get(f"{kind}_kbps", 0) for kind in ("audio", "video")]
            return [rate > 5 for rate in rates] == [audio, video]

        desk.wait("PlayerQualityUpdate", is_so, after=desk.mark(), timeout=12)

    receives(True, True)
    desk.call("StartPlaying", "door", options(view=view.view, audio=False))
    receives(False, True)
    shown = view.newest
    view.next(shown + 10)
    desk.call("StartPlaying", "door", options(audio=True))
    receives(True, False)
    assert desk.get(player, "Player", "View") == "/"
    mark = desk.mark()
    desk.call("StartPlaying", "door", options(view=view.view))
    receives(True, True)
    error = desk.refusal("StartPlaying", "door", options(whep_url=f"{hub.http}/whep/v1/door", whep_token="x"))
    assert (error.name, error.code) == ("org.zegod1.Error.InvalidArgument", 1000017)
    assert list(desk.objects("Player")) == [player] and not desk.signals("PlayerStateUpdate", mark)


def test_muting_a_player_stops_the_receiving(hub, device, measured):
    """VideoMuted: pictures do not even arrive any more, while the sound goes on; unmuted, both are back at once."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    view = desk.texture()
    player = desk.play("door", view=view.view)
    view.next(view.next().number + 30)

    def quality(after: int, good, what: str) -> dict:
        signal = desk.wait("PlayerQualityUpdate", lambda s: good(s.args[1]), after=after, timeout=15)
        measured(f"{what}: {signal.args[1].get('video_kbps')} kbit/s video, {signal.args[1].get('audio_kbps')} audio")
        return signal.args[1]

    before = quality(desk.mark(), lambda q: q.get("video_kbps", 0) > 100, "playing")
    assert before["audio_kbps"] > 5
    desk.set(player, "Player", "VideoMuted", Variant("b", True))
    muted = quality(desk.mark(), lambda q: q.get("video_kbps", 0) < 5 and q.get("audio_kbps", 0) > 5, "video muted")
    assert muted.get("video_recv_fps", 0) == 0
    still = view.newest
    time.sleep(0.5)
    assert view.newest == still
    back = time.monotonic()
    desk.set(player, "Player", "VideoMuted", Variant("b", False))
    view.next(still)
    measured(f"pictures again {(time.monotonic() - back) * 1000:.0f} ms after VideoMuted = false")
    desk.set(player, "Player", "AudioMuted", Variant("b", True))
    quality(desk.mark(), lambda q: q.get("audio_kbps", 0) < 1 and q.get("video_kbps", 0) > 50, "audio muted")
    desk.set(player, "Player", "AudioMuted", Variant("b", False))
    quality(desk.mark(), lambda q: q.get("audio_kbps", 0) > 5, "unmuted")
    assert desk.get(player, "Player", "State") == "playing"


def test_volume_of_a_player(hub, device, measured):
    """0 is silence, 50 is 6 dB less, 200 is 6 dB more than 100."""
    door, desk = two_in_a_room(device)
    door.publish("door", video=False)
    player = desk.play("door")
    watch = WavWatch(desk.speaker)
    peaks = {}
    for volume in (100, 50, 200, 0, 100):
        desk.set(player, "Player", "Volume", Variant("i", volume))
        assert desk.get(player, "Player", "Volume") == volume
        begin = time.monotonic() + 0.6
        time.sleep(3.2)
        peaks.setdefault(volume, (begin, time.monotonic() - 0.2))
    time.sleep(0.5)
    watch.stop()
    beeps = watch.beeps()

    def peak(volume: int) -> float | None:
        begin, end = peaks[volume]
        inside = sorted(beep.peak for at, beep in beeps if begin < at < end)
        return inside[len(inside) // 2] if inside else None

    measured(", ".join(f"volume {v}: {peak(v)} dBFS" for v in peaks))
    assert peak(0) is None
    assert abs(peak(50) - peak(100) + 6.02) < 1
    assert abs(peak(200) - peak(100) - 6.02) < 1


def test_only_sound_without_a_view(hub, device):
    """No view: the sound plays, no pictures are received; with its first view they come."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    player = desk.play("door")
    desk.wait("PlayerFirstFrame", lambda s: s.args == ["door", "audio_received"])
    signal = desk.wait("PlayerQualityUpdate", lambda s: s.args[1].get("audio_kbps", 0) > 5, timeout=10)
    assert signal.args[1].get("video_kbps", 0) == 0
    assert desk.get(player, "Player", "View") == "/"
    view = desk.texture()
    desk.call("StartPlaying", "door", options(view=view.view))
    view.next()


def test_the_size_changes_while_it_plays(hub, device):
    """The publisher encodes another size: the player says so, and the view shows it whole."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    view = desk.texture(640, 480, format="XR24")
    player = desk.play("door", view=view.view)
    assert desk.wait("PlayerVideoSizeChanged").args == ["door", 640, 480]
    mark = desk.mark()
    door.call("SetVideoConfig", options(encode_width=320, encode_height=240), 0)
    assert desk.wait("PlayerVideoSizeChanged", after=mark).args == ["door", 320, 240]
    wait_until(lambda: desk.get(player, "Player", "Width") == 320, "the player's new width")
    frame = view.next(view.newest)
    assert (frame.source_width, frame.source_height) == (320, 240)
    assert not desk.signals("PlayerStateUpdate", mark)


def test_twelve_streams_at_once(hub, device, measured):
    """Three devices with four channels each; one plays all of them, each in a view of its own."""
    doors = [device(name, width=160, height=120, fps=10, bitrate_kbps=100) for name in ("a", "b", "c")]
    desk = device("desk", camera="none", microphone="none")
    desk.login("lobby")
    for door in doors:
        door.login("lobby")
        for channel in range(4):
            door.publish(f"{door.name}{channel}", channel=channel)
        assert len(door.objects("Publisher")) == 4
    streams = [f"{door.name}{channel}" for door in doors for channel in range(4)]
    wait_until(lambda: {s["StreamID"] for s in desk.objects("Stream").values()} == set(streams), "twelve streams")
    views = {}
    for stream in streams:
        views[stream] = desk.texture(160, 120)
        desk.play(stream, view=views[stream].view, timeout=20)
    for view in views.values():
        view.next(timeout=20)
    numbers = {stream: view.newest for stream, view in views.items()}
    begin = time.monotonic()
    time.sleep(5)
    rates = {s: (view.newest - numbers[s]) / (time.monotonic() - begin) for s, view in views.items()}
    measured(f"{min(rates.values()):.1f} to {max(rates.values()):.1f} fps; {desk.memory_kib('VmRSS') / 1024:.0f} MB")
    assert min(rates.values()) >= 9, rates
    assert all(p["State"] == "playing" for p in desk.objects("Player").values())
    door, mark = doors[0], desk.mark()
    door.call("StopPublishing", "a1")
    desk.wait("PlayerStateUpdate", lambda s: s.args[:3] == ["a1", 1, 1004020], after=mark)
    assert [s.args[0] for s in desk.signals("PlayerStateUpdate", mark)] == ["a1"], "the others are not touched"


def test_the_preview_is_mirrored_and_what_is_sent_is_not(hub, device):
    """A mirror is for the one who looks into it."""
    door, desk = two_in_a_room(device)
    mirror = door.texture()
    door.call("StartPreview", options(view=mirror.view))
    door.publish("door")
    view = desk.texture()
    desk.play("door", view=view.view)
    sent, own = view.next(view.next().number + 5), mirror.next(mirror.newest)
    assert read_bar(sent.luma) and not read_bar(sent.luma[:, ::-1])
    assert read_bar(own.luma[:, ::-1]) and not read_bar(own.luma)


@pytest.mark.parametrize(("audio", "video"), [(True, False), (False, True)])
def test_half_a_stream(hub, device, audio, video):
    """Published with sound or pictures only: the others see what there is, and play it."""
    door, desk = two_in_a_room(device)
    door.publish("door", audio=audio, video=video)
    wait_until(lambda: desk.objects("Stream"), "the stream")
    (stream,) = desk.objects("Stream").values()
    assert (stream["HasAudio"], stream["HasVideo"]) == (audio, video)
    view = desk.texture()
    desk.play("door", view=view.view)
    kind = "audio_received" if audio else "video_received"
    desk.wait("PlayerFirstFrame", lambda s: s.args == ["door", kind])
    time.sleep(0.5)
    assert {s.args[1].split("_")[0] for s in desk.signals("PlayerFirstFrame")} == {"audio" if audio else "video"}


def test_mutes_of_a_publisher_are_seen(hub, device):
    """AudioMuted and VideoMuted of one channel: 10 and 0 for the others, in signals and in the stream's properties."""
    door, desk = two_in_a_room(device)
    publisher = door.publish("door")
    wait_until(lambda: desk.objects("Stream"), "the stream")
    for name, what in (("AudioMuted", "microphone"), ("VideoMuted", "camera")):
        for muted in (True, False):
            mark = desk.mark()
            door.set(publisher, "Publisher", name, Variant("b", muted))
            desk.wait(
                "RemoteDeviceStateUpdate",
                lambda s, what=what, muted=muted: s.args[:2] == ["door", what] and (s.args[2] != 0) == muted,
                after=mark,
            )
            wait_until(
                lambda name=name, muted=muted: next(iter(desk.objects("Stream").values()))[name] == muted,
                f"{name} of the stream",
            )


def test_a_player_that_is_muted_plays_on(hub, device):
    """Nothing comes of a stream whose sound alone is played, and muted: that is no interruption, and no end of it."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    player = desk.play("door")
    desk.wait("PlayerFirstFrame")
    mark = desk.mark()
    desk.set(player, "Player", "AudioMuted", Variant("b", True))
    quality = desk.wait("PlayerQualityUpdate", lambda s: "audio_kbps" not in s.args[1], after=mark).args[1]
    assert quality["mute_audio"]
    desk.set(player, "Player", "AudioMuted", Variant("b", False))
    desk.wait("PlayerQualityUpdate", lambda s: s.args[1].get("audio_kbps", 0) > 5, after=mark)
    assert not desk.signals("PlayerStateUpdate", mark)


def test_a_player_is_muted_before_its_stream_is_there(hub, device):
    """What was set while the stream was waited for holds when it comes: it plays, muted, at its volume."""
    door, desk = two_in_a_room(device)
    player, state = desk.call("StartPlaying", "door", options())
    assert state == 1
    desk.set(player, "Player", "AudioMuted", Variant("b", True))
    desk.set(player, "Player", "Volume", Variant("i", 20))
    door.publish("door")
    desk.wait("PlayerStateUpdate", lambda s: s.args[:2] == ["door", 2])
    assert not desk.signals("PlayerFirstFrame")
    mark = desk.mark()
    desk.set(player, "Player", "AudioMuted", Variant("b", False))
    desk.wait("PlayerFirstFrame", lambda s: s.args == ["door", "audio_received"])
    assert desk.get(player, "Player", "Volume") == 20
    assert not desk.signals("PlayerStateUpdate", mark)


@pytest.mark.any_server
def test_a_muted_publisher_is_no_break(hub, device):
    """Pictures that are not sent do not freeze: no media event, no break in the quality; and no size that did not change."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    view = desk.texture()
    player = desk.play("door", view=view.view)
    view.next(view.next().number + 15)
    mark = desk.mark()
    before = desk.wait("PlayerQualityUpdate", after=mark).args[1]
    door.call("EnableCamera", False, 0)
    desk.wait("RemoteDeviceStateUpdate", lambda s: s.args[1:] == ["camera", 9], after=mark)
    mark = desk.mark()
    # The first signal may be of a time in which pictures came.
    desk.wait("PlayerQualityUpdate", lambda s: s.args[1]["video_recv_fps"] == 0, after=mark)
    still = view.newest
    door.call("EnableCamera", True, 0)
    view.next(still)
    assert not [s for s in desk.signals("PlayerMediaEvent", mark) if s.args[1] in (2, 3)]
    desk.set(player, "Player", "VideoMuted", Variant("b", True))
    desk.set(player, "Player", "VideoMuted", Variant("b", False))
    view.next(view.newest + 5)
    after = desk.wait("PlayerQualityUpdate", after=desk.mark()).args[1]
    assert after["video_cumulative_break_count"] <= before["video_cumulative_break_count"]
    assert not desk.signals("PlayerVideoSizeChanged", mark)


def test_a_stream_of_one_s_own(hub, device):
    """No server sends it back: it is refused, not waited for."""
    door, _ = two_in_a_room(device)
    door.publish("door")
    assert door.refusal("StartPlaying", "door", options()).code == 1000006
    assert not door.objects("Player")


def test_the_layer_of_a_player(hub, device):
    """VideoLayer takes its three words, and a stream with one layer plays on whichever is asked for."""
    door, desk = two_in_a_room(device)
    door.publish("door")
    view = desk.texture()
    player = desk.play("door", view=view.view)
    for word in ("small", "big", "auto"):
        desk.set(player, "Player", "VideoLayer", Variant("s", word))
        assert desk.get(player, "Player", "VideoLayer") == word
        view.next(view.newest + 5)


def test_a_stream_that_is_waited_for_says_so_however_often_it_is_asked_for(hub, device):
    """StartPlaying again changes the view; the state that it returns is the player's, not a promise."""
    door, desk = two_in_a_room(device)
    player, state = desk.call("StartPlaying", "door", options())
    assert state == 1
    view = desk.texture()
    assert desk.call("StartPlaying", "door", options(view=view.view)) == [player, 1]
    door.publish("door")
    desk.wait("PlayerStateUpdate", lambda s: s.args[:2] == ["door", 2])
    view.next()
    assert desk.call("StartPlaying", "door", options(view=view.view)) == [player, 2]
    mark = desk.mark()
    door.call("StopPublishing", "door")
    desk.wait("PlayerStateUpdate", lambda s: s.args[:2] == ["door", 1], after=mark)
    assert desk.call("StartPlaying", "door", options(view=view.view)) == [player, 1]
