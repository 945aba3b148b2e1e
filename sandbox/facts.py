"""How each fact about a person follows from the draws: shares, ranges and links between facts.

`columns.py` computes the facts that are searched over a million people with numpy; it uses the same draws,
cuts and times (the functions that are generic over `Number`), and a test compares the two.
"""

from __future__ import annotations

from datetime import date, timedelta

from millstream.sandbox import names
from millstream.sandbox.draws import GOLDEN, MASK, Number, choose, cut, cuts, draw, mix, share, topic
from millstream.sandbox.person import (
    Deal,
    DealStage,
    Device,
    DuplicateLink,
    EmailEvent,
    EmailEventType,
    LifecycleStage,
    MailchimpMember,
    MailchimpStatus,
    Person,
    SubscriptionStatus,
    Survey,
    SurveyAnswer,
    SurveyContact,
    SurveyContactStatus,
    SurveyLink,
)

TILL_PHONE = "+12025550100"
FUNCTIONAL_MAILBOX = "info@shop.box.example"

DAY_MS = 86_400_000
HISTORY_MS = 1095 * DAY_MS
EVENT_WINDOW_MS = 60 * DAY_MS
REACTION_MS = 5 * DAY_MS // 2
SURVEY_WINDOW_MS = 120 * DAY_MS

# Ids of one kind of thing stand in one range, so that they can be traced back to the person.
FIRST_CONTACT_ID = 1_000_001
SECOND_CONTACT_ID = 500_000_001
FIRST_DEAL_ID = 2_000_000_000
DEALS_PER_PERSON = 4
NPS_RESPONSE_ID = 110_000_000_000
SATISFACTION_RESPONSE_ID = 120_000_000_000
RECIPIENT_ID = 500_000_000
SURVEY_CONTACT_ID = 700_000_000

NAME, PLACE, KINDS, LINKS, CREATED, MODIFIED = (topic(number) for number in range(1, 7))
DEALS, SENDS, DEVICES, AUDIENCES = (topic(number) for number in range(7, 11))
NPS, SATISFACTION, SURVEYS, MAILCHIMP = (topic(number) for number in range(11, 15))
DEAL = tuple(topic(100 + number) for number in range(DEALS_PER_PERSON))
SEND = tuple(topic(200 + number) for number in range(2))

CONTACT_CUTS = cuts(0.09, 0.85)  # none, one, (two)
SUBSCRIPTION_CUTS = cuts(0.60, 0.15)
SUBSCRIPTIONS: tuple[SubscriptionStatus, ...] = ("SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED")
OPTOUT_CUT = cut(0.60)
PHONE_CUT = cut(0.80)
CUSTOMER_CUT = cut(0.70)
SECOND_EMAIL_CUT = cut(0.30)
ATTENDEE_CUT = cut(0.05)
TILL_CUT = cut(0.02)
DEAL_CUT = cut(0.35)
DEAL_COUNT_CUTS = cuts(0.50, 0.25, 0.15)
OPEN_CUT = cut(0.50)
CLICK_CUT = cut(0.17)
DEVICE_CUT = cut(0.60)
CART_CUT = cut(0.12)
NPS_CUT = cut(0.30)
SATISFACTION_CUT = cut(0.15)
MAILBOX_CUT = cut(0.01)
ADDRESS_BOOK_CUT = cut(0.20)
SURVEY_CONTACT_CUTS = cuts(0.06, 0.04)
MAILCHIMP_CUT = cut(0.40)
MAILCHIMP_STATUS_CUTS = cuts(0.10, 0.03)
MAILCHIMP_STATUSES: tuple[MailchimpStatus, ...] = ("unsubscribed", "cleaned", "subscribed")
MAILCHIMP_TAGS = {"VIP": 26, "Webinar 2026": 38}  # chances in 256

AUDIENCE_PURCHASERS = "Purchasers"
AUDIENCE_CART = "Cart abandoners"
AUDIENCE_ALL = "All users"

PROMOTER_COMMENTS = (
    "Quick delivery, friendly people.",
    "Would buy again.",
    "Exactly what I was looking for.",
)
PASSIVE_COMMENTS = ("Fine overall.", "Good, but a little slow.", "Does what it should.")
DETRACTOR_COMMENTS = ("Parcel came late.", "Support never answered.", "Too expensive for what it is.")


def make_person(base: int, index: int, today_ms: int) -> Person:
    """Everything that identifies a person, and their CRM standing."""
    name, place, kinds, links = draw(base, NAME), draw(base, PLACE), draw(base, KINDS), draw(base, LINKS)
    first = names.FIRST_NAMES[name % len(names.FIRST_NAMES)]
    last = names.LAST_NAMES[(name >> 16) % len(names.LAST_NAMES)]
    country = names.COUNTRIES[(place & 0xFFFF) % len(names.COUNTRIES)]
    city, start = country.cities[(place >> 16 & 0xFFFF) % len(country.cities)]
    contacts = choose(CONTACT_CUTS, share(kinds, 0))
    national = names.national_number(country, start, index) if share(links, 0) < PHONE_CUT else None
    customer_id = f"C-{index + 1:06d}" if share(links, 1) < CUSTOMER_CUT else None
    phone = None if national is None else f"+{country.calling_code}{national}"
    stage = lifecycle_stage(draw(base, DEALS), contacts, kinds)
    created = today_ms - signup_age(draw(base, CREATED))
    subscription = SUBSCRIPTIONS[choose(SUBSCRIPTION_CUTS, share(kinds, 1))]
    return Person(
        index=index,
        person_id=f"person-{index + 1:06d}",
        first_name=first,
        last_name=last,
        email=make_email(name, first, last, index),
        second_email=make_second_email(name, first, index) if _has_second_email(links, contacts) else None,
        phone=phone,
        phone_national=national,
        country=country.title,
        country_code=country.code,
        city=city,
        customer_id=customer_id,
        birth_date=date(1945, 1, 1) + timedelta(days=(place >> 32) % 22_000),
        contact_ids=contact_ids(index, contacts),
        duplicate_link=_duplicate_link(name, phone, customer_id) if contacts == 2 else None,
        contact_phone=_contact_phone(country, national, place) if contacts else None,
        phone_is_mobile=(place >> 60) & 3 == 0,
        lifecycle_stage=stage,
        duplicate_lifecycle_stage="lead" if (place >> 58) & 1 else "subscriber",
        subscription=subscription,
        email_optout=subscription == "UNSUBSCRIBED" and share(kinds, 2) < OPTOUT_CUT,
        event_attendee=contacts > 0 and share(links, 3) < ATTENDEE_CUT,
        created_ms=created,
        modified_ms=created + draw(base, MODIFIED) % (today_ms - created),
        duplicate_created_ms=(second := created + (draw(base, CREATED) >> 8) % (today_ms - created)),
        duplicate_modified_ms=second + (draw(base, MODIFIED) >> 8) % (today_ms - second),
    )


def make_email(name: int, first: str, last: str, index: int) -> str:
    """The main address; the number in it keeps it unique and lets `index_in_email` find its owner."""
    domain = names.MAIL_DOMAINS[(name >> 32) % len(names.MAIL_DOMAINS)]
    return f"{first}.{last}.{index + 1}@{domain}".lower()


def make_second_email(name: int, first: str, index: int) -> str:
    """Another address of the same person, at another domain."""
    domain = names.MAIL_DOMAINS[((name >> 32) + 1) % len(names.MAIL_DOMAINS)]
    return f"{first}{name >> 48 & 0xFF}.{index + 1}@{domain}".lower()


def index_in_email(email: str) -> int | None:
    """The index of the only person whose address this could be."""
    digits = email.partition("@")[0].rpartition(".")[2]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 9):
        return None
    return int(digits) - 1 if int(digits) else None


def contact_ids(index: int, contacts: int) -> tuple[int, ...]:
    """Ids of none, one or two contacts. Second contacts stand far from the first ones in order of id."""
    if contacts == 0:
        return ()
    if contacts == 1:
        return (FIRST_CONTACT_ID + index,)
    return (FIRST_CONTACT_ID + index, SECOND_CONTACT_ID + index)


def index_of_contact(contact_id: int) -> int:
    """The index of the only person whose contact this could be (may be out of range)."""
    return contact_id - (SECOND_CONTACT_ID if contact_id >= SECOND_CONTACT_ID else FIRST_CONTACT_ID)


def signup_age(created: Number) -> Number:
    """How long before today somebody signed up, 1 day to 3 years, in ms."""
    age: Number = created % (HISTORY_MS - DAY_MS) + DAY_MS
    return age


def deal_count(deals: int, contacts: int) -> int:
    """How many deals a person has, 0 to 4."""
    if contacts == 0 or share(deals, 0) >= DEAL_CUT:
        return 0
    return 1 + choose(DEAL_COUNT_CUTS, share(deals, 1))


def deal_is_won(deals: Number, number: int) -> bool:
    """Whether deal `number` was won (works on arrays, giving an array of truths)."""
    return (deals >> (32 + 4 * number)) & 15 < 9  # type: ignore[return-value]


def deal_stage(deals: int, number: int) -> DealStage:
    """The stage deal `number` stands in."""
    bits = (deals >> (32 + 4 * number)) & 15
    return "closedwon" if bits < 9 else "closedlost" if bits < 12 else "appointmentscheduled"


def deal_created_age(deal: Number, signup: Number) -> Number:
    """How long before today a deal was made, below the age of the sign-up, in ms."""
    age: Number = deal % signup + 1
    return age


def deal_modified_age(deal: Number, created_age: Number) -> Number:
    """How long before today a deal was closed or last touched, in ms."""
    age: Number = (deal >> 20) % created_age + 1
    return age


def lifecycle_stage(deals: int, contacts: int, kinds: int) -> LifecycleStage:
    """Customers have won deals, opportunities have others, the rest are leads and subscribers."""
    count = deal_count(deals, contacts)
    if count == 0:
        return "lead" if kinds >> 63 else "subscriber"
    return "customer" if any(deal_is_won(deals, number) for number in range(count)) else "opportunity"


def make_deals(base: int, person: Person, today_ms: int) -> tuple[Deal, ...]:
    """The person's deals. Every second one of a duplicated person hangs on the second contact."""
    deals = draw(base, DEALS)
    signup = today_ms - person.created_ms
    made = []
    for number in range(deal_count(deals, len(person.contact_ids))):
        bits = draw(base, DEAL[number])
        stage = deal_stage(deals, number)
        age = deal_created_age(bits, signup)
        modified = today_ms - deal_modified_age(bits, age)
        cents = 1_000 + ((bits >> 8) & 0xFFFF) ** 2 // 20_000
        made.append(
            Deal(
                deal_id=FIRST_DEAL_ID + person.index * DEALS_PER_PERSON + number,
                number=number,
                name=f"Order {person.index + 1}-{number + 1}",
                stage=stage,
                amount=f"{cents // 100}.{cents % 100:02d}",
                created_ms=today_ms - age,
                close_ms=None if stage == "appointmentscheduled" else modified,
                modified_ms=modified,
                contact_id=person.contact_ids[number % len(person.contact_ids)],
            )
        )
    return tuple(made)


def send_count(sends: int, contacts: int, subscription: SubscriptionStatus) -> int:
    """How many marketing e-mails a person got in the last 60 days: subscribed contacts one or two."""
    return 1 + (sends & 1) if contacts and subscription == "SUBSCRIBED" else 0


def sent_age(send: Number) -> Number:
    """How long before today an e-mail was sent: 2.5 to 60 days, so that every reaction has happened, in ms."""
    age: Number = send % (EVENT_WINDOW_MS - REACTION_MS) + REACTION_MS
    return age


def delivery_delay(send: Number) -> Number:
    """From sent to delivered, in ms."""
    delay: Number = (send >> 8) % 90_000 + 1_000
    return delay


def open_delay(send: Number) -> Number:
    """From delivered to opened, up to a day and a half, in ms."""
    delay: Number = (send >> 16) % (3 * DAY_MS // 2) + 5_000
    return delay


def click_delay(send: Number) -> Number:
    """From opened to clicked, in ms."""
    delay: Number = (send >> 24) % 3_600_000 + 2_000
    return delay


def email_events_of_send(send: int, number: int, index: int, recipient: str, sent_ms: int) -> tuple[EmailEvent, ...]:
    """Sent and delivered always; some are opened, and some of those clicked."""
    moments: list[tuple[EmailEventType, int]] = [("SENT", sent_ms)]
    moments.append(("DELIVERED", delivered := sent_ms + delivery_delay(send)))
    if share(send, 3) < OPEN_CUT:
        moments.append(("OPEN", opened := delivered + open_delay(send)))
        if share(send, 3) < CLICK_CUT:
            moments.append(("CLICK", opened + click_delay(send)))
    campaign = 4_000 + sent_ms // (7 * DAY_MS) % 1_000
    sent_id = email_event_id(index, number, 0)
    return tuple(
        EmailEvent(email_event_id(index, number, order), kind, recipient, campaign, when, sent_ms, sent_id)
        for order, (kind, when) in enumerate(moments)
    )


def email_event_id(index: int, number: int, order: int) -> str:
    """A stable id in the shape of a UUID."""
    bits = mix((index * 1_000 + number * 10 + order + GOLDEN) & MASK)
    start = f"{bits >> 32:08x}-{bits >> 16 & 0xFFFF:04x}-{bits & 0xFFFF:04x}"
    return f"{start}-{number:04x}-{index * 10 + order:012x}"


def make_email_events(base: int, person: Person, today_ms: int) -> tuple[EmailEvent, ...]:
    """The events of all e-mails sent to a person, oldest first."""
    events: list[EmailEvent] = []
    for number in range(send_count(draw(base, SENDS), len(person.contact_ids), person.subscription)):
        send = draw(base, SEND[number])
        events += email_events_of_send(send, number, person.index, person.email, today_ms - sent_age(send))
    return tuple(sorted(events, key=lambda event: event.occurred_ms))


def device_count(devices: int, links: int) -> int:
    """How many devices of a person the analytics tag has seen, 0 to 3; only shop customers have any."""
    if share(links, 1) >= CUSTOMER_CUT or share(devices, 0) >= DEVICE_CUT:
        return 0
    return 1 + (devices >> 16) % 3


def make_devices(base: int, person: Person, today_ms: int) -> tuple[Device, ...]:
    """The person's devices; the first knows the user id, each other one in half of the cases."""
    devices = draw(base, DEVICES)
    made = []
    for number in range(device_count(devices, draw(base, LINKS))):
        seen = today_ms - 1 - (devices >> (8 * number)) % min(HISTORY_MS, today_ms - person.created_ms)
        signed_in = number == 0 or (devices >> (56 + number)) & 1
        device_id = f"{1_000_000_000 + person.index * 3 + number}.{seen // 1000}"
        made.append(Device(device_id, person.customer_id if signed_in else None, seen))
    return tuple(made)


def make_anonymous_device(key: int, number: int, today_ms: int) -> Device:
    """A device of nobody known."""
    seen = today_ms - 1 - mix((key + number) & MASK) % (HISTORY_MS // 6)
    return Device(f"{1_900_000_000 + number}.{seen // 1000}", None, seen)


def make_ga4_audiences(base: int, deals: tuple[Deal, ...]) -> tuple[str, ...]:
    """Analytics audiences of somebody who has a device with a user id."""
    audiences = [AUDIENCE_ALL]
    if any(deal.stage == "closedwon" for deal in deals):
        audiences.append(AUDIENCE_PURCHASERS)
    if share(draw(base, AUDIENCES), 0) < CART_CUT:
        audiences.append(AUDIENCE_CART)
    return tuple(audiences)


def answered_age(answer: Number) -> Number:
    """How long before today a survey was answered, in ms."""
    age: Number = (answer >> 16) % SURVEY_WINDOW_MS + 1
    return age


def make_survey_answers(base: int, person: Person, today_ms: int) -> tuple[SurveyAnswer, ...]:
    """The person's responses to the NPS survey and to the satisfaction survey."""
    made = []
    nps, satisfaction = draw(base, NPS), draw(base, SATISFACTION)
    if share(nps, 0) < NPS_CUT:
        made.append(make_answer("nps", nps, person, today_ms - answered_age(nps)))
    if share(satisfaction, 0) < SATISFACTION_CUT:
        made.append(make_answer("satisfaction", satisfaction, person, today_ms - answered_age(satisfaction)))
    return tuple(made)


def make_answer(survey: Survey, bits: int, person: Person, answered_ms: int) -> SurveyAnswer:
    """One response. If the person has a contact, something in the response leads to it."""
    scattered = mix(bits)
    link = _survey_link(scattered, person)
    score, comment = _score_and_comment(survey, scattered)
    email: str | None = None
    if link == "mailbox":
        email = FUNCTIONAL_MAILBOX
    elif link == "recipient":
        email = person.email
    elif link == "email":
        # Only a contact can tell that a second address is the same person's.
        known = person.emails if person.contact_ids else person.emails[:1]
        email = odd_case(known[(scattered >> 24) % len(known)], scattered >> 32)
    first_id = NPS_RESPONSE_ID if survey == "nps" else SATISFACTION_RESPONSE_ID
    return SurveyAnswer(
        survey=survey,
        response_id=first_id + person.index,
        score=score,
        comment=comment,
        answered_ms=answered_ms,
        link=link,
        email=email,
        crm_id=str(person.contact_ids[(scattered >> 40) % len(person.contact_ids)]) if link == "crm_id" else None,
        recipient_id=RECIPIENT_ID + person.index if link == "recipient" else None,
    )


def _survey_link(bits: int, person: Person) -> SurveyLink:
    if not person.contact_ids:
        return "mailbox" if share(bits, 0) < MAILBOX_CUT else "email" if share(bits, 0) & 1 else "none"
    kind = (bits >> 16) & 0xFF
    return "email" if kind < 102 else "crm_id" if kind < 192 else "recipient"


def _score_and_comment(survey: Survey, bits: int) -> tuple[int, str | None]:
    roll = (bits >> 48) & 0xFF
    worded = (bits >> 56) & 3
    if survey == "satisfaction":
        return 1 + roll % 5, None
    if roll < 128:
        score, comments = 9 + (roll & 1), PROMOTER_COMMENTS
    elif roll < 205:
        score, comments = 7 + (roll & 1), PASSIVE_COMMENTS
    else:
        score, comments = roll % 7, DETRACTOR_COMMENTS
    return score, comments[worded - 1] if worded else None


def make_survey_contact(base: int, person: Person, answers: tuple[SurveyAnswer, ...]) -> SurveyContact | None:
    """Everybody invited by e-mail is in the address book, and a fifth of the others."""
    bits = draw(base, SURVEYS)
    invited = any(answer.link == "recipient" for answer in answers)
    if not invited and share(bits, 0) >= ADDRESS_BOOK_CUT:
        return None
    statuses: tuple[SurveyContactStatus, ...] = ("optout", "bounced", "active")
    status = statuses[choose(SURVEY_CONTACT_CUTS, share(bits, 1))]
    return SurveyContact(SURVEY_CONTACT_ID + person.index, person.email, status)


def make_mailchimp_member(base: int, person: Person, today_ms: int) -> MailchimpMember | None:
    """Two in five are on the list already, with tags that were there before any sync."""
    bits = draw(base, MAILCHIMP)
    if share(bits, 0) >= MAILCHIMP_CUT:
        return None
    status = MAILCHIMP_STATUSES[choose(MAILCHIMP_STATUS_CUTS, share(bits, 1))]
    chances = enumerate(MAILCHIMP_TAGS.items())
    tags = tuple(tag for slot, (tag, chance) in chances if (bits >> (32 + 8 * slot)) & 0xFF < chance)
    email = person.email.upper() if (bits >> 56) & 7 == 0 else person.email
    opted_in = person.created_ms
    changed = opted_in + (bits >> 10) % (today_ms - opted_in)
    return MailchimpMember(email, status, tags, opted_in, changed)


def odd_case(email: str, bits: int) -> str:
    """An address as somebody typed it: half as it is, the rest in capitals or with a capital name."""
    kind = bits & 7
    return email if kind < 4 else email.upper() if kind < 6 else email.title()


def _has_second_email(links: int, contacts: int) -> bool:
    # A duplicate is created with another address, so that e-mail alone does not give it away.
    return contacts == 2 or share(links, 2) < SECOND_EMAIL_CUT


def _duplicate_link(name: int, phone: str | None, customer_id: str | None) -> DuplicateLink:
    choices: list[DuplicateLink] = ["additional_email"]
    if phone is not None:
        choices.append("phone")
    if customer_id is not None:
        choices.append("customer_id")
    return choices[(name >> 56) % len(choices)]


def _contact_phone(country: names.Country, national: str | None, place: int) -> str | None:
    if national is None:
        # Staff type the till's own number where a phone is asked for: a value that many strangers share.
        return TILL_PHONE if share(place, 2) < TILL_CUT else None
    return names.written_phone(country, national, (place >> 56 & 0xFF) % 3)
