"""A room server under test: the real `zegohub`, with a configuration of its own."""

import re
from dataclasses import dataclass

from rig import tokens
from rig.network import free_port
from rig.places import program
from rig.program import Program
from rig.stage import Stage


@dataclass
class Hub:
    """A running hub."""

    program: Program
    http: str
    """`http://IP:PORT`, the page."""
    url: str
    """`ws://IP:PORT`, what clients are given as server."""

    @property
    def is_ours(self) -> bool:
        """Whether it is a zegohub, and not LiveKit's own server."""
        return self.kind == "zegohub"

    @property
    def kind(self) -> str:
        """`zegohub` or `livekit-server`, also of one that was started anew."""
        return re.sub(r"-\d+$", "", self.program.name)

    def token(self, user: str, room: str, **wishes: object) -> str:
        """A token for this hub (see `tokens.livekit_token`)."""
        return tokens.livekit_token(user, room, **wishes)


def start_hub(
    stage: Stage,
    *,
    address: str = "127.0.0.1",
    namespace: str | None = None,
    port: int | None = None,
    extra: str = "",
    log_level: str = "info",
    wait: bool = True,
    app_id: int = tokens.APP_ID,
    state: str = "hub-state",
) -> Hub:
    """Starts a hub that knows the tests' app, and waits until it is ready. `extra` is added to its configuration.

    `state` names its state directory, which another machine's hub does not share.
    """
    # A namespace of our own has every port free.
    port = port or (7880 if namespace else free_port())
    file = stage.path("zegohub.toml")
    file.write_text(
        f'listen = "{address}:{port}"\nudp_port = {port + 2 if namespace else port}\n{extra}\n'
        f'[[app]]\nid = {app_id}\nsecret = "{tokens.SECRET}"\n\n[log]\nlevel = "{log_level}"\n'
    )
    directory = stage.folder / state
    directory.mkdir(exist_ok=True)
    hub = stage.start(
        "zegohub",
        [program("zegohub"), "--config", str(file)],
        environment={"ZEGOHUB_STATE_DIRECTORY": str(directory), "RUST_BACKTRACE": "1"},
        namespace=namespace,
    )
    if wait:
        hub.wait_for_line(r"zegohub: ready on https?://\S+")
    return Hub(hub, f"http://{address}:{port}", f"ws://{address}:{port}")
