"""Refresh tokens that a vendor replaces at each use (RFC 6749, 6; RFC 9700, 4.14): the newest one has to be kept."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import orjson
from pydantic import SecretStr

from millstream.state.errors import ConfigurationError

_log = logging.getLogger(__name__)


class KeptRefreshToken:
    """The newest refresh token of an account: the first one, or the one that the vendor gave last.

    The file is written before the new access token is used, so that a run that is killed leaves one that works. It
    belongs to one first token: another one in the settings begins anew.

    Args:
        first: The refresh token of the settings.
        file: Where the newest one is kept from run to run; None: only as long as this object lives.
    """

    def __init__(self, first: SecretStr, file: Path | None = None) -> None:
        self._newest = first
        self._file = file.expanduser() if file else None
        # A hash: whoever can read the file has one working token, not two.
        self._first = hashlib.sha256(first.get_secret_value().encode()).hexdigest()
        self._warned = False

    def value(self) -> str:
        """The token to use next, read anew each time: another run may have replaced it.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        if self._file is not None and self._file.exists():
            kept = self._read(self._file)
            if kept.get("first") == self._first:
                self._newest = SecretStr(str(kept["refresh_token"]))
        return self._newest.get_secret_value()

    def replace(self, answer: Mapping[str, object]) -> None:
        """Take over the refresh token of a token endpoint's answer, if there is a new one.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        new = answer.get("refresh_token")
        if not isinstance(new, str) or not new or new == self._newest.get_secret_value():
            return
        self._newest = SecretStr(new)
        if self._file is not None:
            self._write(self._file, new)
        elif not self._warned:
            self._warned = True
            _log.warning(
                "The vendor replaced the refresh token, and no file is named to keep the new one in: the next run "
                "may be refused. Set refresh_token_file, if the connection has it, or use another credential."
            )

    def _read(self, file: Path) -> Mapping[str, object]:
        try:
            kept = orjson.loads(file.read_bytes())
            if not isinstance(kept, dict) or not isinstance(kept.get("refresh_token"), str):
                raise ValueError("no refresh token")
        except (OSError, ValueError) as error:
            # The cause is left out of the message: it may quote the file.
            raise ConfigurationError(
                f"The file with the refresh token cannot be read ({type(error).__name__}): {file}",
                remedy="delete it and give a fresh refresh token in the connection.",
            ) from None
        return kept

    def _write(self, file: Path, token: str) -> None:
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(orjson.dumps({"first": self._first, "refresh_token": token}))
                handle.flush()
                os.fsync(handle.fileno())
            part.replace(file)
        except OSError as error:
            raise ConfigurationError(
                f"The new refresh token cannot be written ({type(error).__name__}): {file}",
                remedy="make the folder writable and give a fresh refresh token: the one in the settings is used up.",
            ) from error
