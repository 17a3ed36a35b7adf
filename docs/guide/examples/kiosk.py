#!/usr/bin/python3
"""A kiosk for zegod: preview and remote picture in a window, and buttons to log in, call, mute and hang up.

It needs Debian's python3-gi and gir1.2-gtk-4.0, and speaks nothing but D-Bus with zegod.

    kiosk.py --room lobby --user door --token TOKEN [--server URL] [--publish door-camera] [--play desk-camera] [--bus ADDRESS]

--report prints, once a second, how many pictures each side has drawn.
"""

import argparse
import json
import mmap
import os
import struct
import sys

import gi

gi.require_version("Gdk", "4.0")
gi.require_version("Gtk", "4.0")
from gi.repository import Gdk, Gio, GLib, Gtk  # noqa: E402

SERVICE, ROOT, ENGINE = "org.zegod1", "/org/zegod1", "org.zegod1.Engine"
CALL_TIMEOUT_MS = 20_000


class Zegod:
    """The engine of zegod, called without waiting: the window never stands still."""

    def __init__(self, address, say):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        if address == "system":
            self.bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
        elif address == "session":
            self.bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        else:
            self.bus = Gio.DBusConnection.new_for_address_sync(address, flags)
        self.say = say

    def call(self, method, signature="", *arguments, then=None):
        """Calls a method; `then(values, descriptors)` gets its answer. An error is shown: it says what to do."""

        def answered(bus, result):
            try:
                reply, descriptors = bus.call_with_unix_fd_list_finish(result)
            except GLib.Error as error:
                Gio.DBusError.strip_remote_error(error)
                self.say(error.message)
                return
            if then:
                then(reply.unpack(), descriptors)

        body = GLib.Variant(f"({signature})", arguments) if signature else None
        self.bus.call_with_unix_fd_list(
            SERVICE, ROOT, ENGINE, method, body, None, Gio.DBusCallFlags.NONE, CALL_TIMEOUT_MS, None, None, answered
        )

    def on(self, member, handler):
        """Calls `handler(*arguments)` at every signal `member`."""

        def heard(bus, sender, path, interface, name, body):
            handler(*body.unpack())

        self.bus.signal_subscribe(SERVICE, ENGINE, member, ROOT, None, Gio.DBusSignalFlags.NONE, heard)


class TextureView(Gtk.Picture):
    """A texture view of zegod: its pixels are in shared memory, and a descriptor wakes us up for each picture."""

    WIDTH, HEIGHT = 640, 480

    def __init__(self, zegod, ready):
        super().__init__(hexpand=True, vexpand=True)
        self.zegod = zegod
        self.drawn = 0
        self.view = None
        self._memory = None
        self._watch = 0
        self._wakeup = -1

        def made(values, _):
            self.view = values[0]
            self._open()
            ready(self.view)

        options = {"format": GLib.Variant("s", "XR24"), "bind_to_caller": GLib.Variant("b", True)}
        zegod.call("CreateTextureRenderer", "uua{sv}", self.WIDTH, self.HEIGHT, options, then=made)

    def _open(self):
        self.zegod.call("OpenTexture", "t", self.view, then=self._opened)

    def _opened(self, values, descriptors):
        memory, wakeup, _layout = values
        self.close()
        descriptor = descriptors.get(memory)
        self._memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(descriptor)
        self._wakeup = descriptors.get(wakeup)
        self._watch = GLib.io_add_watch(self._wakeup, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, self._woken)

    def _woken(self, wakeup, _condition):
        os.read(wakeup, 8)
        header = struct.unpack_from("<4s8I", self._memory)
        _, _, slots, slot_size, first, _, width, height, stride = header
        number, superseded = struct.unpack_from("<QI", self._memory, 40)
        if superseded:
            self._open()
            return GLib.SOURCE_CONTINUE
        slot = first + number % slots * slot_size
        before = struct.unpack_from("<2Q", self._memory, slot)
        pixels = self._memory[slot + 64 : slot + 64 + stride * height]
        # The daemon may have overtaken us while we copied; then the next picture is about to come.
        if before[0] % 2 == 0 and before[1] == number and struct.unpack_from("<2Q", self._memory, slot) == before:
            # B8G8R8X8 came with GTK 4.14; the daemon's fourth byte is 255, so this is the same.
            layout = Gdk.MemoryFormat.B8G8R8A8_PREMULTIPLIED
            self.set_paintable(Gdk.MemoryTexture.new(width, height, layout, GLib.Bytes.new(pixels), stride))
            self.drawn += 1
        return GLib.SOURCE_CONTINUE

    def close(self):
        """Lets go of the shared memory."""
        if self._watch:
            GLib.source_remove(self._watch)
            os.close(self._wakeup)
            self._memory.close()
            self._watch = 0


class Kiosk(Gtk.ApplicationWindow):
    """The window."""

    def __init__(self, application, wishes):
        super().__init__(application=application, title="zegod kiosk", default_width=1000, default_height=460)
        self.wishes = wishes
        self.status = Gtk.Label(label="", xalign=0, hexpand=True, ellipsize=3)
        self.zegod = Zegod(wishes.bus, self.say)

        def show_preview(view):
            self.zegod.call("StartPreview", "a{sv}", {"view": GLib.Variant("t", view)})

        self.preview = TextureView(self.zegod, show_preview)
        self.remote = TextureView(self.zegod, lambda view: None)
        pictures = Gtk.Box(spacing=6, homogeneous=True)
        pictures.append(self.preview)
        pictures.append(self.remote)

        self.login_button = Gtk.Button(label="Log in")
        self.call_button = Gtk.Button(label="Call", sensitive=False)
        self.mute_button = Gtk.ToggleButton(label="Mute")
        self.end_button = Gtk.Button(label="Hang up", sensitive=False)
        self.login_button.connect("clicked", lambda _: self.log_in())
        self.call_button.connect("clicked", lambda _: self.start_call())
        self.mute_button.connect("toggled", lambda button: self.zegod.call("MuteMicrophone", "b", button.get_active()))
        self.end_button.connect("clicked", lambda _: self.hang_up())
        bar = Gtk.Box(spacing=6)
        for widget in (self.login_button, self.call_button, self.mute_button, self.end_button, self.status):
            bar.append(widget)
        column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        for side in ("top", "bottom", "start", "end"):
            getattr(column, f"set_margin_{side}")(6)
        column.append(pictures)
        column.append(bar)
        self.set_child(column)

        self.zegod.on("RoomStateUpdate", self.on_room)
        self.zegod.on("PublisherStateUpdate", self.on_stream)
        self.zegod.on("PlayerStateUpdate", self.on_stream)
        self.connect("close-request", self.on_close)

    def say(self, text):
        """Shows a line of text."""
        self.status.set_label(text)
        print(json.dumps({"status": text}), flush=True)

    # What the buttons do. The answers of these calls add nothing to the signals.

    def log_in(self):
        config = {"token": GLib.Variant("s", self.wishes.token), "is_user_status_notify": GLib.Variant("b", True)}
        if self.wishes.server:
            config["server"] = GLib.Variant("s", self.wishes.server)
        # The room, and with it the call, ends when this program does, even by a crash.
        config["bind_to_caller"] = GLib.Variant("b", True)
        self.zegod.call("LoginRoom", "sssa{sv}", self.wishes.room, self.wishes.user, "", config)

    def start_call(self):
        self.zegod.call("StartPublishing", "sa{sv}", self.wishes.publish, {})
        self.zegod.call("StartPlaying", "sa{sv}", self.wishes.play, {"view": GLib.Variant("t", self.remote.view)})
        self.end_button.set_sensitive(True)

    def hang_up(self):
        self.zegod.call("StopPublishing", "s", self.wishes.publish)
        self.zegod.call("StopPlaying", "s", self.wishes.play, then=lambda *_: self.remote.set_paintable(None))
        self.end_button.set_sensitive(False)

    # What zegod tells.

    def on_room(self, room, state, code, data):
        self.say(f"{room}: {data['state']}" + (f" ({data['reason']} {code}: {data['message']})" if code else ""))
        self.login_button.set_sensitive(state == 0)
        self.call_button.set_sensitive(state == 2)
        if state == 0:
            self.end_button.set_sensitive(False)

    def on_stream(self, stream, state, code, data):
        self.say(f"{stream}: {data['state']}" + (f" ({code}: {data['message']})" if code else ""))

    def on_close(self, _):
        for texture in (self.preview, self.remote):
            texture.close()
            if texture.view:
                self.zegod.call("DestroyTextureRenderer", "t", texture.view)
        self.zegod.bus.flush_sync()
        return False

    def report(self):
        """Prints how many pictures were drawn."""
        print(json.dumps({"preview": self.preview.drawn, "remote": self.remote.drawn}), flush=True)
        return GLib.SOURCE_CONTINUE


def main():
    parser = argparse.ArgumentParser(description="A kiosk for zegod.")
    parser.add_argument("--room", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--server", default="", help="the room server; zegod's own when left out")
    parser.add_argument("--publish", default="kiosk", help="the stream that this kiosk publishes")
    parser.add_argument("--play", default="desk", help="the stream that it plays")
    parser.add_argument("--bus", default="system", help="system, session, or an address")
    parser.add_argument("--report", action="store_true")
    wishes = parser.parse_args()
    application = Gtk.Application(flags=Gio.ApplicationFlags.NON_UNIQUE)

    def start(_):
        window = Kiosk(application, wishes)
        window.present()
        if wishes.report:
            GLib.timeout_add(1000, window.report)

    application.connect("activate", start)
    sys.exit(application.run([]))


if __name__ == "__main__":
    main()
