"""What a report may be made of: the dimensions, metrics and segments of the report suite."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream.sources.adobe_analytics.reports import SCOPE
from millstream.sources.contract import Column, Page, Row, Stream
from millstream.state.errors import IncompleteError, MalformedAnswerError

if TYPE_CHECKING:
    from millstream.sources.adobe_analytics.company import Company
    from millstream.sources.adobe_analytics.settings import AdobeAnalyticsSettings
    from millstream.sources.pull import Pull

SEGMENTS_A_PAGE = 1000
_CHANGED = "the API may have changed: update the connector, or leave the stream out for now."


class Catalogues:
    """Reads the catalogues of one report suite."""

    def __init__(self, settings: AdobeAnalyticsSettings, company: Company) -> None:
        self._settings = settings
        self._company = company

    def streams(self) -> tuple[Stream, ...]:
        """One stream a catalogue, read whole."""
        return (
            *(
                self._listed(name, f"One row a {name[:-1]} that reports may have.")
                for name in ("dimensions", "metrics")
            ),
            Stream(
                name="segments",
                description="One row a segment that the credential may use.",
                primary_key=("id",),
                columns=(
                    Column("id", description="Id for a report's segments.", required=True),
                    Column("name"),
                    Column("description", optional=True),
                    Column("rsid", description="The report suite it was made for.", optional=True),
                ),
                disposition="replace",
                read=self._segments,
                scope=SCOPE,
            ),
        )

    def look(self, pull: Pull) -> None:
        """Ask for the list of metrics."""
        self._list(pull, "metrics")

    def _listed(self, name: str, description: str) -> Stream:
        return Stream(
            name=name,
            description=description,
            primary_key=("id",),
            columns=(
                Column("id", description="Id for a report.", required=True),
                Column("name"),
                Column("type", description="string, int, currency, time, ...", optional=True),
                Column("category", optional=True),
                Column("description", optional=True),
            ),
            disposition="replace",
            read=partial(self._read_list, name=name),
            scope=SCOPE,
        )

    def _read_list(self, pull: Pull, name: str) -> Iterator[Page]:
        yield [_shaped(one, name) for one in self._list(pull, name)]

    def _list(self, pull: Pull, name: str) -> list[Any]:
        body = pull.get(self._company.path(pull, name), {"rsid": self._settings.rsid})
        if not isinstance(body, list):
            raise MalformedAnswerError(f"GET {name} answered without a list.", remedy=_CHANGED)
        return body

    def _segments(self, pull: Pull) -> Iterator[Page]:
        page = 0
        while True:
            params = {"rsids": self._settings.rsid, "limit": SEGMENTS_A_PAGE, "page": page}
            body = pull.get(self._company.path(pull, "segments"), params)
            rows = body.get("content") if isinstance(body, dict) else None
            if not isinstance(rows, list):
                raise MalformedAnswerError("GET segments answered without content.", remedy=_CHANGED)
            yield [_shaped(one, "segments") for one in rows]
            if body.get("lastPage", True):
                return
            if not rows:
                raise IncompleteError("Adobe says that there are more segments and gives none.", remedy="run again.")
            page += 1


def _shaped(one: Any, name: str) -> Row:
    row: Row = {key: one[key] for key in ("id", "name", "type", "category", "description", "rsid") if key in one}
    if "id" in row and name != "segments":
        row["id"] = str(row["id"]).split("/", 1)[-1]
    return row
