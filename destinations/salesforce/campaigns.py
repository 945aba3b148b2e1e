"""Campaigns as audiences: who is in one is a record of its own, the campaign member."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from typing import ClassVar

from millstream.destinations.contract import DeliveryRow, Member, Outcome, accepted, rejected
from millstream.destinations.salesforce.answers import is_duplicate, is_gone, outcome_of
from millstream.destinations.salesforce.audiences import Audiences
from millstream.destinations.salesforce.records import Records
from millstream.destinations.salesforce.soql import lists_of, records, text_literal
from millstream.state.errors import ConfigurationError, UnknownOutcomeError

_CAMPAIGN_ID = re.compile(r"701[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?")
_LONGEST_NAME = 80


class Campaigns(Audiences):
    """The organization's campaigns.

    Args:
        people: The records.
        status: Status of new members; None: the campaign's default.
    """

    at_once: ClassVar[bool] = False
    adding: ClassVar[int] = 1
    removing: ClassVar[int] = 2

    def __init__(self, people: Records, status: str | None) -> None:
        super().__init__(people)
        self._http = people.http
        self._root = people.root
        self._person = f"{people.api_name}Id"
        self._status = {"Status": status} if status else {}
        # Salesforce counts a campaign's members in the campaign, which it locks for that: one request at a time.
        self._one_at_a_time = threading.Lock()

    def ensure(self, name: str) -> str:
        """The id of the campaign with this name, or of the one that the name is the id of.

        Raises:
            ConfigurationError: Several have the name.
        """
        if _CAMPAIGN_ID.fullmatch(name):
            return str(self._http.get(f"{self._root}/sobjects/Campaign/{name}")["Id"])
        if len(name) > _LONGEST_NAME:
            raise ConfigurationError(
                f"A campaign's name has at most {_LONGEST_NAME} characters, and {name!r} has {len(name)}.",
                where="salesforce",
                remedy="give the sync a shorter name in 'into'.",
            )
        found = self._named(name)
        if len(found) > 1:
            raise ConfigurationError(
                f"{len(found)} campaigns are named {name!r}.",
                where="salesforce",
                allowed=found,
                remedy="give the id of the one that is meant in the sync's 'into'.",
            )
        return found[0] if found else self._make(name)

    def add(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Make campaign members; who is one already stays one."""
        latest = self._people.latest(rows)
        ids, outcomes = self._people.ids_of(list(latest.values()))
        unique = list(dict.fromkeys(ids.values()))
        members = [{"CampaignId": audience_id, self._person: one, **self._status} for one in unique]
        with self._one_at_a_time:
            results = dict(zip(unique, self._people.insert(members, "CampaignMember"), strict=True))
        for key, record_id in ids.items():
            result = results[record_id]
            if result.get("success") or is_duplicate(result):
                outcomes[key] = accepted(record_id)
            elif is_gone(result):
                outcomes[key] = rejected("record_missing", "Salesforce no longer has the record with the id we know.")
            else:
                outcomes[key] = outcome_of(result, latest[key].match_value)
        return outcomes

    def remove(self, audience_id: str, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Delete campaign members, also of people whose record was merged into another since."""
        latest = self._people.latest(rows)
        ids, missing = self._people.ids_of(list(latest.values()))
        members = self._members_of(audience_id, list(ids.values()))
        lost = [row for key, row in latest.items() if row.external_id and ids[key] not in members]
        if lost:
            others, _ = self._people.looked_up(lost)
            moved = {key: one for key, one in others.items() if one != ids[key]}
            members |= self._members_of(audience_id, list(moved.values()))
            ids |= moved
        outcomes = {key: accepted(latest[key].external_id) for key in (*ids, *missing)}
        member_ids = {member: key for key, one in ids.items() for member in members.get(one, ())}
        with self._one_at_a_time:
            results = self._people.delete_ids(list(member_ids))
        for member, result in results.items():
            if not (result.get("success") or is_gone(result)):
                key = member_ids[member]
                outcomes[key] = outcome_of(result, latest[key].match_value)
        return outcomes

    def members(self, audience_id: str) -> Iterator[Member]:
        """Everybody in the campaign who is a record of the object."""
        relation, external_id = self._people.api_name, self._people.external_id.name
        soql = (
            f"SELECT {self._person}, {relation}.{external_id} FROM CampaignMember "
            f"WHERE CampaignId = {text_literal(audience_id)} AND {self._person} != null"
        )
        for member in records(self._http, self._root, soql):
            value = (member.get(relation) or {}).get(external_id)
            yield Member((str(value),) if value is not None else (), str(member[self._person]))

    def _members_of(self, audience_id: str, ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids of campaign members by those of the people."""
        found: dict[str, list[str]] = {}
        for some in lists_of([text_literal(one) for one in dict.fromkeys(ids)]):
            soql = (
                f"SELECT Id, {self._person} FROM CampaignMember "
                f"WHERE CampaignId = {text_literal(audience_id)} AND {self._person} IN {some}"
            )
            for member in records(self._http, self._root, soql):
                found.setdefault(str(member[self._person]), []).append(str(member["Id"]))
        return found

    def _named(self, name: str) -> list[str]:
        """Ids of the campaigns with a name, the oldest first."""
        soql = f"SELECT Id FROM Campaign WHERE Name = {text_literal(name)} ORDER BY CreatedDate, Id"
        return [str(one["Id"]) for one in records(self._http, self._root, soql)]

    def _make(self, name: str) -> str:
        """Make a campaign, once: names need not differ, so a lost answer must not make a second one."""
        body = {"Name": name, "IsActive": True}
        try:
            made = str(self._http.post(f"{self._root}/sobjects/Campaign", body, replay=False)["id"])
        except UnknownOutcomeError:
            found = self._named(name)
            if not found:
                raise
            return found[0]
        first, *_ = self._named(name) or [made]
        if first != made:
            # Another process was first. Ours is empty yet, and would stand in everybody's way.
            self._people.delete_ids([made])
        return first
