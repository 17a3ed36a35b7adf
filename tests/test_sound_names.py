"""Names of ALSA's configuration as microphone and speaker: how a Bluetooth headset (BlueALSA) or a sound server is reached."""

from rig.device import options

CONFIGURATION = """</usr/share/alsa/alsa.conf>
pcm.headset {{
    type asym
    capture.pcm {{ type file slave.pcm null file /dev/null infile "{said}" format raw }}
    playback.pcm {{ type file slave.pcm null file "{heard}" format raw }}
}}
"""
LOUD = b"\x00\x10" * 24 + b"\x00\xf0" * 24
"""A square wave of 1 kHz at 48 kHz."""


def test_names_of_alsa_s_configuration_are_devices(stage, hub, device):
    """Both ends of a headset that is no sound card: its sound is sent, and what is played goes to it; another one is not there."""
    heard, said, file = (stage.path(name) for name in ("heard.raw", "said.raw", "asound.conf"))
    said.write_bytes(LOUD * 48000)
    file.write_text(CONFIGURATION.format(heard=heard, said=said))
    headset = {"microphone": "alsa:headset", "speaker": "alsa:headset", "more_microphones": ("alsa:earphone",)}
    door = device("door", camera="none", environment={"ALSA_CONFIG_PATH": str(file)}, **headset)
    desk = device("desk", camera="none")
    for d in (door, desk):
        d.login("lobby")
    desk.call("StartSoundLevelMonitor", options(interval_ms=100))
    desk.publish("desk")
    publisher = door.publish("door")
    microphone = door.get(publisher, "Publisher", "Microphone")
    assert door.get(microphone, "Device", "DeviceID") == "alsa:headset"
    desk.play("door")
    desk.wait("RemoteSoundLevelUpdate", lambda s: s.args[0].get("door", 0) > 60)
    error = door.refusal("UseDevice", door.find_device("alsa:earphone"), 0)
    assert (error.name, error.code) == ("org.zegod1.Error.DeviceNotFound", 1006002)
    door.call("StopPublishing", "door")
    door.play("desk")
    door.program.wait_until(lambda: heard.exists() and any(heard.read_bytes()), "sound in the headset")
    speaker = next(d for d in door.objects("Device").values() if d["Kind"] == "speaker")
    assert (speaker["DeviceID"], speaker["State"]) == ("alsa:headset", "in_use")
