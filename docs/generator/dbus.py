"""Makes docs/reference/dbus.md from the introspection data of a running zegod.

usage: docs/generator/dbus.py   (`make docs` calls it)

Two devices make a call on a hub, so that an object of each kind is there to be asked. The comments in the introspection data are the doc
comments of `daemon/src/bus/`, in which a sentence `Errors: A, B.` names the errors of a method or of setting a property, or `none`.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).parent)]

from introspection import Argument, Interface, Member, interfaces  # noqa: E402
from rig.device import SERVICE, Device, options, start_device, wait_until  # noqa: E402
from rig.hub import start_hub  # noqa: E402
from rig.stage import Stage  # noqa: E402

DOCUMENT = ROOT / "docs/reference/dbus.md"
ERRORS = ROOT / "docs/reference/errors.md"
HEAD = Path(__file__).with_name("dbus_head.md")

OBJECTS = {
    "Engine": ("/org/zegod1", "The verbs, with ids as arguments, and the callback signals."),
    "Room": ("/org/zegod1/room/N", "A room, from LoginRoom until LogoutRoom or the final failure."),
    "Stream": ("/org/zegod1/stream/N", "A stream of somebody else, for as long as it is published."),
    "Publisher": ("/org/zegod1/publisher/N", "A stream of ours, from StartPublishing until StopPublishing or the final failure. N is its channel."),
    "Player": ("/org/zegod1/player/N", "A stream that is played or waited for, from StartPlaying until StopPlaying or the final failure."),
    "Device": ("/org/zegod1/device/N", "A camera, microphone or speaker: a real one, or a simulated one that the configuration names."),
    "View": ("/org/zegod1/view/N", "Where pictures go: a texture, or a view that the daemon shows itself."),
}
"""Where the objects of each interface are, and what they are."""

COMMANDS = {
    "Engine.CreateEngine": "zegoctl create-engine",
    "Engine.DestroyEngine": "zegoctl destroy-engine",
    "Engine.LoginRoom": "zegoctl login ROOM --user ID",
    "Engine.LogoutRoom": "zegoctl logout ROOM",
    "Engine.SwitchRoom": "zegoctl switch FROM TO",
    "Engine.RenewToken": "zegoctl renew-token ROOM",
    "Engine.SetRoomExtraInfo": "zegoctl extra-info ROOM KEY VALUE",
    "Engine.GetRoomStreamList": "zegoctl streams ROOM",
    "Engine.StartPublishing": "zegoctl publish STREAM",
    "Engine.StopPublishing": "zegoctl unpublish STREAM",
    "Engine.SetStreamExtraInfo": "zegoctl stream-info STREAM TEXT",
    "Engine.StartPreview": "zegoctl preview --view VIEW",
    "Engine.StopPreview": "zegoctl preview --stop",
    "Engine.StartPlaying": "zegoctl play STREAM --view VIEW",
    "Engine.StopPlaying": "zegoctl stop STREAM",
    "Engine.CreatePlatformView": "zegoctl play STREAM --view null",
    "Engine.DestroyPlatformView": "zegoctl stop STREAM",
    "Engine.SetVideoConfig": "zegoctl video-config --preset 2",
    "Engine.SetAudioConfig": "zegoctl audio-config --preset 1",
    "Engine.StartSoundLevelMonitor": "zegoctl levels",
    "Engine.GetDiagnostics": "zegoctl diagnostics",
    "Engine.TakeSnapshot": "zegoctl snapshot STREAM FILE",
    "Engine.StartRecording": "zegoctl record STREAM FILE",
    "Engine.StopRecording": "zegoctl record STREAM FILE --seconds 60",
    "Engine.MuteMicrophone": "zegoctl mute microphone on",
    "Engine.MuteSpeaker": "zegoctl mute speaker on",
    "Engine.EnableCamera": "zegoctl mute camera on",
    "Engine.UseDevice": "zegoctl use DEVICE_ID",
    "Engine.SendBroadcastMessage": "zegoctl message ROOM TEXT",
    "Engine.SendBarrageMessage": "zegoctl message ROOM TEXT --barrage",
    "Engine.SendCustomCommand": "zegoctl message ROOM TEXT --to USER",
    "Publisher.AudioMuted": "zegoctl mute STREAM on",
    "Publisher.VideoMuted": "zegoctl mute STREAM on --video",
    "Publisher.CaptureVolume": "zegoctl volume STREAM 100",
    "Player.AudioMuted": "zegoctl mute STREAM on",
    "Player.VideoMuted": "zegoctl mute STREAM on --video",
    "Player.Volume": "zegoctl volume STREAM 100",
    "Player.VideoLayer": "zegoctl layer STREAM small",
    "Device.Volume": "zegoctl volume DEVICE_ID 100",
    "Device.Muted": "zegoctl mute DEVICE_ID on",
}
"""The command that calls a method or sets a property. Not in the doc comments: an XML comment, as which they are served, must not hold two
dashes in a row."""

READERS = {
    "Engine": "zegoctl --json status",
    "Room": "zegoctl --json status",
    "Stream": "zegoctl --json streams",
    "Publisher": "zegoctl --json status",
    "Player": "zegoctl --json status",
    "Device": "zegoctl --json devices",
    "View": "zegoctl --json status",
}
"""The command that shows the properties of an interface."""

UNICAST = {"CapturedSoundLevelUpdate", "RemoteSoundLevelUpdate", "CapturedVoiceActivityUpdate", "RemoteVoiceActivityUpdate"}
"""Signals that only those hear who asked for them."""

PROGRAMS_ONLY = {
    "Engine.CreateTextureRenderer",
    "Engine.UpdateTextureRendererSize",
    "Engine.OpenTexture",
    "Engine.DestroyTextureRenderer",
    "Engine.StopSoundLevelMonitor",
}
"""What has no command: a texture is for a program that draws, and `levels` ends its monitor by leaving the bus."""

KINDS = {"method": "Methods", "property": "Properties", "signal": "Signals"}
CHANGES = {"const": "never changes", "false": "changes without a signal", "": "PropertiesChanged tells changes"}


def errors(member: Member) -> list[str] | None:
    """The errors that a method names; none when it says nothing of them."""
    found = re.search(r"Errors: (\w+(?:, \w+)*)\.", member.text)
    return None if not found else [] if found[1] == "none" else found[1].split(", ")


def commands(interface: Interface, member: Member) -> list[str]:
    """The commands that call a method, show and set a property, or print a signal."""
    name = interface.name.rpartition(".")[2]
    calls = [COMMANDS[key]] if (key := f"{name}.{member.name}") in COMMANDS else []
    if member.kind == "property":
        return ["zegoctl --json stats" if member.name == "Quality" else READERS[name], *calls]
    if member.kind == "signal":
        return ["zegoctl levels --vad" if member.name in UNICAST else "zegoctl monitor"]
    return calls


def listener(interface: Interface, member: Member) -> list[str]:
    """The line that prints a signal without zegoctl."""
    if member.name in UNICAST:
        return []
    return [f"gdbus monitor --system --dest {SERVICE} | grep {interface.name.rpartition('.')[2]}.{member.name}"]


def prose(member: Member) -> str:
    """What is left of the documentation without the errors."""
    return re.sub(r" ?Errors: \w+(?:, \w+)*\.", "", member.text).strip()


def option(member: Member) -> str:
    """A dictionary with the first key of a method's options, as busctl takes it; an empty one when none is documented."""
    found = re.search(r"(?:profile|config|canvas|options|target): `(\w+)` ([a-z]+)", member.text)
    return f"1 {found[1]} {found[2]} {found[1].upper()}" if found else "0"


def busctl(interface: Interface, path: str, member: Member) -> list[str]:
    """The lines of busctl that call a method, or read and write a property; none when it takes a descriptor."""
    at = f"{SERVICE} {path} {interface.name} {member.name}"
    if member.kind == "property":
        lines = [f"busctl get-property {at}"]
        if member.writable:
            lines.append(f"busctl set-property {at} {member.type} VALUE")
        return lines
    signature = "".join(a.type for a in member.takes)
    if "h" in signature:
        return []
    words = [f"'{signature}'"] if signature else []
    for argument in member.takes:
        lists = {"a{sv}": option(member), "as": f"1 {argument.name.upper().removesuffix('S')}"}
        words.append(lists.get(argument.type, argument.name.upper()))
    return [" ".join([f"busctl call {at}", *words])]


def listed(arguments: list[Argument], empty: str) -> str:
    return ", ".join(f"`{a.name}` {a.type}" for a in arguments) or empty


def link(error: str) -> str:
    """An error's name, leading to its codes; ViewNotFound shares one, and has no section."""
    there = f"\n## {error}\n" in ERRORS.read_text()
    return f"[{error}](errors.md{f'#{error.lower()}' if there else ''})"


def section(interface: Interface, path: str, member: Member) -> list[str]:
    """A member: what it takes and gives, what it does, its errors, the lines that call it."""
    lines = [f"#### {member.name}", ""]
    if member.kind == "method":
        lines += [f"{listed(member.takes, 'nothing')} → {listed(member.returns, 'nothing')}", ""]
    elif member.kind == "signal":
        lines += [listed(member.arguments, "nothing"), ""]
    else:
        lines += [f"{member.type}, {'read and write' if member.writable else 'read'}; {CHANGES[member.changes]}", ""]
    lines += [prose(member), ""]
    if (named := errors(member)) is not None:
        lines += [f"Errors: {', '.join(map(link, named)) or 'none'}.", ""]
    others = listener(interface, member) if member.kind == "signal" else busctl(interface, path, member)
    calls = [*commands(interface, member), *others]
    lines += ["```", *calls, "```", ""] if calls else ["`busctl` cannot pass a descriptor.", ""]
    return lines


def document(served: dict[str, Interface]) -> str:
    """The text of the reference."""
    lines = [HEAD.read_text()]
    for name, (path, text) in OBJECTS.items():
        interface = served[f"{SERVICE}.{name}"]
        lines += [f"## {interface.name}", "", f"`{path}`. {text}", ""]
        for kind, title in KINDS.items():
            if members := interface.of(kind):
                lines += [f"### {title} of {name}", ""]
                for member in members:
                    lines += section(interface, path, member)
    return "\n".join(lines).rstrip() + "\n"


def read(device: Device, path: str) -> dict[str, Interface]:
    """The interfaces of one object."""
    return interfaces(device.bus.call(SERVICE, path, "org.freedesktop.DBus.Introspectable", "Introspect")[0])


def served(stage: Stage) -> dict[str, Interface]:
    """The interfaces of zegod, each asked from a real object."""
    hub = start_hub(stage)
    door, desk = (start_device(stage, name, hub=hub) for name in ("door", "desk"))
    for device in (door, desk):
        device.login("lobby")
    door.publish("door")
    wait_until(lambda: desk.objects("Stream"), "the stream")
    desk.play("door")
    desk.call("CreatePlatformView", options(kind="null"))
    found = read(desk, "/org/zegod1") | read(door, next(iter(door.objects("Publisher"))))
    for name in ("Room", "Stream", "Player", "Device", "View"):
        found |= read(desk, next(iter(desk.objects(name))))
    return {name: interface for name, interface in found.items() if name.startswith(f"{SERVICE}.")}


def main() -> None:
    stage = Stage()
    try:
        text = document(served(stage))
    finally:
        troubles = stage.clear()
    if troubles:
        sys.exit("\n".join(troubles))
    DOCUMENT.write_text(text)
    print(f"{DOCUMENT.relative_to(ROOT)} is made")


if __name__ == "__main__":
    main()
