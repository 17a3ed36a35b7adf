"""The kiosk example on a screen: its buttons are clicked, and both pictures must move."""

import json
import subprocess

from rig.bar import Bar, luma_of_bgrx, read_bar
from rig.device import wait_until
from rig.places import REPORTS, ROOT
from rig.screen import Screen, write_png

WINDOW = (1000, 460)
BUTTONS = {"log in": (42, 437), "call": (114, 437), "mute": (183, 437), "hang up": (266, 437)}
"""Where the buttons are in the window."""
SIDES = {"preview": (6, 497), "remote": (503, 994)}
"""Where the pictures begin and end, from the left."""
TOP = 22
"""A bar, scaled, is 12 rows high from row 25 on; it is read in rows 4 to 12 of what is looked at."""


def bars(screen: Screen) -> dict[str, Bar]:
    """The bars that can be read on the screen; the preview is a mirror."""
    luma = luma_of_bgrx(screen.picture())
    found = {}
    for side, (begin, end) in SIDES.items():
        picture = luma[TOP : WINDOW[1], begin:end]
        if bar := read_bar(picture[:, ::-1] if side == "preview" else picture):
            found[side] = bar
    return found


def test_the_kiosk_shows_both_pictures_and_its_buttons_work(stage, hub, device):
    door, desk = device("door"), device("desk", camera="pattern:2")
    desk.login("lobby")
    desk.publish("desk")
    screen = Screen(stage)
    environment = {"DISPLAY": screen.display, "GDK_BACKEND": "x11", "GSK_RENDERER": "cairo"}
    kiosk = stage.start(
        "kiosk",
        ["/usr/bin/python3", str(ROOT / "docs/guide/examples/kiosk.py"), "--bus", door.address, "--server", hub.url]
        + ["--room", "lobby", "--user", "door", "--token", hub.token("door", "lobby")]
        + ["--publish", "door", "--play", "desk", "--report"],
        environment={**environment, "PYTHONUNBUFFERED": "1"},
    )

    def click(button: str) -> None:
        argv = ["xdotool", "mousemove", *map(str, BUTTONS[button]), "click", "1"]
        subprocess.run(argv, check=True, timeout=10, env={"DISPLAY": screen.display, "PATH": "/usr/bin:/bin"})

    def drawn() -> dict[str, int]:
        reports = [json.loads(line) for line in kiosk.output().splitlines() if line.startswith('{"preview"')]
        return reports[-1] if reports else {"preview": 0, "remote": 0}

    kiosk.wait_until(lambda: drawn()["preview"] > 10, "pictures of the preview", 20)
    assert drawn()["remote"] == 0
    click("log in")
    door.wait("RoomStateUpdate", lambda s: s.args[:2] == ["lobby", 2])
    kiosk.wait_for_line("lobby: connected")
    click("call")
    door.wait("PublisherStateUpdate", lambda s: s.args[:2] == ["door", 2])
    kiosk.wait_until(lambda: drawn()["remote"] > 10, "pictures of the other side", 20)

    first = wait_until(lambda: seen if len(seen := bars(screen)) == 2 else None, "both bars on the screen", 30)
    REPORTS.mkdir(parents=True, exist_ok=True)
    write_png(REPORTS / "kiosk.png", screen.picture()[: WINDOW[1], : WINDOW[0]])

    def both_moved() -> bool:
        later = bars(screen)
        return len(later) == 2 and all(later[side].counter != first[side].counter for side in SIDES)

    wait_until(both_moved, "both pictures to move", 30)

    click("mute")
    wait_until(lambda: door.get("/org/zegod1", "Engine", "MicrophoneMuted"), "the muted microphone")
    click("hang up")
    door.wait("PublisherStateUpdate", lambda s: s.args[:2] == ["door", 0])
    door.wait("PlayerStateUpdate", lambda s: s.args[:2] == ["desk", 0])
    kiosk.end()
    wait_until(lambda: not door.objects("Room"), "the room to end with the kiosk")
