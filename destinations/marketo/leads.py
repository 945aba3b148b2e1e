"""Leads: written by the id that Marketo gave, or by a field; looked up; deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote_plus

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome, accepted, suppressed
from millstream.destinations.http import Form, Http
from millstream.destinations.marketo.answers import NOT_FOUND, outcome_of, reason_of, with_comma
from millstream.destinations.marketo.lead_fields import LeadFields
from millstream.destinations.marketo.settings import MarketoSettings
from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.errors import MalformedAnswerError, UnknownOutcomeError

MOST_LEADS = 300
"""Leads in one request."""

_LEADS = "/rest/v1/leads.json"
_LONGEST_QUERY = 6_000
"""Characters of a look-up's values that go into the address; Marketo refuses addresses of 8 KB."""


class Leads:
    """The leads of an instance.

    Args:
        http: The engine's HTTP for the instance.
        fields: Its lead fields.
        settings: Partition, and how long to wait after a lost answer.
    """

    def __init__(self, http: Http, fields: LeadFields, settings: MarketoSettings) -> None:
        self._http = http
        self._fields = fields
        self._settings = settings

    def upsert(self, rows: Sequence[DeliveryRow], lookup: str) -> dict[str, Outcome]:
        """Create leads or change them; those whose id is known are changed by it, whatever their key has become."""
        outcomes = self._held_back(rows, lookup)
        return outcomes | self._write([row for row in rows if row.key not in outcomes], lookup, creates=True)

    def update(self, rows: Sequence[DeliveryRow], lookup: str) -> dict[str, Outcome]:
        """Change leads that are there."""
        outcomes = self._held_back(rows, lookup)
        return outcomes | self._write([row for row in rows if row.key not in outcomes], lookup, creates=False)

    def ids(self, rows: Sequence[DeliveryRow], lookup: str) -> dict[str, list[str]]:
        """Ids of all leads that have the rows' keys, by the key; Marketo may have several of one."""
        found: dict[str, list[str]] = defaultdict(list)
        for lead in self.find(lookup, [row.match_value for row in rows], fields=(lookup,)):
            found[_folded(lead.get(lookup))].append(str(lead["id"]))
        return {row.key: found[_folded(row.match_value)] for row in rows}

    def find(self, lookup: str, values: Sequence[str], *, fields: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        """Leads that have one of these values in a field. A value with a comma cannot be asked for."""
        asked = [value for value in values if "," not in value]
        for start in range(0, len(asked), MOST_LEADS):
            query = {
                "filterType": lookup,
                "filterValues": ",".join(asked[start : start + MOST_LEADS]),
                "fields": ",".join(dict.fromkeys(("id", *fields))),
                "batchSize": str(MOST_LEADS),
            }
            yield from pages(partial(self._look_up, query))

    def delete(self, rows: Sequence[DeliveryRow], lookup: str) -> dict[str, Outcome]:
        """Delete people: every lead that has the key, and the one that we know."""
        ids = self.ids(rows, lookup)
        of_row = {
            row.key: list(dict.fromkeys([*ids[row.key], *([row.external_id] if row.external_id else [])]))
            for row in rows
        }
        gone = self._delete(list(dict.fromkeys(lead_id for known in of_row.values() for lead_id in known)))
        outcomes: dict[str, Outcome] = {}
        for row in rows:
            failed = [outcome for lead_id in of_row[row.key] if (outcome := gone.get(lead_id)) is not None]
            if "," in row.match_value and not row.external_id:
                failed = [with_comma()]
            outcomes[row.key] = failed[0] if failed else accepted(row.external_id)
        return outcomes

    def _delete(self, ids: Sequence[str]) -> dict[str, Outcome]:
        """The outcomes of ids that were not deleted though they are there."""
        failed: dict[str, Outcome] = {}
        for start in range(0, len(ids), MOST_LEADS):
            body = {"input": [{"id": id_value(lead_id)} for lead_id in ids[start : start + MOST_LEADS]]}
            for result in self._http.post("/rest/v1/leads/delete.json", body)["result"]:
                reason = reason_of(result)
                if reason is not None and reason[0] != NOT_FOUND:
                    failed[str(result.get("id"))] = outcome_of(result, "")
        return failed

    def _held_back(self, rows: Sequence[DeliveryRow], lookup: str) -> dict[str, Outcome]:
        """Outcomes of those who unsubscribed with another address than the one they would get.

        Marketo keeps an opt-out with the address, so a new address would subscribe the person again.
        """
        moving = [row for row in rows if lookup != "email" and "email" in row.fields]
        leads = self._leads_of(moving, lookup, ("email", "unsubscribed"))
        outcomes: dict[str, Outcome] = {}
        for row in moving:
            if any(_opted_out_elsewhere(lead, row.fields["email"]) for lead in leads[row.key]):
                outcomes[row.key] = suppressed(
                    "unsubscribed", "The person unsubscribed; a new address would subscribe them."
                )
            elif "," in row.match_value and not leads[row.key]:
                outcomes[row.key] = with_comma()
        return outcomes

    def _leads_of(
        self, rows: Sequence[DeliveryRow], lookup: str, fields: tuple[str, ...]
    ) -> Mapping[str, list[Mapping[str, Any]]]:
        """Leads by the rows' keys: the one whose id is known, or where that one is gone, all that have the key."""
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        by_id = {str(row.external_id): row.key for row in rows if row.external_id}
        for lead in self.find("id", list(by_id), fields=fields):
            found[by_id[str(lead["id"])]].append(lead)
        rest = [row for row in rows if row.key not in found]
        by_key = {_folded(row.match_value): row.key for row in rest}
        for lead in self.find(lookup, [row.match_value for row in rest], fields=(lookup, *fields)):
            found[by_key.get(_folded(lead.get(lookup)), "")].append(lead)
        return found

    def _write(self, rows: Sequence[DeliveryRow], lookup: str, *, creates: bool) -> dict[str, Outcome]:
        known = [row for row in rows if row.external_id]
        outcomes = self._sync(known, "id", lookup, action="updateOnly")
        # Merged into another lead, or deleted: the key may still be somebody's.
        gone = [row for row in known if outcomes[row.key].code == "not_found"]
        by_key = [row for row in rows if not row.external_id] + gone
        return outcomes | self._sync(by_key, lookup, lookup, action="createOrUpdate" if creates else "updateOnly")

    def _sync(self, rows: Sequence[DeliveryRow], found_by: str, lookup: str, *, action: str) -> dict[str, Outcome]:
        """Write leads, which Marketo finds by their ids or by a field."""
        if not rows:
            return {}
        body: dict[str, object] = {
            "action": action,
            "lookupField": found_by,
            "input": [self._input(row, found_by, lookup) for row in rows],
        }
        if self._settings.partition_name and action == "createOrUpdate":
            body["partitionName"] = self._settings.partition_name
        results: Sequence[Mapping[str, Any]] = self._carefully(body)["result"]
        if len(results) != len(rows):
            raise MalformedAnswerError(f"Marketo gave {len(results)} results for {len(rows)} leads.")
        return {row.key: outcome_of(result, row.match_value) for row, result in zip(rows, results, strict=True)}

    def _input(self, row: DeliveryRow, found_by: str, lookup: str) -> Mapping[str, FieldValue]:
        fields = {name: value for name, value in row.fields.items() if name != lookup}
        if found_by == "id":
            return {"id": id_value(row.external_id or ""), **self._fields.typed(fields)}
        return {lookup: row.match_value, **self._fields.typed(fields)}

    def _carefully(self, body: Mapping[str, object]) -> Mapping[str, Any]:
        """Write leads, and once more where no answer came, but not before the first request must have ended."""
        if body["action"] != "createOrUpdate":
            answer: Mapping[str, Any] = self._http.post(_LEADS, body)
            return answer
        try:
            answer = self._http.post(_LEADS, body, replay=False)
        except UnknownOutcomeError:
            sleep_unless_stopped(self._settings.wait_after_lost_answer)
            answer = self._http.post(_LEADS, body, replay=False)
        return answer

    def _look_up(self, query: Mapping[str, str], token: Mapping[str, str]) -> Mapping[str, Any]:
        """A page of leads; by POST where the address would become too long."""
        query = {**query, **token}
        if len(quote_plus(query["filterValues"])) < _LONGEST_QUERY:
            answer: Mapping[str, Any] = self._http.get(_LEADS, query)
        else:
            answer = self._http.post(_LEADS, Form(query), params={"_method": "GET"})
        return answer


def pages(ask: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Results of all pages of a list that goes on by tokens.

    Args:
        ask: Asks for a page, with the parameter that names it.
    """
    token: dict[str, str] = {}
    while True:
        answer = ask(token)
        yield from answer.get("result") or ()
        if not answer.get("nextPageToken") or answer.get("moreResult") is False:
            return
        token = {"nextPageToken": str(answer["nextPageToken"])}


def id_value(lead_id: str) -> int | str:
    """A lead's id as Marketo writes it."""
    return int(lead_id) if lead_id.isdigit() else lead_id


def _opted_out_elsewhere(lead: Mapping[str, Any], address: FieldValue) -> bool:
    return str(lead.get("unsubscribed")).lower() == "true" and _folded(lead.get("email")) != _folded(address)


def _folded(value: object) -> str:
    return str(value if value is not None else "").strip().casefold()
