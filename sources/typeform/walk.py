"""Pages of a form's responses, from the newest back to the oldest: each ends where the next one begins."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from millstream.sources.contract import Endpoint
from millstream.sources.pull import records_at
from millstream.sources.typeform.places import Stretch, ordering_moment
from millstream.state.errors import IncompleteError, RefusedError, SchemaError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.typeform.settings import ResponseType

RESPONSES_A_REQUEST = 1000
KEPT_BYTES = 64_000_000

Items = list[Mapping[str, Any]]


class FirstPages:
    """The first page of each form, packed, for the ``answers`` of the same pull: later pulls need no second request.

    Args:
        keep: Whether ``answers`` will ask.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._kept: dict[bytes, bytes] = {}
        self._bytes = 0

    def get(self, pull: Pull, path: str, params: Mapping[str, Any]) -> Any:
        """The page: asked for, or kept by the stream before."""
        key = orjson.dumps([path, params])
        if pull.stream.name == "answers":
            packed = self._kept.pop(key, None)
            return pull.get(path, params) if packed is None else orjson.loads(zlib.decompress(packed))
        body = pull.get(path, params)
        if self._keep and self._bytes < KEPT_BYTES:
            self._kept[key] = packed = zlib.compress(orjson.dumps(body), 1)
            self._bytes += len(packed)
        return body


def walk(
    pull: Pull, pages: FirstPages, form_id: str, kind: ResponseType, stretch: Stretch, *, check_total: bool
) -> Iterator[Items]:
    """Pages of a stretch.

    A short page is not an end: only an empty one is, or a short one with which all that was announced has come.

    Raises:
        IncompleteError: Fewer came than were announced, or a page was repeated.
    """
    path = f"forms/{form_id}/responses"
    params = _params(kind, stretch)
    body = pages.get(pull, path, params)
    items = _items(body, path)
    announced, read, used = body.get("total_items"), len(items), set[str]()
    while items:
        yield items
        if isinstance(announced, int) and read >= announced and len(items) < RESPONSES_A_REQUEST:
            return
        last = _token(items[-1])
        if last in used:
            raise IncompleteError(f"Form {form_id} gave a page of responses twice.", remedy="run again.")
        used.add(last)
        items = _page_before(pull, path, params, items[-1], kind)
        read += len(items)
    if check_total and isinstance(announced, int) and read < announced:
        raise IncompleteError(
            f"Form {form_id} announced {announced} responses and {read} came.",
            remedy="run again, nothing is missed; if it stays so, set check_totals: false.",
        )


def _page_before(
    pull: Pull, path: str, params: Mapping[str, Any], last: Mapping[str, Any], kind: ResponseType
) -> Items:
    try:
        return _items(pull.get(path, {**params, "before": _token(last)}), path)
    except RefusedError:
        if kind == "partial":
            raise
    # The response was deleted since, and its token with it: its time leads on, with some responses once more.
    items = _items(pull.get(path, {**params, "until": vendor_time(ordering_moment(last, kind))}), path)
    return [] if [_token(one) for one in items] == [_token(last)] else items


def _params(kind: ResponseType, stretch: Stretch) -> dict[str, Any]:
    params: dict[str, Any] = {"page_size": RESPONSES_A_REQUEST, "response_type": kind}
    if stretch.since is not None:
        params["since"] = vendor_time(stretch.since)
    if stretch.until is not None:
        params["until"] = vendor_time(stretch.until)
    return params


def vendor_time(moment: datetime) -> str:
    """UTC without an offset, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _items(body: Any, path: str) -> Items:
    return records_at(body, Endpoint(path=path, records="items"))


def _token(found: Mapping[str, Any]) -> str:
    token = found.get("token")
    if not token:
        raise SchemaError("A response has no token.", remedy="the API may have changed: update the connector.")
    return str(token)
