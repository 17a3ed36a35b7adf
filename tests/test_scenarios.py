"""Scenarios and presets: what they set, what wins over them, and what changes while a stream runs."""

import pytest

from rig.device import options, start_device, wait_until


def publisher(device):
    """The properties of the main channel's publisher."""
    return device.objects("Publisher")["/org/zegod1/publisher/0"]


def sends_size(device, width, height):
    wait_until(
        lambda: (publisher(device)["Width"], publisher(device)["Height"]) == (width, height), f"{width}x{height}"
    )


@pytest.mark.parametrize(
    ("scenario", "width", "height", "fps"), [(3, 640, 360, 15), (5, 960, 540, 24), (8, 960, 540, 24)]
)
def test_a_scenario_sets_size_and_rate(stage, hub, scenario, width, height, fps):
    """With a configuration that says nothing about pictures, they are the scenario's."""
    door = start_device(stage, "door", hub=hub, width=None, height=None, fps=None, bitrate_kbps=None)
    door.call("CreateEngine", options(scenario=scenario))
    door.login("lobby")
    door.publish("door")
    sends_size(door, width, height)
    quality = door.wait("PublisherQualityUpdate", lambda s: "video_capture_fps" in s.args[1], timeout=12).args[1]
    assert abs(quality["video_capture_fps"] - fps) < fps * 0.3, quality


def test_the_configuration_wins_over_the_scenario(stage, hub):
    """Keys of the configuration stay as they are."""
    door = start_device(stage, "door", hub=hub, width=320, height=240, fps=10)
    door.call("CreateEngine", options(scenario=5))
    door.login("lobby")
    door.publish("door")
    sends_size(door, 320, 240)


def test_a_call_wins_over_the_scenario(stage, hub):
    """What SetVideoConfig says, one key or a preset, and the scenario for the rest."""
    door = start_device(stage, "door", hub=hub, width=None, height=None, fps=None, bitrate_kbps=None)
    door.call("CreateEngine", options(scenario=5))
    door.call("SetVideoConfig", options(fps=10, encode_width=480, encode_height=270), 0)
    door.login("lobby")
    door.publish("door")
    sends_size(door, 480, 270)

    def measured(key, value, mark):
        near = lambda s: abs(s.args[1].get(key, 0) - value) <= value * 0.2  # noqa: E731
        door.wait("PublisherQualityUpdate", near, after=mark, timeout=12)

    measured("video_send_fps", 10, 0)
    assert door.signals("PublisherQualityUpdate")[-1].args[1]["video_target_kbps"] > 600, "the scenario's bit rate"
    mark = door.mark()
    door.call("SetVideoConfig", options(preset=1), 0)
    sends_size(door, 480, 270)
    measured("video_send_fps", 15, mark)
    measured("video_target_kbps", 400, mark)


def test_key_frames_come_as_often_as_they_are_wished(device):
    """Nobody asks for one; an encoder that is to make them less often makes fewer."""
    door = device("door")
    door.login("lobby")
    door.call("SetVideoConfig", options(key_frame_interval=1), 0)
    door.publish("door", audio=False)

    def key_frames(signals):
        mark = door.mark()
        told = wait_until(lambda: door.signals("PublisherQualityUpdate", mark)[signals:], "the signals", timeout=15)
        first = door.signals("PublisherQualityUpdate", mark)[0]
        return told[0].args[1]["video_key_frames"] - first.args[1]["video_key_frames"]

    often = key_frames(1)
    door.call("SetVideoConfig", options(key_frame_interval=10), 0)
    seldom = key_frames(2)
    assert 2 <= often <= 4, "in 3 s, one in a second"
    assert seldom <= 2, "in 6 s, one in ten seconds and the one that another setting begins with"


def test_a_voice_scenario_leaves_the_camera_off_until_it_is_enabled(device):
    """The stream runs with sound; EnableCamera adds the pictures without another call."""
    door = device("door")
    door.call("CreateEngine", options(scenario=10))
    door.login("lobby")
    door.publish("door")
    door.wait("PublisherFirstFrame", lambda s: s.args[1] == "audio_sent")
    assert not [s for s in door.signals("PublisherFirstFrame") if s.args[1].startswith("video")]
    assert publisher(door)["Camera"] == "/"
    door.call("EnableCamera", True, 0)
    door.wait("PublisherFirstFrame", lambda s: s.args[1] == "video_sent")


def test_the_encoded_size_changes_while_publishing(device):
    """A preset and single keys work mid-call, the player hears the new size; the capture size is refused."""
    door, desk = device("door"), device("desk")
    door.login("lobby")
    desk.login("lobby")
    door.publish("door")
    view = desk.texture()
    desk.play("door", view=view.view)
    desk.wait("PlayerVideoSizeChanged", lambda s: s.args == ["door", 640, 480])
    error = door.refusal("SetVideoConfig", options(capture_width=320, capture_height=240), 0)
    assert error.code == 1000066 and error.name.endswith("InvalidArgument"), error
    mark = desk.mark()
    door.call("SetVideoConfig", options(preset=0), 0)
    desk.wait("PlayerVideoSizeChanged", lambda s: s.args == ["door", 320, 180], after=mark)
    sends_size(door, 320, 180)
    mark = desk.mark()
    door.call("SetVideoConfig", options(encode_width=480, encode_height=360), 0)
    desk.wait("PlayerVideoSizeChanged", lambda s: s.args == ["door", 480, 360], after=mark)
    assert not [s for s in door.signals("PublisherStateUpdate") if s.args[1] != 2][1:], "it publishes all the time"
    door.call("StopPublishing", "")
    door.call("SetVideoConfig", options(capture_width=320, capture_height=240), 0)
