"""Users: who they are, how they can be reached, and which of it may tell who they are elsewhere."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Endpoint, Page, Row
from millstream.sources.zendesk.exports import Export, Exports, Read, in_parts
from millstream.sources.zendesk.paging import listed
from millstream.state.model.declarations import Identifier, People, Trait

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.zendesk.settings import ZendeskSettings

USER_ID = "zendesk_user_id"
"""Identifier kind of a user's id."""

END_USER = "end-user"
_PATH = "api/v2/incremental/users/cursor.json"
_COLUMNS = (
    Column("id", description="User id.", required=True),
    Column("name", description="Full name, as typed or as in the first message."),
    Column("email", description="Primary e-mail address."),
    Column("phone", description="Number as typed."),
    Column("shared_phone_number", "bool", "The number is of several users, so that it identifies nobody."),
    Column("own_phone", description="The number, where it is not shared."),
    Column("other_emails", description="Verified secondary addresses, a space between them.", optional=True),
    Column("unverified_emails", description="Secondary addresses nobody has confirmed.", optional=True),
    Column("other_phones", description="Further direct numbers, `;` between them.", optional=True),
    Column("identities", "json", "All identities with type, value, primary and verified.", optional=True),
    Column("external_id", description="The user's id in a system of the account's own."),
    Column("organization_id", description="The user's first organization."),
    Column("role", description="end-user, agent or admin."),
    Column("verified", "bool", "The primary address is confirmed.", optional=True),
    Column("suspended", "bool", "Shut out of support.", optional=True),
    Column("locale", description="Language, as en-US.", optional=True),
    Column("time_zone", optional=True),
    Column("tags", "json", optional=True),
    Column("user_fields", "json", "Fields of the account's own, by key.", optional=True),
    Column("created_at", "timestamp", required=True),
    Column("updated_at", "timestamp", required=True),
    Column("deleted", "bool", "Deleted, or merged into another user."),
    Column("is_no_customer", "bool", "Deleted, or a member of staff who is not to count as a person."),
)


def user_columns(settings: ZendeskSettings) -> tuple[Column, ...]:
    """The columns, with one for each user field that the settings name."""
    fields = (
        Column(field_column(key), description=f"User field {key}.", optional=True) for key in settings.user_fields
    )
    return (*_COLUMNS, *fields)


def field_column(key: str) -> str:
    """The column of a user field."""
    return "field_" + re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")


def user_people(settings: ZendeskSettings) -> People:
    """What a user says about a person."""
    external = settings.external_id
    return People(
        identifiers=(
            Identifier(kind="email", column="email"),
            Identifier(kind=USER_ID, column="id"),
            *((Identifier(kind=external, column="external_id"),) if external else ()),
            Identifier(kind="email", column="other_emails", split=" "),
            # Anybody may have typed these; they are kept beside the person without joining anything.
            Identifier(kind="email", column="unverified_emails", split=" ", merges=False),
            Identifier(kind="phone", column="own_phone"),
            Identifier(kind="phone", column="other_phones", split=";"),
            *(Identifier(kind=kind, column=field_column(key)) for key, kind in settings.identifiers.items()),
        ),
        traits=(
            Trait(name="full_name", column="name"),
            Trait(name="language", column="locale"),
            Trait(name="time_zone", column="time_zone"),
            Trait(name="support_suspended", column="suspended", type="boolean"),
            *(Trait(name=name, column=field_column(key)) for key, name in settings.traits.items()),
        ),
        observed_at="updated_at",
        deleted="is_no_customer",
    )


def user_export(settings: ZendeskSettings) -> Export:
    """The export of users, with their identities if they are to come along."""
    include = {"include": "identities"} if settings.identities == "sideloaded" else {}
    return Export(path=_PATH, records="users", at="updated_at", params=include)


def read_users(pull: Pull, exports: Exports, settings: ZendeskSettings) -> Iterator[Page]:
    """Pages of users as rows."""
    pages = exports.by_cursor(pull, user_export(settings))
    return in_parts(pull, map(partial(_rows, pull, settings), pages))


def _rows(pull: Pull, settings: ZendeskSettings, read: Read) -> Page:
    by_user: Mapping[Any, list[Mapping[str, Any]]] | None = None
    if settings.identities == "sideloaded":
        by_user = _sideloaded(pull, read)
    elif settings.identities == "asked":
        by_user = {user.get("id"): _asked(pull, user) for user in read.rows if _may_have_more(user)}
    return [shape_user(user, by_user.get(user.get("id"), ()) if by_user else (), settings) for user in read.rows]


def shape_user(user: Mapping[str, Any], identities: Any, settings: ZendeskSettings) -> Row:
    """A user as a row."""
    row = dict(user)  # what has no column is passed over
    is_shared = user.get("shared_phone_number") is True
    if "phone" in user:
        row["own_phone"] = None if is_shared else user["phone"]
    if "active" in user:
        row["deleted"] = user["active"] is False
        row["is_no_customer"] = row["deleted"] or (user.get("role") != END_USER and not settings.staff)
    row.update(_reached_by(user, identities))
    if fields := settings.user_fields:
        values = user.get("user_fields") or {}
        row.update((field_column(key), values.get(key)) for key in fields)
    return row


def _reached_by(user: Mapping[str, Any], identities: Any) -> Row:
    """The columns of the identities, which are empty where none is told."""
    main_email, main_phone = user.get("email"), user.get("phone")
    verified: list[str] = []
    unverified: list[str] = []
    phones, kept = [], []
    for one in identities:
        kind, value, is_verified = one.get("type"), one.get("value"), one.get("verified")
        kept.append({"type": kind, "value": value, "primary": one.get("primary"), "verified": is_verified})
        if kind == "email" and value != main_email:
            (verified if is_verified is True else unverified).append(value)
        elif kind == "phone_number" and value and value != main_phone:
            # A shared number may be listed as well: it is the one that the user's own field names.
            phones.append(value)
    return {
        "identities": kept,
        "other_emails": " ".join(verified) or None,
        "unverified_emails": " ".join(unverified) or None,
        "other_phones": ";".join(phones) or None,
    }


def _sideloaded(pull: Pull, read: Read) -> Mapping[Any, list[Mapping[str, Any]]]:
    found = read.body.get("identities")
    if not isinstance(found, list):
        if read.rows and not pull.warnings:
            pull.warn(
                "Zendesk did not send users' identities along, so secondary addresses and numbers are missing: "
                "set `identities: asked`, which costs a request a user, or `left_out`."
            )
        return {}
    by_user: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for one in found:
        by_user[one.get("user_id")].append(one)
    return by_user


def _may_have_more(user: Mapping[str, Any]) -> bool:
    """Deleted users have no identities left to ask for, and those of staff say nothing."""
    return user.get("active") is not False and user.get("role") == END_USER


def _asked(pull: Pull, user: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    endpoint = Endpoint(path=f"api/v2/users/{user.get('id')}/identities.json", records="identities")
    return [one for page in listed(pull, endpoint) for one in page]
