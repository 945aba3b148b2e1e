"""What a destination declares, and the few methods it codes. The engine (``delivery.py``) does the rest.

Every method that writes takes a batch and gives one outcome for each row, in the same order. It may raise what
the session raises: the engine then halves a refused batch, retries later, or stops the sync.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from requests.auth import AuthBase

from millstream.destinations.http import Http
from millstream.destinations.modes import Operation, Status, SyncMode
from millstream.state.errors import MillstreamError
from millstream.state.http import Answer, RateLimit

FieldType = Literal["text", "number", "boolean", "date", "timestamp"]
FieldValue = str | float | int | bool | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a row, in the vendor's words.

    Attributes:
        status: See ``Status``.
        code: The vendor's code, or ours in lower case, for a row that was not accepted.
        reason: Why, in words without personal data in clear.
        fault: Who has to act: ``data`` (the row), ``vendor``, ``configuration``.
        external_id: The vendor's id of the person, where it gave one; kept and given back with later rows.
    """

    status: Status
    code: str | None = None
    reason: str | None = None
    fault: Literal["data", "vendor", "configuration"] | None = None
    external_id: str | None = None


def accepted(external_id: str | None = None) -> Outcome:
    """The vendor took the row."""
    return Outcome(status=Status.ACCEPTED, external_id=external_id)


def rejected(code: str, reason: str, *, fault: Literal["data", "vendor", "configuration"] = "data") -> Outcome:
    """The vendor refused the row."""
    return Outcome(status=Status.REJECTED, code=code, reason=reason, fault=fault)


def suppressed(code: str, reason: str) -> Outcome:
    """The vendor may not address this person: unsubscribed, bounced, erased."""
    return Outcome(status=Status.SUPPRESSED, code=code, reason=reason)


def retry_later(code: str, reason: str) -> Outcome:
    """The row was not sent, or may be sent again: a later run does."""
    return Outcome(status=Status.RETRY_LATER, code=code, reason=reason, fault="vendor")


@dataclass(frozen=True, kw_only=True)
class DeliveryRow:
    """One person on the way to a destination.

    Attributes:
        number: The row's number in its plan.
        match_value: Value of the match key, normalised (an e-mail address in lower case).
        fields: Values by destination field; a field that is absent is left alone, None clears it.
        external_id: The vendor's id from an earlier acknowledgement, if there was one.
    """

    number: int
    match_value: str
    fields: Mapping[str, FieldValue]
    external_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class DestinationField:
    """A field that people have at the destination.

    Attributes:
        name: The vendor's name.
        type: What its values are; the engine renders numbers, dates and booleans as text where ``text`` is asked.
        description: What it holds.
        required: A row without it is rejected before it is sent.
        max_length: Longest text the vendor takes.
    """

    name: str
    type: FieldType = "text"
    description: str = ""
    required: bool = False
    max_length: int | None = None


class DestinationSettings(BaseModel):
    """Settings every destination has. Connectors add their own, each described, secrets as ``SecretStr``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(description="Root of the API: the vendor, a regional host, a proxy or the sandbox.")


SettingsT = TypeVar("SettingsT", bound=DestinationSettings)


class Destination(ABC, Generic[SettingsT]):
    """A system to keep in step.

    Class attributes:
        name, title, docs_url, api_version, Settings, rate_limit: As for a source.
        match_keys: Fields by which the vendor finds a person; the first is the default.
        modes: Sync modes it supports.
        fields: The vendor's standard fields.
        custom_fields: Whether fields beyond ``fields`` may be mapped.
        batch_size: Most rows in one ``upsert`` or ``update``.
        membership_batch_size: Most rows in one ``add_members`` or ``remove_members``.
        idempotent: Operations that may be sent again when nobody knows whether they were carried out.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    docs_url: ClassVar[str]
    api_version: ClassVar[str]
    Settings: ClassVar[type[DestinationSettings]]
    rate_limit: ClassVar[RateLimit]
    match_keys: ClassVar[tuple[str, ...]]
    modes: ClassVar[frozenset[SyncMode]]
    fields: ClassVar[tuple[DestinationField, ...]]
    custom_fields: ClassVar[bool] = False
    batch_size: ClassVar[int]
    membership_batch_size: ClassVar[int]
    idempotent: ClassVar[frozenset[Operation]]

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings
        self._http: Http | None = None
        self._making_http = threading.Lock()

    @property
    def http(self) -> Http:
        """The engine's HTTP, made on first use; threads may share it."""
        with self._making_http:
            if self._http is None:
                self._http = Http(
                    system=self.name,
                    base_url=self.settings.base_url,
                    auth=self.auth(),
                    limit=self.pace(),
                    classify=self.classify,
                )
            return self._http

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._http.calls if self._http else 0

    @abstractmethod
    def auth(self) -> AuthBase:
        """The credential, as something that signs requests."""

    def pace(self) -> RateLimit:
        """The limits to keep; a connector whose settings carry the account's plan changes the declared ones."""
        return self.rate_limit

    @abstractmethod
    def probe(self) -> None:
        """Make one cheap request that needs the credential; raise what the session raises."""

    @abstractmethod
    def ensure_audience(self, audience: str) -> str:
        """The vendor's id of the audience (list, tag) with this name; made when missing."""

    @abstractmethod
    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create people or change their fields."""

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change fields of people who are there; needed for the mode ``update``. Never creates one."""
        raise MillstreamError(f"{self.title} cannot update without creating.", where=f"destination {self.name}")

    @abstractmethod
    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Put people who are there into an audience; ``external_id`` is set where ``upsert`` gave one."""

    @abstractmethod
    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Take people out of an audience, by what was acknowledged. Someone who is not in it counts as out.

        It must not unsubscribe or delete anyone.
        """

    def read_back(self, audience_id: str) -> Iterator[str]:
        """Match values (or external ids) of an audience's members as the vendor has them now."""
        raise MillstreamError(f"{self.title} cannot be read back.", where=f"destination {self.name}")

    def erase(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Delete people at the vendor for good, where its API can."""
        raise MillstreamError(
            f"{self.title} has no erasure by API.",
            where=f"destination {self.name}",
            remedy=f"erase by hand, see {self.docs_url}",
        )

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The connector's own reading of an answer; None leaves it to the usual meaning of the HTTP status."""
        return None
