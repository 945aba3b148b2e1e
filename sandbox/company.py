"""The made-up company whose customers appear, in different shapes, in every system of the sandbox.

Nobody is stored: `Company.person(i)` makes person `i` from the seed, and so do the other methods, so a
company of a million people costs no memory. What changes while the sandbox runs (see `changes.py`) is a small
overlay by index that every method here respects.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from millstream.sandbox import facts
from millstream.sandbox.changes import PersonChange, advance
from millstream.sandbox.columns import Columns
from millstream.sandbox.draws import base_of, mix
from millstream.sandbox.person import (
    Deal,
    Device,
    EmailEvent,
    MailchimpMember,
    Person,
    SurveyAnswer,
    SurveyContact,
)

MAX_PEOPLE = 3_500_000


class Company:
    """A deterministic population.

    Args:
        people: How many there are before anything changes.
        seed: Another seed is another company.
        today: Its present; no fact is younger than the start of this day in UTC (default: the current day).
    """

    def __init__(self, people: int = 5000, seed: int = 7, today: date | None = None) -> None:
        if not 0 <= people <= MAX_PEOPLE:
            raise ValueError(f"people must be 0 to {MAX_PEOPLE:,}, not {people:,}")
        self.people = people
        self.seed = seed
        self.today = today or datetime.now(UTC).date()
        midnight = datetime.combine(self.today, time.min, tzinfo=UTC)
        self.today_ms = int(midnight.timestamp()) * 1000
        self.key = mix(seed + 1)
        self.changes: dict[int, PersonChange] = {}
        self.advances = 0
        self._columns: Columns | None = None
        self._added = 0

    @property
    def population(self) -> int:
        """How many people there are now, newcomers included: indexes 0 to population - 1."""
        return self.people + self._added

    @property
    def columns(self) -> Columns:
        """The same facts as numpy arrays over all people, made on first use and kept current."""
        if self._columns is None:
            self._columns = Columns(self)
        return self._columns

    def base(self, index: int) -> int:
        """Root of this person's draws, for facts that only one system knows about."""
        return base_of(self.key, index)

    def person(self, index: int) -> Person:
        """Who person `index` is now."""
        person = self.original(index)
        change = self.changes.get(index)
        return person if change is None else change.applied_to(person)

    def original(self, index: int) -> Person:
        """Who person `index` was before any change."""
        return facts.make_person(self.base(index), index, self.today_ms)

    def deals(self, index: int) -> tuple[Deal, ...]:
        """The person's deals by number; none without a contact, none for a newcomer."""
        if index >= self.people:
            return ()
        return facts.make_deals(self.base(index), self.original(index), self.today_ms)

    def email_events(self, index: int) -> tuple[EmailEvent, ...]:
        """What happened to the e-mails sent to this person in the last 60 days, oldest first."""
        change = self.changes.get(index)
        latest = () if change is None else change.email_events
        if index >= self.people:
            return latest
        return facts.make_email_events(self.base(index), self.original(index), self.today_ms) + latest

    def devices(self, index: int) -> tuple[Device, ...]:
        """The person's browsers; the first one always knows the user id."""
        if index >= self.people:
            return ()
        return facts.make_devices(self.base(index), self.original(index), self.today_ms)

    def ga4_audiences(self, index: int) -> tuple[str, ...]:
        """Analytics audiences the person's devices with a user id are in, by display name."""
        if not self.devices(index):
            return ()
        return facts.make_ga4_audiences(self.base(index), self.deals(index))

    def survey_answers(self, index: int) -> tuple[SurveyAnswer, ...]:
        """The person's survey responses, at most one for each survey."""
        change = self.changes.get(index)
        latest = () if change is None or change.nps is None else (change.nps,)
        if index >= self.people:
            return latest
        return latest + facts.make_survey_answers(self.base(index), self.original(index), self.today_ms)

    def survey_contact(self, index: int) -> SurveyContact | None:
        """The person's entry in the survey tool's address book, if there is one."""
        if index >= self.people:
            return None
        return facts.make_survey_contact(self.base(index), self.original(index), self.survey_answers(index))

    def mailchimp_member(self, index: int) -> MailchimpMember | None:
        """The person as a member of the Mailchimp list at the start, or None."""
        if index >= self.people:
            return None
        return facts.make_mailchimp_member(self.base(index), self.original(index), self.today_ms)

    @property
    def anonymous_devices(self) -> int:
        """How many devices belong to nobody known: 15 % on top of the known ones."""
        return int(self.columns.device_count.sum()) * 15 // 100

    def anonymous_device(self, number: int) -> Device:
        """One device of nobody known, 0 <= number < anonymous_devices."""
        return facts.make_anonymous_device(self.key, number, self.today_ms)

    def find_by_email(self, email: str) -> Person | None:
        """Whose address this is, whatever its case; quick, since addresses carry a number."""
        index = facts.index_in_email(email)
        if index is None or index >= self.population:
            return None
        person = self.person(index)
        return person if email.lower() in person.emails else None

    def find_by_contact_id(self, contact_id: int) -> Person | None:
        """Whose HubSpot contact this is."""
        index = facts.index_of_contact(contact_id)
        if not 0 <= index < self.population:
            return None
        person = self.person(index)
        return person if contact_id in person.contact_ids else None

    def find_by_customer_id(self, customer_id: str) -> Person | None:
        """Whose shop id this is."""
        digits = customer_id.removeprefix("C-")
        index = int(digits) - 1 if digits.isascii() and digits.isdigit() else -1
        if not 0 <= index < self.population:
            return None
        person = self.person(index)
        return person if person.customer_id == customer_id else None

    def advance(self, share: float, seed: int = 1, at_ms: int | None = None) -> dict[str, int]:
        """Let life go on: change about `share` of the people and add a few (see `changes.advance`)."""
        at_ms = at_ms if at_ms is not None else int(datetime.now(UTC).timestamp() * 1000)
        newcomers, changes, counts = advance(self, share, seed, at_ms)
        self.advances += 1
        self._added += newcomers
        self.changes.update(changes)
        if self._columns is not None:
            self._columns.update(changes)
        return counts

    def reset(self) -> None:
        """Forget every change."""
        self.changes.clear()
        self.advances = 0
        self._added = 0
        self._columns = None

    def day(self, days_ago: int) -> date:
        """A calendar day of the company, counted back from its present."""
        return self.today - timedelta(days=days_ago)
