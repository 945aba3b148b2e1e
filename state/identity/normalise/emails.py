"""Mail addresses: what is one, and which of them reach the same mailbox.

Letter case is ignored in the local part too. RFC 5321 leaves that to the receiving host; in practice no provider
tells two people apart by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

VERSION = 1
"""Raised by whoever changes which value comes of a text: what was kept of the version before is then spelled anew."""

_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)+)"')
_PRINTABLE = re.compile(r"[ -~]+")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAILTO = re.compile(r"mailto:(?P<address>[^?]*)(?:\?.*)?", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"[^<>]*<(?P<address>[^<>]+)>[\s,;]*")
_COMMENT = re.compile(r"\([^()@]*\)")


class _Provider(NamedTuple):
    """What a provider leaves out of account when it delivers.

    Attributes:
        domain: The domain all of the provider's stand for; None where one name at two domains is two people.
        tag: The character behind which the owner may write what they like.
        dots: Whether dots are left out of account.
    """

    domain: str | None
    tag: str
    dots: bool = False


def _known(provider: _Provider, domains: Iterable[str]) -> dict[str, _Provider]:
    return dict.fromkeys(domains, provider)


_PROVIDERS = {
    **_known(_Provider("gmail.com", "+", dots=True), ("gmail.com", "googlemail.com")),
    **_known(_Provider("icloud.com", "+"), ("icloud.com", "me.com", "mac.com")),
    **_known(_Provider("proton.me", "+"), ("proton.me", "protonmail.com", "protonmail.ch", "pm.me")),
    **_known(
        _Provider("yandex.ru", "+"),
        ("yandex.ru", "ya.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua", "yandex.com.tr"),
    ),
    **_known(
        _Provider(None, "+"),
        (
            "fastmail.com", "fastmail.fm", "fastmail.co.uk", "fastmail.net", "fastmail.org", "hey.com", "mailbox.org",
            "msn.com", "passport.com", "pobox.com", "posteo.de", "posteo.net", "posteo.org", "runbox.com",
            "sent.com", "startmail.com", "windowslive.com", "zoho.com", "zoho.eu", "zohomail.com", "zohomail.eu",
        ),
    ),
    **_known(_Provider(None, "-"), ("ymail.com", "rocketmail.com", "myyahoo.com")),
}  # fmt: skip
# Providers with a domain for each country, by the label the domain begins with.
_FAMILIES = {
    "outlook": _Provider(None, "+"),
    "hotmail": _Provider(None, "+"),
    "live": _Provider(None, "+"),
    "yahoo": _Provider(None, "-"),
}
# Yahoo Japan is another company, where a hyphen is part of the name.
_COUNTRY_DOMAIN = re.compile(
    r"(?!yahoo\.(?:co\.)?jp$)(?P<family>outlook|hotmail|live|yahoo)\.(?:com|[a-z]{2}|(?:co|com)\.[a-z]{2})"
)


def read_email(text: str) -> str | None:
    """An address in lower case with an ASCII domain, or None where it is none.

    Read are also ``mailto:`` links, ``Ana Li <ana@…>``, comments in parentheses, and quoted local parts, which lose
    their quotes where they need none. Dots and tags stay.
    """
    mailto = _MAILTO.fullmatch(text)
    if mailto:
        text = mailto["address"]
    bracketed = _IN_BRACKETS.fullmatch(text)
    if bracketed:
        text = bracketed["address"]
    if "(" in text:
        text = _COMMENT.sub("", text)
    # A capital I with a dot, as Turkish has it, becomes small with a dot of its own above.
    small = text.strip(" \t,;").lower().replace("i\u0307", "i")
    local, at, domain = small.rpartition("@")
    found = _local(local)
    host = _domain(domain) if at else None
    if found is None or host is None:
        return None
    address = f"{found}@{host}"
    return address if len(address) <= 254 else None


def _local(local: str) -> str | None:
    if local.startswith('"'):
        quoted = _QUOTED.fullmatch(local)
        if quoted is None or not _PRINTABLE.fullmatch(local):
            return None
        inner = re.sub(r"\\(.)", r"\1", quoted[1])
        if _LOCAL.fullmatch(inner):
            local = inner
        else:
            escaped = re.sub(r'(["\\])', r"\\\1", inner)
            local = f'"{escaped}"'
    elif not _LOCAL.fullmatch(local):
        return None
    return local if len(local) <= 64 else None


def _domain(domain: str) -> str | None:
    domain = domain.removesuffix(".")
    if not domain.isascii():
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError:  # an empty or overlong label, or a character that no domain may have
            return None
    labels = domain.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        return None
    return domain


def fold_provider(address: str) -> str:
    """The address that stands for all by which a known provider delivers to the same mailbox.

    Of other domains nothing is known: there a dot or a plus sign may part two people.
    """
    local, _, domain = address.rpartition("@")
    provider = _PROVIDERS.get(domain) or _family(domain)
    if provider is None or local.startswith('"'):
        return address
    name = local.partition(provider.tag)[0]
    if provider.dots:
        name = name.replace(".", "")
    return f"{name}@{provider.domain or domain}" if name else address


def _family(domain: str) -> _Provider | None:
    country = _COUNTRY_DOMAIN.fullmatch(domain)
    return _FAMILIES[country["family"]] if country else None
