"""Who has a profile before any sync, and in what subscription states: a pure function of the company."""

from __future__ import annotations

from millstream.sandbox.company import Company
from millstream.sandbox.draws import choose, cut, cuts, draw, share, topic
from millstream.sandbox.person import Person

PROFILE = topic(780)
PROFILE_CUT = cut(0.4)

OPTED_IN, SUBSCRIBED, UNSUBSCRIBED = "opted_in", "subscribed", "unsubscribed"
EMAIL_STATES = (OPTED_IN, SUBSCRIBED, UNSUBSCRIBED)
# The last alternative is an address that bounced for good, which is unsubscribed as well.
EMAIL_CUTS = cuts(0.30, 0.42, 0.20)
BOUNCED = "bounced"
GROUP_CUTS = cuts(0.45, 0.15)
ALIAS_LABEL = "newsletter"

NEWS, PRODUCTS, TEXTS = (
    "6a1c3f52-0f0e-4a55-9a3b-1f1f6f0a0001",
    "6a1c3f52-0f0e-4a55-9a3b-1f1f6f0a0002",
    "6a1c3f52-0f0e-4a55-9a3b-1f1f6f0a0003",
)
# Name and channel of each subscription group; only the dashboard makes new ones.
GROUPS = {NEWS: ("Weekly news", "email"), PRODUCTS: ("Product updates", "email"), TEXTS: ("Text messages", "sms")}


def has_profile(company: Company, index: int) -> bool:
    """Whether the person has a profile from the start; two in five have."""
    in_company = 0 <= index < company.people
    return in_company and share(draw(company.base(index), PROFILE), 0) < PROFILE_CUT


def braze_id_of(index: int) -> str:
    """The id of the profile of the person with this index."""
    return f"{0x5F0000000000000000000000 + index:024x}"


def index_of(braze_id: str) -> int | None:
    """The index behind the id of a first profile."""
    try:
        index = int(braze_id, 16) - 0x5F0000000000000000000000
    except ValueError:
        return None
    return index if 0 <= index < 1 << 32 else None


def email_state(company: Company, index: int) -> str:
    """One of `EMAIL_STATES`, or `BOUNCED`."""
    return (*EMAIL_STATES, BOUNCED)[choose(EMAIL_CUTS, share(draw(company.base(index), PROFILE), 1))]


def group_states(company: Company, person: Person) -> dict[str, str]:
    """State by subscription group; a group that is missing has never heard of the person."""
    bits = draw(company.base(person.index), topic(781))
    states = {}
    for place, (group, (_, channel)) in enumerate(GROUPS.items()):
        choice = choose(GROUP_CUTS, share(bits, place))
        if choice < 2 and (channel == "email" or person.phone is not None):
            states[group] = (SUBSCRIBED, UNSUBSCRIBED)[choice]
    return states


def is_vip(company: Company, index: int) -> bool:
    """Whether the attribute `vip` is true."""
    return share(draw(company.base(index), PROFILE), 2) < cut(0.1)


def profile_of(company: Company, index: int) -> dict[str, object] | None:
    """The person's profile at the start, for the truth."""
    if not has_profile(company, index):
        return None
    return {"id": braze_id_of(index), "external_id": company.original(index).customer_id,
            "standing": email_state(company, index)}  # fmt: skip
