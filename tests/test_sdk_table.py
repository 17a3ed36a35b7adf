"""The table of what SDKs do: it has every test of theirs, and says where it runs as the test itself does."""

import re
from pathlib import Path

import pytest

from rig.places import ROOT

HERE = Path(__file__).parent
FILES = ("test_sdk*.py", "test_simulcast.py", "test_svc.py")
TABLE = {
    cells[1].strip("`"): cells
    for line in (ROOT / "docs/reference/sdk.md").read_text().splitlines()
    if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split(" | ")]) == 4
    if cells[1].startswith("`")
}
"""Test -> what is tested, test, on the hub, on LiveKit's server."""


def sdk_tests() -> dict[str, bool]:
    """Every test of an SDK, and whether it runs on any server."""
    found = {}
    for file in sorted(file for pattern in FILES for file in HERE.glob(pattern)):
        text = file.read_text()
        everywhere = bool(re.search(r"^pytestmark = .*any_server", text, re.MULTILINE))
        for marks, name in re.findall(r"((?:^@.*\n(?:^[ \])].*\n)*)*)^def (test_\w+)\(", text, re.MULTILINE):
            if file.name != Path(__file__).name:
                found[f"{file.name}::{name}"] = everywhere or "any_server" in marks
    return found


def test_every_test_of_an_sdk_has_a_row():
    assert set(TABLE) == set(sdk_tests())


@pytest.mark.parametrize("column", [2, 3], ids=["zegohub", "livekit-server"])
def test_what_it_says_is_what_is_run(column):
    wrong = []
    for test, anywhere in sdk_tests().items():
        says = TABLE[test][column]
        runs = column == 2 or anywhere
        if runs != (says == "yes") or (not runs and len(says) < 10):
            wrong.append(f"{test}: {says}")
    assert not wrong, f"a test that does not run there needs a reason: {wrong}"
