"""Rows as Google takes them: up to ten identifiers a person, and what the person consented to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from millstream.destinations.contract import DeliveryRow, DestinationField, FieldValue, Outcome, rejected, suppressed
from millstream.destinations.fields import HashRule
from millstream.destinations.google_ads_customer_match import normalising
from millstream.destinations.google_ads_customer_match.settings import GoogleAdsCustomerMatchSettings
from millstream.destinations.hashing import phone_number, sha256_of
from millstream.destinations.kept_identifiers import Identifier, current_in, identifiers_in, kept, name_of
from millstream.destinations.rows import text_value

MOST_IDENTIFIERS = 10
CONSENTS = {"ad_user_data": "adUserData", "ad_personalization": "adPersonalization"}
"""What people consent to, by setting and field, in Google's words."""

_ADDRESS = "address"
_KINDS = ("email", "phone", _ADDRESS)
_PARTS = ("given_name", "family_name", "region_code", "postal_code")
_SAYS = {
    "granted": True, "consent_granted": True, "true": True, "yes": True, "1": True,
    "denied": False, "consent_denied": False, "false": False, "no": False, "0": False,
}  # fmt: skip

Message = dict[str, object]
"""A member, as a request has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody as Google is to know them.

    Attributes:
        key: Of the row.
        message: The member.
        external_id: What is kept to take the person out again.
    """

    key: str
    message: Message
    external_id: str | None


@dataclass(frozen=True)
class Members:
    """Makes members of rows.

    Attributes:
        settings: What people consented to, and the country of numbers without calling code.
    """

    settings: GoogleAdsCustomerMatchSettings
    rules: Mapping[str, HashRule] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", rules_of(self.settings.phone_country))

    def person(self, row: DeliveryRow, match_key: str) -> Person | Outcome:
        """A row as a person, or the outcome of one who cannot be sent."""
        match = self.rules[match_key](row.match_value)
        if match is None:
            return rejected("invalid_match_value", f"The match value is no {match_key} that can be hashed: not sent.")
        refusal = self._refusal(row.fields)
        if refusal is not None:
            return refusal
        others = [(kind, value) for kind, value in self._identifiers(row.fields) if kind != match_key]
        # Where consent is of each person, what is kept also tells who was sent before, and has to be taken out.
        each = bool(self._by_person) or not CONSENTS.keys().isdisjoint(row.fields)
        remembered = [(match_key, match), *others] if each else others
        return Person(
            key=row.key,
            message=_member([(match_key, match), *others]) | self._own_consent,
            external_id=kept(remembered, row.external_id, lasting=_KINDS),
        )

    def known(self, match_value: str, external_id: str | None, match_key: str) -> list[Identifier]:
        """All identifiers that somebody was ever put in with."""
        return self._with_match(match_value, match_key, identifiers_in(external_id))

    def current(self, match_value: str, external_id: str | None, match_key: str) -> list[Identifier]:
        """Those that somebody was put in with last."""
        return self._with_match(match_value, match_key, current_in(external_id))

    def _with_match(self, match_value: str, match_key: str, others: Sequence[Identifier]) -> list[Identifier]:
        match = self.rules[match_key](match_value)
        known = [(match_key, match)] if match else []
        return known + [one for one in others if one not in known]

    def leaving(self, row: DeliveryRow, match_key: str, staying: Collection[str] = ()) -> Iterator[Message]:
        """Members that take somebody out by all identifiers that they were ever put in with, and nobody has who stays.

        Args:
            row: The row.
            match_key: The field of its match value.
            staying: Names of people who stay.
        """
        known = [one for one in self.known(row.match_value, row.external_id, match_key) if name_of(one) not in staying]
        for start in range(0, len(known), MOST_IDENTIFIERS):
            yield _member(known[start : start + MOST_IDENTIFIERS])

    @property
    def consent(self) -> dict[str, object]:
        """Consent of everybody in a request, as far as the settings speak for all."""
        granted = {theirs: "CONSENT_GRANTED" for ours, theirs in CONSENTS.items() if self._of(ours) == "granted"}
        return {"consent": granted} if granted else {}

    @property
    def _by_person(self) -> list[str]:
        return [name for name in CONSENTS if self._of(name) == "by_person"]

    def _of(self, name: str) -> str:
        return str(getattr(self.settings, name))

    @property
    def _own_consent(self) -> Message:
        """Consent of one person, which takes the place of the request's: both parts, or none."""
        return {"consent": dict.fromkeys(CONSENTS.values(), "CONSENT_GRANTED")} if self._by_person else {}

    def _refusal(self, fields: Mapping[str, FieldValue]) -> Outcome | None:
        """The outcome of somebody who has not consented: nothing about them is sent."""
        for name in CONSENTS:
            says = _SAYS.get(text_value(fields.get(name)).strip().lower())
            if says is False:
                return suppressed("consent_denied", f"The person has denied {name}.")
            if says is None and name in self._by_person:
                return suppressed("no_consent", f"Field {name} does not say that the person consented.")
        return None

    def _identifiers(self, fields: Mapping[str, FieldValue]) -> list[Identifier]:
        # A value that is hashed already stays as it is; nothing leaves that has not been through its rule.
        values = {
            name: rule(text_value(fields[name]))
            for name, rule in self.rules.items()
            if fields.get(name) not in (None, "")
        }
        found = [(kind, value) for kind in ("email", "phone") if (value := values.get(kind))]
        address = [values.get(part) for part in _PARTS]
        if all(address):
            found.append((_ADDRESS, "|".join(part.replace("|", " ") for part in address if part)))
        return found


def rules_of(phone_country: str | None) -> dict[str, HashRule]:
    """What becomes of the values of each field that is or helps an identifier."""
    return {
        "email": sha256_of(normalising.email_address),
        "phone": sha256_of(phone_number(phone_country)),
        "given_name": sha256_of(normalising.given_name),
        "family_name": sha256_of(normalising.family_name),
        "region_code": normalising.region_code,
        "postal_code": normalising.postal_code,
    }


def fields_of(phone_country: str | None) -> tuple[DestinationField, ...]:
    """Fields that can be mapped."""
    rules = rules_of(phone_country)
    return (
        DestinationField(name="email", description="E-mail address.", hashed=rules["email"]),
        DestinationField(name="phone", description="Phone number with calling code.", hashed=rules["phone"]),
        DestinationField(name="given_name", description="First name.", hashed=rules["given_name"]),
        DestinationField(name="family_name", description="Last name.", hashed=rules["family_name"]),
        DestinationField(name="region_code", description="Country; Google takes it as it is, not hashed."),
        DestinationField(name="postal_code", description="Postal code; Google takes it as it is, not hashed."),
        DestinationField(name="ad_user_data", description="Whether the person's data may go to Google for ads."),
        DestinationField(name="ad_personalization", description="Whether the person may get personalised ads."),
    )


def _member(identifiers: Sequence[Identifier]) -> Message:
    return {"userData": {"userIdentifiers": [_identifier(kind, value) for kind, value in identifiers]}}


def _identifier(kind: str, value: str) -> Message:
    if kind == "email":
        return {"emailAddress": value}
    if kind == "phone":
        return {"phoneNumber": value}
    names = ("givenName", "familyName", "regionCode", "postalCode")
    return {"address": dict(zip(names, value.split("|"), strict=True))}
