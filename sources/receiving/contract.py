"""What a source declares to be sent messages. The server, the spool and back-pressure exist once, beside this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from millstream.state.project_root import at_project_root


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A request that was read whole.

    Attributes:
        method: As ``POST``.
        path: As ``/v1/track``.
        headers: By name in small letters.
        body: As it was sent, but unpacked.
        received_at: When its first byte was looked at.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True)
class Message:
    """What is kept of a request, and read by the streams that ask for its kind.

    Attributes:
        kind: One word in small letters.
        record: What JSON can hold; ``received_at`` in ISO 8601 is how backfills find it.
    """

    kind: str
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Taken:
    """What is made of a request.

    Attributes:
        messages: Are on the disk before it is answered.
        answer: The JSON of the answer, which has the status 200.
    """

    messages: tuple[Message, ...]
    answer: Mapping[str, object] = field(default_factory=lambda: {"success": True})


class RefusedRequestError(Exception):
    """A request of which nothing is kept.

    Attributes:
        status: HTTP status of the answer.
        reason: For whoever sent it; holds nothing of what was sent.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ReceiverSettings(BaseModel):
    """What every source that is sent messages can be told, to be mixed into its settings."""

    spool: str = Field(
        default=".millstream/spool",
        validate_default=True,
        description="Folder in which received messages wait for the next pull; its own for each source. A relative "
        "path starts at the project file's folder.",
    )
    spool_mb: int = Field(
        default=10_240, ge=1, description="Largest size of the spool: beyond it, senders are told to come later."
    )
    free_disk_mb: int = Field(
        default=1_024, ge=0, description="Free space on the spool's disk below which senders are told to come later."
    )
    request_kb: int = Field(default=500, ge=1, description="Largest request, unpacked.")
    keep_loaded_hours: float = Field(
        default=0, ge=0, description="How long messages stay in the spool after they were loaded, to be read again."
    )
    chunk_rows: int = Field(default=5_000, ge=1, description="Messages read at a time by a pull.")
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description="Web sites whose pages may send, as https://shop.example.com, or * for all; none when left out.",
    )

    @field_validator("spool")
    @classmethod
    def _from_the_project(cls, value: str, info: ValidationInfo) -> str:
        return at_project_root(value, info)

    @property
    def spool_folder(self) -> Path:
        """The folder of the spool."""
        return Path(self.spool)


class Receives(ABC):
    """A source that is sent messages, beside being a ``Source``.

    Class attributes:
        too_large: Status that answers a request over ``request_kb``; the vendor's own.
    """

    too_large: ClassVar[int] = 413

    @property
    @abstractmethod
    def reception(self) -> ReceiverSettings:
        """The settings of the receiver."""

    @abstractmethod
    def take(self, request: Incoming) -> Taken:
        """See who sent a request, and what in it is to be kept.

        Raises:
            RefusedRequestError: Nothing is: the sender is not known, or what was sent cannot be read.
        """

    @abstractmethod
    def check_reception(self) -> None:
        """See that somebody may send at all.

        Raises:
            ConfigurationError: No key or secret is set.
        """
