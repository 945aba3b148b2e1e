"""User lists and who is in them; both of Google's APIs speak about the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from millstream.sandbox.company import Company
from millstream.sandbox.draws import cut, draw, share, topic
from millstream.sandbox.google_ads_customer_match.accounts import ACCOUNT_NOT_ALLOWED, CLIENT_ACCOUNT, OWN_ACCOUNT
from millstream.sandbox.hashed_audience import HashedAudience
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject

NEWSLETTER_LIST = 800000101
CLIENT_LIST = 800000102
APP_LIST = 800000103
OWN_ID_LIST = 800000104
WEBSITE_LIST = 800000105
NOT_ALLOWED_LIST = 800000106
FIRST_NEW_ID = 800001001

CONTACT_ID, MOBILE_ID, USER_ID = "CONTACT_ID", "MOBILE_ID", "USER_ID"
UPLOAD_KEY_TYPES = (CONTACT_ID, MOBILE_ID, USER_ID)
STRONGEST = ("emailAddress", "phoneNumber", "address", "mobileId", "userId")
LONGEST_DAYS = 540

MEMBER = topic(800)
MEMBER_CUT = cut(0.40)
# Only the first people of the company are members from the start, so that a large company costs nothing.
MOST_OLD_MEMBERS = 1000
SHOWN_FROM = 1000


@dataclass(slots=True)
class UserList:
    """One list. `key_type` says what its members are told by; None for a list that nobody uploads to."""

    list_id: int
    account: str
    name: str
    key_type: str | None = CONTACT_ID
    description: str = ""
    days: int = LONGEST_DAYS
    is_open: bool = True
    integration_code: str = ""
    app_id: str = ""
    members: HashedAudience = field(default_factory=lambda: HashedAudience(STRONGEST))

    @property
    def size(self) -> int:
        """How many the vendor shows: round numbers, and nothing below a thousand."""
        count = len(self.members)
        return count // 100 * 100 if count >= SHOWN_FROM else 0


class UserLists:
    """All lists of all accounts."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.reset()

    def reset(self) -> None:
        """Put everything back to the start."""
        self._next_id = FIRST_NEW_ID
        self._lists = {one.list_id: one for one in _old_lists()}
        self._old_members_missing = True

    def of_account(self, account: str) -> list[UserList]:
        """Lists of one account, in the order of their ids."""
        return [one for one in self._all().values() if one.account == account]

    def get(self, account: str, list_id: str) -> UserList | None:
        """A list of an account by its id."""
        found = self._all().get(int(list_id)) if list_id.isascii() and list_id.isdigit() else None
        return found if found is not None and found.account == account else None

    def is_taken(self, account: str, name: str, besides: UserList | None = None) -> bool:
        """Whether another list of the account has this name."""
        return any(one.name == name for one in self.of_account(account) if one is not besides)

    def create(self, account: str, name: str, key_type: str) -> UserList:
        """A new list."""
        made = UserList(self._next_id, account, name, key_type)
        self._next_id += 1
        self._lists[made.list_id] = made
        return made

    def delete(self, user_list: UserList) -> None:
        """Drop a list with all members."""
        del self._lists[user_list.list_id]

    def state(self) -> JsonObject:
        """What tests see: the members' keys, which the vendor shows to nobody."""
        audiences: JsonObject = {
            str(one.list_id): {"name": one.name, "account_id": one.account, "members": list(one.members.rows())}
            for one in self._all().values()
        }
        return {"audiences": audiences}

    def _all(self) -> dict[int, UserList]:
        if self._old_members_missing:
            self._old_members_missing = False
            for person in self._old_members():
                phone = () if person.phone is None else (("phoneNumber", _hash(person.phone)),)
                for list_id in (NEWSLETTER_LIST, CLIENT_LIST):
                    self._lists[list_id].members.add((("emailAddress", _hash(person.email)), *phone))
                if person.customer_id is not None:
                    self._lists[OWN_ID_LIST].members.add((("userId", person.customer_id),))
        return self._lists

    def _old_members(self) -> Iterator[Person]:
        for index in range(min(self._company.people, MOST_OLD_MEMBERS)):
            if share(draw(self._company.base(index), MEMBER), 0) < MEMBER_CUT:
                yield self._company.original(index)


def _old_lists() -> tuple[UserList, ...]:
    return (
        UserList(NEWSLETTER_LIST, OWN_ACCOUNT, "Newsletter readers"),
        UserList(CLIENT_LIST, CLIENT_ACCOUNT, "Outlet customers"),
        UserList(APP_LIST, OWN_ACCOUNT, "App users", MOBILE_ID, app_id="com.example.shop"),
        UserList(OWN_ID_LIST, OWN_ACCOUNT, "Customer ids", USER_ID),
        UserList(WEBSITE_LIST, OWN_ACCOUNT, "All visitors", None),
        UserList(NOT_ALLOWED_LIST, ACCOUNT_NOT_ALLOWED, "Players"),
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
