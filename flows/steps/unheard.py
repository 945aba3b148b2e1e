"""Names in the identity rules that stand for nothing a source says: most are misspelled, and have no effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.state.errors import MillstreamError
from millstream.state.identity.linkage.rules import LinkageRules
from millstream.state.identity.rules import IdentityRules
from millstream.state.store import column_types
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.project.problems import Key
    from millstream.state.store import Connection


@dataclass(frozen=True)
class Unheard:
    """A name that no source says.

    Attributes:
        key: Where it stands in the project file.
        line: On which line.
        what: What is wrong.
        remedy: What to do.
        certain: Whether it is wrong; else it only looks so.
    """

    key: str
    line: int
    what: str
    remedy: str
    certain: bool = True


@dataclass(frozen=True)
class _Said:
    """What sources may say of people: kinds of identifiers, and traits."""

    kinds: frozenset[str]
    traits: frozenset[str]


def unheard_names(project: Project, connection: Connection) -> list[Unheard]:
    """The kinds and traits that the project's identity rules name and no source knows.

    A source says which there are, whether it was pulled or not, as its streams follow from its settings; of one that
    left the project, or left a stream out, the store says what is there.

    Args:
        project: The project.
        connection: The open store; nothing is written.
    """
    try:
        said = _said(project)
    except MillstreamError:  # a source that cannot be made, which is told elsewhere, might say any name
        return []
    shipped = frozenset(IdentityRules().kinds)
    return [
        *_kinds(project, connection, said.kinds, shipped),
        *_traits(project, connection, said.traits),
        *_near_shipped(project, said.kinds, shipped),
    ]


def _said(project: Project) -> _Said:
    people = [
        stream.people
        for name in project.sources
        for stream in project.source(name, secrets=False).streams()
        if stream.people is not None
    ]
    return _Said(
        frozenset(identifier.kind for said in people for identifier in said.identifiers),
        frozenset(trait.name for said in people for trait in said.traits),
    )


def _kinds(
    project: Project, connection: Connection, said: frozenset[str], shipped: frozenset[str]
) -> Iterator[Unheard]:
    """The kinds that have a rule; those that are shipped may wait for a source that brings them."""
    for kind in _mapping(project, ("identity", "kinds")):
        if kind not in said | shipped and not _stored(connection, "identifiers", "kind", kind):
            yield _unheard(
                project,
                ("identity", "kinds", kind),
                f"no source brings identifiers of the kind {kind!r}, so its rule is without effect.",
                did_you_mean(kind, said | shipped) or f"name the kind as sources do: {', '.join(sorted(said))}.",
            )


def _traits(project: Project, connection: Connection, said: frozenset[str]) -> Iterator[Unheard]:
    """The traits by which the people of a shared value are told apart, or probable links are found."""
    places: dict[Key, object] = {("identity", "other", "agree_on"): None}
    places |= {("identity", "kinds", kind, "agree_on"): None for kind in _mapping(project, ("identity", "kinds"))}
    named = {key: project.document.value(key) for key in places}
    columns = _mapping(project, ("identity", "linkage", "columns")) if project.identity.linkage.enabled else {}
    usual = LinkageRules().columns
    named |= {("identity", "linkage", "columns", name): name for name in columns if name not in usual}
    for key, trait in named.items():
        if isinstance(trait, str) and trait not in said and not _stored(connection, "traits", "name", trait):
            effect = "nobody is told apart by it" if key[-1] == "agree_on" else "nothing is compared by it"
            yield _unheard(
                project,
                key,
                f"no source brings a trait {trait!r}, so {effect}.",
                did_you_mean(trait, said) or f"name a trait that sources bring: {', '.join(sorted(said))}.",
            )


def _near_shipped(project: Project, said: frozenset[str], shipped: frozenset[str]) -> Iterator[Unheard]:
    """Kinds that a source's settings name, spelled nearly like one that Millstream knows."""
    own = {*_mapping(project, ("identity", "kinds"))}
    for place, kind in _mapped(project):
        meant = did_you_mean(kind, shipped, cutoff=0.8)
        if kind in said - shipped - own and meant:
            yield _unheard(
                project,
                place,
                f"identifiers of the kind {kind!r} join only one another.",
                f"{meant} If it is a kind of its own, name it under identity.kinds.",
                certain=False,
            )


def _mapped(project: Project) -> Iterator[tuple[Key, str]]:
    """Each place below ``identifiers`` of a source or its connection, and the kind that it names."""
    for key in project.document.lines:
        value = project.document.value(key)
        if key[0] in ("sources", "connections") and "identifiers" in key[:-1] and isinstance(value, str):
            yield key, value


def _mapping(project: Project, key: Key) -> Mapping[str, object]:
    found = project.document.value(key)
    return found if isinstance(found, dict) else {}


def _stored(connection: Connection, table: str, column: str, name: str) -> bool:
    if not column_types(connection, "customers", table):
        return False
    found = connection.execute(f"SELECT 1 FROM customers.{table} WHERE {column} = ? LIMIT 1", [name]).fetchone()
    return found is not None


def _unheard(project: Project, key: Key, what: str, remedy: str, *, certain: bool = True) -> Unheard:
    from millstream.flows.project.problems import dotted

    return Unheard(dotted(key), project.document.line(key), what, remedy, certain)
