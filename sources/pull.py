"""What a stream's reader gets of a pull: the client over the engine's session, the window, and its own notes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic
from typing import Any, TypeVar

from dlt.common.jsonpath import compile_path
from dlt.sources.helpers.rest_client.client import RESTClient
from requests import Request

from millstream.sources.contract import DeclaredSettings, Endpoint, Source, SourceSettings, Stream
from millstream.sources.dlt_settings import set_dlt
from millstream.sources.forecast import Announced, Forecast, forecast
from millstream.sources.stored import StoredRows
from millstream.state.errors import MalformedAnswerError
from millstream.state.http import Answer, Budgets, Pacer, RateLimit, Retries, VendorSession

AnySource = Source[DeclaredSettings]
Read = TypeVar("Read")

log = logging.getLogger(__name__)

LONG = timedelta(minutes=30)
"""What takes longer is announced."""

_WHOLE_ANSWER = compile_path("$")
"""Compiled once: dlt parses a path given as text anew for every page, which cost a fifth of a pull's time."""


@dataclass(frozen=True)
class Window:
    """A backfill: rows from ``since`` (inclusive) to ``until`` (exclusive), in UTC. Leaves the kept cursors alone."""

    since: datetime
    until: datetime

    @classmethod
    def of_days(cls, first: date, last: date) -> Window:
        """The days from ``first`` to ``last``, both included."""
        return cls(
            datetime.combine(first, time.min, UTC),
            datetime.combine(last + timedelta(days=1), time.min, UTC),
        )


class Pull:
    """What a stream's reader gets.

    Attributes:
        stream: The stream being read.
        client: dlt's REST client over the engine's session.
        since: Start of the window (the kept cursor less the lookback, or a backfill's first moment); None: read all.
        until: End of a backfill's window, exclusive; None: up to now.
        state: The stream's own notes, kept by dlt together with the rows; left alone by backfills.
        pulled_at: When this pull started.
        stored: The rows stored before, where the pull is loaded by the engine; None under plain dlt.
        accept_empty: What used to have rows may be found empty.
        place: Where the stream has been read to, for people; set by readers that keep their place in ``state``.
        broken: Rows that were put aside in quarantine.
        warnings: What the run's report should say although nothing failed.
    """

    def __init__(
        self,
        stream: Stream | None,
        client: RESTClient,
        *,
        pacer: Pacer,
        since: datetime | None = None,
        until: datetime | None = None,
        state: MutableMapping[str, Any] | None = None,
        pulled_at: datetime | None = None,
        stored: StoredRows | None = None,
        accept_empty: bool = False,
    ) -> None:
        self._stream = stream
        self.client = client
        self.since = since
        self.until = until
        self.state: MutableMapping[str, Any] = {} if state is None else state
        self.pulled_at = pulled_at or datetime.now(UTC)
        self.stored = stored
        self.accept_empty = accept_empty
        self.place: str | None = None
        self.broken = 0
        self.warnings: list[str] = []
        self.wants_load = False
        self.wants_table = False
        self._pacer = pacer
        self._calls_before, self._begun = pacer.calls, monotonic()
        self.expected: int | None = None
        self._announced = Announced()

    @property
    def stream(self) -> Stream:
        """The stream being read; a connector's ``probe`` has none."""
        assert self._stream is not None
        return self._stream

    @property
    def is_backfill(self) -> bool:
        """Whether a window is read again, which leaves cursors and notes alone."""
        return self.until is not None

    @property
    def calls_left_today(self) -> int | None:
        """The vendor's own count of requests left today, or None before it said so."""
        return self._pacer.daily_left

    @property
    def calls(self) -> int:
        """Requests made so far by the whole pull of the source, repeated ones too."""
        return self._pacer.calls

    def wait(self, seconds: float) -> None:
        """Pause this reader, for instance between two looks at work the vendor does for us."""
        self._pacer.sleep(seconds)

    def warn(self, text: str) -> None:
        """Have the run's report say something although nothing failed."""
        self.warnings.append(text)

    def say_how_long(self, requests: int, *, per_minute: float) -> None:
        """Say until when it will take, in the log and in the run's report, where so many requests take long."""
        self.expect_requests(requests)
        takes = timedelta(minutes=requests / per_minute)
        if takes > LONG:
            self.warn(
                f"{requests} requests at {per_minute:g} a minute take until about "
                f"{datetime.now(UTC) + takes:%Y-%m-%d %H:%M} UTC; a run that is ended before goes on where it was."
            )
            log.warning("%s: %s", self.stream.name, self.warnings[-1])

    def noted_of(self, section: str, listed: AbstractSet[str]) -> MutableMapping[str, Any]:
        """The stream's notes of each thing the vendor lists, by id; those of things no longer listed are dropped.

        Args:
            section: Under which name in ``state`` they are kept.
            listed: The ids of what there is.
        """
        noted: MutableMapping[str, Any] = self.state.setdefault(section, {})
        for gone in noted.keys() - listed:
            del noted[gone]
        return noted

    def until_loaded(self) -> list[Any]:
        """An empty page to yield where the reader needs what it gave so far in the store before it goes on.

        Only resumable streams are answered so, and only where ``stored`` is there to look at.
        """
        self.wants_load = True
        return []

    def until_shaped(self) -> list[Any]:
        """An empty page to yield before something that is only right if all pages given so far hold what is declared.

        Pages are put together before they become tables, so a reader goes on before its last pages were looked at.
        """
        self.wants_table = True
        return []

    def expect(self, rows: int, *, exact: bool = True) -> None:
        """Announce how many (more) rows there are, so that people can be told when the load will be finished.

        Args:
            rows: How many, by the vendor's count.
            exact: Whether a smaller number read fails the stream; otherwise it is about so many.
        """
        self._announced = replace(self._announced, rows=(self._announced.rows or 0) + rows)
        if exact:
            self.expected = (self.expected or 0) + rows

    def expect_requests(self, requests: int) -> None:
        """Announce how many (more) requests it will take, where nobody knows how many rows they bring."""
        known = self._announced.requests
        made = self._pacer.calls - self._calls_before
        self._announced = replace(self._announced, requests=(made if known is None else known) + requests)

    def forecast(self, rows: int) -> Forecast | None:
        """What is left of the stream after so many rows; None where nothing was announced, or all is here."""
        return forecast(
            self._announced,
            rows=rows,
            made=self._pacer.calls - self._calls_before,
            seconds=monotonic() - self._begun,
            limit=self._pacer.limit,
            left_today=self._pacer.daily_left,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The parsed answer of a GET."""
        return self.client.get(path, params=dict(params or {})).json()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The parsed answer of a POST that only reads."""
        return self.client.post(path, json=dict(body)).json()

    def download(self, path: str, params: Mapping[str, Any] | None = None, *, accept: str) -> Answer:
        """The answer of a GET that is no JSON, such as the file of an export.

        Args:
            path: Relative to the connection's base URL, or a whole URL.
            params: Query parameters.
            accept: The media type to ask for.
        """
        session = self.client.session
        assert isinstance(session, VendorSession)
        url = path if path.startswith("http") else f"{self.client.base_url.rstrip('/')}/{path.lstrip('/')}"
        asked = Request("GET", url, params=dict(params or {}), headers={"Accept": accept})
        return session.deliver(session.prepare_request(asked), replay=True)

    def read_large(
        self,
        url: str,
        read: Callable[[Answer], Read],
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Read:
        """What ``read`` makes of a large answer's body, which it takes piecemeal from ``answer.raw``.

        Args:
            url: The whole address.
            read: Reads the body; called again from the start where the body breaks off, or it raises what may be
                tried again.
            params: Query parameters.
            headers: Headers besides the session's; say in ``Accept`` what is not JSON.
        """
        session = self.client.session
        assert isinstance(session, VendorSession)
        return session.read_large(
            session.prepare_request(Request("GET", url, params=dict(params or {}), headers=dict(headers or {}))), read
        )

    def begin(self, path: str, body: Mapping[str, Any]) -> Any:
        """The parsed answer of a POST that starts work at the vendor, such as an export.

        Raises:
            UnknownOutcomeError: It was sent and got no answer: look whether the work has begun.
        """
        session = self.client.session
        assert isinstance(session, VendorSession)
        url = f"{self.client.base_url.rstrip('/')}/{path.lstrip('/')}"
        prepared = session.prepare_request(Request("POST", url, json=dict(body)))
        return session.deliver(prepared, replay=False).json()

    def pages(self, endpoint: Endpoint | None = None) -> Iterator[list[Any]]:
        """Pages of vendor rows of an endpoint (the stream's own by default), following its paging.

        Raises:
            MalformedAnswerError: The list of records is not where it is declared.
        """
        endpoint = endpoint or self.stream.endpoint
        assert endpoint is not None, "a stream without an endpoint reads with its own function"
        for page in self.client.paginate(
            endpoint.path,
            method=endpoint.method,
            params=dict(endpoint.params),
            json=None if endpoint.body is None else dict(endpoint.body),
            paginator=endpoint.paging(),
            data_selector=_WHOLE_ANSWER,
            hooks={"response": []},  # dlt's own would raise before the session has read the error
        ):
            yield records_at(page.response.json(), endpoint)


def records_at(body: Any, endpoint: Endpoint) -> list[Any]:
    """The list of records in an answer.

    Raises:
        MalformedAnswerError: It is not there.
    """
    found = body
    for part in endpoint.records.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if found is None and endpoint.may_lack_records and isinstance(body, dict):
        return []
    if not isinstance(found, list):
        seen = ", ".join(sorted(body)[:8]) if isinstance(body, dict) else type(body).__name__
        raise MalformedAnswerError(
            f"{endpoint.method} {endpoint.path} answered without a list at {endpoint.records!r} (seen: {seen}).",
            remedy="the API may have changed: update the connector, or check the base_url.",
        )
    return found


def pace_of(source: AnySource) -> RateLimit:
    """The limits to keep: the connector's, and the day's budget of the settings."""
    limit, settings = source.pace(), source.settings
    a_day = settings.requests_per_day if isinstance(settings, SourceSettings) else None
    return limit if a_day is None else replace(limit, daily=min(a_day, limit.daily or a_day))


def client_of(
    source: AnySource, *, retries: Retries | None = None, budgets: Budgets | None = None
) -> tuple[RESTClient, Pacer]:
    """dlt's REST client for a source, over the engine's session.

    Args:
        source: The connector with its settings.
        retries: How often and how long to try.
        budgets: Share the vendor's limits with all others who use the credential.
    """
    limit = pace_of(source)
    budget = budgets.of(source.name, source.settings, limit) if budgets else None
    pacer = Pacer(limit, budget=budget, longest_pause=(retries or Retries()).longest_retry_after)
    session = VendorSession(
        system=source.name, auth=source.auth(), pacer=pacer, classify=source.classify, retries=retries
    )
    base_url = source.settings.base_url if isinstance(source.settings, SourceSettings) else ""
    set_dlt()
    return RESTClient(base_url=base_url, session=session), pacer
