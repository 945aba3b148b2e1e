"""Every record of the org: those that the company makes, with what was written laid over them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.salesforce.fields import Field
from millstream.sandbox.salesforce.ids import number_of, record_id
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.overlay import FIRST_NUMBER, INDEXED, PAIR, Overlay, Written, pair
from millstream.sandbox.salesforce.rows import Row, id_of, make_row
from millstream.sandbox.salesforce.schema import Schema
from millstream.sandbox.salesforce.tables import CAMPAIGNS, Flags, Longs, Table, Tables, make_tables

STAMPS = ("CreatedDate", "LastModifiedDate", "SystemModstamp")


@dataclass(frozen=True, slots=True)
class View:
    """An object's records with the writes.

    Attributes:
        version: Of the company and of the writes.
        table: The records.
        origin: Where each of them stands in the table without the writes, or -1.
    """

    version: tuple[int, int]
    table: Table
    origin: Longs


class Records:
    """Every record of the org, made anew when life has gone on or something was written."""

    def __init__(self, company: Company, schema: Schema) -> None:
        self._company = company
        self.schema = schema
        self.overlay = Overlay()
        self._advances = -1
        self._tables: Tables
        self._views: dict[str, View] = {}
        self._sorted: dict[str, tuple[Longs, Longs]] = {}

    def refresh(self) -> Tables:
        """The tables as the company is now, without the writes."""
        if self._advances != self._company.advances:
            self._tables = make_tables(self._company)
            self._advances = self._company.advances
            self._sorted.clear()
        return self._tables

    def table(self, name: str) -> Table:
        """The table of one object, with the writes."""
        return self._view(name).table

    def row(self, name: str, place: int) -> Row:
        """The record at a place of `table`."""
        view = self._view(name)
        return self._row(name, int(view.table.number[place]), int(view.origin[place]))

    def by_number(self, name: str, number: int) -> Row | None:
        """The record with this number, also one in the recycle bin; None where there is none."""
        written = self.overlay.get(name, number)
        if number >= FIRST_NUMBER:
            return None if written is None or written.purged else self._row(name, number, -1)
        origin = self._origin(name, number)
        return None if origin < 0 or (written is not None and written.purged) else self._row(name, number, origin)

    def by_id(self, sobject: Sobject, text: str) -> Row | None:
        """The record with this id of 15 or 18 characters."""
        number = number_of(sobject.prefix, text)
        return None if number is None else self.by_number(sobject.name, number)

    def with_value(self, name: str, field: str, value: str) -> list[Row]:
        """The records, none of them deleted, that have a value of a field which records are looked up by."""
        found = {*self.overlay.candidates(name, field, value), *self._made_with(name, field, value)}
        rows = [row for number in sorted(found) if (row := self.by_number(name, number)) is not None]
        return [row for row in rows if not row["IsDeleted"] and str(row[field]).lower() == value.lower()]

    def possible(self, sobject: Sobject, field: Field, values: Sequence[str]) -> Flags | None:
        """Which records can have one of the values, where that is known without looking at them."""
        numbers = {one for value in values for one in self.overlay.candidates(sobject.name, field.name, value)}
        table = self.table(sobject.name)
        if sobject.name == "CampaignMember" and field.name == "CampaignId":
            campaigns = [number_of("701", value) for value in values]
            made = [one for one in campaigns if one is not None and one < CAMPAIGNS]
            of_company = (table.number < FIRST_NUMBER) & np.isin(table.number & 7, np.asarray(made, np.int64))
            return of_company | np.isin(table.number, np.asarray(sorted(numbers), np.int64))
        if field.external or (field.name == "Email" and sobject.name in INDEXED):
            numbers |= {one for value in values for one in self._made_with(sobject.name, field.name, value)}
            return np.isin(table.number, np.asarray(sorted(numbers), np.int64))
        return None

    def member(self, campaign_id: str, who_id: str) -> Row | None:
        """Who is in a campaign, if so."""
        wanted: Row = {"CampaignId": campaign_id, "LeadOrContactId": who_id}
        found = set(self.overlay.candidates("CampaignMember", PAIR, pair(wanted)))
        campaign, who = number_of("701", campaign_id), number_of(who_id[:3], who_id)
        if campaign is not None and who is not None and campaign < CAMPAIGNS and not who % 2:
            found.add(who // 2 * 16 + (who_id.startswith("00Q")) * 8 + campaign)
        for number in sorted(found):
            row = self.by_number("CampaignMember", number)
            if row is not None and not row["IsDeleted"] and pair(row) == pair(wanted):
                return row
        return None

    def members_of(self, record_id_: str) -> list[int]:
        """Numbers of the memberships of a contact or lead, or in a campaign."""
        column = "CampaignId" if record_id_.startswith("701") else "LeadOrContactId"
        found = set(self.overlay.candidates("CampaignMember", column, record_id_))
        number = number_of(record_id_[:3], record_id_)
        if column == "CampaignId" and number is not None and number < CAMPAIGNS:
            table = self.refresh().by_object["CampaignMember"]
            found |= set(table.number[(table.number & 7) == number].tolist())
        elif number is not None and number < FIRST_NUMBER and not number % 2:
            found |= {number // 2 * 16 + record_id_.startswith("00Q") * 8 + one for one in range(CAMPAIGNS)}
        rows = [(one, self.by_number("CampaignMember", one)) for one in sorted(found)]
        return [one for one, row in rows if row is not None and not row["IsDeleted"] and row[column] == record_id_]

    def write(self, sobject: Sobject, number: int, values: Row, *, new: bool = False) -> None:
        """Remember what was written to a record."""
        now = int(time.time())
        known = self.overlay.get(sobject.name, number)
        merged = values if known is None else known.values | values
        created = now if new else (known.created if known is not None else None)
        keys = tuple(field.name for field in sobject.fields if field.external)
        self.overlay.write(sobject.name, number, Written(merged, now, created), keys)

    def _row(self, name: str, number: int, origin: int) -> Row:
        sobject, written = self.schema.objects[name], self.overlay.get(name, number)
        row: Row = {**sobject.blank(), "Id": id_of(name, number)}
        if origin >= 0:
            row |= make_row(self._company, self.refresh(), name, origin)
        if written is not None:
            row |= {key: value for key, value in written.values.items() if key in row}
            # Life goes on also for those who were written to.
            stamp = max(written.stamp, int(str(row["SystemModstamp"] or 0)))
            row |= {"IsDeleted": bool(row["IsDeleted"]) or written.deleted, **dict.fromkeys(STAMPS[1:], stamp)}
            if written.created is not None:
                row["CreatedDate"] = written.created
        return row

    def _made_with(self, name: str, field: str, value: str) -> Iterable[int]:
        """Records that the company may have made with a value."""
        if name not in ("Contact", "Lead"):
            return ()
        if field == "Email":
            person = self._company.find_by_email(value)
            return () if person is None else (person.index * 2, person.index * 2 + 1)
        if field == "Customer_Id__c" and name == "Contact":
            person = self._company.find_by_customer_id(value.upper())
            return () if person is None else (person.index * 2,)
        return ()

    def _origin(self, name: str, number: int) -> int:
        """Where a record stands in the table without the writes; -1 where it does not."""
        tables = self.refresh()
        if name not in self._sorted:
            order = np.argsort(tables.by_object[name].number, kind="stable")
            self._sorted[name] = (order, tables.by_object[name].number[order])
        order, numbers = self._sorted[name]
        at = int(np.searchsorted(numbers, number))
        return int(order[at]) if at < len(numbers) and int(numbers[at]) == number else -1

    def _view(self, name: str) -> View:
        base = self.refresh().by_object[name]
        version = (self._advances, self.overlay.versions[name])
        found = self._views.get(name)
        if found is None or found.version != version:
            found = View(version, *self._laid_over(name, base))
            self._views[name] = found
        return found

    def _laid_over(self, name: str, base: Table) -> tuple[Table, Longs]:
        written = self.overlay.of(name)
        origin = np.arange(len(base), dtype=np.int64)
        if not written:
            return base, origin
        columns = {one.name: getattr(base, one.name).copy() for one in fields(Table)}
        kept = np.ones(len(base), np.bool_)
        for number, one in written.items():
            place = self._origin(name, number) if number < FIRST_NUMBER else -1
            if place >= 0:
                columns["stamp"][place] = max(one.stamp, int(base.stamp[place]))
                columns["deleted"][place] |= one.deleted
                kept[place] = not one.purged
        new = {number: one for number, one in written.items() if number >= FIRST_NUMBER and not one.purged}
        added = {
            "index": [-1] * len(new),
            "number": list(new),
            "created": [one.created or one.stamp for one in new.values()],
            "stamp": [one.stamp for one in new.values()],
            "deleted": [one.deleted for one in new.values()],
            "archived": [False] * len(new),
            "bits": [0] * len(new),
        }
        joined = {
            key: np.concatenate([column[kept], np.asarray(added[key], dtype=column.dtype)])
            for key, column in columns.items()
        }
        origin = np.concatenate([origin[kept], np.full(len(new), -1, np.int64)])
        order = np.lexsort((joined["number"], joined["stamp"]))
        return Table(**{key: column[order] for key, column in joined.items()}), origin[order]


def canonical(text: str) -> str:
    """An id of 15 or 18 characters as the one of 18."""
    number = number_of(text[:3], text)
    return text if number is None else record_id(text[:3], number)
