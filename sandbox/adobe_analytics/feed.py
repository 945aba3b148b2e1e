"""The data feed: what Adobe delivers as files for one day, in daily packages of several files.

A delivery is one or more gzipped `hit_data` files without a header, a tar of lookup files (the names of the columns
among them), and last the manifest. A feed holds what was received on its day, also what happened earlier and was sent
late, and the hits that reports leave out.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import numpy as np

from millstream.sandbox.adobe_analytics import catalogue, dimensions, visits
from millstream.sandbox.adobe_analytics.dimensions import EPOCH, Facts, Items
from millstream.sandbox.adobe_analytics.reports import quantity
from millstream.sandbox.adobe_analytics.visits import DAY
from millstream.sandbox.company import Company
from millstream.sandbox.draws import mix

COLUMNS = (
    "browser",
    "campaign",
    "country",
    "cust_visid",
    "date_time",
    "duplicate_purchase",
    "evar5",
    "evar6",
    "evar7",
    "event_list",
    "exclude_hit",
    "first_hit_time_gmt",
    "geo_city",
    "geo_country",
    "hit_source",
    "hit_time_gmt",
    "hitid_high",
    "hitid_low",
    "ip",
    "language",
    "mcvisid",
    "new_visit",
    "os",
    "page_event",
    "page_url",
    "pagename",
    "post_campaign",
    "post_cust_visid",
    "post_evar5",
    "post_evar6",
    "post_evar7",
    "post_event_list",
    "post_page_event",
    "post_page_url",
    "post_pagename",
    "post_product_list",
    "post_prop1",
    "post_purchaseid",
    "post_visid_high",
    "post_visid_low",
    "post_visid_type",
    "product_list",
    "prop1",
    "purchaseid",
    "ref_type",
    "referrer",
    "user_server",
    "va_closer_id",
    "visid_high",
    "visid_low",
    "visit_num",
    "visit_page_num",
    "visit_start_time_gmt",
)
EVENTS = {"1": "Purchase", "2": "Product View", "12": "Cart Addition", "200": "Custom Event 1"}
COUNTRY_IDS = {"United States": 4, "United Kingdom": 1, "Germany": 10, "France": 11}
COUNTRY_CODES = {"United States": "usa", "United Kingdom": "gbr", "Germany": "deu", "France": "fra"}
FIRST_BROWSER, FIRST_SYSTEM, LANGUAGE = 2_000_000_001, 900_000_001, 45
SEARCHES = ("kettle", "grinder\tmanual", "travel mug 0.5l", "paper \\ filter", "mug\nblue", "coffee")
SPECIALS = {"\\": "\\\\", "\t": "\\\t", "\n": "\\\n"}
LINK_EVENT, ECID_TYPE, REAL_TIME_HIT = 100, 5, 1


def write_feed(company: Company, folder: Path, day: date, *, rsid: str = catalogue.SUITE, files: int = 1) -> Path:
    """Write what Adobe would have delivered for a day of the report suite's clock.

    Args:
        company: Whose visits.
        folder: Where the files go; made if it is not there.
        day: Which day.
        rsid: The report suite, in the files' names.
        files: Into how many `hit_data` files the day is cut.

    Returns:
        The manifest, which is written last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = FeedRows(Facts(company)).of_day(day)
    stem = f"{rsid}_{day.isoformat()}"
    lookups = folder / f"{stem}-lookup_data.tar.gz"
    lookups.write_bytes(_lookup_archive())
    size = -(-len(rows) // files) or 1
    parts = [rows[at : at + size] for at in range(0, max(len(rows), 1), size)]
    sections = [_section("Lookup-File", lookups)]
    for number, part in enumerate(parts, start=1):
        file = folder / f"{number:02d}-{stem}.tsv.gz"
        file.write_bytes(gzip.compress("".join(part).encode(), 1, mtime=0))
        sections.append([*_section("Data-File", file), f"Record-Count: {len(part)}"])
    head = ["Datafeed-Manifest-Version: 1.0", "Lookup-Files: 1", f"Data-Files: {len(parts)}"]
    head.append(f"Total-Records: {len(rows)}")
    manifest = folder / f"{stem}.txt"
    manifest.write_text("\n\n".join("\n".join(lines) for lines in (head, *sections)) + "\n")
    return manifest


def _section(kind: str, file: Path) -> list[str]:
    body = file.read_bytes()
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return [f"{kind}: {file.name}", f"MD5-Digest: {digest}", f"File-Size: {len(body)}"]


def _lookup_archive() -> bytes:
    tables: dict[str, dict[str, str]] = {
        "browser": {str(FIRST_BROWSER + at): name for at, name in enumerate(dimensions.BROWSERS)},
        "operating_systems": {str(FIRST_SYSTEM + at): name for at, name in enumerate(dimensions.SYSTEMS)},
        "country": {str(number): name for name, number in COUNTRY_IDS.items()},
        "event": EVENTS,
        "languages": {str(LANGUAGE): "English"},
        "referrer_type": {
            "3": "Search Engines",
            "6": "Typed/Bookmarked",
            "7": "Other Web Sites",
            "9": "Social Networks",
        },
    }
    texts = {name: "".join(f"{key}\t{value}\n" for key, value in table.items()) for name, table in tables.items()}
    texts["column_headers"] = "\t".join(COLUMNS) + "\n"
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, text in sorted(texts.items()):
            entry = tarfile.TarInfo(f"{name}.tsv")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


class FeedRows:
    """Lines of `hit_data`."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._received = visits.local_seconds(facts.visits.received) // DAY
        item = partial(self._item, facts)
        self._page, self._product, self._campaign = item("page"), item("product"), item("campaign")
        self._customer, self._email, self._plan = item("evar5"), item("evar6"), item("evar7")
        self._browser, self._system = item("browser"), item("operatingsystem")
        self._country, self._city, self._channel = item("geocountry"), item("geocity"), item("marketingchannel")

    @staticmethod
    def _item(facts: Facts, name: str) -> Items:
        return facts.items(name)

    def of_day(self, day: date) -> list[str]:
        """Everything received on a day, as lines."""
        chosen = np.flatnonzero((self._received == (day - EPOCH).days)[self._facts.hits.visit])
        return [self._line(place) for place in chosen.tolist()]

    def _line(self, place: int) -> str:
        row = {**self._visitor(place), **self._time(place), **self._page_seen(place), **self._trade(place)}
        return "\t".join(_escaped(row.get(name, "")) for name in COLUMNS) + "\n"

    def _visitor(self, place: int) -> dict[str, str]:
        facts = self._facts
        device = int(facts.device[place])
        visitor = visits.visitor_id(int(facts.devices.owner[device]), int(facts.devices.number[device]))
        customer = _text(self._customer, place)
        row = {"mcvisid": visitor, "cust_visid": customer, "post_cust_visid": customer}
        for prefix in ("", "post_"):
            row[f"{prefix}visid_high"], row[f"{prefix}visid_low"] = visitor[:19], visitor[19:]
            row[f"{prefix}evar5"] = customer
            row[f"{prefix}evar7"] = _text(self._plan, place)
        # The raw column has the value on the hit that sent it; the processed one keeps it for the visit.
        row["post_evar6"] = _text(self._email, place)
        row["evar6"] = row["post_evar6"] if facts.hits.number[place] == 1 else ""
        country = _text(self._country, place)
        row |= {"post_visid_type": str(ECID_TYPE), "ip": f"198.51.100.{device % 254 + 1}", "language": str(LANGUAGE)}
        row |= {"geo_country": COUNTRY_CODES[country], "country": str(COUNTRY_IDS[country])}
        row["geo_city"] = _text(self._city, place).lower()
        row["browser"] = str(FIRST_BROWSER + int(self._browser.codes[place]))
        row["os"] = str(FIRST_SYSTEM + int(self._system.codes[place]))
        return row

    def _time(self, place: int) -> dict[str, str]:
        facts, hits = self._facts, self._facts.hits
        visit = int(hits.visit[place])
        local = datetime.fromtimestamp(int(hits.local[place]), UTC)
        number = int(facts.visits.number[visit])
        first_seen = int(facts.devices.first_seen[facts.visits.device[visit]])
        identity = mix(int(facts.visits.bits[visit]) + number)
        return {
            "date_time": f"{local:%Y-%m-%d %H:%M:%S}",
            "hit_time_gmt": str(int(hits.time[place])),
            "visit_start_time_gmt": str(int(facts.visits.start[visit])),
            "first_hit_time_gmt": str(min(first_seen, int(facts.visits.start[visit]))),
            "visit_num": str(number),
            "visit_page_num": str(int(hits.number[place])),
            "new_visit": str(int(hits.number[place] == 1)),
            "hitid_high": str(identity >> 1),
            "hitid_low": str(mix(identity + int(hits.number[place])) >> 1),
            "exclude_hit": str(int(hits.excluded[place])),
            "hit_source": str(REAL_TIME_HIT),
        }

    def _page_seen(self, place: int) -> dict[str, str]:
        hits = self._facts.hits
        page, name = int(hits.page[place]), _text(self._page, place)
        url = f"https://shop.example.com/{name.replace(': ', '/').replace(' ', '-')}" if name else ""
        search = SEARCHES[int(hits.bits[place]) % len(SEARCHES)] if page == visits.PAGES.index("search") else ""
        event = str(LINK_EVENT if page < 0 else 0)
        channel, first = int(self._channel.codes[place]), hits.number[place] == 1
        campaign = _text(self._campaign, place)
        return {
            "pagename": name,
            "post_pagename": name,
            "page_url": url,
            "post_page_url": url,
            "page_event": event,
            "post_page_event": event,
            "prop1": search,
            "post_prop1": search,
            "referrer": dimensions.REFERRERS[channel] if first else "",
            "ref_type": ("3", "6", "3", "7", "9", "7")[channel] if first else "",
            "campaign": campaign if first else "",
            "post_campaign": campaign,
            "va_closer_id": str(channel + 1),
            "user_server": "shop.example.com",
        }

    def _trade(self, place: int) -> dict[str, str]:
        hits = self._facts.hits
        page, product = int(hits.page[place]), int(hits.product[place])
        events = {visits.PRODUCT_PAGE: ["2"], visits.CART: ["12"], visits.ORDER: ["1"]}.get(page, [])
        events = [*events, "200"] if hits.sign_in[place] else events
        row = {"event_list": ",".join(events), "post_event_list": ",".join(events), "duplicate_purchase": "0"}
        if product >= 0:
            name, cents = visits.PRODUCTS[product]
            units = int(quantity(hits.bits[place : place + 1])[0])
            amount = f"{units};{units * cents / 100:.2f}" if page == visits.ORDER else ";"
            row["product_list"] = row["post_product_list"] = f";{name};{amount}"
        if page == visits.ORDER:
            row["purchaseid"] = row["post_purchaseid"] = f"W-{int(hits.bits[place]) >> 34}"
        return row


def _text(items: Items, place: int) -> str:
    code = int(items.codes[place])
    return items.values[code] if code >= 0 else ""


def _escaped(text: str) -> str:
    # The backslash comes first, so that the others' are not doubled.
    for special, written in SPECIALS.items():
        text = text.replace(special, written)
    return text
