"""Cohorts: which there are, and who is in those that the settings name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page
from millstream.sources.mixpanel import identity
from millstream.sources.mixpanel.queries import COHORTS
from millstream.state.errors import ConfigurationError, MalformedAnswerError
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.mixpanel.queries import Queries
    from millstream.sources.mixpanel.settings import MixpanelSettings
    from millstream.sources.pull import Pull

COHORT_COLUMNS = (
    Column("id", "bigint", "Number of the cohort.", required=True),
    Column("name", required=True),
    Column("description", optional=True),
    Column("count", "bigint", "People in it."),
    Column("is_visible", "bool", optional=True),
    Column("created", "timestamp", optional=True),
    Column("project_id", "bigint", optional=True),
)
MEMBER_COLUMNS = (
    Column("cohort_id", "bigint", "Number of the cohort.", required=True),
    Column("cohort_name", required=True),
    Column("distinct_id", required=True),
    Column("user_id", description="The id given to `identify`.", optional=True),
    Column("read_at", "timestamp", "When the membership was read.", required=True),
)


def member_people(settings: MixpanelSettings) -> People:
    """What a membership says about a person."""
    return People(
        record="subject",
        identifiers=(
            Identifier(kind=identity.DISTINCT_ID, column="distinct_id"),
            *((Identifier(kind=settings.user_id, column="user_id"),) if settings.user_id else ()),
        ),
        events=(Event(at="read_at", name="Analytics Cohort Member", properties=("cohort_id", "cohort_name")),),
        observed_at="read_at",
    )


class CohortReader:
    """Reads cohorts."""

    def __init__(self, settings: MixpanelSettings, queries: Queries) -> None:
        self._settings = settings
        self._queries = queries
        self._ids = identity.Ids(settings)

    def cohorts(self, pull: Pull) -> Iterator[Page]:
        """All cohorts."""
        yield [dict(one) for one in self._listed(pull)]

    def members(self, pull: Pull) -> Iterator[Page]:
        """Members of the cohorts that the settings name, as they are now."""
        if pull.is_backfill:
            return
        for cohort in self._wanted(pull):
            form = {"filter_by_cohort": json.dumps({"id": cohort["id"]})}
            for rows in self._queries.everything(pull, form):
                ids = (identity.id_of(one.get("$distinct_id")) for one in rows)
                yield [
                    {
                        "cohort_id": cohort["id"],
                        "cohort_name": cohort["name"],
                        "distinct_id": distinct,
                        "user_id": self._ids.parts(distinct)[0],
                        "read_at": pull.pulled_at,
                    }
                    for distinct in ids
                    if distinct is not None
                ]

    def _wanted(self, pull: Pull) -> list[Mapping[str, Any]]:
        found = self._listed(pull)
        by_name = {str(value): cohort for cohort in found for value in (cohort["id"], cohort["name"])}
        unknown = [name for name in self._settings.cohorts if name not in by_name]
        if unknown:
            names = sorted(str(cohort["name"]) for cohort in found)
            raise ConfigurationError(
                f"The project has no cohort {unknown[0]!r}.", where="source mixpanel", allowed=names
            )
        return [by_name[name] for name in self._settings.cohorts]

    def _listed(self, pull: Pull) -> list[Mapping[str, Any]]:
        found = self._queries.ask(pull, COHORTS)
        if isinstance(found, list) and all(isinstance(one, dict) and {"id", "name"} <= one.keys() for one in found):
            return found
        raise MalformedAnswerError(
            "Mixpanel answered without a list of cohorts.",
            remedy="the API may have changed: update the connector, or leave the stream out for now.",
        )
