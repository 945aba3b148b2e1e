"""Accounts, and through which of them the caller may act for another."""

from __future__ import annotations

import re
from dataclasses import dataclass

from millstream.sandbox.google_ads_customer_match.errors import Violation, denied, violated

OWN_ACCOUNT = "1234567890"
MANAGER_ACCOUNT = "9998887770"
CLIENT_ACCOUNT = "2223334440"
PARTNER_ACCOUNT = "7770001110"
ACCOUNT_NOT_ALLOWED = "5550001110"

GOOGLE_ADS, DATA_PARTNER = "GOOGLE_ADS", "DATA_PARTNER"
NAMES = {OWN_ACCOUNT: "Example Shop", MANAGER_ACCOUNT: "Example Agency", CLIENT_ACCOUNT: "Example Outlet"}
NAMES[ACCOUNT_NOT_ALLOWED] = "Example Casino"

_RESOURCE = re.compile(r"accountTypes/(\w+)/accounts/(\d+)")


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a product."""

    kind: str
    number: str


OWN = frozenset({Account(GOOGLE_ADS, number) for number in (OWN_ACCOUNT, MANAGER_ACCOUNT, ACCOUNT_NOT_ALLOWED)})
PARTNER = Account(DATA_PARTNER, PARTNER_ACCOUNT)
# Which accounts a manager manages, and which ones have a link with a data partner.
CLIENTS = {Account(GOOGLE_ADS, MANAGER_ACCOUNT): {Account(GOOGLE_ADS, CLIENT_ACCOUNT)}}
LINKS = {PARTNER: {Account(GOOGLE_ADS, OWN_ACCOUNT)}}


def check_access(operating: Account, login: Account | None, linked: Account | None, field: str) -> None:
    """Whether the caller may work with an account; `field` is where a refusal points to."""
    login = login or operating
    if login not in OWN and login != PARTNER:
        raise denied("PERMISSION_DENIED", "The user does not have permission or the resource is not found.")
    if login == PARTNER:
        if linked is not None and linked not in LINKS[PARTNER]:
            raise denied("PERMISSION_DENIED", "There is no link between the login account and the linked account.")
        if operating not in LINKS[PARTNER]:
            raise denied("DATA_PARTNER_USER_LIST_MUTATE_NOT_ALLOWED", "The data partner has no access to the account.")
    elif operating != login and operating not in CLIENTS.get(login, set()):
        description = "The login account does not manage the operating account."
        raise violated([Violation(field, "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH", description)])
    if operating.number == ACCOUNT_NOT_ALLOWED:
        raise denied("NOT_ALLOWLISTED", "The account is not allowed to use Customer Match.")


def named(header: str, value: str | None) -> Account | None:
    """The account a header names, if it is there."""
    if not value:
        return None
    found = _RESOURCE.fullmatch(value)
    if found is None:
        raise violated([Violation(header, "INVALID_FORMAT", "Expected accountTypes/{type}/accounts/{id}.")])
    return Account(found[1], found[2])
