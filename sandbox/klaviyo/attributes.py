"""What a client may say about a profile: checks on arrival, and how it changes the profile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.klaviyo.people import Profile
from millstream.sandbox.klaviyo.register import IDENTIFIERS
from millstream.sandbox.system import JsonObject

FIELDS = ("first_name", "last_name", "organization", "locale", "title", "image")
_EMAIL = re.compile(r"[^@\s,;<>()\"']+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z]{4})?([-_]([A-Za-z]{2}|\d{3}))?")


class Location(BaseModel):
    """Where somebody lives."""

    model_config = ConfigDict(extra="forbid")

    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    country: str | None = None
    latitude: str | float | None = None
    longitude: str | float | None = None
    region: str | None = None
    zip: str | None = None
    timezone: str | None = None
    ip: str | None = None


class Attributes(BaseModel):
    """Attributes of a profile as every write takes them."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    email: str | None = None
    phone_number: str | None = None
    external_id: str | None = None
    kx: str | None = Field(None, alias="_kx")
    first_name: str | None = None
    last_name: str | None = None
    organization: str | None = None
    locale: str | None = None
    title: str | None = None
    image: str | None = None
    location: Location | None = None
    properties: dict[str, object] | None = None

    @property
    def identifiers(self) -> dict[str, str]:
        """The identifiers that were given."""
        given = {kind: getattr(self, kind) for kind in IDENTIFIERS}
        return {kind: value for kind, value in given.items() if value}


class PatchProperties(BaseModel):
    """Changes to properties that are there already."""

    model_config = ConfigDict(extra="forbid")

    append: dict[str, object] = Field(default_factory=dict)
    unappend: dict[str, object] = Field(default_factory=dict)
    unset: str | list[str] = Field(default_factory=list)


class ProfileMeta(BaseModel):
    """`meta` of a profile."""

    model_config = ConfigDict(extra="forbid")

    patch_properties: PatchProperties | None = None


class ProfileRow(BaseModel):
    """A profile as a client sends it."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["profile"]
    id: str | None = None
    attributes: Attributes
    meta: ProfileMeta | None = None

    @property
    def key(self) -> str:
        """What names the row in a fault that refuses rows."""
        return next(iter(self.attributes.identifiers.values()), self.id or "").lower()


def is_email(value: str) -> bool:
    """Whether this is an address that the vendor accepts: no spaces around it, either."""
    return _EMAIL.fullmatch(value) is not None and ".." not in value


def is_phone(value: str) -> bool:
    """Whether this is a number in E.164."""
    return _PHONE.fullmatch(value) is not None


def mistakes(row: ProfileRow, pointer: str, *, needs_identifier: bool = True) -> Iterator[tuple[str, str]]:
    """What is wrong with the values of a row: (pointer, what)."""
    given = row.attributes
    if given.email is not None and not is_email(given.email):
        yield f"{pointer}/attributes/email", f"'{given.email}' is not a valid email address."
    if given.phone_number is not None and not is_phone(given.phone_number):
        yield f"{pointer}/attributes/phone_number", "Invalid phone number format; use E.164, such as +12345678901."
    if given.locale is not None and not _LOCALE.fullmatch(given.locale):
        yield f"{pointer}/attributes/locale", f"'{given.locale}' is not a valid locale."
    if needs_identifier and not given.identifiers and row.id is None and given.kx is None:
        yield f"{pointer}/attributes/", "One or more identifiers is required: email, phone_number or external_id."


def apply(profile: Profile, row: ProfileRow, *, null_clears: bool) -> None:
    """Change a profile. What is not given stays; a null clears, or is passed over (in bulk imports)."""
    given = row.attributes
    changes = given.model_dump(include=given.model_fields_set & {*IDENTIFIERS, *FIELDS})
    for name, value in changes.items():
        target: dict[str, object] = profile.fields
        if name in IDENTIFIERS:
            target = profile.identifiers  # type: ignore[assignment]
        _set(target, name, value, null_clears=null_clears)
    if given.location is not None:
        for name, value in given.location.model_dump(include=given.location.model_fields_set).items():
            _set(profile.location, name, value, null_clears=null_clears)
    elif "location" in given.model_fields_set and null_clears:
        profile.location.clear()
    for name, value in (given.properties or {}).items():
        _set(profile.properties, name, value, null_clears=null_clears)
    if row.meta is not None and row.meta.patch_properties is not None:
        _patch(profile.properties, row.meta.patch_properties)


def _set(target: dict[str, object], name: str, value: object, *, null_clears: bool) -> None:
    if value is not None:
        target[name] = value
    elif null_clears:
        target.pop(name, None)


def _patch(properties: JsonObject, patch: PatchProperties) -> None:
    for name in [patch.unset] if isinstance(patch.unset, str) else patch.unset:
        properties.pop(name, None)
    for name, value in patch.append.items():
        properties[name] = [*_as_list(properties.get(name)), *_as_list(value)]
    for name, value in patch.unappend.items():
        out = _as_list(value)
        properties[name] = [one for one in _as_list(properties.get(name)) if one not in out]


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]
