"""Care with hosts that are no vendor's: whoever writes the project file names them, and they answer what they like."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from millstream.state.errors import ConfigurationError, FatalError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_OF_CLOUDS = (ipaddress.IPv4Network("168.63.129.16/32"), ipaddress.IPv4Network("192.0.0.0/24"))
"""Where clouds tell machines about themselves at addresses that look like anybody's."""


@dataclass(frozen=True, kw_only=True)
class Caution:
    """What holds for a host that is not trusted. Redirects are not followed in any case.

    Attributes:
        public_only: Connect to addresses of the public internet only: none of this machine, of a private network, or
            at which a cloud tells secrets to its machines. Looked at after the name was resolved.
        most_bytes: Largest answer that is read.
        timeout: Seconds for connecting and for each read.
    """

    public_only: bool = True
    most_bytes: int = 65_536
    timeout: tuple[float, float] = (10.0, 30.0)

    def read(self, answer: requests.Response) -> None:
        """Take in the body of an answer that was asked for piecemeal, if it is not too large.

        Raises:
            FatalError: It is a good answer, and too large; of a bad one the beginning is enough.
            requests.ConnectionError: It broke off.
        """
        try:
            body = answer.raw.read(self.most_bytes + 1, decode_content=True)
        except HTTPError as error:
            raise requests.ConnectionError(error) from error
        finally:
            answer.close()
        is_whole = len(body) <= self.most_bytes
        answer._content = body[: self.most_bytes]
        answer._content_consumed = True  # type: ignore[attr-defined]
        if not is_whole and answer.status_code < 400:
            raise FatalError(
                f"The answer is larger than {self.most_bytes:,} bytes, so was not read.",
                remedy="have the receiver answer with less.",
            )

    def refuse_redirect(self, answer: requests.Response) -> None:
        """Raise for an answer that leads elsewhere: the credential and the rows must not follow it."""
        if 300 <= answer.status_code < 400:
            raise FatalError(
                f"The receiver answered HTTP {answer.status_code}, which leads elsewhere; redirects are not followed.",
                remedy="write the address that it leads to into the connection.",
            )


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, also one that is wrapped into another."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and address.teredo:
            inner = address.teredo[1]
        if inner is not None:
            return is_public(inner)
    of_a_cloud = any(address in network for network in _OF_CLOUDS)
    return address.is_global and not address.is_multicast and not of_a_cloud


def _connect_to_public(connection: HTTPConnection) -> socket.socket:
    """A socket to the first address of a host that answers, if all of its addresses are public.

    The name is resolved once, here: what was looked at is what is connected to.
    """
    host, port = connection.host, connection.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameResolutionError(host, connection, socket.gaierror(str(error))) from error
    for *_, place in found:
        if not is_public(ipaddress.ip_address(str(place[0]).partition("%")[0])):
            raise ConfigurationError(
                f"{host} is at an address of a private network, of this machine or of a cloud's own.",
                remedy="write a host on the internet, or allow private networks for this connection if that is meant.",
            )
    failed: OSError | None = None
    for family, kind, protocol, _, place in found:
        made = socket.socket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                made.setsockopt(*option)
            if isinstance(connection.timeout, (int, float)):
                made.settimeout(connection.timeout)
            made.connect(place)
        except OSError as error:
            made.close()
            failed = error
        else:
            return made
    raise NewConnectionError(connection, f"No address of {host} answers: {failed}")


class _PublicHTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect_to_public(self)


class _PublicHTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect_to_public(self)


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTPConnection


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPSConnection


PUBLIC_POOLS: Mapping[str, Any] = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}
"""For an adapter's pool manager: connections to public addresses only."""
