"""Places where files lie: a folder, a bucket, a server. Opening them, and what their refusals mean.

What is below agrees on few classes of errors, so that names and words count.
"""

from __future__ import annotations

import base64
import codecs
import errno
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import SecretStr

from millstream.state import library_logs
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    FatalError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    UnreachableError,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "sftp": "sftp"}
"""Which extra of Millstream a kind of place needs."""
PROTOCOLS = ("file", *EXTRAS, "memory")
HOST_KEY = "host_key"
"""The option that says how an SFTP server is known."""

_CREDENTIAL_WORDS = (
    "authentication",
    "credential",
    "invalidaccesskeyid",
    "signaturedoesnotmatch",
    "signature we calculated",
    "access key id you provided",
    "expiredtoken",
    "invalid_grant",
    "token has expired",
    "unauthorized",
    "401",
)
_NETWORK_ERRORS = (
    "ClientConnectorError",
    "ConnectTimeoutError",
    "EndpointConnectionError",
    "NoValidConnectionsError",
    "ServerDisconnectedError",
    "ServiceRequestError",
    "SSHException",
    "gaierror",
)
_LIBRARIES = ("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "paramiko", "s3fs")
_LOGGERS = (*_LIBRARIES, "fsspec")
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class PlaceAccess:
    """A place and the credential for it.

    Attributes:
        url: Where the files are: file://, s3://, gs://, az://, sftp://.
        username: Access key id, storage account or user.
        password: What belongs to it.
        service_account: Google's key file, its JSON as text.
        options: More for the file system, by its own names; ``host_key`` says how an SFTP server is known.
    """

    url: str
    username: str | None = None
    password: SecretStr | None = None
    service_account: SecretStr | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """What kind of place it is."""
        return self.url.partition("://")[0]

    def facts(self) -> dict[str, Any]:
        """The credential and the options, as fsspec's file systems call them."""
        secret = self.password.get_secret_value() if self.password else None
        names = {"s3": ("key", "secret"), "sftp": ("username", "password")}
        user_name, secret_name = names.get(self.protocol, ("account_name", "account_key"))
        given: dict[str, Any] = {**self.options, user_name: self.username, secret_name: secret}
        if self.service_account:
            given["token"] = orjson.loads(self.service_account.get_secret_value())
        if self.protocol not in ("file", "memory", "sftp"):
            given |= {"use_listings_cache": False, "skip_instance_cache": True}
        return {name: value for name, value in given.items() if value is not None}


def encoding_named(name: str) -> str:
    """Python's name of an encoding, for settings that name one.

    Raises:
        ValueError: There is none of this name.
    """
    try:
        return codecs.lookup(name).name
    except LookupError as error:
        raise ValueError(f"there is no encoding {name!r}, as utf-8, latin-1, cp1252, utf-16") from error


def open_place(access: PlaceAccess) -> AbstractFileSystem:
    """The file system of a place, made anew: each has its own connection.

    Raises:
        ConfigurationError: There is no such kind of place, or its package is not installed.
    """
    from fsspec.core import url_to_fs

    library_logs.log_no_contents(*_LOGGERS)
    protocol = access.protocol
    if protocol not in PROTOCOLS:
        raise ConfigurationError(f"There are no files at {protocol}://.", allowed=PROTOCOLS)
    try:
        if protocol == "sftp":
            return _sftp(access.url, access.facts())
        if protocol in ("gs", "gcs"):
            return _google(access.facts())
        files, _ = url_to_fs(access.url, **access.facts())
    except ImportError as error:
        raise ConfigurationError(
            f"Files at {protocol}:// need another package.",
            remedy=f"install it: pip install 'millstream[{EXTRAS.get(protocol, protocol)}]'.",
        ) from error
    return files


def _google(options: Mapping[str, Any]) -> AbstractFileSystem:
    """Google Cloud Storage by its JSON API.

    The class that gcsfs registers asks a second API by gRPC first, which proxies and emulators do not have: it waits a
    minute for it, each time.
    """
    from gcsfs.core import GCSFileSystem

    files = GCSFileSystem(**options)
    # At once: later, a refused credential would be tried again for half a minute.
    files.credentials.maybe_refresh()
    return files


def _sftp(url: str, options: Mapping[str, Any]) -> AbstractFileSystem:
    """SFTP to a server whose key is known: fsspec alone would believe whoever answers."""
    import paramiko
    from fsspec.implementations.sftp import SFTPFileSystem

    expected = options.get(HOST_KEY)

    class Known(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> None:
            if expected not in (f"{key.get_name()} {key.get_base64()}", _fingerprint(key.asbytes())):
                raise AuthenticationError(
                    f"{hostname} is not the server that is expected: its key is {_fingerprint(key.asbytes())}.",
                    remedy=f"ask who runs it whether the key is right, then write it as options: {{{HOST_KEY}: …}}.",
                )

    class KnownServer(SFTPFileSystem):  # type: ignore[misc]
        cachable = False

        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            if expected is None:
                self.client.load_system_host_keys()
            self.client.set_missing_host_key_policy(Known())
            self.client.connect(self.host, **self.ssh_kwargs)
            if (transport := self.client.get_transport()) is not None:
                transport.set_keepalive(30)
            self.ftp = self.client.open_sftp()

    connects = {"timeout": 10.0, "banner_timeout": 30.0, "auth_timeout": 30.0, "allow_agent": False}
    connects["look_for_keys"] = not (options.get("password") or options.get("key_filename"))
    named = SFTPFileSystem._get_kwargs_from_urls(url)
    given = {name: value for name, value in options.items() if name != HOST_KEY}
    return KnownServer(**{**connects, **named, **given})


def _fingerprint(key: bytes) -> str:
    """As ``ssh-keygen -l`` and OpenSSH show it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def error_of(error: Exception, what: str, *, done: str) -> MillstreamError | None:
    """An error of a file system as ours; None for one that is no affair of places.

    Args:
        error: What was raised.
        what: The file or folder, for the message.
        done: What was to be done with it: ``read`` or ``written``.
    """
    if isinstance(error, MillstreamError):
        return error
    kind, text = type(error).__name__, str(error)[:200]
    words = f"{kind} {text}".lower()
    if isinstance(error, FileNotFoundError):
        missing = f"folder or bucket for {what}" if done == "written" else what
        return NotFoundError(
            f"There is no {missing}.", remedy="look whether the folder or bucket is there, and its name."
        )
    if "skewed" in words:
        return AuthenticationError("The clock of this machine is wrong.", remedy="set it, and run again.")
    if any(word in words for word in _CREDENTIAL_WORDS):
        return AuthenticationError(
            f"The place of the files does not accept the credential ({kind}).",
            remedy="check username and password (or service_account) of the connection.",
        )
    if isinstance(error, PermissionError) or "403" in words or "accessdenied" in words or "forbidden" in words:
        return PermissionDeniedError(
            f"{what} may not be {done}.", remedy="let the user list, read and write in the folder, as far as is needed."
        )
    if (
        isinstance(error, (ConnectionError, TimeoutError, EOFError))
        or kind in _NETWORK_ERRORS
        or "getaddrinfo" in words
    ):
        return UnreachableError(f"The place of the files cannot be reached ({kind}).", remedy="check url and network.")
    if isinstance(error, OSError) and error.errno in _FULL:
        return FatalError(f"There is no room left for {what}.", remedy="make room, then run again.")
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _LIBRARIES:
        return UnavailableError(f"{what} cannot be {done} ({kind}: {text}).", remedy="run again.")
    return None
