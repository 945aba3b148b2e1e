"""Audiences and their members: one export a day and audience, made by Google while we wait."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import date
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Endpoint, Page, Row, Stream
from millstream.sources.ga4.reports import column_name, moment, row_key
from millstream.sources.ga4.settings import SCOPE
from millstream.state.errors import (
    ConfigurationError,
    IncompleteError,
    MalformedAnswerError,
    QuotaExhaustedError,
    SchemaError,
    UnknownOutcomeError,
)
from millstream.state.model.declarations import Consent, Event, Identifier, People

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.paginators import BasePaginator

    from millstream.sources.ga4.settings import GoogleAnalytics4Settings
    from millstream.sources.pull import Pull

log = logging.getLogger(__name__)

MEMBERS_A_REQUEST = 100_000
CREATE_ATTEMPTS = 3
FIRST_PAUSE = 1.0
CHANGED = "the API may have changed: update the connector, or leave the stream out for now."
NOT_SET = ("", "(not set)")
IDENTIFIERS = {"deviceId": "device_id", "userId": "user_id"}


class AudienceReader:
    """Reads the audiences of one property and exports their members."""

    def __init__(self, settings: GoogleAnalytics4Settings) -> None:
        self._settings = settings
        self._exports_path = f"/v1beta/{settings.property_name}/audienceExports"
        self.list_url = f"{settings.admin_root}/v1alpha/{settings.property_name}/audiences"

    def streams(self) -> tuple[Stream, Stream]:
        """The catalogue of audiences, and their members by day."""
        return self._catalogue(), self._members()

    def _catalogue(self) -> Stream:
        return Stream(
            name="audiences",
            description="One row an audience of the property.",
            primary_key=("audience_id",),
            columns=(
                Column("audience_id", description="The audience's number.", required=True),
                Column("name", description="Resource name.", required=True),
                Column("display_name", description="The name people gave it.", required=True),
                Column("description", optional=True),
                Column("membership_duration_days", "bigint", "Days a member stays in it.", optional=True),
                Column("ads_personalization_enabled", "bool", "Usable for personal ads.", optional=True),
                Column("create_time", "timestamp", "When it was made.", optional=True),
            ),
            disposition="replace",
            endpoint=self._list_endpoint(),
            shape=_audience,
            scope=SCOPE,
        )

    def _members(self) -> Stream:
        names = {dimension: column_name(dimension) for dimension in self._settings.audience_dimensions}
        consents: tuple[Consent, ...] = ()
        if "isAdsPersonalizationAllowed" in names:
            # "true" only says that nothing speaks against it, which is no consent.
            consents = (
                Consent(channel="ads", column=names["isAdsPersonalizationAllowed"], statuses={"false": "denied"}),
            )
        return Stream(
            name="audience_users",
            description="One row a member of an audience on a day.",
            primary_key=("row_key",),
            columns=(
                Column("row_key", description="Hash of the audience, the day and the member.", required=True),
                Column("audience_id", description="The audience's number.", required=True),
                Column("audience_name", description="The audience's name.", required=True),
                Column("snapshot_date", "date", "Day of the export (UTC).", required=True),
                Column("snapshot_at", "timestamp", "When Google began the export.", required=True),
                *(Column(n, description=f"Audience dimension {d}.", optional=True) for d, n in names.items()),
            ),
            read=self.read,
            people=People(
                record="subject",
                identifiers=tuple(
                    Identifier(kind=kind, column=names[dimension])
                    for dimension, kind in IDENTIFIERS.items()
                    if dimension in names
                ),
                consents=consents,
                events=(Event(at="snapshot_at", name="Analytics Audience Member", properties=("audience_name",)),),
                observed_at="snapshot_at",
            ),
            scope=SCOPE,
        )

    def read(self, pull: Pull) -> Iterator[Page]:
        """Members of today's exports: make those that are missing, then read each once it is ready.

        Raises:
            QuotaExhaustedError: Exports are still in the making; their names are kept for the next pull.
            IncompleteError: Google could not make an export.
        """
        if pull.until is not None:
            return  # an export says who is a member now: there is nothing to backfill
        today = pull.pulled_at.date()
        exports = self._kept_exports(pull, today)
        self._start_missing(pull, exports, today)
        waiting = {audience: kept for audience, kept in exports.items() if not kept["done"]}
        pause = min(FIRST_PAUSE, self._settings.export_poll_seconds)
        waited, failed = 0.0, []
        while waiting:
            for audience, kept in tuple(waiting.items()):
                export = pull.get(f"/v1beta/{kept['export']}")
                state = export.get("state") if isinstance(export, dict) else None
                if state == "ACTIVE":
                    yield from self._query(pull, audience, kept, export)
                    kept["done"] = True
                elif state == "FAILED":
                    failed.append(f"{kept['display_name']}: {export.get('errorMessage', 'no reason given')}")
                    del exports[audience]
                elif state != "CREATING":
                    raise MalformedAnswerError(f"An audience export is in the state {state!r}.", remedy=CHANGED)
                if state != "CREATING":
                    del waiting[audience]
            if waiting and waited >= self._settings.export_wait_minutes * 60:
                raise self._not_ready(waiting)
            if waiting:
                pull.wait(pause)
                waited += pause
                pause = min(pause * 1.5, self._settings.export_poll_seconds)
        if failed:
            raise IncompleteError(
                f"Google could not export {len(failed)} audiences: {'; '.join(failed)[:300]}",
                remedy="run again: a new export may succeed. The usual reason is a quota that is used up.",
            )

    def _kept_exports(self, pull: Pull, today: date) -> MutableMapping[str, Any]:
        """Today's exports by audience, as this stream's notes know them."""
        notes = pull.state
        if notes.get("day") != today.isoformat():
            notes["day"], notes["exports"] = today.isoformat(), {}
        exports: MutableMapping[str, Any] = notes["exports"]
        return exports

    def _start_missing(self, pull: Pull, exports: MutableMapping[str, Any], today: date) -> None:
        """Note today's export of each audience, an existing one where there is one: each costs tokens."""
        wanted = self._wanted(pull)
        for audience in [name for name in exports if name not in wanted]:
            del exports[audience]
        missing = {name: title for name, title in wanted.items() if name not in exports}
        existing = self._existing(pull, today) if missing else {}
        for audience, title in missing.items():
            export = existing.get(audience) or self._create(pull, audience, today)
            exports[audience] = {"export": export, "display_name": title, "done": False}

    def _wanted(self, pull: Pull) -> dict[str, str]:
        """Display names by resource name of the audiences that the settings ask for."""
        found = {
            _field(audience, "name"): _field(audience, "displayName")
            for page in pull.pages(self._list_endpoint())
            for audience in page
        }
        asked = self._settings.audiences
        if asked is None:
            return found
        wanted = {name: title for name, title in found.items() if title in asked or name.rsplit("/", 1)[-1] in asked}
        known = set(wanted.values()) | {name.rsplit("/", 1)[-1] for name in wanted}
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise ConfigurationError(
                f"The property has no audience {unknown[0]!r}.", where="source ga4", allowed=sorted(found.values())
            )
        return wanted

    def _existing(self, pull: Pull, today: date) -> dict[str, str]:
        """Exports by audience that were begun today with our dimensions and did not fail."""
        endpoint = Endpoint(
            path=self._exports_path,
            records="audienceExports",
            params={"pageSize": 1000},
            paging=_token_paging,
            may_lack_records=True,
        )
        dimensions = set(self._settings.audience_dimensions)
        found = {}
        for page in pull.pages(endpoint):
            for export in page:
                same = {d.get("dimensionName") for d in export.get("dimensions", ())} == dimensions
                begun = moment(_field(export, "beginCreatingTime")).date()
                if same and begun == today and export.get("state") != "FAILED":
                    found[_field(export, "audience")] = _field(export, "name")
        return found

    def _create(self, pull: Pull, audience: str, today: date) -> str:
        """Begin an export and return its resource name; again where there was no answer and it was not begun."""
        dimensions = [{"dimensionName": name} for name in self._settings.audience_dimensions]
        for _ in range(CREATE_ATTEMPTS):
            try:
                operation = pull.begin(self._exports_path, {"audience": audience, "dimensions": dimensions})
            except UnknownOutcomeError:
                log.warning("ga4: no answer to the making of an export; looking whether it was begun.")
                listed = self._existing(pull, today).get(audience)
                if listed is not None:
                    return listed
                continue
            for part in ("response", "metadata"):
                name = str((operation.get(part) or {}).get("name", ""))
                if "/audienceExports/" in name:
                    return name
            # An operation may name only itself; the list knows the export.
            listed = self._existing(pull, today).get(audience)
            if listed is not None:
                return listed
            break
        raise MalformedAnswerError(
            f"The export of {audience} is not in Google's list.",
            remedy="run again; a new export will be made.",
        )

    def _query(self, pull: Pull, audience: str, kept: Mapping[str, Any], export: Mapping[str, Any]) -> Iterator[Page]:
        offset, total = 0, None
        while total is None or offset < total:
            body = {"offset": offset, "limit": MEMBERS_A_REQUEST}
            answer = pull.post(f"/v1beta/{kept['export']}:query", body)
            if total is None:
                total = int(answer.get("rowCount", 0))
                pull.expect(total)
            rows = answer.get("audienceRows") or []
            if not rows:
                return
            yield [self._member(row, audience, kept["display_name"], export) for row in rows]
            offset += len(rows)

    def _member(self, found: Mapping[str, Any], audience: str, title: str, export: Mapping[str, Any]) -> Row:
        dimensions = self._settings.audience_dimensions
        values = [str(value.get("value", "")) for value in found.get("dimensionValues") or ()]
        if len(values) != len(dimensions):
            raise MalformedAnswerError(
                f"A member has {len(values)} values for {len(dimensions)} dimensions.", remedy=CHANGED
            )
        begun = moment(_field(export, "beginCreatingTime"))
        audience_id = audience.rsplit("/", 1)[-1]
        row: Row = {
            column_name(name): None if value in NOT_SET else value
            for name, value in zip(dimensions, values, strict=True)
        }
        return row | {
            "row_key": row_key(audience_id, begun.date().isoformat(), *values),
            "audience_id": audience_id,
            "audience_name": title,
            "snapshot_date": begun.date(),
            "snapshot_at": begun,
        }

    def _not_ready(self, waiting: Mapping[str, Mapping[str, Any]]) -> QuotaExhaustedError:
        names = ", ".join(str(kept["display_name"]) for kept in waiting.values())
        return QuotaExhaustedError(
            f"Google still makes the exports of {names} after {self._settings.export_wait_minutes:g} minutes.",
            resets_in=900.0,
            remedy="run again later: the next pull goes on with the same exports.",
        )

    def _list_endpoint(self) -> Endpoint:
        return Endpoint(
            path=self.list_url,
            records="audiences",
            params={"pageSize": 200},
            paging=_token_paging,
            may_lack_records=True,
        )


def _token_paging() -> BasePaginator:
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

    return JSONResponseCursorPaginator(cursor_path="nextPageToken", cursor_param="pageToken")


def _field(found: Mapping[str, Any], name: str) -> str:
    if name not in found:
        raise SchemaError(
            f"An audience or export has no {name!r} (seen: {', '.join(sorted(found)[:8])}).",
            remedy=CHANGED,
        )
    return str(found[name])


def _audience(found: Mapping[str, Any]) -> Row:
    name = found.get("name")
    fields = {
        "display_name": "displayName",
        "description": "description",
        "membership_duration_days": "membershipDurationDays",
        "ads_personalization_enabled": "adsPersonalizationEnabled",
        "create_time": "createTime",
    }
    row: Row = {column: found[field] for column, field in fields.items() if field in found}
    if "create_time" in row:
        row["create_time"] = moment(str(row["create_time"]))
    return row | {"name": name, "audience_id": str(name).rsplit("/", 1)[-1] if name else None}


__all__ = ["AudienceReader"]
