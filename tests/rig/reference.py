"""The D-Bus reference as its readers have it: which errors each member names."""

import re
from collections.abc import Iterable

from rig.places import ROOT

DOCUMENT = ROOT / "docs/reference/dbus.md"


def documented_errors() -> dict[str, set[str]]:
    """The errors of each member, which is named with its interface. A member of which nothing is said is left out."""
    found = {}
    for section in re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        interface = section.splitlines()[0]
        for member in re.split(r"^#### ", section, flags=re.MULTILINE)[1:]:
            if errors := re.search(r"^Errors: (.*)\.$", member, re.MULTILINE):
                names = set(re.findall(r"\[(\w+)\]", errors[1]))
                found[f"{interface}.{member.splitlines()[0]}"] = names
    return found


def undocumented(refusals: Iterable[tuple[str, str]]) -> list[str]:
    """Those of the refusals, each a member and the name of its error, that the reference does not name."""
    named = documented_errors()
    return sorted(f"{member}: {error}" for member, error in refusals if error not in named.get(member, ()))
