"""Attributes objects: what they must be, and what they do to a profile."""

from __future__ import annotations

import re
from dataclasses import dataclass

from millstream.sandbox.braze.consent import Consent, is_email_state
from millstream.sandbox.braze.errors import ObjectRefused
from millstream.sandbox.braze.people import GROUPS, SUBSCRIBED, UNSUBSCRIBED
from millstream.sandbox.braze.profiles import Profile, Profiles
from millstream.sandbox.system import JsonObject

LONGEST_TEXT, LONGEST_ARRAY, LONGEST_ID = 255, 500, 987
IDENTIFIERS = ("external_id", "braze_id", "user_alias")
CONTROLS = {*IDENTIFIERS, "_update_existing_only", "_merge_objects", "push_token_import", "app_id"}
TEXTS = {"first_name", "last_name", "email", "phone", "home_city", "country", "language", "time_zone", "dob", "gender",
         "image_url"}  # fmt: skip
STATES = {"email_subscribe", "push_subscribe", "subscription_groups"}
GENDERS = {"M", "F", "O", "N", "P"}
ADDRESS = re.compile(r"[^@\s,;<>\"'()]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
OPERATIONS = {"add", "remove", "$add", "$remove", "inc"}


@dataclass(slots=True)
class Definition:
    """What the workspace knows of a custom attribute. A forced type drops values of another one."""

    name: str
    kind: str
    status: str = "Active"
    forced: bool = False


def check_identity(given: object) -> JsonObject:
    """The object itself; refused where nothing in it says who is meant, or too much does."""
    if not isinstance(given, dict):
        raise ObjectRefused("Each element must be an object")
    named = [name for name in IDENTIFIERS if given.get(name) is not None]
    if len(named) > 1:
        raise ObjectRefused(f"Only one of {' and '.join(repr(name) for name in named)} may be given")
    if not named and not given.get("email") and not given.get("phone"):
        raise ObjectRefused("'external_id', 'braze_id', 'user_alias', 'email', or 'phone' is required")
    for name in named:
        if name == "user_alias":
            _check_alias(given[name])
        elif not isinstance(given[name], str) or not 0 < len(given[name].encode()) <= LONGEST_ID:
            raise ObjectRefused(f"'{name}' must be a string of at most {LONGEST_ID} bytes")
    if not named and not given.get("email") and not NUMBER.fullmatch(str(given.get("phone"))):
        raise ObjectRefused("'phone' must be a valid E.164 phone number")
    return {str(key): value for key, value in given.items()}


def _check_alias(alias: object) -> None:
    if not isinstance(alias, dict) or not all(
        isinstance(alias.get(name), str) and alias[name] for name in ("alias_name", "alias_label")
    ):
        raise ObjectRefused("'user_alias' must have an 'alias_name' and an 'alias_label'")


def check_attributes(given: object) -> JsonObject:
    """An attributes object whose values can be taken."""
    row = check_identity(given)
    for name, value in row.items():
        if name in CONTROLS or value is None:
            continue
        if name in TEXTS:
            _check_text(name, value)
        elif name in STATES:
            _check_state(name, value)
        else:
            _check_custom(name, value)
    return row


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ObjectRefused(f"'{name}' must be a string")
    if name == "email" and (not ADDRESS.fullmatch(value) or ".." in value):
        raise ObjectRefused("'email' is not a valid email address")
    if name == "dob" and not _DAY.fullmatch(value):
        raise ObjectRefused("'dob' must be a date in the format YYYY-MM-DD")
    if name == "gender" and value not in GENDERS:
        raise ObjectRefused("'gender' must be one of M, F, O, N, P")
    if name == "country" and not (len(value) == 2 and value.isalpha()):
        raise ObjectRefused("'country' must be an ISO-3166-1 alpha-2 code")


def _check_state(name: str, value: object) -> None:
    if name != "subscription_groups":
        if not is_email_state(value):
            raise ObjectRefused(f"'{name}' must be one of opted_in, subscribed, unsubscribed")
        return
    rows = value if isinstance(value, list) else [None]
    for one in rows:
        if not isinstance(one, dict) or str(one.get("subscription_group_id")) not in GROUPS:
            raise ObjectRefused("'subscription_groups' must name subscription groups of the workspace")
        if str(one.get("subscription_state")) not in {SUBSCRIBED, UNSUBSCRIBED}:
            raise ObjectRefused("'subscription_state' must be subscribed or unsubscribed")


def _check_custom(name: str, value: object) -> None:
    if name.startswith("$") or not 0 < len(name) <= LONGEST_TEXT:
        raise ObjectRefused(f"'{name[:40]}' is not a valid custom attribute name")
    if isinstance(value, list) and not all(isinstance(one, str | dict) for one in value):
        raise ObjectRefused(f"Elements of the array '{name}' must be strings or objects")
    if isinstance(value, dict):
        for operation in OPERATIONS & value.keys():
            operand = value[operation]
            if operation == "inc":
                if isinstance(operand, bool) or not isinstance(operand, int):
                    raise ObjectRefused(f"'inc' of '{name}' must be an integer")
            elif not isinstance(operand, list):
                raise ObjectRefused(f"'{operation}' of '{name}' must be an array")


class Attributes:
    """Writes attributes objects to profiles, and keeps the catalogue of custom attributes."""

    def __init__(self, profiles: Profiles, consent: Consent) -> None:
        self._profiles = profiles
        self._consent = consent
        self.reset()

    def reset(self) -> None:
        """Back to the attributes the workspace had before any sync."""
        self.catalogue = {
            one.name: one
            for one in (
                Definition("interests", "Array"),
                Definition("legacy_score", "Number", "Blocklisted"),
                Definition("loyalty_points", "Number", forced=True),
                Definition("vip", "Boolean"),
            )
        }

    def find(self, row: JsonObject) -> Profile | None:
        """Whom an object means. Of many with one address it is the one written last, identified ones first."""
        alias = row.get("user_alias")
        if row.get("external_id") is not None:
            return self._profiles.by_external_id(str(row["external_id"]))
        if row.get("braze_id") is not None:
            return self._profiles.by_braze_id(str(row["braze_id"]))
        if isinstance(alias, dict):
            return self._profiles.by_alias(str(alias["alias_label"]), str(alias["alias_name"]))
        email, phone = row.get("email"), row.get("phone")
        found = self._profiles.all_by_email(str(email)) if email else self._profiles.all_by_phone(str(phone))
        return max(found, key=lambda one: (one.external_id is not None, one.updated), default=None)

    def find_or_make(self, row: JsonObject) -> Profile | None:
        """Whom an object means, made where the object allows it; an object by alias does so only when told."""
        found = self.find(row)
        if found is not None:
            return found
        alias = row.get("user_alias")
        if row.get("_update_existing_only", alias is not None) or row.get("braze_id") is not None:
            return None
        made = self._profiles.create()
        if row.get("external_id") is not None:
            made.external_id = str(row["external_id"])
        elif isinstance(alias, dict):
            made.aliases[str(alias["alias_label"])] = str(alias["alias_name"])
        elif not row.get("email"):
            made.standard["phone"] = row["phone"]
        return made

    def write(self, row: JsonObject) -> None:
        """Do what an attributes object says."""
        profile = self.find_or_make(row)
        if profile is None:
            return
        if "email" in row:
            email = row["email"]
            self._consent.take_address(profile, None if email is None else str(email))
        merge = row.get("_merge_objects") is True
        for name, value in row.items():
            if name in CONTROLS | STATES or name == "email":
                continue
            if name in TEXTS:
                _put(profile.standard, name, value)
            else:
                self._write_custom(profile, name, value, merge=merge)
        self._profiles.keep(profile)
        self._write_states(profile, row)

    def _write_states(self, profile: Profile, row: JsonObject) -> None:
        state, push, groups = row.get("email_subscribe"), row.get("push_subscribe"), row.get("subscription_groups")
        if isinstance(state, str):
            self._consent.set_email_state(profile, state)
        if isinstance(push, str):
            profile.push_state = push
        for one in groups if isinstance(groups, list) else []:
            self._consent.set_group(profile, one["subscription_group_id"], one["subscription_state"])

    def _write_custom(self, profile: Profile, name: str, value: object, *, merge: bool) -> None:
        known = self.catalogue.get(name)
        # What is on the blocklist, or of another type than the forced one, is dropped without a word.
        if known is not None and (known.status == "Blocklisted" or (known.forced and _kind(value) != known.kind)):
            return
        if known is None and value is not None:
            self.catalogue[name] = Definition(name, _kind(value))
        before = profile.custom.get(name)
        _put(profile.custom, name, _changed(before, value, merge=merge))


def _put(values: dict[str, object], name: str, value: object) -> None:
    if value is None:
        values.pop(name, None)
    else:
        values[name] = value[:LONGEST_TEXT] if isinstance(value, str) else value


def _changed(before: object, value: object, *, merge: bool) -> object:
    """What an attribute is after a write: arrays and numbers can be changed in place, objects merged."""
    if isinstance(value, list):
        return value[-LONGEST_ARRAY:]
    if not isinstance(value, dict):
        return value
    if not OPERATIONS & value.keys():
        return {**before, **value} if merge and isinstance(before, dict) else value
    if "inc" in value:
        return (before if isinstance(before, int | float) else 0) + value["inc"]
    elements = list(before) if isinstance(before, list) else []
    for one in (*value.get("add", ()), *value.get("$add", ())):
        if one not in elements:
            elements.append(one)
    for one in (*value.get("remove", ()), *value.get("$remove", ())):
        elements = [element for element in elements if not _is_meant(element, one)]
    return elements[-LONGEST_ARRAY:]


def _is_meant(element: object, removed: object) -> bool:
    if isinstance(element, dict) and isinstance(removed, dict) and "$identifier_key" in removed:
        return element.get(removed["$identifier_key"]) == removed.get("$identifier_value")
    return element == removed


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, int | float) or (isinstance(value, dict) and "inc" in value):
        return "Number"
    if isinstance(value, list) or (isinstance(value, dict) and OPERATIONS & value.keys()):
        return "Array"
    return "Object" if isinstance(value, dict) else "String"
