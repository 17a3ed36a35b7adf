"""A daemon that makes and ends calls all day: what one call needed is given back before the next."""

import time

import pytest

from rig.device import options, wait_until

pytestmark = pytest.mark.alone

ROUNDS = 50
WARM_UP = 10
"""Rounds until caches, pools and the allocator have the size that a call needs."""
GROWTH_KIB = 4 * 1024
"""What the last forty rounds together may add: 0.1 MB each would be gigabytes in a year."""


def test_fifty_calls_leave_nothing_behind(hub, device, measured):
    """Created, called, destroyed fifty times: descriptors, threads and memory stay; nothing wakes up afterwards."""
    door, desk = device("door", width=320, height=240), device("desk", width=320, height=240)
    desk.login("lobby")
    desk.publish("desk")

    def one_round() -> None:
        door.call("CreateEngine", options(app_id=1234567890))
        preview = door.texture(320, 240)
        door.call("StartPreview", options(view=preview.view))
        door.login("lobby", bind_to_caller=True)
        door.publish("door", bind_to_caller=True)
        view = door.texture(320, 240)
        door.play("desk", view=view.view, bind_to_caller=True)
        view.next()
        preview.next()
        door.call("DestroyEngine")
        view.close()
        preview.close()

    def rest() -> tuple[int, int, int]:
        """Descriptors, threads and KiB, once everything that was asked to end has ended."""
        wait_until(lambda: not any(door.objects(kind) for kind in ("Room", "Publisher", "Player", "View")), "an end")
        time.sleep(3)  # idle helper threads and what the allocator gives back
        return len(door.open_files()), len(door.sleeps()), door.memory_kib("VmRSS")

    figures = {}
    for number in range(1, ROUNDS + 1):
        one_round()
        if number in (WARM_UP, ROUNDS // 2, ROUNDS):
            figures[number] = rest()
    for number, (files, threads, size) in figures.items():
        measured(f"after {number} rounds: {files} descriptors, {threads} threads, {size / 1024:.1f} MB")
    (files, threads, size), last = figures[WARM_UP], figures[ROUNDS]
    assert last[0] <= files, door.open_files()
    assert last[1] <= threads, door.sleeps()
    assert last[2] <= size + GROWTH_KIB
    assert door.get("/org/zegod1", "Engine", "State") == "destroyed"
    woken = door.wakeups(5)
    measured(f"{woken} wake-ups in 5 s afterwards")
    assert woken == 0


def test_players_and_previews_that_come_and_go_in_one_call(hub, device, measured):
    """Thirty players, previews and textures made and ended inside one call leave it as it was."""
    door, desk = device("door", width=320, height=240), device("desk", width=320, height=240)
    for d in (door, desk):
        d.login("lobby")
        d.publish(d.name)

    def one_round() -> None:
        view, preview = door.texture(320, 240), door.texture(320, 240)
        door.play("desk", view=view.view, bind_to_caller=True)
        door.call("StartPreview", options(view=preview.view))
        view.next()
        door.call("StopPlaying", "desk")
        door.call("StopPreview", 0)
        for texture in (view, preview):
            texture.close()
            door.call("DestroyTextureRenderer", texture.view)

    def rest() -> tuple[int, int]:
        time.sleep(3)
        return len(door.open_files()), len(door.sleeps())

    for _ in range(5):
        one_round()
    before = rest()
    for _ in range(30):
        one_round()
    after = rest()
    measured(f"{before} before, {after} after: descriptors, threads")
    assert after[0] <= before[0], door.open_files()
    # Workers of the blocking pool come and go with the load.
    assert after[1] <= before[1] + 2, door.sleeps()
