"""One organization: where its API is, what its objects look like to this user, and how much of its day is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.sources.salesforce.errors import classify
from millstream.state.errors import (
    MalformedAnswerError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
)
from millstream.state.vendors.salesforce import requests_used

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.salesforce.objects import SObject
    from millstream.sources.salesforce.settings import SalesforceSettings
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer

STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
"""Fields that say when a record last changed, the best one first: the system's own changes move it, too."""

_UNREADABLE = frozenset({"address", "location", "base64"})
"""Compound fields, whose parts are fields of their own, and files: a bulk job refuses them."""


@dataclass(frozen=True)
class Described:
    """What the user may see of an object.

    Attributes:
        api_name: The object.
        types: Readable fields and their types in Salesforce's words.
        stamp: The field by which changes are found; None: the object has none and is read whole.
    """

    api_name: str
    types: Mapping[str, str]
    stamp: str | None


class Org:
    """Asks for descriptions once a pull, and counts the organization's requests as Salesforce does.

    Attributes:
        settings: Of the connection.
        root: Where the API of the settings' version is.
        objects: Those that are read anyway, in the order of their streams.
        begun: Notes of bulk jobs of objects whose streams come later, by API name.
    """

    def __init__(self, settings: SalesforceSettings, objects: Iterable[SObject]) -> None:
        self.settings = settings
        self.root = f"services/data/v{settings.version}"
        self.begun: dict[str, MutableMapping[str, Any]] = {}
        self.objects = tuple(objects)
        self._described: dict[str, Described] = {}
        self._used, self._allowed = 0, 0

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The error of an answer; takes over what its head says of the day's requests."""
        usage = requests_used(answer)
        if usage:
            self._used, self._allowed = usage
        return classify(answer)

    def check_budget(self, rows_left: int = 0, rows_a_request: int = 1) -> None:
        """End the pull where the share of the day's requests that it may use is used.

        Args:
            rows_left: Rows still to read, for saying how long it will take; 0: nobody knows yet.
            rows_a_request: How many of them a request brings.

        Raises:
            QuotaExhaustedError: It is; the message says when the rest can be there.
        """
        allowed = int(self._allowed * self.settings.quota_share)
        if not self._allowed or self._used < allowed:
            return
        needed = -(-rows_left // max(1, rows_a_request))
        days = max(1, -(-needed // max(1, allowed)))
        when = f" {rows_left} rows are left, which need {needed} requests: they can be here in {_days(days)}."
        raise QuotaExhaustedError(
            f"{self._used} of the organization's {self._allowed} requests of the last 24 hours are used, and "
            f"quota_share leaves the rest to others.{when if rows_left else ''}",
            remedy="run again tomorrow, what was read so far is kept; or raise quota_share.",
        )

    def describe(self, pull: Pull, api_name: str) -> Described:
        """What the user may see of an object.

        Raises:
            PermissionDeniedError: Nothing: it is hidden from the user, or not there.
        """
        if api_name not in self._described:
            self._described[api_name] = self._describe(pull, api_name)
        return self._described[api_name]

    def _describe(self, pull: Pull, api_name: str) -> Described:
        path = f"{self.root}/sobjects/{api_name}/describe"
        try:
            body = pull.get(path)
        except NotFoundError as error:
            raise PermissionDeniedError(
                f"Salesforce shows no object {api_name} to this user.",
                remedy="give the user read access to it (profile or permission set), check its API name, or leave "
                "the stream out.",
            ) from error
        fields = body.get("fields") if isinstance(body, dict) else None
        if not isinstance(fields, list):
            raise MalformedAnswerError(
                f"GET {path} answered without a list of fields.", remedy="check the base_url of the connection."
            )
        types = _readable(fields)
        return Described(api_name, types, next((name for name in STAMPS if name in types), None))


def _days(number: int) -> str:
    return "a day" if number == 1 else f"{number} days"


def _readable(fields: list[Mapping[str, Any]]) -> dict[str, str]:
    return {
        str(one.get("name")): str(one.get("type"))
        for one in fields
        if one.get("name") and one.get("type") not in _UNREADABLE
    }
