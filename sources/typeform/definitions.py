"""What forms ask: their fields and hidden fields, fetched once for each version of a form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Row
from millstream.state.errors import SchemaError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

_SCALE_OF_ELEVEN = 11


class Definitions:
    """The definitions of forms.

    A stream that fetched one keeps it in its own notes; all streams of a pull share what any of them has.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}

    def learn(self, pull: Pull) -> None:
        """Take over what the stream of ``pull`` noted in earlier pulls."""
        for form_id, kept in pull.state.get("definitions", {}).items():
            self._known.setdefault(form_id, kept)

    def of(self, pull: Pull, form: Mapping[str, Any]) -> Mapping[str, Any]:
        """A form's definition: ``{"version", "hidden", "fields"}`` with the rows of the ``fields`` stream by id."""
        form_id, version = str(form["id"]), form.get("last_updated_at")
        kept = self._known.get(form_id)
        if kept is None or version is None or kept["version"] != version:
            found = pull.get(f"forms/{form_id}")
            before = kept["fields"] if kept else {}
            kept = {"version": version, "hidden": _hidden(found), "fields": _merged(before, form_id, found)}
            self._known[form_id] = kept
            pull.state.setdefault("definitions", {})[form_id] = kept
        return kept

    def changed_fields(self, pull: Pull, form: Mapping[str, Any]) -> list[Row]:
        """Rows of a form's fields, or nothing where the stream's notes show that it has yielded this version."""
        yielded = pull.state.setdefault("versions", {})
        form_id, version = str(form["id"]), form.get("last_updated_at")
        if version is not None and yielded.get(form_id) == version:
            return []
        fields = list(self.of(pull, form)["fields"].values())
        yielded[form_id] = version
        return fields


def _hidden(found: Any) -> list[str]:
    hidden = found.get("hidden") if isinstance(found, Mapping) else None
    return [str(name) for name in hidden or ()]


def _merged(before: Mapping[str, Row], form_id: str, found: Any) -> dict[str, Row]:
    """The fields of a definition, and those that it had before: earlier answers still point at them."""
    fields = found.get("fields") if isinstance(found, Mapping) else None
    if not isinstance(fields, list):
        raise SchemaError(
            f"The definition of form {form_id} has no list of fields.",
            remedy="the API may have changed: update the connector.",
        )
    gone = {key: row | {"is_current": False} for key, row in before.items()}
    return gone | {str(row["id"]): row for row in field_rows(form_id, fields)}


def field_rows(
    form_id: str, fields: list[Mapping[str, Any]], *, parent: Mapping[str, Any] | None = None
) -> Iterator[Row]:
    """Rows of the ``fields`` stream; questions inside a group, a matrix or a contact-info question follow it."""
    for position, field in enumerate(fields, 1):
        properties = field.get("properties") or {}
        choices = properties.get("choices") or ()
        yield {
            "id": field.get("id"),
            "survey_id": form_id,
            "parent_id": parent.get("id") if parent else None,
            "position": position,
            "ref": field.get("ref"),
            "key": field.get("subfield_key"),
            "title": field.get("title"),
            "type": field.get("type"),
            "choices": {str(one["id"]): one.get("label") for one in choices if "id" in one},
            "is_nps": is_nps(str(field.get("type")), properties),
            "is_current": True,
        }
        yield from field_rows(form_id, properties.get("fields") or [], parent=field)


def is_nps(kind: str, properties: Mapping[str, Any]) -> bool:
    """Whether a question takes a score from 0 to 10: a Net Promoter Score question, or such an opinion scale."""
    if kind == "nps":
        return True
    starts_at_zero = properties.get("start_at_one") is False
    return kind == "opinion_scale" and starts_at_zero and properties.get("steps") == _SCALE_OF_ELEVEN
