"""Describe: the computed traits of everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from millstream.flows.steps.comparing import variants
from millstream.state.traits.report import DescribeReport

if TYPE_CHECKING:
    from millstream.flows.steps.workspace import Workspace
    from millstream.state.store import Connection
    from millstream.state.traits.contract import TraitSet


def describe(workspace: Workspace, *, run_id: str, full: bool = False) -> DescribeReport:
    """Compute the traits that are due, and keep them beside what records say.

    A set that fails, or whose file is wrong, keeps its earlier values, and does not stop the others.

    Args:
        workspace: The project with its databases.
        run_id: Names this run in the history.
        full: Compute all sets, due or not.

    Raises:
        ConfigurationError: The section `traits` is wrong.
    """
    from millstream.state.traits import compute

    rules, limit, now = workspace.project.traits, workspace.project.sql_seconds, datetime.now(UTC)
    with workspace.store.open() as connection:
        sets = usable_sets_of(workspace, connection)
        return compute.describe(connection, sets, rules, run_id=run_id, now=now, full=full, sql_seconds=limit)


def usable_sets_of(workspace: Workspace, connection: Connection) -> tuple[TraitSet, ...]:
    """All trait sets of a project, with what those whose file is wrong had before.

    Raises:
        ConfigurationError: The section `traits` is wrong.
    """
    from millstream.state.traits.usable import known_traits, usable_sets

    project, found = workspace.project, variants(workspace)
    also = [found] if found else []
    return usable_sets(project.traits, root=project.root, known=known_traits(connection), also=also)


def trait_sets_of(workspace: Workspace) -> list[TraitSet]:
    """All trait sets of a project: those shipped, its own, and those that follow from its other sections.

    Raises:
        ConfigurationError: A trait file is wrong, or files do not fit together.
    """
    from millstream.state.traits.registry import ordered, trait_sets

    project, found = workspace.project, variants(workspace)
    sets = trait_sets(project.traits, root=project.root)
    return list(ordered([*sets, found])) if found else list(sets)
