"""The relations that trait sets compute from: what people did, told once for all sets of a run.

They are temporary, bear the names below, and know nothing later than the time of the run. Those that are read as they
are stored are views, of which a query reads the columns it names; the others are made once, when the first set needs
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.state.sql import quoted
from millstream.state.traits.relation_queries import (
    Scope,
    behaviour_query,
    events_query,
    line_items_query,
    messages_query,
    profiles_query,
    purchases_query,
    refunds_query,
    survey_answers_query,
    tickets_query,
    touches_query,
)

if TYPE_CHECKING:
    from millstream.state.store import Connection

__all__ = ["RELATIONS", "Relation", "Relations", "Scope"]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A relation that sets may name among their inputs.

    Attributes:
        description: What its rows are.
        columns: Its columns and their types; empty for ``profiles``, which has those of the golden profiles.
        sql: Its SELECT.
        reads: Other relations it is made of.
        is_view: Whether it is read as it is stored.
    """

    description: str
    columns: Mapping[str, str]
    sql: Callable[[Connection, Scope], str]
    reads: tuple[str, ...] = ()
    is_view: bool = False


def _typed(columns: str) -> Mapping[str, str]:
    """``"a TEXT, b DOUBLE"`` as names and types."""
    return dict(column.split() for column in columns.split(", "))


_EVENT_COLUMNS = _typed(
    "profile_id TEXT, event_id TEXT, source TEXT, name TEXT, happened_at TIMESTAMPTZ, value_base DOUBLE, "
    "channel TEXT, campaign TEXT, properties JSON"
)

RELATIONS: Mapping[str, Relation] = {
    "profiles": Relation(
        description="The golden profiles, one row a person, with an empty column for each of the set's "
        "profile_traits that no source brings.",
        columns={},
        sql=profiles_query,
        is_view=True,
    ),
    "events": Relation(
        description="All that people did and that happened to them.",
        columns=_EVENT_COLUMNS,
        sql=events_query,
        is_view=True,
    ),
    "behaviour": Relation(
        description="What people did themselves: events without messages sent to them, what staff did, and membership "
        "in other systems' lists.",
        columns=_EVENT_COLUMNS,
        sql=behaviour_query,
        is_view=True,
    ),
    "purchases": Relation(
        description="One row an order, by the events that the section `traits` names as purchases. The value is in the "
        "base currency, and empty where it cannot be converted. The latest event of an order counts; a cancelled "
        "order is none.",
        columns=_typed(
            "profile_id TEXT, order_id TEXT, happened_at TIMESTAMPTZ, value DOUBLE, channel TEXT, "
            "campaign TEXT, properties JSON"
        ),
        sql=purchases_query,
        reads=("events",),
    ),
    "refunds": Relation(
        description="The latest refund of each order that was not cancelled.",
        columns=_typed("profile_id TEXT, order_id TEXT, happened_at TIMESTAMPTZ, value DOUBLE"),
        sql=refunds_query,
        reads=("events",),
    ),
    "line_items": Relation(
        description="The products of purchases, of their property `products`. The quantity is 1 where none is told.",
        columns=_typed(
            "profile_id TEXT, order_id TEXT, happened_at TIMESTAMPTZ, product_id TEXT, name TEXT, "
            "category TEXT, quantity DOUBLE, price DOUBLE"
        ),
        sql=line_items_query,
        reads=("purchases",),
    ),
    "messages": Relation(
        description="Messages and what became of them: kind is sent, delivered, opened, clicked, tapped, "
        "unsubscribed, bounced or complained; channel is email, sms or push. Of people of whom a channel tells no "
        "sending, what was delivered counts as sent, too.",
        columns=_typed("profile_id TEXT, happened_at TIMESTAMPTZ, channel TEXT, kind TEXT, campaign TEXT"),
        sql=messages_query,
        reads=("events",),
    ),
    "touches": Relation(
        description="Events that tell where somebody came from: by a campaign, utm properties or a referrer of another "
        "site; messages sent to them are none.",
        columns=_typed(
            "profile_id TEXT, happened_at TIMESTAMPTZ, event_id TEXT, channel TEXT, source TEXT, "
            "campaign TEXT, referrer TEXT"
        ),
        sql=touches_query,
        reads=("events",),
    ),
    "survey_answers": Relation(
        description="Answers to surveys and ratings of service. Satisfaction is a share: 0 is bad, 1 is good.",
        columns=_typed(
            "profile_id TEXT, happened_at TIMESTAMPTZ, event_id TEXT, source TEXT, survey_id TEXT, "
            "nps_score DOUBLE, satisfaction DOUBLE, comment TEXT"
        ),
        sql=survey_answers_query,
        reads=("events",),
    ),
    "tickets": Relation(
        description="One row a ticket; solved_at is empty while it is open, also after it was opened again.",
        columns=_typed(
            "profile_id TEXT, ticket_id TEXT, opened_at TIMESTAMPTZ, solved_at TIMESTAMPTZ, reopened BIGINT"
        ),
        sql=tickets_query,
        reads=("events",),
    ),
}
"""Every relation by the name that sets give among their inputs."""


class Relations:
    """The relations of one run: made when first asked for, dropped together.

    Args:
        connection: The open store.
        scope: What they are made for.
    """

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope
        self._made: dict[str, bool] = {}

    def provide(self, names: Iterable[str]) -> None:
        """Make those of the names that are relations of ours and are not there yet."""
        for name in names:
            relation = RELATIONS.get(name)
            if relation is None or name in self._made:
                continue
            self.provide(relation.reads)
            self._make(name, relation.sql(self._connection, self._scope), is_view=relation.is_view)

    def add(self, name: str, query: str) -> None:
        """A view of another set's traits."""
        if name not in self._made:
            self._make(name, query, is_view=True)

    def drop(self) -> None:
        """Drop all that were made, those that read others first."""
        for name in reversed(self._made):
            self._connection.execute(f"DROP {'VIEW' if self._made[name] else 'TABLE'} {quoted(name)}")
        self._made.clear()

    def _make(self, name: str, query: str, *, is_view: bool) -> None:
        kind = "VIEW" if is_view else "TABLE"
        self._connection.execute(f"CREATE TEMP {kind} {quoted(name)} AS {query}")
        self._made[name] = is_view
