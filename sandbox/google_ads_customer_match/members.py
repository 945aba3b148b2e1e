"""Checks the members of a request; one that is wrong refuses all of them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

from millstream.sandbox.google_ads_customer_match.errors import Violation
from millstream.sandbox.google_ads_customer_match.requests import AddressInfo, AudienceMember, UserIdentifier
from millstream.sandbox.hashed_audience import Key
from millstream.sandbox.system import Call

MOST_MEMBERS = 10_000
MOST_IDENTIFIERS = 10
HASH_BYTES = 32
KINDS = ("user_data", "mobile_data", "user_id_data")

_REGION = re.compile(r"[A-Za-z]{2}")
_POSTAL_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,15}")
_DEVICE = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
TITLES = {
    "emailAddress": "Email",
    "phoneNumber": "Phone number",
    "givenName": "Given name",
    "familyName": "Family name",
}


class MemberCheck:
    """Reads members into keys and notes what is wrong with them.

    Attributes:
        rows: Keys of each member, in order; empty for one that is wrong.
        violations: What is wrong. The vendor points at a member, and at most at all of its identifiers.
    """

    def __init__(self, call: Call, encoding: str) -> None:
        self._call = call
        self._encoding = encoding
        self.rows: list[tuple[Key, ...]] = []
        self.violations: list[Violation] = []
        self._path = ""

    def read(self, members: Sequence[AudienceMember]) -> None:
        """Check the request's members."""
        if not members:
            self._note("audience_members", "REQUIRED_FIELD_MISSING")
        if len(members) > MOST_MEMBERS:
            self._note("audience_members", "TOO_MANY_AUDIENCE_MEMBERS", f"There are {len(members)} members.")
            return
        kinds = {kind for member in members for kind in KINDS if getattr(member, kind) is not None}
        if len(kinds) > 1:
            self._note("audience_members", "MULTIPLE_DATA_TYPES_NOT_ALLOWED")
        if "user_data" in kinds and self._encoding == "ENCODING_UNSPECIFIED":
            self._note("encoding", "REQUIRED_FIELD_MISSING", "User data needs an encoding.")
            return
        for number, member in enumerate(members):
            self._path = f"audience_members.audience_members[{number}]"
            self.rows.append(self._member(member))

    def _note(self, field: str, reason: str, description: str = "") -> None:
        self.violations.append(Violation(field, reason, description))

    def _member(self, member: AudienceMember) -> tuple[Key, ...]:
        before = len(self.violations)
        keys: list[Key] = []
        if member.user_data is not None:
            keys = self._user_data(member.user_data.user_identifiers)
        elif member.mobile_data is not None:
            keys = self._mobile_ids(member.mobile_data.mobile_ids)
        elif member.user_id_data is not None:
            keys = [("userId", member.user_id_data.user_id)] if member.user_id_data.user_id else []
            if not keys:
                self._note(f"{self._path}.user_id_data.user_id", "REQUIRED_FIELD_MISSING")
        else:
            self._note(self._path, "INVALID_AUDIENCE_MEMBER", "There is no data to tell the member by.")
        if len(self.violations) > before:
            return ()
        if self._call.refuses(keys[0][1]):
            self._note(self._path, "INVALID_AUDIENCE_MEMBER")
        return tuple(keys)

    def _user_data(self, identifiers: Sequence[UserIdentifier]) -> list[Key]:
        path = f"{self._path}.user_data.user_identifiers"
        if not identifiers:
            self._note(path, "NO_IDENTIFIERS_PROVIDED")
        if len(identifiers) > MOST_IDENTIFIERS:
            self._note(path, "TOO_MANY_USER_IDENTIFIERS", f"There are {len(identifiers)} identifiers.")
        keys: list[Key] = []
        for identifier in identifiers:
            if identifier.email_address is not None:
                keys.append(("emailAddress", self._hash("emailAddress", identifier.email_address, path)))
            elif identifier.phone_number is not None:
                keys.append(("phoneNumber", self._hash("phoneNumber", identifier.phone_number, path)))
            elif identifier.address is not None:
                keys.append(("address", self._address(identifier.address, path)))
            else:
                self._note(path, "REQUIRED_FIELD_MISSING", "An identifier is empty.")
        return keys

    def _address(self, address: AddressInfo, path: str) -> str:
        missing = [name for name, value in address.model_dump(by_alias=True).items() if not value]
        if missing:
            self._note(path, "REQUIRED_FIELD_MISSING", f"The address has no {', '.join(missing)}.")
            return ""
        if not _REGION.fullmatch(address.region_code):
            self._note(path, "INVALID_FORMAT", "The region code must be two letters, not hashed.")
        if not _POSTAL_CODE.fullmatch(address.postal_code):
            self._note(path, "INVALID_POSTAL_CODE", "The postal code must not be hashed.")
        given = self._hash("givenName", address.given_name, path)
        family = self._hash("familyName", address.family_name, path)
        return " ".join((given, family, address.region_code.upper(), address.postal_code))

    def _mobile_ids(self, mobile_ids: Sequence[str]) -> list[Key]:
        path = f"{self._path}.mobile_data.mobile_ids"
        if not mobile_ids:
            self._note(path, "NO_IDENTIFIERS_PROVIDED")
        if len(mobile_ids) > MOST_IDENTIFIERS:
            self._note(path, "TOO_MANY_USER_IDENTIFIERS", f"There are {len(mobile_ids)} ids.")
        if not all(_DEVICE.fullmatch(one) for one in mobile_ids):
            self._note(path, "INVALID_MOBILE_ID_FORMAT")
        return [("mobileId", one.lower()) for one in mobile_ids]

    def _hash(self, name: str, value: str, path: str) -> str:
        """The hash in hexadecimal digits, however it was encoded."""
        try:
            data = binascii.unhexlify(value) if self._encoding == "HEX" else base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            encoding, reason = ("hex", "HEX") if self._encoding == "HEX" else ("base64", "BASE64")
            self._note(path, f"INVALID_{reason}_ENCODING", f"{TITLES[name]} is not {encoding} encoded.")
            return ""
        if len(data) != HASH_BYTES:
            # The vendor says no more than that about a value that was encoded, but not hashed.
            self._note(self._path, "INVALID_SHA256_FORMAT")
        return data.hex()
