"""The filter of `POST /v1/customers`."""

from __future__ import annotations

from collections.abc import Callable

from millstream.sandbox.customerio.errors import app
from millstream.sandbox.customerio.people import Profile
from millstream.sandbox.customerio.segments import Segments

Test = Callable[[Profile], bool]


def compiled(given: object, segments: Segments) -> Test:
    """A filter as a test of a person.

    Raises:
        ApiError: It is none.
    """
    if not isinstance(given, dict) or len(given) != 1:
        raise app(400, "a filter has exactly one of and, or, not, attribute, segment")
    name, inner = next(iter(given.items()))
    if name in {"and", "or"}:
        if not isinstance(inner, list) or not inner:
            raise app(400, f"{name} takes a list of filters")
        tests, every = [compiled(part, segments) for part in inner], name == "and"
        return lambda profile: (all if every else any)(test(profile) for test in tests)
    if name == "not":
        test = compiled(inner, segments)
        return lambda profile: not test(profile)
    if name == "segment" and isinstance(inner, dict):
        return _in_segment(str(inner.get("id")), segments)
    if name == "attribute" and isinstance(inner, dict):
        return _by_attribute(inner)
    raise app(400, f"{name} cannot be filtered by")


def _in_segment(segment_id: str, segments: Segments) -> Test:
    segment = segments.get(segment_id)
    if segment is None:
        raise app(400, f"there is no segment {segment_id}")
    members = set(segments.members(segment))
    return lambda profile: profile.number in members


def _by_attribute(inner: dict[str, object]) -> Test:
    field, operator, wanted = inner.get("field"), inner.get("operator"), inner.get("value")
    if not isinstance(field, str) or operator not in {"eq", "exists"} or (operator == "eq" and wanted is None):
        raise app(400, "an attribute's filter has a field and eq with a value, or exists")

    def test(profile: Profile) -> bool:
        own = {**profile.attributes, **profile.identifiers()}.get(field)
        if operator == "exists":
            return own is not None
        return str(own).lower() == str(wanted).lower() if field == "email" else str(own) == str(wanted)

    return test
