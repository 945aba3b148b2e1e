"""The attributes of a profile: what may be written, and how."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from millstream.destinations.contract import DestinationField, FieldValue
from millstream.destinations.rows import rfc3339, text_value
from millstream.state.errors import ConfigurationError

EMAIL = "email"
LONGEST = 255

STANDARD = (
    DestinationField(name="first_name", description="First name.", max_length=LONGEST),
    DestinationField(name="last_name", description="Last name.", max_length=LONGEST),
    DestinationField(name=EMAIL, description="E-mail address; see the docs for when it is written."),
    DestinationField(name="phone", description="Phone number in E.164."),
    DestinationField(name="country", description="Country, by ISO 3166-1 alpha-2."),
    DestinationField(name="home_city", description="City.", max_length=LONGEST),
    DestinationField(name="language", description="Language, by ISO 639-1."),
    DestinationField(name="gender", description="M, F, O, N or P."),
    DestinationField(name="dob", type="date", description="Date of birth as YYYY-MM-DD."),
    DestinationField(name="time_zone", description="Time zone, by its name in the IANA database."),
    DestinationField(name="image_url", description="Address of a picture."),
)
CONSENT = (
    "email_subscribe",
    "push_subscribe",
    "subscription_groups",
    "email_open_tracking_disabled",
    "email_click_tracking_disabled",
    "marked_email_as_spam_at",
    "push_tokens",
    "push_token_import",
)
_TEXTS = frozenset(field.name for field in STANDARD)
NO_FIELDS = frozenset({"external_id", "user_alias", "braze_id"})


def check_names(names: Sequence[str], audience_attribute: str | None) -> None:
    """Stop on names that mean something else to Braze than a field.

    Raises:
        ConfigurationError: There is one.
    """
    for name in names:
        if name in NO_FIELDS:
            raise ConfigurationError(
                f"{name!r} identifies a profile, and is no field of it.",
                where="braze",
                remedy="match by it, and take it out of the sync's fields.",
            )
        if name.startswith(("$", "_")) or len(name) > LONGEST:
            raise ConfigurationError(
                f"Braze takes no attribute {name[:40]!r}: names have at most {LONGEST} characters, and do not begin "
                "with a dollar sign; those with an underscore are its own.",
                where="braze",
            )
        if name == audience_attribute:
            raise ConfigurationError(
                f"{name!r} holds people's audiences, which a field would overwrite.",
                where="braze",
                remedy="give the audiences another attribute in audience_attribute, or map another field.",
            )


def rendered(fields: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Fields as Braze takes them: its own are texts, others keep their type; None takes one away."""
    return {
        name: rfc3339(value) if isinstance(value, str) else _plain(name, value)
        for name, value in fields.items()
        if not (isinstance(value, float) and not math.isfinite(value))
    }


def _plain(name: str, value: FieldValue) -> FieldValue:
    return text_value(value) if name in _TEXTS and value is not None else value
