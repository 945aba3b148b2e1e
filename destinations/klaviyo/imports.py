"""Bulk imports: up to 10,000 profiles handed over as one job, and what became of each.

An id of ours holds, beside the vendor's, who was left out of the job and why: whoever asks after it may be another
process, which knows only the id and the rows.
"""

from __future__ import annotations

import base64
import logging
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from millstream.destinations.contract import (
    DeliveryRow,
    JobProgress,
    Outcome,
    accepted,
    rejected,
    retry_later,
    suppressed,
)
from millstream.destinations.klaviyo.addresses import OPTED_OUT
from millstream.destinations.klaviyo.answers import faults_of, item_of, items_of, refusal
from millstream.destinations.klaviyo.api import IMPORT_ERRORS, IMPORT_MANY, IMPORT_STATUS, IMPORTED, LARGEST_PAGE, Api
from millstream.destinations.klaviyo.profiles import FOUND_AT_ONCE, IDENTIFIERS, Profiles
from millstream.destinations.modes import Status
from millstream.state.errors import NotFoundError, PermissionDeniedError, RefusedError

log = logging.getLogger(__name__)

_ENDED = ("complete", "cancelled")
_TRIES = 5
"""How often a job is handed over anew without the profiles that Klaviyo pointed to, before it is halved instead."""


@dataclass(frozen=True, kw_only=True)
class JobId:
    """What we keep of a job.

    Attributes:
        id: The vendor's id; None where nobody was left to import.
        match_key: What the rows' match values are.
        left_out: Outcomes of rows that are not in the job, by their place among the rows.
    """

    id: str | None
    match_key: str
    left_out: Mapping[int, Outcome] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> JobId:
        """What ``str`` gave."""
        kept = orjson.loads(text)
        left_out = {
            place: (suppressed if code == OPTED_OUT else rejected)(code, reason)
            for code, reason, places in kept["left_out"]
            for place in _unpacked(places)
        }
        return cls(id=kept["id"], match_key=kept["match_key"], left_out=left_out)

    def __str__(self) -> str:
        places: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, outcome in self.left_out.items():
            places[outcome.code or "", outcome.reason or ""].append(place)
        left_out = [[code, reason, _packed(of_reason)] for (code, reason), of_reason in places.items()]
        return orjson.dumps({"id": self.id, "match_key": self.match_key, "left_out": left_out}).decode()


class Imports:
    """The account's bulk imports.

    Args:
        api: Calls endpoints.
        profiles: The account's profiles.
        reads_ids: Whether the ids of the profiles that a job wrote are read.
    """

    def __init__(self, api: Api, profiles: Profiles, *, reads_ids: bool) -> None:
        self._api = api
        self._profiles = profiles
        self._reads_ids = reads_ids
        self._ended: dict[str, Mapping[str, Any]] = {}

    def submit(
        self, profiles: Mapping[int, Mapping[str, object]], job: JobId, *, list_id: str | None, names: Sequence[str]
    ) -> JobId:
        """Hand profiles over; those that Klaviyo points to when it refuses the job are left out.

        Args:
            profiles: Profiles by the place of their row.
            job: The match key, and who is left out already.
            list_id: The list that all of them go into.
            names: Match values by place.

        Raises:
            RefusedError: The job was refused for something else, or over and over.
        """
        left_out = dict(job.left_out)
        places = sorted(profiles)
        for attempt in range(_TRIES):
            if not places:
                return JobId(id=None, match_key=job.match_key, left_out=left_out)
            try:
                made = self._api.call(IMPORT_MANY, body=_body([profiles[place] for place in places], list_id))
            except RefusedError as error:
                faults = {places[at]: fault for at, fault in items_of(faults_of(error.body)).items()}
                if not faults or attempt == _TRIES - 1:
                    raise
                left_out |= {place: refusal(fault, names[place]) for place, fault in faults.items()}
                places = [place for place in places if place not in faults]
            else:
                return JobId(id=str(made["data"]["id"]), match_key=job.match_key, left_out=left_out)
        raise AssertionError("the last try returns or raises")

    def progress(self, job: JobId) -> JobProgress:
        """How far a job is.

        Raises:
            RefusedError: Klaviyo no longer knows it.
        """
        if job.id is None:
            return JobProgress(done=True)
        facts = self._status(job.id)
        total = int(facts.get("total_count") or 0)
        share = min(int(facts.get("completed_count") or 0) / total, 1.0) if total else None
        return JobProgress(done=facts["status"] in _ENDED, share=share)

    def outcomes(self, job: JobId, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """One outcome for each row of a job that has ended."""
        places = [place for place in range(len(rows)) if place not in job.left_out]
        outcomes = dict(job.left_out)
        if job.id is not None:
            sent = [rows[place] for place in places]
            told = self._of_ended(job.id, sent)
            outcomes |= dict(zip(places, self._with_ids(job, sent, told), strict=True))
        return [outcomes[place] for place in range(len(rows))]

    def _with_ids(self, job: JobId, rows: Sequence[DeliveryRow], outcomes: list[Outcome]) -> list[Outcome]:
        """Outcomes with the ids of people whose id was not known."""
        lacking = [
            row.match_value
            for row, one in zip(rows, outcomes, strict=True)
            if one.status is Status.ACCEPTED and not one.external_id
        ]
        if job.id is None or not (self._reads_ids and lacking):
            return outcomes
        try:
            if -(-len(lacking) // FOUND_AT_ONCE) < -(-len(rows) // LARGEST_PAGE):
                ids = self._profiles.ids_by(job.match_key, lacking)  # fewer requests than all who were written take
            else:
                ids = self._imported(job.id, [job.match_key])
        except (NotFoundError, PermissionDeniedError) as error:
            log.warning("klaviyo: the ids of people who came by a job cannot be read: %s", error)
            return outcomes
        return [
            replace(one, external_id=one.external_id or ids.get(row.key)) if one.status is Status.ACCEPTED else one
            for row, one in zip(rows, outcomes, strict=True)
        ]

    def _of_ended(self, job_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        facts = self._ended.get(job_id) or self._status(job_id)
        if facts["status"] == "cancelled":
            # Some may have been written; to write them again does no harm.
            return [retry_later("job_cancelled", "Klaviyo cancelled the import job.")] * len(rows)
        if facts.get("failed_count") == 0:
            return [accepted(row.external_id) for row in rows]
        return self._of_failures(job_id, rows, facts.get("failed_count"))

    def _of_failures(self, job_id: str, rows: Sequence[DeliveryRow], failed: int | None) -> list[Outcome]:
        refused: dict[int, Outcome] = {}
        stray: Mapping[str, Any] | None = None
        for fault in self._errors(job_id):
            place = _place_of(fault, rows)
            if place is None:
                stray = fault
            else:
                refused[place] = refusal(fault, rows[place].match_value)
        if stray is None and (failed is None or len(refused) >= failed):
            return [refused.get(place) or accepted(row.external_id) for place, row in enumerate(rows)]
        there = self._imported(job_id, IDENTIFIERS)
        there |= {profile_id: profile_id for profile_id in there.values()}
        absent = stray or {"code": "not_imported", "detail": "Klaviyo did not import the row, and gave no reason."}
        return [
            refused.get(place)
            or (
                accepted(row.external_id)
                if there.keys() & {row.key, row.external_id}
                else refusal(absent, row.match_value)
            )
            for place, row in enumerate(rows)
        ]

    def _status(self, job_id: str) -> Mapping[str, Any]:
        try:
            facts: Mapping[str, Any] = self._api.call(IMPORT_STATUS, of=job_id)["data"]["attributes"]
        except NotFoundError as error:
            raise RefusedError("Klaviyo no longer knows the import job.", status=404) from error
        if facts["status"] in _ENDED:
            self._ended[job_id] = facts
        return facts

    def _errors(self, job_id: str) -> Iterator[Mapping[str, Any]]:
        return (found["attributes"] for found in self._api.pages(IMPORT_ERRORS, of=job_id))

    def _imported(self, job_id: str, identifiers: Sequence[str]) -> dict[str, str]:
        """Ids of the profiles that a job wrote, by the values of these identifiers."""
        ids: dict[str, str] = {}
        for found in self._api.pages(IMPORTED, of=job_id, params={"fields[profile]": ",".join(identifiers)}):
            names = [str(found["attributes"].get(name) or "") for name in identifiers]
            ids |= {name.lower() if "@" in name else name: str(found["id"]) for name in names if name}
        return ids


def _body(profiles: Sequence[Mapping[str, object]], list_id: str | None) -> dict[str, object]:
    job: dict[str, object] = {
        "type": "profile-bulk-import-job",
        "attributes": {"profiles": {"data": profiles}},
    }
    if list_id is not None:
        job["relationships"] = {"lists": {"data": [{"type": "list", "id": list_id}]}}
    return {"data": job}


def _place_of(fault: Mapping[str, Any], rows: Sequence[DeliveryRow]) -> int | None:
    """The place of the row that an error of an import is about: by its pointer, else by the profile that it repeats."""
    place = item_of(fault)
    if place is not None and place < len(rows):
        return place
    payload = fault.get("original_payload")
    payload = payload if isinstance(payload, dict) else {}
    facts = {**payload, **(payload.get("attributes") or {})}
    names = {str(facts[name]).strip().lower() for name in ("id", *IDENTIFIERS) if facts.get(name)}
    return next((at for at, row in enumerate(rows) if {row.key.lower(), str(row.external_id).lower()} & names), None)


def _packed(places: Sequence[int]) -> str:
    """Numbers as a compressed row of bits: some of 10,000 are a few letters, all of them two thousand at most."""
    bits = sum(1 << place for place in places)
    return base64.b85encode(zlib.compress(bits.to_bytes(max(places) // 8 + 1, "little"))).decode()


def _unpacked(text: str) -> Iterator[int]:
    bits = int.from_bytes(zlib.decompress(base64.b85decode(text)), "little")
    return (place for place in range(bits.bit_length()) if bits >> place & 1)
