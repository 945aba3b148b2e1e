"""Who is a contact before any sync, on which lists and in what standing: a pure function of the company."""

from __future__ import annotations

from millstream.sandbox.company import Company
from millstream.sandbox.draws import choose, cut, cuts, draw, share, topic

CONTACT = topic(770)
CONTACT_CUT = cut(0.4)

UNCONFIRMED, ACTIVE, UNSUBSCRIBED, BOUNCED = range(4)
NOT_ON_LIST = -1

NEWSLETTER, CUSTOMERS = 1, 2
NEWSLETTER_CUTS = cuts(0.15, 0.08, 0.15, 0.08)
NEWSLETTER_STATUSES = (NOT_ON_LIST, UNCONFIRMED, UNSUBSCRIBED, BOUNCED, ACTIVE)
CUSTOMERS_CUTS = cuts(0.70, 0.04)
CUSTOMERS_STATUSES = (NOT_ON_LIST, UNSUBSCRIBED, ACTIVE)

VIP, WEBINAR = 1, 2
# Chances in 256, and where in the draw they stand.
TAGS = {VIP: (26, 48), WEBINAR: (38, 56)}


def has_contact(company: Company, index: int) -> bool:
    """Whether the person is a contact from the start; two in five are."""
    in_company = 0 <= index < company.people
    return in_company and share(draw(company.base(index), CONTACT), 0) < CONTACT_CUT


def first_lists(company: Company, index: int) -> dict[int, int]:
    """Status by list of somebody who is a contact; an address that bounced has bounced on each of its lists."""
    bits = draw(company.base(index), CONTACT)
    newsletter = NEWSLETTER_STATUSES[choose(NEWSLETTER_CUTS, share(bits, 1))]
    customers = CUSTOMERS_STATUSES[choose(CUSTOMERS_CUTS, share(bits, 2))]
    if newsletter == BOUNCED and customers != NOT_ON_LIST:
        customers = BOUNCED
    found = {NEWSLETTER: newsletter, CUSTOMERS: customers}
    return {number: status for number, status in found.items() if status != NOT_ON_LIST}


def first_tags(company: Company, index: int) -> tuple[int, ...]:
    """Ids of the tags somebody has who is a contact."""
    bits = draw(company.base(index), CONTACT)
    return tuple(tag for tag, (chance, place) in TAGS.items() if (bits >> place) & 0xFF < chance)


def standing_of(lists: dict[int, int]) -> str:
    """What a contact is on the whole: the worst its lists say."""
    statuses = set(lists.values())
    for status, word in ((BOUNCED, "bounced"), (UNSUBSCRIBED, "unsubscribed"), (ACTIVE, "subscribed")):
        if status in statuses:
            return word
    return "unconfirmed" if statuses else "none"


def contact_of(company: Company, index: int) -> dict[str, object] | None:
    """The person's contact at the start, for the truth."""
    if not has_contact(company, index):
        return None
    return {"id": str(index + 1), "standing": standing_of(first_lists(company, index))}
