"""A telephone call on the same machine: the audio devices are its own while it lasts, and come back afterwards."""

import time

import pytest

from rig.device import Device, wait_until
from rig.sound import find_beeps, read_wav
from rig.telephony import ModemManager, Ofono


def call_active(device: Device) -> bool:
    return device.get("/org/zegod1", "Engine", "CallActive")


def wait_for(device: Device, active: bool, mark: int) -> None:
    device.wait("PropertiesChanged", lambda s: s.args[1] == {"CallActive": active}, after=mark)
    assert call_active(device) is active


def device_state(device: Device, device_id: str) -> str:
    return device.get(device.find_device(device_id), "Device", "State")


def beeps_from_now(device: Device, seconds: float) -> int:
    """How many beeps a device's speaker plays from now on for some time."""
    begin = len(read_wav(device.speaker))
    time.sleep(seconds)
    return len(find_beeps(read_wav(device.speaker)[begin:]))


def in_a_call(device, other) -> tuple[Device, Device]:
    """Two devices that hear and see each other."""
    for d in (device, other):
        d.login("lobby")
        d.publish(d.name)
    device.play(other.name)
    other.play(device.name)
    for d in (device, other):
        wait_until(lambda d=d: d.speaker.exists() and find_beeps(read_wav(d.speaker)), "a beep", 10)
    return device, other


@pytest.mark.paired
@pytest.mark.parametrize("service", [Ofono, ModemManager])
def test_the_audio_devices_are_released_and_come_back(hub, device, stage, service):
    """Ringing or dialling releases microphone and speaker, the end of the call brings them back; the streams stay."""
    door, desk = in_a_call(device("door", speaker="wav"), device("desk", speaker="wav"))
    modem = service(stage, door)
    assert call_active(door) is False
    mark, told = door.mark(), desk.mark()
    call = modem.dial() if service is Ofono else modem.ring()
    wait_for(door, True, mark)
    for device_id in ("tone", f"file:{door.speaker}"):
        wait_until(lambda i=device_id: device_state(door, i) == "available", f"{device_id} to be released", 2)
    assert device_state(door, "pattern") == "in_use", "the camera is not the telephone's"
    assert str(door.speaker) not in door.open_files()
    time.sleep(0.4)
    assert beeps_from_now(desk, 2.1) == 0, "the other side hears nothing"
    if service is ModemManager:
        modem.change(call, 3, 4)
        modem.change(call, 4, 5)
        assert call_active(door) is True, "a call that is held is a call"
        modem.change(call, 5, 7)
    else:
        modem.hang_up(call)
    wait_for(door, False, mark)
    for device_id in ("tone", f"file:{door.speaker}"):
        wait_until(lambda i=device_id: device_state(door, i) == "in_use", f"{device_id} to be taken up again", 2)
    assert beeps_from_now(desk, 2.6) >= 2, "the other side hears again"
    assert len(find_beeps(read_wav(door.speaker))) >= 1, "and so does this side"
    if service is ModemManager:
        modem.forget(call)
    assert not door.signals("PublisherStateUpdate", mark) and not door.signals("PlayerStateUpdate", mark)
    assert not door.signals("LocalDeviceException", mark)
    assert not desk.signals("RoomStreamUpdate", told)


def test_what_starts_during_a_telephone_call_waits_for_its_end(hub, device, stage):
    """Publishing and playing begin, without sound; a service that dies has no call any more."""
    door, desk = device("door", speaker="wav"), device("desk", speaker="wav")
    modem = Ofono(stage, door)
    mark = door.mark()
    modem.dial()
    wait_for(door, True, mark)
    for d in (door, desk):
        d.login("lobby")
        d.publish(d.name)
    door.play("desk")
    desk.play("door")
    wait_until(desk.speaker.exists, "the other side's speaker")
    assert beeps_from_now(desk, 2.1) == 0
    assert not door.speaker.exists(), "the speaker was not opened"
    assert device_state(door, "tone") == "available"
    modem.program.kill()
    wait_for(door, False, mark)
    wait_until(lambda: door.speaker.exists() and find_beeps(read_wav(door.speaker)), "a beep at this side")
    wait_until(lambda: desk.speaker.exists() and find_beeps(read_wav(desk.speaker)), "a beep at the other side")


def test_the_end_of_the_engine_is_not_the_end_of_the_call(device, stage):
    """DestroyEngine in the middle of a telephone call; then the call's object goes without a word of its state."""
    door = device("door", hub=None)
    modem = ModemManager(stage, door)
    mark = door.mark()
    call = modem.ring()
    wait_for(door, True, mark)
    door.call("CreateEngine", {})
    door.call("DestroyEngine")
    assert call_active(door) is True
    modem.forget(call)
    wait_for(door, False, mark)


def test_without_telephone_services_nothing_wakes_up(device):
    door = device("door", hub=None)
    time.sleep(1)
    assert door.wakeups(5) == 0
