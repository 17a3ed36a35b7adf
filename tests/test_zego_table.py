"""The table of ZEGO's calls: it has every member of the engine, and the tests that it names are there."""

import re
from pathlib import Path

from rig.places import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs/reference/zego.md").read_text().splitlines()
    if re.match(r"\| [SK]\d* \|", line)
]
REFERENCE = (ROOT / "docs/reference/dbus.md").read_text()


def test_the_tests_that_it_names_exist():
    wrong = []
    for *row, tests in ROWS:
        if tests == "*none yet*":
            continue
        for test in tests.split(", "):
            found = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", test)
            assert found, f"{row}: {test} is no test"
            file = Path(__file__).parent / found[1]
            if not file.exists() or not re.search(rf"^def {found[2]}\(", file.read_text(), re.MULTILINE):
                wrong.append(test)
    assert not wrong, f"these tests do not exist: {wrong}"


def test_every_step_of_the_tutorial_has_a_row():
    assert {row[0] for row in ROWS} == {"K", *(f"S{number}" for number in range(1, 18))}


def test_every_method_and_signal_of_the_engine_is_in_it_and_nothing_else():
    engine = REFERENCE.split("\n## ")[1]
    members = set(re.findall(r"^#### (\w+)$", engine, re.MULTILINE))
    named = {name for row in ROWS for name in re.findall(r"`([A-Z]\w+)`", row[2])}
    errors = set(re.findall(r"^## (\w+)$", (ROOT / "docs/reference/errors.md").read_text(), re.MULTILINE))
    assert members - named - {"AppID"} == set(), "these are in no row"
    everything = set(re.findall(r"^#### (\w+)$", REFERENCE, re.MULTILINE))
    assert named - everything - errors == set(), "these are not in the reference"
