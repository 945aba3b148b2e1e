"""Lists: pages of elements, each with the address of the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from millstream.sources.contract import Endpoint
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, MalformedAnswerError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

ELEMENTS_A_PAGE = 100


@dataclass(frozen=True)
class Listing:
    """One page.

    Attributes:
        elements: The vendor's rows.
        next: Parameters of the next page, or None on the last one.
    """

    elements: list[Mapping[str, Any]]
    next: Mapping[str, str] | None


def listing(pull: Pull, path: str, params: Mapping[str, Any]) -> Listing:
    """One page."""
    body = pull.get(path, params)
    elements = records_at(body, Endpoint(path=path, records="result.elements"))
    link = body["result"].get("nextPage")
    # Only the link's parameters are followed: the token goes to no host but ours. A link that is none ends the list.
    query = dict(parse_qsl(urlsplit(link).query)) if isinstance(link, str) else {}
    return Listing(elements, query or None)


def listings(pull: Pull, path: str, params: Mapping[str, Any]) -> Iterator[Listing]:
    """All pages from the one that the parameters name.

    Raises:
        IncompleteError: A page names itself as the next one.
    """
    at: Mapping[str, Any] = {"pageSize": ELEMENTS_A_PAGE, **params}
    while True:
        page = listing(pull, path, at)
        yield page
        if page.next is None:
            return
        if dict(page.next) == {name: str(value) for name, value in at.items()}:
            raise IncompleteError(f"{path} gave the same page twice.", remedy="run again.")
        at = page.next


def result_of(body: Any, path: str) -> Mapping[str, Any]:
    """What an answer holds.

    Raises:
        MalformedAnswerError: It holds nothing.
    """
    result = body.get("result") if isinstance(body, dict) else None
    if not isinstance(result, dict):
        raise MalformedAnswerError(
            f"{path} answered without a result.",
            remedy="the API may have changed: update the connector, or check the base_url.",
        )
    return result
