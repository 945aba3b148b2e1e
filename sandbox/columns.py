"""Facts about all people at once, as numpy arrays by index.

Only what the systems filter, count or sort by. The arrays follow from the same draws as the single facts in
`facts.py`; people who have changed since are patched in from `Company.person`, which has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts
from millstream.sandbox.draws import UInts, bases_of, choose_many, draw, share

if TYPE_CHECKING:
    from millstream.sandbox.company import Company

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NONE = -1


class Columns:
    """One array for each fact; row i is person i. Times are in ms, -1 stands for "does not exist".

    Attributes:
        contact_count: 0, 1 or 2 HubSpot contacts.
        created_ms: Creation of the first contact.
        modified_ms: Last change of the first contact.
        duplicate_created_ms: Creation of the second contact (meaningful where contact_count is 2).
        duplicate_modified_ms: Last change of the second contact.
        subscription: Position in `facts.SUBSCRIPTIONS`.
        customer: Whether the first contact's lifecycle stage is `customer`.
        event_attendee: Whether the person is on the list of event attendees.
        deal_count: 0 to 4.
        device_count: Analytics devices, 0 to 3.
        nps_ms: When the NPS survey was answered.
        satisfaction_ms: When the satisfaction survey was answered.
        mailchimp: Whether the person is on the Mailchimp list at the start.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
        today = np.uint64(company.today_ms)
        kinds, links = draw(bases, facts.KINDS), draw(bases, facts.LINKS)
        self.contact_count: Ints = choose_many(facts.CONTACT_CUTS, share(kinds, 0))
        self.subscription: Ints = choose_many(facts.SUBSCRIPTION_CUTS, share(kinds, 1))
        self.event_attendee: Flags = (self.contact_count > 0) & (share(links, 3) < facts.ATTENDEE_CUT)
        self._times(bases, today)
        self._deals(bases)
        devices = draw(bases, facts.DEVICES)
        has_device = (share(links, 1) < facts.CUSTOMER_CUT) & (share(devices, 0) < facts.DEVICE_CUT)
        self.device_count: Ints = np.where(has_device, 1 + (devices >> 16) % 3, 0).astype(np.int64)
        self.nps_ms = self._answered(bases, facts.NPS, facts.NPS_CUT, today)
        self.satisfaction_ms = self._answered(bases, facts.SATISFACTION, facts.SATISFACTION_CUT, today)
        self.mailchimp: Flags = share(draw(bases, facts.MAILCHIMP), 0) < facts.MAILCHIMP_CUT
        self.update(company.changes)

    def _times(self, bases: UInts, today: np.uint64) -> None:
        created_bits, modified_bits = draw(bases, facts.CREATED), draw(bases, facts.MODIFIED)
        age = facts.signup_age(created_bits)
        created = today - age
        second = created + (created_bits >> 8) % age
        self.created_ms: Ints = created.astype(np.int64)
        self.modified_ms: Ints = (created + modified_bits % age).astype(np.int64)
        self.duplicate_created_ms: Ints = second.astype(np.int64)
        self.duplicate_modified_ms: Ints = (second + (modified_bits >> 8) % (today - second)).astype(np.int64)

    def _deals(self, bases: UInts) -> None:
        deals = draw(bases, facts.DEALS)
        has_deals = (self.contact_count > 0) & (share(deals, 0) < facts.DEAL_CUT)
        count = 1 + choose_many(facts.DEAL_COUNT_CUTS, share(deals, 1))
        self.deal_count: Ints = np.where(has_deals, count, 0)
        self.customer: Flags = np.zeros(len(bases), dtype=np.bool_)
        for number in range(facts.DEALS_PER_PERSON):
            self.customer |= (self.deal_count > number) & facts.deal_is_won(deals, number)

    @staticmethod
    def _answered(bases: UInts, of_topic: int, edge: int, today: np.uint64) -> Ints:
        bits = draw(bases, of_topic)
        times = (today - facts.answered_age(bits)).astype(np.int64)
        return np.where(share(bits, 0) < edge, times, _NONE)

    def update(self, indexes: Iterable[int]) -> None:
        """Take over what has changed about these people, new ones included."""
        population = self._company.population
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray) and len(column) < population:
                added = np.zeros(population - len(column), dtype=column.dtype)
                setattr(self, name, np.concatenate([column, added]))
        for index in indexes:
            self._take_over(index)

    def _take_over(self, index: int) -> None:
        company = self._company
        person = company.person(index)
        answered = {answer.survey: answer.answered_ms for answer in company.survey_answers(index)}
        self.contact_count[index] = len(person.contact_ids)
        self.created_ms[index] = person.created_ms
        self.modified_ms[index] = person.modified_ms
        self.duplicate_created_ms[index] = person.duplicate_created_ms
        self.duplicate_modified_ms[index] = person.duplicate_modified_ms
        self.subscription[index] = facts.SUBSCRIPTIONS.index(person.subscription)
        self.customer[index] = person.lifecycle_stage == "customer"
        self.event_attendee[index] = person.event_attendee
        self.deal_count[index] = len(company.deals(index))
        self.device_count[index] = len(company.devices(index))
        self.nps_ms[index] = answered.get("nps", _NONE)
        self.satisfaction_ms[index] = answered.get("satisfaction", _NONE)
        self.mailchimp[index] = company.mailchimp_member(index) is not None
