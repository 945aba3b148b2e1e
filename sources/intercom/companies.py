"""Companies: read whole by a scroll each time, since nothing tells which of them changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Cursor, Endpoint, Page, Row
from millstream.sources.intercom.gone import Expected, marked
from millstream.sources.intercom.search import Window, moment
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, NotFoundError, RefusedError

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.pull import Pull

SCROLL = Endpoint(path="companies/scroll", records="data")
RESTARTS = 3
COLUMNS = (
    Column("id", description="Intercom's id.", required=True),
    Column("company_id", description="Your id of the company."),
    Column("name"),
    Column("plan", description="Name of the plan.", optional=True),
    Column("website", optional=True),
    Column("industry", optional=True),
    Column("size", "bigint", "Employees.", optional=True),
    Column("monthly_spend", "double", optional=True),
    Column("session_count", "bigint", optional=True),
    Column("user_count", "bigint", optional=True),
    Column("tags", "json", "Names of tags.", optional=True),
    Column("custom_attributes", "json", optional=True),
    Column("last_request_at", "timestamp", optional=True),
    Column("created_at", "timestamp", required=True),
    Column("updated_at", "timestamp", required=True),
    Column("deleted", "bool", "No longer listed: deleted, or nobody of it is left."),
)
CURSOR = Cursor(column="updated_at")
_NAMES = {column.name for column in COLUMNS}


def read_companies(pull: Pull) -> Iterator[Page | pa.Table]:
    """Pages of the companies that changed, then the stored ones that are no longer listed.

    Raises:
        IncompleteError: The vendor has none any more, or keeps losing its place.
    """
    seen: set[str] = set()
    for page in _scrolled(pull):
        seen.update(str(company.get("id")) for company in page)
        yield [shape_company(one) for one in page if _is_asked_for(pull, one)]
    if pull.is_backfill:
        return
    expected = Expected(pull, "companies")
    if expected.count and not seen and not pull.accept_empty:
        raise IncompleteError(
            f"Intercom has no companies any more, and {expected.count} are stored; they were kept.",
            remedy="if they really are gone, run `millstream ingest --accept-empty`.",
        )
    yield from marked(pull, "companies", dict.fromkeys(expected.missing(Window(None, None), seen)))


def shape_company(company: Mapping[str, Any]) -> Row:
    """A company as a row."""
    row: Row = {name: value for name, value in company.items() if name in _NAMES}
    return row | {
        "plan": (company.get("plan") or {}).get("name"),
        "tags": [tag.get("name") for tag in (company.get("tags") or {}).get("tags") or []],
        "deleted": False,
    }


def _is_asked_for(pull: Pull, company: Mapping[str, Any]) -> bool:
    at = moment(company, "updated_at")
    return (pull.since is None or at >= pull.since) and (pull.until is None or at < pull.until)


def _scrolled(pull: Pull) -> Iterator[list[Any]]:
    """Pages of the scroll; it cannot go on from where it broke off, so it begins again.

    Raises:
        IncompleteError: It broke off too often.
    """
    for _ in range(RESTARTS):
        params: dict[str, str] = {}
        try:
            while page := records_at(body := pull.get(SCROLL.path, params), SCROLL):
                yield page
                params = {"scroll_param": _param(body)}
        except (NotFoundError, RefusedError):
            if not params:
                raise
            continue
        return
    raise IncompleteError(
        f"Intercom lost its place among the companies {RESTARTS} times.",
        remedy="run again; nothing is missed.",
    )


def _param(body: Mapping[str, Any]) -> str:
    param = body.get("scroll_param")
    if not param:
        raise IncompleteError("Intercom says that there are more companies and not where.", remedy="run again.")
    return str(param)
