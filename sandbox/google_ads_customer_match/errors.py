"""How the Data Manager API refuses: Google's envelope, with the reason and the fields in its details."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from millstream.sandbox.ga4.errors import refusal
from millstream.sandbox.system import ApiError, JsonObject

DOMAIN = "datamanager.googleapis.com"
RPC = "type.googleapis.com/google.rpc"


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request."""

    field: str
    reason: str
    description: str = ""

    def body(self) -> JsonObject:
        """As it stands in an answer: without a description where there is none."""
        described: JsonObject = {"description": self.description} if self.description else {}
        return {"field": self.field, **described, "reason": self.reason}


def error_info(reason: str, domain: str = DOMAIN, **metadata: str) -> JsonObject:
    """The detail that names a reason."""
    info: JsonObject = {"@type": f"{RPC}.ErrorInfo", "reason": reason, "domain": domain}
    return {**info, "metadata": metadata} if metadata else info


def request_info() -> JsonObject:
    """The detail that names the request, for whoever asks the vendor about it."""
    return {"@type": f"{RPC}.RequestInfo", "requestId": secrets.token_urlsafe(12)}


def violated(violations: Iterable[Violation]) -> ApiError:
    """The whole request is refused for what is wrong with some of its fields."""
    bad_request: JsonObject = {"@type": f"{RPC}.BadRequest", "fieldViolations": [one.body() for one in violations]}
    details = [error_info("INVALID_ARGUMENT"), request_info(), bad_request]
    return refusal("INVALID_ARGUMENT", "There was a problem with the request.", details)


def denied(reason: str, message: str) -> ApiError:
    """The caller may not do that there."""
    return refusal("PERMISSION_DENIED", message, [error_info(reason), request_info()])


def missing_scope() -> ApiError:
    """The token was issued for something else."""
    info = error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com", service=DOMAIN)
    return refusal("PERMISSION_DENIED", "Request had insufficient authentication scopes.", [info])


def exhausted(limit_name: str, seconds: float) -> ApiError:
    """A quota is used up; the details say which, and when to come again."""
    info = error_info("RATE_LIMIT_EXCEEDED", "googleapis.com", quota_limit=limit_name, service=DOMAIN)
    retry: JsonObject = {"@type": f"{RPC}.RetryInfo", "retryDelay": f"{math.ceil(seconds * 1000) / 1000:g}s"}
    return refusal("RESOURCE_EXHAUSTED", f"Quota exceeded for quota limit '{limit_name}'.", [info, retry])
