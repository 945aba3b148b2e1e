"""A requests session that paces, retries, renews credentials and raises typed errors."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import requests
import urllib3
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.hooks import dispatch_hook

from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    QuotaExhaustedError,
    RateLimitedError,
    RetryableError,
    UnknownOutcomeError,
    UnreachableError,
)
from millstream.state.http.answer import Answer
from millstream.state.http.auth import RefreshableAuth, TimedAuth
from millstream.state.http.budget import asked_to_wait
from millstream.state.http.caution import Caution
from millstream.state.http.connections import Connections
from millstream.state.http.logs import log_no_paths
from millstream.state.http.pacing import Pacer
from millstream.state.http.problems import NOT_DONE_STATUSES, THROTTLED_STATUSES, place_of, problem_of
from millstream.state.http.redirects import GuardedRedirects

Read = TypeVar("Read")


Classify = Callable[[Answer], MillstreamError | None]
"""A connector's own reading of an answer, for errors under status 200 or statuses with an odd meaning."""


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often and how long to try again: ``attempts`` in all, waits in seconds."""

    attempts: int = 7
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_retry_after: float = 900.0


class VendorSession(GuardedRedirects):
    """One vendor's HTTP.

    Args:
        system: The vendor's name in messages.
        auth: Signs requests; a ``RefreshableAuth`` is renewed once on a 401.
        pacer: Keeps the vendor's limits; share it between sessions of one credential.
        classify: The connector's own reading of answers, asked first.
        retries: How often and how long.
        timeout: Seconds for connecting and for each read.
        caution: What holds where the host is not trusted.
    """

    def __init__(
        self,
        *,
        system: str,
        auth: AuthBase,
        pacer: Pacer,
        classify: Classify | None = None,
        retries: Retries | None = None,
        timeout: tuple[float, float] = (10.0, 120.0),
        caution: Caution | None = None,
    ) -> None:
        super().__init__(system)
        log_no_paths()
        self.pacer = pacer
        # Signed at each attempt, not once when prepared: fetching a token may fail and be tried again, too.
        self._vendor_auth = auth
        self._classify = classify
        self._retries = retries or Retries()
        self._timeout = caution.timeout if caution else timeout
        self._caution = caution
        self._turn = threading.local()
        self.headers.update({"Accept": "application/json", "User-Agent": "millstream"})
        public_only = caution is not None and caution.public_only
        adapter = Connections(at_once=pacer.limit.concurrency, public_only=public_only)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As ``requests`` does, without merging what a vendor's session has none of: parameters, sign-in and hooks."""
        prepared = requests.PreparedRequest()
        prepared.prepare_method(request.method)
        if request.params:
            prepared.prepare_url(request.url, request.params)
        else:
            prepared.url = _prepared(request.url)
        prepared.prepare_headers({**self.headers, **request.headers})
        prepared.prepare_cookies(self.cookies)
        prepared.prepare_body(request.data, request.files, request.json)
        if request.auth or "@" in (prepared.url or ""):  # a sign-in may stand in the address
            prepared.prepare_auth(request.auth, request.url)
        prepared.prepare_hooks(request.hooks)
        return prepared

    def send(self, request: requests.PreparedRequest, **kwargs: object) -> Answer:
        """Send with retries; every request is taken as safe to repeat (reads, idempotent writes)."""
        if getattr(self._turn, "is_taken", False):
            # ``requests`` follows a redirect, within the turn of the request that led there. It takes the signature
            # off where that is another host, so none is put on here.
            return self._exchange(request, kwargs)
        return self.deliver(request, replay=True, **kwargs)

    def deliver(self, request: requests.PreparedRequest, *, replay: bool, **kwargs: object) -> Answer:
        """Send with retries.

        Args:
            request: What to send.
            replay: Whether the request may be repeated when nobody knows if it was carried out.
            kwargs: As ``requests.Session.send``.

        Raises:
            MillstreamError: See ``millstream.state.errors``; nothing of ``requests`` comes through.
        """
        return self._renewing(lambda: self._attempt(request, replay, kwargs))

    def read_large(self, request: requests.PreparedRequest, read: Callable[[Answer], Read]) -> Read:
        """Send, and read a body that is too large to hold; where it breaks off, both are done again.

        Args:
            request: What to send; it is taken as safe to repeat.
            read: Reads the body piecemeal from ``answer.raw``. A retryable error of its own is tried again, too.

        Raises:
            MillstreamError: See ``millstream.state.errors``.
        """

        def once() -> Read:
            answer = self._attempt(request, True, {"stream": True})
            try:
                return read(answer)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise UnreachableError(
                    f"The answer of {place_of(request)} broke off ({type(error).__name__}).",
                    where=self._system,
                    remedy="run again; if it stays, check the network between here and the vendor.",
                ) from error
            finally:
                answer.close()

        return self._renewing(once)

    def _renewing(self, work: Callable[[], Read]) -> Read:
        """Do it with retries, and once more with a new credential if the one at hand is refused."""
        renewed = False
        while True:
            try:
                return self._retrying(work)
            except AuthenticationError:
                if renewed or not isinstance(self._vendor_auth, RefreshableAuth):
                    raise
                self._vendor_auth.renew()
                renewed = True

    def _retrying(self, work: Callable[[], Read]) -> Read:
        attempt, unclear = 1, False
        while True:
            try:
                return work()
            except QuotaExhaustedError as error:
                error.after_a_try |= unclear
                raise
            except RetryableError as error:
                unclear |= not isinstance(error, RateLimitedError)
                if attempt == self._retries.attempts:
                    raise
                self.pacer.sleep(self._wait(error, attempt))
            attempt += 1

    def _wait(self, error: RetryableError, attempt: int) -> float:
        """Seconds until the next attempt, beside those for which nobody makes a request."""
        top = min(self._retries.longest_wait, self._retries.first_wait * 2 ** (attempt - 1))
        wait = random.uniform(top / 2, top)
        asked = error.retry_after
        if asked is None and not isinstance(error, RateLimitedError):
            return wait
        # All wait, not only this request; whoever is first after it shows whether the others may follow.
        self.pacer.pause(wait if asked is None else min(asked, self._retries.longest_retry_after))
        return 0.0

    def _attempt(self, request: requests.PreparedRequest, replay: bool, kwargs: Mapping[str, object]) -> Answer:
        options = {**kwargs, "timeout": kwargs.get("timeout") or self._timeout, "stream": True}
        if self._caution:
            options["allow_redirects"] = False
        self._vendor_auth(request)
        with self.pacer:
            if isinstance(self._vendor_auth, TimedAuth):
                self._vendor_auth(request)
            try:
                self._turn.is_taken = True
                answer = self._exchange(request, options)
                if self._caution:
                    self._caution.read(answer)
                    self._caution.refuse_redirect(answer)
                elif not kwargs.get("stream"):
                    answer.take_in()
            except requests.RequestException as error:
                raise self._no_answer(request, error, replay) from error
            finally:
                self._turn.is_taken = False
            problem = (self._classify(answer) if self._classify else None) or problem_of(answer)
            throttled = isinstance(problem, RateLimitedError) or answer.status_code in THROTTLED_STATUSES
            # Before the request counts as done: nobody may go on a count that lacks it.
            self.pacer.observe(answer.headers, throttled=throttled)
        if problem is None:
            return answer
        problem.at(self._system)
        # Who is told to slow down is told so before anything is done, also by vendors that say it under status 200.
        not_done = answer.status_code in NOT_DONE_STATUSES or isinstance(problem, RateLimitedError)
        if isinstance(problem, RetryableError) and problem.retry_after is not None:
            # At once: what others are about to send would be refused as well.
            self.pacer.pause(problem.retry_after)
        if isinstance(problem, RetryableError) and not replay and not not_done:
            raise UnknownOutcomeError(f"{problem.what} The request may or may not have been carried out.")
        if isinstance(problem, RetryableError) and (problem.retry_after or 0.0) > self._retries.longest_retry_after:
            quota = asked_to_wait(problem.retry_after or 0.0)
            quota.after_a_try = not not_done
            raise quota.at(self._system) from problem
        raise problem

    def _exchange(self, request: requests.PreparedRequest, options: Mapping[str, object]) -> Answer:
        """Make a request, and those that its answer leads to: as ``requests`` does, without what it measures."""
        how: dict[str, Any] = {"verify": self.verify, "cert": self.cert, **options}
        follows = how.pop("allow_redirects", True)
        try:
            answer = self.get_adapter(request.url or "").send(request, **how)
        except requests.RequestException:
            raise
        except ValueError:  # a header that HTTP has no way to write; the message would repeat it
            raise AuthenticationError(
                f"{place_of(request)} cannot be asked: a line break or an odd letter is in the credential.",
                where=self._system,
                remedy="look whether the secret of the connection was copied whole, and nothing else with it.",
            ) from None
        answer = dispatch_hook("response", request.hooks, answer, **how)  # type: ignore[no-untyped-call]
        if "Set-Cookie" in answer.headers:
            extract_cookies_to_jar(self.cookies, request, answer.raw)  # type: ignore[no-untyped-call]
        if follows and answer.is_redirect:
            *_, answer = self.resolve_redirects(answer, request, **how)
        assert isinstance(answer, Answer)
        return answer

    def _no_answer(
        self, request: requests.PreparedRequest, error: requests.RequestException, replay: bool
    ) -> MillstreamError:
        never_sent = isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error)
        what = f"No answer from {place_of(request)} ({type(error).__name__})."
        if replay or never_sent:
            remedy = "check the network and the base_url of the connection."
            return UnreachableError(what, where=self._system, remedy=remedy)
        return UnknownOutcomeError(what, where=self._system)


@lru_cache(maxsize=1_000)
def _prepared(url: str) -> str | None:
    """An address as it is asked for: few of them are asked again and again."""
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    return prepared.url
