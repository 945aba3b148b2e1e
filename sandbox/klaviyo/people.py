"""Who was in the account before any sync: profiles of the company's people, and what they agreed to."""

from __future__ import annotations

from dataclasses import dataclass, field

from millstream.sandbox.company import Company
from millstream.sandbox.draws import Number, choose, cut, cuts, draw, share, topic
from millstream.sandbox.facts import DAY_MS

STANDING, DETAILS, LISTS = topic(730), topic(731), topic(732)
PROFILE_CUT = cut(0.40)
PHONE_CUT, EXTERNAL_CUT, TIER_CUT = cut(0.50), cut(0.60), cut(0.30)

# What is known of the consent to e-mail, and why nobody may write although there was some.
STANDING_CUTS = cuts(0.50, 0.14, 0.05, 0.04, 0.05, 0.02)
STANDINGS = ("subscribed", "unsubscribed", "bounced", "spam", "suppressed", "invalid", "never_subscribed")
REASONS = {
    "unsubscribed": "UNSUBSCRIBE",
    "bounced": "HARD_BOUNCE",
    "spam": "SPAM_COMPLAINT",
    "suppressed": "USER_SUPPRESSED",
    "invalid": "INVALID_EMAIL",
}
SMS_CUTS = cuts(0.20, 0.10)
SMS_STANDINGS = ("SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED")
TIERS = ("gold", "silver", "bronze")

# Ids of 26 signs, in the order in which profiles were made.
ID_START = "01HK1AVSANDB0X"


@dataclass(slots=True)
class Consent:
    """What a profile agreed to on one channel: SUBSCRIBED, UNSUBSCRIBED or NEVER_SUBSCRIBED, and since when."""

    state: str = "NEVER_SUBSCRIBED"
    at_ms: int | None = None
    method: str | None = None
    source: str | None = None


@dataclass(slots=True)
class Profile:
    """One profile.

    Attributes:
        index: Of the company's person at first; profiles made since have one beyond its people.
        identifiers: `email`, `phone_number` and `external_id`, those that are there.
        fields: Names, organization, title, locale, image.
        suppressions: Why no e-mail may go out, with the time of each reason.
        list_suppressions: The same for single lists, by their id.
        written: Whether a client ever wrote to it.
    """

    index: int
    identifiers: dict[str, str]
    created_ms: int
    updated_ms: int
    fields: dict[str, object] = field(default_factory=dict)
    location: dict[str, object] = field(default_factory=dict)
    properties: dict[str, object] = field(default_factory=dict)
    email_consent: Consent = field(default_factory=Consent)
    sms_consent: Consent = field(default_factory=Consent)
    suppressions: dict[str, int] = field(default_factory=dict)
    list_suppressions: dict[str, int] = field(default_factory=dict)
    written: bool = False

    @property
    def profile_id(self) -> str:
        """Klaviyo's id."""
        return id_of(self.index)

    @property
    def standing(self) -> str:
        """In one word, whether e-mail may be sent: one of `STANDINGS`."""
        for standing in ("invalid", "bounced", "spam", "suppressed", "unsubscribed"):
            if REASONS[standing] in self.suppressions:
                return standing
        return self.email_consent.state.lower()


def id_of(index: int) -> str:
    """The id of the profile with this index."""
    return f"{ID_START}{index:012d}"


def index_of(profile_id: str) -> int | None:
    """The index an id belongs to (of a profile that may not exist); None for what is no id."""
    digits = profile_id.removeprefix(ID_START)
    is_id = profile_id.startswith(ID_START) and len(digits) == 12 and digits.isascii() and digits.isdigit()
    return int(digits) if is_id else None


def has_profile(base: Number) -> Number:
    """Whether a person was in the account at the start (works on arrays, too)."""
    return share(draw(base, STANDING), 0) < PROFILE_CUT


def profile_id_of(company: Company, index: int) -> str | None:
    """The id of the profile a person had at the start, if there was one."""
    there = index < company.people and has_profile(company.base(index))
    return id_of(index) if there else None


def make_profile(company: Company, index: int) -> Profile:
    """The profile a person had at the start."""
    person, base = company.original(index), company.base(index)
    bits, details = draw(base, STANDING), draw(base, DETAILS)
    changed = person.created_ms + draw(base, LISTS) % (company.today_ms - person.created_ms)
    identifiers = {"email": person.email}
    if person.phone is not None and share(details, 0) < PHONE_CUT:
        identifiers["phone_number"] = person.phone
    if person.customer_id is not None and share(details, 1) < EXTERNAL_CUT:
        identifiers["external_id"] = person.customer_id
    profile = Profile(
        index=index,
        identifiers=identifiers,
        created_ms=person.created_ms,
        updated_ms=changed,
        fields={"first_name": person.first_name, "last_name": person.last_name},
        location={"city": person.city, "country": person.country},
        properties={"Tier": TIERS[index % len(TIERS)]} if share(details, 2) < TIER_CUT else {},
    )
    _give_consent(profile, STANDINGS[choose(STANDING_CUTS, share(bits, 1))], changed)
    if "phone_number" in identifiers:
        state = SMS_STANDINGS[choose(SMS_CUTS, share(bits, 2))]
        profile.sms_consent = Consent(state, changed if state != "NEVER_SUBSCRIBED" else None, "TEXT")
    return profile


def _give_consent(profile: Profile, standing: str, changed_ms: int) -> None:
    if standing == "never_subscribed":
        return
    state = "UNSUBSCRIBED" if standing == "unsubscribed" else "SUBSCRIBED"
    method = "PREFERENCE_PAGE" if standing == "unsubscribed" else "FORM"
    profile.email_consent = Consent(state, max(profile.created_ms, changed_ms - DAY_MS), method)
    if standing in REASONS:
        profile.suppressions[REASONS[standing]] = changed_ms
