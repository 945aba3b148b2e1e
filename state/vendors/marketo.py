"""Marketo's instance: the client that signs in at the identity URL, and what errors under status 200 mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, Field, SecretStr
from requests.auth import AuthBase

from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    FatalError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer, TokenGrantAuth

CONNECTIONS = 10
"""Requests that an instance works on at once, of everybody who uses it."""
MOST_PER_20_SECONDS = 100
"""Requests that an instance takes in 20 seconds, of everybody who uses it."""

_DAY_BEGINS_IN = ZoneInfo("America/Chicago")
_RENEW = frozenset({"600", "601", "602"})
_DENIED = frozenset({"603", "616", "703"})
# The whole request was refused before anything was done.
_SLOW_DOWN = frozenset({"606", "608", "614", "615"})
_PASSING = frozenset({"500", "502", "604", "611", "713", "719"})
_QUOTA = "607"
_FAULTY_REQUESTS = frozenset({"605", "612", "613"})
_UNKNOWN_PLACES = frozenset({"610", "1013"})
_WRONG_SETTINGS = frozenset({"710", "711", "1006", "1008", "1009", "1011"})


def _root(url: str) -> str:
    """An address as Marketo shows it in one of several places, cut down to the instance's host."""
    return url.rstrip("/").removesuffix("/rest").removesuffix("/identity").rstrip("/")


class MarketoAccount(BaseModel):
    """A connection to Marketo, to be mixed into a connector's settings."""

    base_url: Annotated[str, AfterValidator(_root)] = Field(
        min_length=1,
        description="The instance's REST endpoint, from Admin > Integration > Web Services "
        "(`https://123-ABC-456.mktorest.com`); a `/rest` at its end is taken off.",
    )
    identity_url: str = Field(
        default="", description="The instance's identity URL, from the same page; below base_url when left out."
    )
    client_id: str = Field(min_length=1, description="Client id of the custom service (Admin > LaunchPoint).")
    client_secret: SecretStr = Field(description="Client secret of the custom service.")

    def credential(self) -> AuthBase:
        """Access tokens by the client-credentials grant.

        Asked again while a token lives, Marketo gives the same one, so nothing is gained by asking early: a token is
        used to its end, and whoever meets the end has it renewed.
        """
        identity = self.identity_url.rstrip("/") or f"{self.base_url}/identity"
        return TokenGrantAuth(f"{identity}/oauth/token", self._grant, early=0.0)

    def _grant(self) -> Mapping[str, str]:
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret.get_secret_value(),
        }


def code_of(error: RefusedError) -> str:
    """Marketo's code of a refused request; empty where an HTTP status said it."""
    body = error.body if isinstance(error.body, dict) else {}
    return _first_error(body)[0]


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer under status 200 stands for; None for a good one."""
    if answer.status_code != 200 or not answer.content.startswith(b"{"):
        return None
    said = answer.facts()
    if said.get("success") is not False:
        return None
    code, message = _first_error(said)
    what = f"Marketo refuses ({code}): {message}"
    if code in _RENEW:
        return AuthenticationError(what, remedy="check client_id and client_secret of the custom service.")
    if code in _DENIED:
        return PermissionDeniedError(
            what,
            remedy="give the API user's role the permission, and look whether the instance takes requests from listed "
            "addresses only.",
        )
    if code == _QUOTA:
        return QuotaExhaustedError(
            "Marketo's daily quota of requests is used up, by everybody who uses the instance.",
            resets_in=seconds_to_the_next_day(datetime.now(_DAY_BEGINS_IN)),
            remedy="run again after midnight US Central time; what was sent is kept.",
        )
    if code in _SLOW_DOWN:
        return RateLimitedError(what)
    if code in _PASSING:
        return UnavailableError(what)
    return _refusal(code, what, said)


def seconds_to_the_next_day(moment: datetime) -> float:
    """Seconds from a moment until Marketo's quota renews: at midnight in the zone of the moment."""
    tomorrow = datetime.combine(moment.date() + timedelta(days=1), datetime.min.time(), moment.tzinfo)
    return tomorrow.timestamp() - moment.timestamp()


def _refusal(code: str, what: str, said: Mapping[str, object]) -> MillstreamError:
    """The error for a code that trying again does not help."""
    if code in _UNKNOWN_PLACES:
        return NotFoundError(what, remedy="check base_url, and whether somebody deleted the list.")
    if code in _WRONG_SETTINGS:
        return ConfigurationError(what, remedy="check the mapped fields, the match key, the folder and the partition.")
    if code in _FAULTY_REQUESTS:
        return FatalError(what, remedy="a proxy may change requests on their way; else report it.")
    return RefusedError(what, status=int(code) if code.isdigit() else 200, body=said)


def _first_error(said: Mapping[str, object]) -> tuple[str, str]:
    errors = said.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("code") or ""), str(first.get("message") or "Marketo gives no reason.")
