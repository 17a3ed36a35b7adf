"""What a D-Bus service says of itself: its introspection data, with the comments that document it."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Argument:
    """An argument of a method or signal."""

    name: str
    type: str
    out: bool


@dataclass(frozen=True)
class Member:
    """A method, signal or property."""

    kind: str
    """`method`, `signal` or `property`."""
    name: str
    text: str
    """Its documentation, one paragraph."""
    arguments: list[Argument] = field(default_factory=list)
    type: str = ""
    """Of a property."""
    writable: bool = False
    changes: str = ""
    """Of a property: `const`, `false`, or nothing when PropertiesChanged tells its changes."""

    @property
    def takes(self) -> list[Argument]:
        return [a for a in self.arguments if not a.out]

    @property
    def returns(self) -> list[Argument]:
        return [a for a in self.arguments if a.out]


@dataclass(frozen=True)
class Interface:
    """One interface."""

    name: str
    members: list[Member]

    def of(self, kind: str) -> list[Member]:
        return [m for m in self.members if m.kind == kind]


def interfaces(data: str) -> dict[str, Interface]:
    """Reads the introspection data of an object. The comment before a member documents it."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.fromstring(data, parser)
    found = {}
    for element in root.iter("interface"):
        members, text = [], ""
        for child in element:
            if child.tag is ElementTree.Comment:
                text = f"{text} {' '.join(child.text.split())}".strip()
                continue
            members.append(_member(child, text))
            text = ""
        found[element.get("name")] = Interface(element.get("name"), members)
    return found


def _member(element: ElementTree.Element, text: str) -> Member:
    arguments = [
        Argument(arg.get("name", ""), arg.get("type"), element.tag == "method" and arg.get("direction") == "out")
        for arg in element.iter("arg")
    ]
    changes = {a.get("value") for a in element.iter("annotation") if a.get("name", "").endswith("EmitsChangedSignal")}
    return Member(
        kind=element.tag,
        name=element.get("name"),
        text=text,
        arguments=arguments,
        type=element.get("type", ""),
        writable="write" in element.get("access", ""),
        changes=next(iter(changes), ""),
    )
