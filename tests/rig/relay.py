"""A TCP relay between a device and its server that can be cut: what is lost is the signalling connection."""

import socket
import threading

from rig.network import free_port
from rig.stage import Stage


class Relay:
    """Passes connections on to a server, until it is cut."""

    def __init__(self, server_port: int):
        self.port = free_port()
        self._server_port = server_port
        self._sockets: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.open()

    @property
    def url(self) -> str:
        """What a device is given as server."""
        return f"ws://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Takes connections, from now on."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Ends every connection without a word that means anything, and takes no more."""
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for end in self._sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it ended by itself
            end.close()
        self._sockets.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._server_port), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # cut, or ended by the other side


def start_relay(stage: Stage, server_url: str) -> Relay:
    """A relay to the server at `server_url`, on loopback."""
    relay = Relay(int(server_url.rsplit(":", 1)[1]))
    stage.at_end("relay", relay.cut)
    return relay
