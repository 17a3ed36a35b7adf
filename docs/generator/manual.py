"""Makes the manual pages in docs/reference/man from what the programs say of themselves.

usage: docs/generator/manual.py   (`make docs` calls it)

The pages in docs/generator/manual hold what people wrote. In them `@options@` and `@commands@` stand for what `PROGRAM --help` says, `@keys@`
for the keys of config/zegod.toml with their explanations, and `@version@` for the version of Cargo.toml.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from rig.places import program  # noqa: E402

WRITTEN = Path(__file__).with_name("manual")
PAGES = ROOT / "docs/reference/man"
EVERYWHERE = ("--bus", "--json", "--help")
"""Options that every command has."""


@dataclass
class Item:
    """An argument, option or command in a program's help."""

    head: str
    text: str


@dataclass
class Help:
    """What `--help` says."""

    about: str
    usage: str
    sections: dict[str, list[Item]]


def help_of(*argv: str) -> Help:
    """Asks a program, or one of its commands."""
    text = subprocess.run([program(argv[0]), *argv[1:], "--help"], capture_output=True, text=True, check=True).stdout
    about, usage, sections, items = [], "", {}, None
    for line in text.splitlines():
        if line.startswith("Usage: "):
            usage = line.removeprefix("Usage: ")
        elif found := re.fullmatch(r"(Arguments|Options|Commands):", line):
            items = sections.setdefault(found[1], [])
        elif line and not line.startswith(" "):
            if usage:
                break  # what comes after the options is in the written page
            about.append(line)
        elif items is not None:
            _add(items, line)
    return Help(" ".join(about), usage, sections)


def _add(items: list[Item], line: str) -> None:
    """One line below a section's title: the begin of an item, or more about the last one."""
    begin = re.fullmatch(r" {2,6}(\S.*?)(?: {2,}(\S.*))?", line)
    if begin and not line.startswith(" " * 7):
        items.append(Item(begin[1], begin[2] or ""))
        return
    more = re.sub(r" {2,}", " ", line.strip())
    if items and more and more != "Possible values:":
        end = items[-1].text[-1:]
        joint = "" if not end else " " if end in ".:;]" or more.startswith("[") else "; "
        items[-1].text += joint + more.removeprefix("- ")


def escaped(text: str) -> str:
    """Text as roff takes it."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return escaped(text if text.endswith((".", "]")) else f"{text}.")


def entry(item: Item) -> list[str]:
    return [".TP", f"\\fB{escaped(item.head)}\\fR", sentence(item.text)]


def options(found: Help) -> list[str]:
    return [line for item in found.sections["Options"] for line in entry(item)]


def _everywhere(item: Item) -> bool:
    return any(option in item.head for option in EVERYWHERE)


def commands(name: str, found: Help) -> list[str]:
    """The commands, each with what it takes."""
    lines: list[str] = []
    for command in found.sections["Commands"]:
        own = help_of(name, command.head)
        words = own.usage.split()[2:]
        if not any(not _everywhere(item) for item in own.sections["Options"]):
            words.remove("[OPTIONS]")
        lines += [".TP", " ".join([f"\\fB{escaped(command.head)}\\fR", *map(escaped, words)]), sentence(own.about)]
        takes = own.sections.get("Arguments", []) + own.sections.get("Options", [])
        takes = [item for item in takes if not _everywhere(item)]
        if takes:
            lines += [".RS", *(line for item in takes for line in entry(item)), ".RE"]
    return lines


def keys(configuration: str) -> list[str]:
    """The keys of an example configuration, in which each is commented out below its explanation."""
    lines, comment, table = [], [], ""
    for line in configuration.splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            table, comment = found[1], []
            lines += [f".SS [{table}]"]
        elif (found := re.fullmatch(r"#(\w+) = (.*)", line)) and table:
            lines += [".TP", f"\\fB{found[1]}\\fR = {escaped(found[2])}"]
            for number, text in enumerate(comment):
                # Each row of a table of values, and what comes after it, begins a line; sentences are filled.
                row = text.startswith("  ")
                after = number and comment[number - 1].startswith("  ")
                lines += [".br"] * bool(row or after) + [escaped(re.sub(r" {2,}", "  ", text.strip()))]
            comment = []
        elif line.startswith("# "):
            comment.append(line[2:])
        elif not line:
            comment = []
    return lines


def page(name: str) -> str:
    """The text of a manual page, `zegoctl.1`."""
    text = (WRITTEN / name).read_text()
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    text = text.replace("@version@", version[1])
    if "@keys@" in text:
        return text.replace("@keys@", "\n".join(keys((ROOT / "config/zegod.toml").read_text())))
    command = name.partition(".")[0]
    found = help_of(command)
    text = text.replace("@options@", "\n".join(options(found)))
    return text.replace("@commands@", "\n".join(commands(command, found))) if "@commands@" in text else text


def names() -> list[str]:
    return sorted(file.name for file in WRITTEN.iterdir())


def main() -> None:
    for name in names():
        (PAGES / name).write_text(page(name))
    print(f"{PAGES.relative_to(ROOT)}: {', '.join(names())} are made")


if __name__ == "__main__":
    main()
