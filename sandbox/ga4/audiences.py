"""Audiences, and their exports: the only way to single users in this API."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts
from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, draw, share
from millstream.sandbox.ga4.errors import invalid, refusal
from millstream.sandbox.ga4.requests import AudienceQuery, NewAudienceExport, rows_of_page
from millstream.sandbox.person import Device
from millstream.sandbox.system import Answer, Call, JsonObject

NAMES = (facts.AUDIENCE_ALL, facts.AUDIENCE_PURCHASERS, facts.AUDIENCE_CART)
FIRST_AUDIENCE_ID, FIRST_EXPORT_ID = 6_000_001, 7_000_001
DIMENSIONS = ("deviceId", "userId", "isAdsPersonalizationAllowed")
EXPORT_COST = 50

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Export:
    """One export. It is made after `seconds`; its rows are as of its creation."""

    export_id: int
    place: int
    dimensions: tuple[str, ...]
    created_at: str
    created: float


class Audiences:
    """The audiences of one company and the exports clients have asked for.

    Attributes:
        seconds: How long an export takes; tests may change it.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self._rows: dict[int, tuple[Ints, Ints]] = {}
        self.reset()

    def reset(self) -> None:
        """Forget all exports."""
        self.seconds = 1.0
        self._exports: dict[int, Export] = {}

    # Admin API

    def list_audiences(self, call: Call) -> Answer:
        """All audiences with their names."""
        start, size = _page(call, 50, 200)
        rows = [self._audience(call, place) for place in range(len(NAMES))]
        return Answer(_listing("audiences", rows, start, size))

    def get_audience(self, call: Call) -> Answer:
        """One audience."""
        return Answer(self._audience(call, _place(call.params["audience_id"])))

    def _audience(self, call: Call, place: int) -> JsonObject:
        return {
            "name": f"properties/{call.params['property_id']}/audiences/{FIRST_AUDIENCE_ID + place}",
            "displayName": NAMES[place],
            "description": f"{NAMES[place]} of the sandbox",
            "membershipDurationDays": 30,
            "createTime": "2025-01-01T00:00:00Z",
        }

    # Exports

    def create(self, call: Call, wanted: NewAudienceExport) -> Answer:
        """Begin an export; the answer is an operation that carries the export as it is now."""
        start = f"properties/{call.params['property_id']}/audiences/"
        if not wanted.audience.startswith(start):
            raise invalid(f"audience must be the resource name {start}<id>.")
        place = _place(wanted.audience.removeprefix(start))
        names = tuple(one.dimension_name for one in wanted.dimensions)
        for name in names:
            if name not in DIMENSIONS:
                raise invalid(f"Field {name} is not a dimension of audience exports: {', '.join(DIMENSIONS)}.")
        export = Export(FIRST_EXPORT_ID + len(self._exports), place, names, _now(), time.monotonic())
        self._exports[export.export_id] = export
        body = self._export(call, export)
        kind = "type.googleapis.com/google.analytics.data.v1beta"
        # Google's own example of the operation has neither a name nor metadata.
        return Answer({"response": {"@type": f"{kind}.AudienceExport", **body}})

    def list_exports(self, call: Call) -> Answer:
        """All exports, the youngest first."""
        start, size = _page(call, 200, 1000)
        rows = [self._export(call, export) for export in reversed(self._exports.values())]
        return Answer(_listing("audienceExports", rows, start, size))

    def get_export(self, call: Call) -> Answer:
        """One export and how far it is."""
        return Answer(self._export(call, self._find(call)))

    def query(self, call: Call, wanted: AudienceQuery) -> Answer:
        """Rows of an export that is ready."""
        export = self._find(call)
        if not self._ready(export):
            raise refusal("FAILED_PRECONDITION", "The audience export is not ACTIVE yet; try again later.")
        start, limit = rows_of_page(wanted.offset, wanted.limit)
        total = self._count(export.place)
        rows: list[JsonObject] = [
            {"dimensionValues": [{"value": _value(device, name)} for name in export.dimensions]}
            for device in self._devices(export.place, start, min(total, start + call.page_limit(limit)))
        ]
        body: JsonObject = {"audienceExport": self._export(call, export)}
        body |= {"audienceRows": rows} if rows else {}
        return Answer({**body, "rowCount": total} if total else body)

    def _find(self, call: Call) -> Export:
        text = call.params["export_id"]
        export = self._exports.get(int(text)) if text.isascii() and text.isdigit() else None
        if export is None:
            raise refusal("NOT_FOUND", f"There is no audience export {text}.")
        return export

    def _ready(self, export: Export) -> bool:
        return time.monotonic() - export.created >= self.seconds

    def _export(self, call: Call, export: Export) -> JsonObject:
        property_id = call.params["property_id"]
        body: JsonObject = {
            "name": f"properties/{property_id}/audienceExports/{export.export_id}",
            "audience": f"properties/{property_id}/audiences/{FIRST_AUDIENCE_ID + export.place}",
            "audienceDisplayName": NAMES[export.place],
            "dimensions": [{"dimensionName": name} for name in export.dimensions],
            "state": "CREATING",
            "beginCreatingTime": export.created_at,
            "creationQuotaTokensCharged": EXPORT_COST,
        }
        if self._ready(export):
            count = self._count(export.place)
            done: JsonObject = {"state": "ACTIVE", "percentageCompleted": 100}
            return {**body, **done, "rowCount": count} if count else {**body, **done}
        percent = round(100 * (time.monotonic() - export.created) / self.seconds, 1)
        return {**body, "percentageCompleted": percent} if percent else body

    # Who is in an audience

    def _count(self, place: int) -> int:
        known = int(self._members(place)[1][-1])
        return known + (self._company.anonymous_devices if place == 0 else 0)

    def _devices(self, place: int, start: int, end: int) -> list[Device]:
        people, ends = self._members(place)
        known = int(ends[-1])
        found: list[Device] = []
        at = int(np.searchsorted(ends, start, side="right"))
        while at <= len(people) - 1 and len(found) < end - start and start < known:
            index = int(people[at])
            devices = self._devices_of(index, place)
            skip = max(0, start - (int(ends[at]) - len(devices)))
            found += devices[skip:]
            at += 1
        found = found[: max(0, end - start)]
        anonymous = range(max(0, start - known), max(0, end - known))
        return found + [self._company.anonymous_device(number) for number in anonymous]

    def _devices_of(self, index: int, place: int) -> list[Device]:
        # "All users" has every device; the others have those on which somebody signed in.
        return [one for one in self._company.devices(index) if place == 0 or one.user_id is not None]

    def _members(self, place: int) -> tuple[Ints, Ints]:
        """People in an audience, and how many rows there are up to and including each of them."""
        if place not in self._rows:
            self._rows[place] = self._work_out(place)
        return self._rows[place]

    def _work_out(self, place: int) -> tuple[Ints, Ints]:
        company = self._company
        bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
        counts = company.columns.device_count[: company.people]
        inside = counts > 0
        if NAMES[place] == facts.AUDIENCE_CART:
            inside = inside & (share(draw(bases, facts.AUDIENCES), 0) < facts.CART_CUT)
        elif NAMES[place] == facts.AUDIENCE_PURCHASERS:
            inside = inside & self._have_bought(bases)
        people = np.flatnonzero(inside).astype(np.int64)
        rows = counts[people]
        if place:
            devices = draw(bases[people], facts.DEVICES)
            rows = np.ones(len(people), dtype=np.int64)
            for number in (1, 2):
                signed_in = ((devices >> (56 + number)) & 1).astype(np.int64)
                rows = rows + np.where(counts[people] > number, signed_in, 0)
        return people, np.cumsum(rows, dtype=np.int64) if len(people) else np.zeros(1, dtype=np.int64)

    def _have_bought(self, bases: NDArray[np.uint64]) -> NDArray[np.bool_]:
        deals = draw(bases, facts.DEALS)
        count = self._company.columns.deal_count[: self._company.people]
        bought = np.zeros(len(bases), dtype=np.bool_)
        for number in range(facts.DEALS_PER_PERSON):
            bought |= (count > number) & facts.deal_is_won(deals, number)
        return bought


def _value(device: Device, name: str) -> str:
    return {"deviceId": device.device_id, "userId": device.user_id or ""}.get(name, "true")


def _place(text: str) -> int:
    place = int(text) - FIRST_AUDIENCE_ID if text.isascii() and text.isdigit() else -1
    if not 0 <= place < len(NAMES):
        raise refusal("NOT_FOUND", f"There is no audience {text}.")
    return place


def _page(call: Call, default: int, maximum: int) -> tuple[int, int]:
    numbers = []
    for name, usual in (("pageToken", "0"), ("pageSize", str(default))):
        text = call.query.get(name) or usual
        if not (text.isascii() and text.isdigit()):
            raise invalid(f"{name} is not valid.")
        numbers.append(int(text))
    return numbers[0], call.page_limit(min(numbers[1] or default, maximum))


def _listing(key: str, rows: list[JsonObject], start: int, size: int) -> JsonObject:
    page: JsonObject = {key: rows[start : start + size]} if rows[start : start + size] else {}
    return {**page, "nextPageToken": str(start + size)} if start + size < len(rows) else page


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
