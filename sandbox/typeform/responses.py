"""Listing and erasing the responses of a form."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from millstream.sandbox.company import Company
from millstream.sandbox.system import Answer, Call, JsonObject
from millstream.sandbox.typeform.errors import invalid, refusal
from millstream.sandbox.typeform.forms import Form, find_form
from millstream.sandbox.typeform.people import Submission, answers, hidden, submissions

PARAMETERS = {
    "page_size", "since", "until", "after", "before", "included_response_ids", "excluded_response_ids",
    "response_type", "completed", "sort",
}  # fmt: skip
"""The vendor also searches (`query`, `fields`, `answered_fields`), which is not here and is refused."""

TYPES = ("started", "partial", "completed")
SORTS = ("submitted_at,asc", "submitted_at,desc")
DEFAULT_PAGE, LARGEST_PAGE = 25, 1000
MOST_ERASED = 1000
NEVER = "0001-01-01T00:00:00Z"
"""What stands in `submitted_at` of a response that was not submitted."""


class Responses:
    """Handlers for the responses of all forms."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._advances = -1
        self._known: dict[str, list[Submission]] = {}
        self.erased: set[str] = set()

    def listing(self, call: Call) -> Answer:
        """`GET /forms/{id}/responses`."""
        form = find_form(call.params["form_id"])
        for name in sorted(set(call.query) - PARAMETERS):
            raise invalid(name, "is not a parameter of this endpoint")
        size = _page_size(call)
        found = self._ordered(call, self._filtered(call, form))
        page = found[: call.page_limit(size)]
        items = [self._item(one) for one in page]
        return Answer({"total_items": len(found), "page_count": math.ceil(len(found) / size), "items": items})

    def erase(self, call: Call) -> Answer:
        """`DELETE /forms/{id}/responses`: the named responses are gone for good."""
        form = find_form(call.params["form_id"])
        tokens = _ids(call, "included_tokens") or _ids(call, "included_response_ids")
        if not tokens or len(tokens) > MOST_ERASED:
            raise invalid("included_tokens", f"must name 1 to {MOST_ERASED} responses")
        known = {one.token for one in self._submissions(form)}
        self.erased |= tokens & known
        return Answer(None, 202)

    def _submissions(self, form: Form) -> list[Submission]:
        if self._advances != self._company.advances:
            self._known, self._advances = {}, self._company.advances
        if form.form_id not in self._known:
            self._known[form.form_id] = submissions(self._company, form)
        return self._known[form.form_id]

    def _filtered(self, call: Call, form: Form) -> list[Submission]:
        types = _types(call)
        since, until = _moment(call, "since"), _moment(call, "until")
        included, excluded = _ids(call, "included_response_ids"), _ids(call, "excluded_response_ids")
        return [
            one
            for one in self._submissions(form)
            if one.token not in self.erased
            and _type(one) in types
            and (since is None or one.at_ms // 1000 >= since)
            and (until is None or one.at_ms // 1000 <= until)
            and (not included or one.token in included)
            and one.token not in excluded
        ]

    def _ordered(self, call: Call, found: list[Submission]) -> list[Submission]:
        """Newest first, or from a token on: `before` walks back in time, `after` forward."""
        before, after, sort = (call.query.get(name) for name in ("before", "after", "sort"))
        if sort is not None and sort not in SORTS:
            raise invalid("sort", f"must be one of {' and '.join(SORTS)}")
        if sort is not None and (before or after):
            raise invalid("sort", "cannot be combined with before or after")
        if before or after:
            edge = self._place(str(before or after))
            if before:
                return [one for one in reversed(found) if (one.at_ms, one.token) < edge]
            return [one for one in found if (one.at_ms, one.token) > edge]
        return found if sort == "submitted_at,asc" else found[::-1]

    def _place(self, token: str) -> tuple[int, str]:
        for known in self._known.values():
            for one in known:
                if one.token == token:
                    return one.at_ms, one.token
        raise refusal(400, "INVALID_TOKEN", "There is no response with this token.")

    def _item(self, one: Submission) -> JsonObject:
        early = one.index < self._company.people
        person = self._company.original(one.index) if early else self._company.person(one.index)
        item: JsonObject = {
            "landing_id": one.token,
            "token": one.token,
            "response_id": one.token,
            "response_type": _type(one),
            "landed_at": _stamp(one.landed_ms),
            "submitted_at": NEVER if one.submitted_ms is None else _stamp(one.submitted_ms),
            "metadata": {
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
                "platform": ("mobile", "other")[one.bits & 1],
                "referer": f"https://shop.example.com/to/{one.form.form_id}",
                "network_id": f"{one.bits >> 24 & 0xFFFFFFFF:08x}",
                "browser": ("touch", "default")[one.bits & 1],
            },
            "hidden": hidden(person, one),
            "calculated": {"score": 0},
        }
        said = answers(person, one)
        if said:
            item["answers"] = said
        return item


def _type(one: Submission) -> str:
    return "partial" if one.submitted_ms is None else "completed"


def _types(call: Call) -> set[str]:
    asked = call.query.get("response_type")
    if asked is None:
        flag = call.query.get("completed", "true")
        if flag not in ("true", "false"):
            raise invalid("completed", "must be true or false")
        return {"completed"} if flag == "true" else {"started", "partial"}
    types = set(asked.split(","))
    if types - set(TYPES):
        raise invalid("response_type", f"must be of {', '.join(TYPES)}")
    return types


def _page_size(call: Call) -> int:
    text = call.query.get("page_size", str(DEFAULT_PAGE))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= LARGEST_PAGE):
        raise invalid("page_size", f"must be a whole number from 1 to {LARGEST_PAGE}")
    return int(text)


def _ids(call: Call, name: str) -> set[str]:
    return {part for part in call.query.get(name, "").split(",") if part}


def _moment(call: Call, name: str) -> int | None:
    """A time in seconds since 1970: ISO 8601 in UTC, or the number itself."""
    text = call.query.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(name, "must be ISO 8601 in UTC, or seconds since 1970") from error
    return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())


def _stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
