"""Manual pages and completions: made from the programs, and of use in a shell."""

import subprocess
import sys
from pathlib import Path

import pytest

from rig.places import PROGRAMS, ROOT, program

sys.path.append(str(ROOT / "docs/generator"))

import manual  # noqa: E402

SCRIPTS = {
    "bash": "usr/share/bash-completion/completions/zegoctl",
    "zsh": "usr/share/zsh/vendor-completions/_zegoctl",
    "fish": "usr/share/fish/vendor_completions.d/zegoctl.fish",
}


def good(*argv: str | Path, **wishes: object) -> str:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, **wishes)  # type: ignore[call-overload]
    assert done.returncode == 0 and not done.stderr, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the packages ship."""
    destdir = tmp_path_factory.mktemp("installed")
    good(ROOT / "debian/install-files", destdir, "zegoctl", env={"TARGET": str(PROGRAMS), "PATH": "/usr/bin:/bin"})
    return destdir


@pytest.mark.parametrize("name", manual.names())
def test_a_manual_page_is_current_and_sound(name: str):
    page = manual.PAGES / name
    assert page.read_text() == manual.page(name), "run `make docs`"
    text = good("man", "--warnings", "--local-file", page, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
    for part in ("NAME", "DESCRIPTION", "SEE ALSO"):
        assert f"\n{part}\n" in text, f"{part} is missing"
    assert "@" not in text, "something was not filled in"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_shipped_completions_are_the_program_s(installed: Path, shell: str):
    assert (installed / SCRIPTS[shell]).read_text() == good(program("zegoctl"), "completions", shell)


@pytest.mark.parametrize("shell", ("zsh", "fish"))
def test_other_shells_can_read_them(installed: Path, shell: str):
    good(shell, "-n", installed / SCRIPTS[shell])


@pytest.mark.parametrize(
    ("line", "offered"),
    [("zegoctl un", ["unpublish"]), ("zegoctl mute microphone o", ["on", "off"]), ("zegoctl publish --aud", ["--audio-only"])],
)
def test_bash_completes_commands_options_and_values(installed: Path, line: str, offered: list[str]):
    """Bash loads the script by itself, from the folder where the package puts it, and offers what fits."""
    words = line.split()
    ask = f"""
        . /usr/share/bash-completion/bash_completion
        _completion_loader zegoctl
        function=$(complete -p zegoctl | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        COMP_WORDS=({line}) COMP_CWORD={len(words) - 1} COMP_LINE='{line}' COMP_POINT={len(line)}
        "$function" zegoctl '{words[-1]}' '{words[-2]}'
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    where = {"BASH_COMPLETION_USER_DIR": "/nowhere", "XDG_DATA_DIRS": str(installed / "usr/share"), "PATH": "/usr/bin:/bin"}
    shown = good("bash", "--norc", "-c", ask, env=where)
    assert set(offered) <= set(shown.split()), shown
