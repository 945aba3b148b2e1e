"""Deals with the contacts they belong to, and companies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Endpoint, Row
from millstream.sources.hubspot.contacts import CONTACT_ID
from millstream.sources.hubspot.crm import CrmObject, Property, must, read_object
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError
from millstream.state.model.declarations import Identifier, People
from millstream.state.model.known_events import deal_events

if TYPE_CHECKING:
    from millstream.sources.hubspot.settings import HubSpotSettings
    from millstream.sources.pull import Pull
    from millstream.state.http import Pacer

ASSOCIATIONS_PATH = "crm/v4/associations"
ASSOCIATION_BATCH = 1_000
_ASSOCIATED = Endpoint(path=ASSOCIATIONS_PATH, records="to")

COMPANY = CrmObject(
    type="companies",
    modified="hs_lastmodifieddate",
    properties=(
        Property(name="name", column="name"),
        Property(name="domain", column="domain", description="Main web domain."),
        Property(name="industry", column="industry", optional=True),
        Property(name="numberofemployees", column="employees", type="double", optional=True),
        Property(name="annualrevenue", column="annual_revenue", type="double", optional=True),
        Property(name="city", column="city", optional=True),
        Property(name="country", column="country", optional=True),
        Property(name="lifecyclestage", column="lifecycle_stage", optional=True),
        Property(name="hubspot_owner_id", column="owner_id", optional=True),
    ),
)

DEAL = CrmObject(
    type="deals",
    modified="hs_lastmodifieddate",
    properties=(
        Property(name="dealname", column="name"),
        Property(name="amount", column="amount", type="double"),
        Property(name="deal_currency_code", column="currency", description="ISO 4217.", optional=True),
        Property(name="pipeline", column="pipeline", description="Internal name.", optional=True),
        Property(name="dealstage", column="stage", description="Internal name or id of the stage."),
        Property(name="dealtype", column="deal_type", optional=True),
        Property(
            name="closedate",
            column="closed_at",
            type="timestamp",
            description="When it was won or lost; for an open deal, when that is expected.",
        ),
        Property(name="hs_is_closed_won", column="is_won", type="bool", optional=True),
        Property(name="hs_is_closed", column="is_closed", type="bool", optional=True),
        Property(name="closed_lost_reason", column="lost_reason", optional=True),
        Property(name="hubspot_owner_id", column="owner_id", optional=True),
    ),
    associations=("contacts", "companies"),
)

DEAL_COLUMNS = (
    *DEAL.columns,
    Column("outcome", description="`open`, `won`, `lost` or `deleted`."),
    Column("contact_id", description="The deal's contact; with several, the one with the lowest id."),
    Column("contact_ids", "json", "Ids of all its contacts."),
    Column("company_ids", "json", "Ids of all its companies."),
)

_ABOUT = ("name", "pipeline", "stage", "deal_type", "lost_reason")

# A deal is not a person: it names its contact. It names one only, so that an amount counts once and so that
# contacts are not taken for one person because they share a deal.
DEAL_PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind=CONTACT_ID, column="contact_id"),),
    observed_at="created_at",
    events=deal_events(created=("name", "pipeline", "deal_type"), closed=_ABOUT),
)


def read_deals(pull: Pull, searches: Pacer) -> Iterator[list[Row]]:
    """Pages of deals with the ids of their contacts and companies, as ``associated``."""
    for page in read_object(pull, DEAL, searches):
        found = {kind: _associated(pull, page, kind) for kind in DEAL.associations}
        yield [
            {**deal, "associated": {kind: ids.get(deal.get("id"), []) for kind, ids in found.items()}} for deal in page
        ]


def shape_deal(deal: Mapping[str, Any], settings: HubSpotSettings) -> Row:
    """A deal as a row."""
    row = DEAL.shape(deal)
    contacts, companies = (deal["associated"][kind] for kind in DEAL.associations)
    row["outcome"] = _outcome(row, settings)
    if row["outcome"] in ("won", "lost"):
        row["closed_at"] = row.get("closed_at") or row.get("modified_at")
    row["contact_id"] = contacts[0] if contacts else None
    row["contact_ids"], row["company_ids"] = contacts, companies
    return row


def _outcome(row: Row, settings: HubSpotSettings) -> str:
    """How a deal stands: by its own flags, which know renamed stages, else by the name of its stage."""
    if row.get("deleted"):
        return "deleted"
    if row.get("is_won") is not None and row.get("is_closed") is not None:
        if str(row["is_won"]).lower() == "true":
            return "won"
        return "lost" if str(row["is_closed"]).lower() == "true" else "open"
    if row.get("stage") in settings.won_stages:
        return "won"
    return "lost" if row.get("stage") in settings.lost_stages else "open"


def _associated(pull: Pull, page: Sequence[Row], kind: str) -> dict[Any, list[str]]:
    """Ids of associated records by deal id, ascending: the list API sends them along, search does not."""
    found: dict[Any, set[str]] = {}
    to_ask: list[str] = []
    for deal in page:
        sent = (deal.get("associations") or {}).get(kind)
        found[deal.get("id")] = {must(one, "id") for one in (sent or {}).get("results", [])}
        listed = "associations" in deal or deal.get("archived")
        if not listed or (sent or {}).get("paging"):
            to_ask.append(str(deal.get("id")))
    for start in range(0, len(to_ask), ASSOCIATION_BATCH):
        for deal_id, ids in _ask(pull, kind, to_ask[start : start + ASSOCIATION_BATCH]):
            found.setdefault(deal_id, set()).update(ids)
    return {deal_id: sorted(ids, key=_by_number) for deal_id, ids in found.items()}


def _ask(pull: Pull, kind: str, deal_ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Associations of deals; a deal with very many is asked about again from where its answer ended."""
    endpoint = Endpoint(path=f"{ASSOCIATIONS_PATH}/deals/{kind}/batch/read", records="results", method="POST")
    inputs: list[dict[str, str]] = [{"id": deal_id} for deal_id in deal_ids]
    while inputs:
        body = pull.post(endpoint.path, {"inputs": inputs})
        inputs = []
        for one in records_at(body, endpoint):
            deal_id = must(one, "from", "id")
            yield deal_id, [must(to, "toObjectId") for to in records_at(one, _ASSOCIATED)]
            after = ((one.get("paging") or {}).get("next") or {}).get("after")
            if after:
                inputs.append({"id": deal_id, "after": str(after)})
        _check_errors(body.get("errors") or ())


def _check_errors(errors: Iterable[Mapping[str, Any]]) -> None:
    """HTTP 207 names records without associations as errors, which is no error here."""
    for error in errors:
        said = f"{error.get('category', '')} {error.get('subCategory', '')}".upper()
        if "NOT_FOUND" not in said and "NO_ASSOCIATIONS" not in said:
            raise IncompleteError(
                f"HubSpot did not give the associations of a deal ({said.strip() or 'no category'}).",
                remedy="run again; the stream's place was not moved, so that nothing is missed.",
            )


def _by_number(record_id: str) -> tuple[int, str]:
    return (len(record_id), record_id)
