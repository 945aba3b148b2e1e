"""Who is known: records and their sources, people, how they can be reached, and how far they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from millstream.flows.report.facts.reader import Reader

MOST_RECORDS = 6
"""People with so many records or more are counted together."""


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What one source says about people.

    Attributes:
        source: Its name in the project.
        records: Living records.
        people: People whom at least one of them is about.
        alone: People whom no other source knows.
        newest: When the latest of them was true.
    """

    source: str
    records: int
    people: int
    alone: int
    newest: datetime | None


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Consent on one channel for one topic.

    Attributes:
        channel: email, sms, ...
        topic: What it is for.
        granted: People who gave it.
        reachable: Those of them whose address or number is known, where the channel needs one.
        denied: People who said no.
    """

    channel: str
    topic: str
    granted: int
    reachable: int
    denied: int


@dataclass(frozen=True)
class Step:
    """A step of the identity funnel: what is counted, and how many are left."""

    name: str
    count: int
    of_people: bool


@dataclass(frozen=True, kw_only=True)
class PeopleFacts:
    """Everybody who is known.

    Attributes:
        people: Profiles.
        records: Living records.
        sources: By source, most records first.
        spread: How many people have 1, 2, ... records; the last stands for as many or more.
        known_by: People by the month in which they were first seen.
        reach: By channel and topic.
        funnel: From records to delivery; each step counts those of the one before.
    """

    people: int
    records: int
    sources: tuple[SourceFacts, ...]
    spread: tuple[tuple[int, int], ...]
    known_by: tuple[tuple[date, int], ...]
    reach: tuple[Reach, ...]
    funnel: tuple[Step, ...]

    @property
    def merged(self) -> int:
        """People with more than one record."""
        return sum(people for records, people in self.spread if records > 1)


def read_people(reader: Reader) -> PeopleFacts | None:
    """Who is known; None before the first resolution."""
    if not reader.has("customers.profiles", "customers.members", "customers.records", "customers.profile_consents"):
        return None
    people, records = reader.row(
        "SELECT (SELECT count(*) FROM customers.profiles), (SELECT count(*) FROM customers.members)"
    )
    if not people:
        return None
    months = reader.rows(
        """
        SELECT CAST(date_trunc('month', first_seen) AS DATE) AS month, count(*) FROM customers.profiles
        WHERE first_seen IS NOT NULL GROUP BY 1 ORDER BY 1
        """
    )
    spread = reader.rows(
        f"SELECT least(records, {MOST_RECORDS}) AS had, count(*) FROM customers.profiles GROUP BY 1 ORDER BY 1"
    )
    return PeopleFacts(
        people=people,
        records=records,
        sources=tuple(_sources(reader)),
        spread=tuple((int(had), count) for had, count in spread),
        known_by=tuple((month, count) for month, count in months),
        reach=tuple(_reach(reader)),
        funnel=tuple(_funnel(reader, records)),
    )


def _sources(reader: Reader) -> Iterator[SourceFacts]:
    """Each source once over its own people; whom it alone knows is told by how many sources each person has."""
    rows = reader.rows(
        """
        WITH known AS (
            SELECT member.profile_id, record.source, count(*) AS records, max(record.observed_at) AS newest
            FROM customers.members AS member JOIN customers.records AS record ON record.record_id = member.record_id
            GROUP BY member.profile_id, record.source
        ), by_person AS (SELECT profile_id, count(*) AS sources FROM known GROUP BY profile_id)
        SELECT known.source, CAST(sum(known.records) AS BIGINT) AS records, count(*) AS people,
               count(*) FILTER (WHERE by_person.sources = 1) AS alone, max(known.newest) AS newest
        FROM known JOIN by_person ON by_person.profile_id = known.profile_id
        GROUP BY known.source ORDER BY records DESC, known.source
        """
    )
    for source, records, people, alone, newest in rows:
        yield SourceFacts(source=source, records=records, people=people, alone=alone, newest=newest)


def _reach(reader: Reader) -> Iterator[Reach]:
    rows = reader.rows(
        """
        SELECT consent.channel, consent.topic,
               count(*) FILTER (WHERE consent.status = 'granted') AS granted,
               count(*) FILTER (
                   WHERE consent.status = 'granted'
                     AND (consent.channel <> 'email' OR profile.email IS NOT NULL)
                     AND (consent.channel NOT IN ('sms', 'phone') OR profile.phone IS NOT NULL)
               ) AS reachable,
               count(*) FILTER (WHERE consent.status = 'denied') AS denied
        FROM customers.profile_consents AS consent
        JOIN customers.profiles AS profile ON profile.profile_id = consent.profile_id
        GROUP BY consent.channel, consent.topic
        """
    )
    for channel, topic, granted, reachable, denied in sorted(rows, key=lambda row: (-row[3], row[0], row[1])):
        yield Reach(channel=channel, topic=topic, granted=granted, reachable=reachable, denied=denied)


def _funnel(reader: Reader, records: int) -> Iterator[Step]:
    (named,) = reader.row(
        """
        SELECT count(*) FROM customers.members AS member WHERE EXISTS (
            SELECT 1 FROM customers.identifiers AS identifier
            WHERE identifier.record_id = member.record_id AND identifier.merges
        )
        """
    )
    delivered = _DELIVERED if reader.has("delivery.acknowledged") else "SELECT '' AS profile_id"
    members = _MEMBERS if reader.has("customers.memberships") else "SELECT '' AS profile_id"
    people, with_email, with_consent, in_audience, sent = reader.row(
        f"""
        WITH consented AS (
            SELECT DISTINCT profile_id FROM customers.profile_consents WHERE channel = 'email' AND status = 'granted'
        ), selected AS ({members}), delivered AS ({delivered})
        SELECT count(*), count(profile.email),
               count(*) FILTER (WHERE profile.email IS NOT NULL AND consented.profile_id IS NOT NULL),
               count(*) FILTER (WHERE profile.email IS NOT NULL AND consented.profile_id IS NOT NULL
                                  AND selected.profile_id IS NOT NULL),
               count(*) FILTER (WHERE profile.email IS NOT NULL AND consented.profile_id IS NOT NULL
                                  AND selected.profile_id IS NOT NULL AND delivered.profile_id IS NOT NULL)
        FROM customers.profiles AS profile
        LEFT JOIN consented ON consented.profile_id = profile.profile_id
        LEFT JOIN selected ON selected.profile_id = profile.profile_id
        LEFT JOIN delivered ON delivered.profile_id = profile.profile_id
        """
    )
    yield Step("records", records, of_people=False)
    yield Step("records with an identifier", named, of_people=False)
    yield Step("people", people, of_people=True)
    yield Step("with an e-mail address", with_email, of_people=True)
    yield Step("and consent for e-mail", with_consent, of_people=True)
    yield Step("and in an audience", in_audience, of_people=True)
    yield Step("and held by a destination", sent, of_people=True)


_MEMBERS = "SELECT DISTINCT profile_id FROM customers.memberships WHERE left_at IS NULL"
_DELIVERED = """
    SELECT DISTINCT coalesce(alias.profile_id, held.profile_id) AS profile_id
    FROM delivery.acknowledged AS held
    LEFT JOIN customers.profile_aliases AS alias ON alias.alias_id = held.profile_id
    WHERE held.present AND held.profile_id IS NOT NULL
"""
