"""Quota tokens of one property, which stand in the body of an answer and in no header."""

from __future__ import annotations

import time
from dataclasses import dataclass

from millstream.sandbox.ga4.errors import refusal
from millstream.sandbox.system import ApiError, JsonObject

HOUR, DAY = 3600.0, 86_400.0
CONCURRENT = 10
SERVER_ERRORS = 10
THRESHOLDED = 120
# Name in the body -> (tokens, seconds), and what the vendor calls it in a refusal.
BUCKETS = {"tokensPerDay": (200_000, DAY), "tokensPerHour": (40_000, HOUR), "tokensPerProjectPerHour": (14_000, HOUR)}
NAMES = {
    "tokensPerDay": "property tokens per day",
    "tokensPerHour": "property tokens per hour",
    "tokensPerProjectPerHour": "property tokens per project per hour",
    "concurrentRequests": "concurrent requests",
    "serverErrorsPerProjectPerHour": "server errors per project per hour",
}


def exhausted(bucket: str) -> ApiError:
    """No tokens left in a bucket; the message is the only place that says which."""
    what = NAMES.get(bucket, bucket)
    return refusal(
        "RESOURCE_EXHAUSTED",
        f"Exhausted {what} quota. These quota tokens will return later. See the documentation on quotas.",
    )


@dataclass(slots=True)
class _Bucket:
    limit: int
    seconds: float
    started: float
    used: int = 0

    def refreshed(self) -> _Bucket:
        now = time.monotonic()
        if now - self.started >= self.seconds:
            self.started, self.used = now, 0
        return self


class Quota:
    """Counts what the reports of one property cost."""

    def __init__(self) -> None:
        now = time.monotonic()
        self.buckets = {name: _Bucket(limit, seconds, now) for name, (limit, seconds) in BUCKETS.items()}
        self._server_errors = _Bucket(SERVER_ERRORS, HOUR, now)

    def check(self, in_flight: int) -> None:
        """Refuse a request for which there is nothing left."""
        if in_flight > CONCURRENT:
            raise exhausted("concurrentRequests")
        if self._server_errors.refreshed().used >= SERVER_ERRORS:
            raise exhausted("serverErrorsPerProjectPerHour")
        for name, bucket in self.buckets.items():
            if bucket.refreshed().used >= bucket.limit:
                raise exhausted(name)

    def charge(self, tokens: int) -> None:
        """Count what a request has cost."""
        for bucket in self.buckets.values():
            bucket.refreshed().used += tokens

    def count_server_error(self) -> None:
        """Count a failure of the vendor's own: after ten in an hour the property is blocked."""
        self._server_errors.refreshed().used += 1

    def shown(self, tokens: int, in_flight: int) -> JsonObject:
        """`propertyQuota` of an answer that has cost this many tokens."""
        quota: JsonObject = {
            name: {"consumed": tokens, "remaining": max(0, bucket.limit - bucket.used)}
            for name, bucket in self.buckets.items()
        }
        errors = self._server_errors.refreshed().used
        return {
            **quota,
            "concurrentRequests": {"remaining": max(0, CONCURRENT - in_flight)},
            "serverErrorsPerProjectPerHour": {"remaining": SERVER_ERRORS - min(errors, SERVER_ERRORS)},
            "potentiallyThresholdedRequestsPerHour": {"remaining": THRESHOLDED},
        }
