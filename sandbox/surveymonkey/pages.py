"""Query parameters, pages and dates as SurveyMonkey has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from millstream.sandbox.surveymonkey.errors import refusal
from millstream.sandbox.system import Answer, Call, JsonObject

PAGING = ("page", "per_page")


def check_query(call: Call, *allowed: str) -> None:
    """Refuse parameters that the endpoint does not have.

    The vendor passes over them in silence; here a misspelt filter must not go unnoticed.
    """
    unknown = sorted(set(call.query) - set(allowed) - set(PAGING))
    if unknown:
        raise refusal(1003, f"Unknown: {', '.join(unknown)}.")


def one_of(call: Call, name: str, values: Sequence[str], default: str) -> str:
    """A parameter that takes one of a few values."""
    value = call.query.get(name, default)
    if value not in values:
        raise refusal(1003, f"{name} must be one of {', '.join(values)}.")
    return value


def includes(call: Call, values: Sequence[str]) -> set[str]:
    """The extra fields asked for with `include`."""
    asked = {part.strip() for part in call.query.get("include", "").split(",") if part.strip()}
    if asked - set(values):
        raise refusal(1003, f"include cannot be {', '.join(sorted(asked - set(values)))}.")
    return asked


def moment(call: Call, name: str) -> int | None:
    """A date parameter in whole seconds since 1970; without an offset it is UTC."""
    text = call.query.get(name)
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise refusal(1003, f"{name} is not a date string.") from error
    return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())


def stamp(ms: int, *, offset: bool = True) -> str:
    """A time in the vendor's format, to the second; lists of surveys leave the offset out."""
    text = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}+00:00" if offset else text


class Page:
    """Which rows of a listing are asked for.

    Args:
        call: The request.
        total: How many rows the listing has.
        default: Rows a page when the client does not say.
        maximum: Largest `per_page`.
    """

    def __init__(self, call: Call, total: int, default: int = 50, maximum: int = 1000) -> None:
        self._call = call
        self.total = total
        self.number = self._integer("page", 1)
        self.size = self._integer("per_page", default)
        if self.size > maximum:
            raise refusal(1003, f"per_page must not be above {maximum}.")
        self._start = (self.number - 1) * self.size
        self._shorten()

    def _integer(self, name: str, default: int) -> int:
        text = self._call.query.get(name, str(default))
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
            raise refusal(1003, f"{name} must be a positive integer.")
        return int(text)

    def _shorten(self) -> None:
        # A shorter page must divide the asked one, so that `links.next` can go on at the right row.
        limit = self._call.page_limit(self.size)
        if limit < self.size:
            self.size = next(size for size in range(limit, 0, -1) if self.size % size == 0)
            self.number = self._start // self.size + 1

    @property
    def rows(self) -> slice:
        """The rows of this page, in the order of the listing."""
        return slice(self._start, self._start + self.size)

    def answer(self, data: Sequence[JsonObject]) -> Answer:
        """The envelope around the rows."""
        links = {"self": self._link(self.number)}
        last = max(1, -(-self.total // self.size))
        if self.number < last:
            links["next"] = self._link(self.number + 1)
            links["last"] = self._link(last)
        if self.number > 1:
            links["prev"] = self._link(self.number - 1)
            links["first"] = self._link(1)
        return Answer(
            {"data": list(data), "page": self.number, "per_page": self.size, "total": self.total, "links": links}
        )

    def _link(self, number: int) -> str:
        kept = [(name, value) for name, value in self._call.query_list if name not in PAGING]
        query = urlencode([*kept, ("page", str(number)), ("per_page", str(self.size))])
        return f"{self._call.base_url}{self._call.path}?{query}"
