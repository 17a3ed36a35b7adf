"""The packages, what they install, and who may use the service."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig.places import PROGRAMS, ROOT, program
from rig.stage import Stage

PACKAGES = ("zegod", "zegoctl", "zegohub")

FILES = {
    "zegod": """
        /etc/zegod/zegod.toml
        /usr/bin/zegod
        /usr/lib/systemd/system/zegod.service
        /usr/lib/sysusers.d/zegod.conf
        /usr/share/dbus-1/system-services/org.zegod1.service
        /usr/share/dbus-1/system.d/org.zegod1.conf
        /usr/share/doc/zegod/configuration.md
        /usr/share/doc/zegod/dbus.md
        /usr/share/doc/zegod/errors.md
        /usr/share/doc/zegod/examples/kiosk.py
        /usr/share/man/man5/zegod.toml.5
        /usr/share/man/man8/zegod.8
    """,
    "zegoctl": """
        /usr/bin/zegoctl
        /usr/share/bash-completion/completions/zegoctl
        /usr/share/fish/vendor_completions.d/zegoctl.fish
        /usr/share/man/man1/zegoctl.1
        /usr/share/zsh/vendor-completions/_zegoctl
    """,
    "zegohub": """
        /etc/zegohub/zegohub.toml
        /usr/bin/zegohub
        /usr/lib/systemd/system/zegohub.service
        /usr/share/man/man8/zegohub.8
    """,
}

HOSTS = {"libcrypto": "libssl"}
"""Libraries that are in another one's package."""
MODES = {"/etc/zegohub/zegohub.toml": 0o600, "/etc/zegod/zegod.toml": 0o644, "/usr/bin/zegod": 0o755}


def run(*argv: str | Path, **wishes: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=120, **wishes)  # type: ignore[call-overload]


def good(*argv: str | Path, **wishes: object) -> str:
    done = run(*argv, **wishes)
    assert done.returncode == 0, f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def make_packages(out: Path) -> None:
    """As `make deb`, but in less time and more bytes: xz would need a minute, beside other tests several."""
    environment = os.environ | {"TARGET": str(PROGRAMS), "DPKG_DEB_COMPRESSOR_LEVEL": "1"}
    good(ROOT / "debian/make-packages", out, env=environment)


def install(destdir: Path, prefix: str = "/usr") -> None:
    environment = os.environ | {"TARGET": str(PROGRAMS), "PREFIX": prefix}
    good(ROOT / "debian/install-files", destdir, env=environment)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three packages."""
    for name in PACKAGES:
        program(name)
    out = tmp_path_factory.mktemp("deb")
    make_packages(out)
    return {name: next(out.glob(f"{name}_*.deb")) for name in PACKAGES}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make install DESTDIR=` makes."""
    destdir = tmp_path_factory.mktemp("installed")
    install(destdir)
    return destdir


def content(package: Path) -> dict[str, tuple[str, str]]:
    """The package's files: path -> (mode, owner)."""
    lines = [line.split(maxsplit=5) for line in good("dpkg-deb", "-c", package).splitlines()]
    return {line[5].removeprefix("."): (line[0], line[1]) for line in lines}


def field(package: Path, name: str) -> str:
    return good("dpkg-deb", "-f", package, name).strip()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_and_an_installation_hold_the_same_files(
    packages: dict[str, Path], installed: Path, name: str
) -> None:
    there = content(packages[name])
    for path in FILES[name].split():
        packed = f"{path}.gz" if "/man/" in path else path
        assert packed in there, f"{path} is not in the package"
        assert (installed / path.lstrip("/")).is_file(), f"{path} is not installed"
    assert {owner for _, owner in there.values()} == {"root/root"}
    for path, mode in MODES.items():
        if path in there:
            assert (installed / path.lstrip("/")).stat().st_mode & 0o7777 == mode
            assert oct(mode)[2:] == "".join(str(sum((c != "-") << 2 - i for i, c in enumerate(triple))) for triple in
                                            re.findall("...", there[path][0][1:])), path


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_what_it_is(packages: dict[str, Path], name: str) -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version and field(packages[name], "Version") == version[1]
    assert field(packages[name], "Package") == name
    assert field(packages[name], "Architecture") == good("dpkg", "--print-architecture").strip()
    needed = {
        line.split()[1].partition(".so")[0]
        for line in good("objdump", "-p", program(name)).splitlines()
        if line.split()[:1] == ["NEEDED"]
    }
    depends = field(packages[name], "Depends")
    assert "libc6 (>=" in depends
    for library in needed - {"libc", "libm", "libgcc_s", "ld-linux-x86-64", "libstdc++"}:
        assert HOSTS.get(library, library) in depends, f"{name} loads {library}, which its package does not depend on: {depends}"


@pytest.mark.parametrize("name", PACKAGES)
def test_scripts_and_conffiles(packages: dict[str, Path], tmp_path: Path, name: str) -> None:
    good("dpkg-deb", "-e", packages[name], tmp_path)
    for script in ("postinst", "prerm", "postrm"):
        assert (tmp_path / script).exists() == (name != "zegoctl"), script
        if (tmp_path / script).exists():
            good("sh", "-n", tmp_path / script)
    configuration = [path for path in FILES[name].split() if path.startswith("/etc/")]
    conffiles = tmp_path / "conffiles"
    assert (conffiles.read_text().split() if conffiles.exists() else []) == configuration


def test_lintian_finds_no_error(packages: dict[str, Path]) -> None:
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed: `make deb` installs it")
    user = ["--allow-root"] if os.geteuid() == 0 else []
    good("lintian", *user, "--fail-on", "error", *packages.values())


def test_the_same_programs_give_the_same_packages(packages: dict[str, Path], tmp_path: Path) -> None:
    make_packages(tmp_path)
    for package in packages.values():
        assert (tmp_path / package.name).read_bytes() == package.read_bytes(), package.name


def test_an_installation_elsewhere_names_its_own_programs(tmp_path: Path) -> None:
    install(tmp_path, "/opt/zego")
    for name in ("zegod", "zegohub"):
        unit = (tmp_path / f"opt/zego/lib/systemd/system/{name}.service").read_text()
        assert re.search(f"^ExecStart=/opt/zego/bin/{name}( |$)", unit, re.MULTILINE), unit
        assert "@" not in re.sub(r"(?m)^#.*$|@(system-service|privileged|resources)", "", unit)


def test_an_installation_keeps_the_configuration_that_is_there(tmp_path: Path) -> None:
    mine = tmp_path / "etc/zegod/zegod.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# mine\n")
    install(tmp_path)
    assert mine.read_text() == "# mine\n"


@pytest.mark.parametrize("name", ("zegod", "zegohub"))
def test_a_unit_is_sound_and_confined(installed: Path, tmp_path: Path, name: str) -> None:
    text = (installed / f"usr/lib/systemd/system/{name}.service").read_text()
    unit = tmp_path / f"{name}.service"
    unit.write_text(text.replace("/usr/bin/", f"{installed}/usr/bin/"))
    verified = run("systemd-analyze", "verify", "--man=no", unit)
    assert verified.returncode == 0 and name not in verified.stderr, verified.stderr
    good("systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager", unit)


def test_the_daemon_s_unit_sees_cameras_and_sound_cards(installed: Path) -> None:
    unit = (installed / "usr/lib/systemd/system/zegod.service").read_text().splitlines()
    for line in ("BusName=org.zegod1", "User=zegod", "DevicePolicy=closed", "DeviceAllow=char-alsa rw",
                 "DeviceAllow=char-video4linux rw", "SupplementaryGroups=audio video"):  # fmt: skip
        assert line in unit, line
    # Either would take the sound cards away, or the sharing of one.
    assert not {"PrivateDevices=yes", "PrivateIPC=yes"} & set(unit)


def test_the_daemon_s_user_may_use_devices(installed: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("systemd-sysusers wants root")
    (tmp_path / "etc").mkdir()
    good("systemd-sysusers", f"--root={tmp_path}", installed / "usr/lib/sysusers.d/zegod.conf")
    assert re.search("^zegod:", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    groups = dict(line.split(":", 1) for line in (tmp_path / "etc/group").read_text().splitlines())
    assert {"zegod", "audio", "video"} <= groups.keys()
    for group in ("audio", "video"):
        assert groups[group].split(":")[-1] == "zegod"


def test_the_hub_takes_every_key_of_its_example(stage: Stage, tmp_path: Path) -> None:
    text = (ROOT / "config/zegohub.toml").read_text()
    text = re.sub(r"(?m)^#(\[\[?[a-z]+\]\]?|[a-z_]+ = .*)$", r"\1", text)
    rooms = ("[room]", "auto_create", "empty_timeout_s", "departure_timeout_s", "max_participants", "remote_unmute")
    others = ("[[app]]", "id", "secret", "[[webhook]]", "url", "app", "[metrics]", "token", "[tls]", "own", "names", "plain", "level")
    limits = ("[limits]", "connections_per_address", "requests_per_address", "joins_per_user", "messages_per_client")
    turn = ("tcp_port", "[turn]", "urls", "secret", "ttl_s")
    limits += ("data_kib_per_participant", "tracks_per_participant", "participants_per_app")
    for key in ("listen", "udp_port", "heartbeat_timeout_s", *rooms, *others, *limits, *turn, "[discovery]", "announce", "name"):
        assert re.search(rf"(?m)^{re.escape(key)}", text), f"{key} is not shown"
    # Not the addresses that it shows: somebody may be using them.
    text = text.replace('"0.0.0.0:7880"', '"127.0.0.1:0"').replace("udp_port = 7882", "udp_port = 0")
    text = text.replace("tcp_port = 7882", "tcp_port = 0")
    file = tmp_path / "zegohub.toml"
    file.write_text(text)
    # Its own certificate is kept there.
    environment = {"ZEGOHUB_STATE_DIRECTORY": str(tmp_path)}
    hub = stage.start("hub", [program("zegohub"), "--config", str(file)], environment=environment)
    hub.wait_for_line(r"zegohub: ready on https://")


# The bus policy, on a bus like the system's, with users that every Debian has in place of zegod's.
DAEMON, MEMBER, STRANGER = "games", "man", "nobody"

SYSTEM_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
  </policy>
  <include>{policy}</include>
</busconfig>
"""


class SystemBus:
    """A bus with the installed policy, and zegod on it as the daemon's user."""

    def __init__(self, stage: Stage, folder: Path):
        self.stage = stage
        self.folder = folder
        policy = (ROOT / "systemd/org.zegod1.conf").read_text()
        assert policy.count('user="zegod"') == 1 and policy.count('group="zegod"') == 1
        policy = policy.replace('user="zegod"', f'user="{DAEMON}"').replace('group="zegod"', f'group="{MEMBER}"')
        (folder / "policy.conf").write_text(policy)
        socket = folder / "socket"
        configuration = folder / "bus.conf"
        configuration.write_text(SYSTEM_BUS.format(socket=socket, policy=folder / "policy.conf"))
        bus = stage.start("bus", ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile"])
        bus.wait_until(socket.exists, "its socket")
        assert "Unknown" not in bus.output(), bus.output()
        self.address = f"unix:path={socket}"
        for name in ("zegod", "zegoctl"):
            shutil.copy(program(name), folder / name)
        (folder / "zegod.toml").write_text('[camera]\nsource = "pattern"\n[microphone]\nsource = "tone"\n[speaker]\nsink = "null"\n')

    def as_user(self, user: str, *argv: str | Path) -> list[str]:
        identity = [] if user == "root" else [f"--reuid={user}", f"--regid={good('id', '-gn', user).strip()}", "--clear-groups"]
        return ["setpriv", *identity, "--", *map(str, argv)]

    def start_zegod(self, user: str):
        zegod = [self.folder / "zegod", "--config", self.folder / "zegod.toml", "--bus", self.address]
        return self.stage.start(f"zegod-{user}", self.as_user(user, *zegod))

    def zegoctl(self, user: str, *argv: str) -> subprocess.CompletedProcess[str]:
        return run(*self.as_user(user, self.folder / "zegoctl", "--bus", self.address, *argv), cwd="/")

    def owner_of(self, name: str) -> bool:
        return run("busctl", f"--address={self.address}", "status", name).returncode == 0


@pytest.fixture
def system_bus(stage: Stage) -> Iterator[SystemBus]:
    with tempfile.TemporaryDirectory(prefix="zego-bus-") as folder:
        os.chmod(folder, 0o755)
        yield SystemBus(stage, Path(folder))


def until(done: Callable[[], bool], what: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < deadline, f"no sign of {what} within {timeout:g} s"
        time.sleep(0.05)


@pytest.mark.root
def test_members_and_root_may_use_the_daemon_and_strangers_may_not(system_bus: SystemBus) -> None:
    zegod = system_bus.start_zegod(DAEMON)
    zegod.wait_until(lambda: system_bus.owner_of("org.zegod1"), "its bus name")
    for user in (MEMBER, "root"):
        status = system_bus.zegoctl(user, "status")
        assert status.returncode == 0, status.stderr
    refused = system_bus.zegoctl(STRANGER, "status")
    assert refused.returncode == 1 and "AccessDenied" in refused.stderr, refused.stderr
    introspect = ["busctl", f"--address={system_bus.address}", "introspect", "org.zegod1", "/org/zegod1"]
    for user, may in ((MEMBER, True), (STRANGER, False)):
        done = run(*system_bus.as_user(user, *introspect), cwd="/")
        assert (done.returncode == 0) == may, f"{user}: {done.stdout}{done.stderr}"


@pytest.mark.root
def test_strangers_do_not_hear_who_is_where(system_bus: SystemBus) -> None:
    zegod = system_bus.start_zegod(DAEMON)
    zegod.wait_until(lambda: system_bus.owner_of("org.zegod1"), "its bus name")
    member, stranger = (
        system_bus.stage.start(f"monitor-{user}", system_bus.as_user(
            user, "dbus-monitor", "--address", system_bus.address, "type='signal',path_namespace='/org/zegod1'"), cwd=Path("/"))
        for user in (MEMBER, STRANGER)
    )  # fmt: skip
    for monitor in (member, stranger):
        monitor.wait_until(lambda log=monitor: "NameAcquired" in log.output(), "its connection")
    muted = system_bus.zegoctl(MEMBER, "mute", "speaker", "on")
    assert muted.returncode == 0, muted.stderr
    member.wait_until(lambda: "SpeakerMuted" in member.output(), "the change of the speaker")
    time.sleep(0.3)
    assert "zegod1" not in stranger.output(), stranger.output()


@pytest.mark.root
def test_the_guide_s_listener_is_for_every_member(system_bus: SystemBus) -> None:
    """The tutorial's line, as an ordinary user types it; `busctl monitor` is refused to that user, as on the system's own bus."""
    zegod = system_bus.start_zegod(DAEMON)
    zegod.wait_until(lambda: system_bus.owner_of("org.zegod1"), "its bus name")
    line = re.search(r"^gdbus monitor [^>\n]*", (ROOT / "docs/guide/tutorial.md").read_text(), re.MULTILINE)
    assert line, "the tutorial listens in another way"
    command = system_bus.as_user(MEMBER, *line[0].split())
    environment = {"DBUS_SYSTEM_BUS_ADDRESS": system_bus.address}
    listener = system_bus.stage.start("listener", command, environment=environment, cwd=Path("/"))
    listener.exit_wanted = -signal.SIGTERM
    listener.wait_until(lambda: "is owned by" in listener.output(), "zegod")
    muted = system_bus.zegoctl(MEMBER, "mute", "speaker", "on")
    assert muted.returncode == 0, muted.stderr
    listener.wait_until(lambda: "SpeakerMuted" in listener.output(), "the change of the speaker")
    refused = run(*system_bus.as_user(MEMBER, "timeout", "5", "busctl", f"--address={system_bus.address}", "monitor"), cwd="/")
    assert refused.returncode == 1 and "denied" in refused.stderr, refused.stderr


@pytest.mark.root
def test_nobody_but_its_user_may_be_the_daemon(system_bus: SystemBus) -> None:
    for user in (MEMBER, STRANGER, "root"):
        zegod = system_bus.start_zegod(user)
        zegod.exit_wanted = zegod.wait()
        assert zegod.exit_wanted != 0, zegod.output()
        assert not system_bus.owner_of("org.zegod1")
