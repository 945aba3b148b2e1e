"""The vendor's responses as rows of our streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from millstream.sources.contract import Row
from millstream.sources.from_project import column_name
from millstream.sources.typeform.definitions import is_nps
from millstream.sources.typeform.places import moment_of

if TYPE_CHECKING:
    from millstream.sources.typeform.settings import ResponseType, TypeformSettings

PLACEHOLDER = "xxxxx"
"""What the vendor's share links hold in place of a hidden field's value, until somebody fills it in."""

Fields = Mapping[str, Row]
"""Rows of a form's fields by their id."""


def hidden_column(name: str) -> str:
    """The column of ``responses`` that holds a hidden field used as an identifier."""
    return f"hidden_{column_name(name)}"


def trait_column(name: str) -> str:
    """The column of ``responses`` that holds a trait."""
    return f"trait_{name}"


def consent_column(question: str) -> str:
    """The column of ``responses`` that holds the answer to a question that asks for consent."""
    return f"consent_{column_name(question)}"


def response_row(
    form: Mapping[str, Any],
    found: Mapping[str, Any],
    kind: ResponseType,
    fields: Fields,
    settings: TypeformSettings,
) -> Row:
    """A row of ``responses``.

    Left out on purpose: the hash of the respondent's IP address, and what stands behind the ``?`` or ``#`` of the
    page's address, where hidden fields stand in clear.
    """
    metadata = found.get("metadata") or {}
    submitted, landed = moment_of(found, "submitted_at"), moment_of(found, "landed_at")
    is_finished = kind == "completed" and submitted is not None
    return {
        "token": found.get("token"),
        "survey_id": str(form["id"]),
        "survey_title": form.get("title"),
        "response_type": found.get("response_type") or kind,
        "is_finished": is_finished,
        "landed_at": landed,
        "submitted_at": submitted,
        "responded_at": submitted or landed,
        "nps_score": _nps_score(found, fields),
        "comment": _comment(found, fields, settings),
        "score": (found.get("calculated") or {}).get("score"),
        "hidden": found.get("hidden") or {},
        "variables": found.get("variables") or [],
        "tags": found.get("tags") or [],
        "platform": metadata.get("platform"),
        "browser": metadata.get("browser"),
        "referer": _without_values(metadata.get("referer")),
        "deleted": False,
        **_about_the_person(found, fields, settings, is_finished=is_finished),
    }


def answer_rows(form: Mapping[str, Any], found: Mapping[str, Any], fields: Fields) -> Iterator[Row]:
    """Rows of ``answers`` for one response."""
    for answer in found.get("answers") or ():
        asked = answer.get("field") or {}
        field = fields.get(str(asked.get("id")), {})
        chosen = _chosen(answer)
        yield {
            "response_token": found.get("token"),
            "survey_id": str(form["id"]),
            "field_id": asked.get("id"),
            "field_ref": asked.get("ref"),
            "field_type": asked.get("type"),
            "question": field.get("title"),
            "answer_type": answer.get("type"),
            "text": _text(answer),
            "number": answer.get("number"),
            "boolean": answer.get("boolean"),
            "choice_ids": [one[0] for one in chosen],
            "choices": [one[1] for one in chosen],
            "responded_at": moment_of(found, "submitted_at") or moment_of(found, "landed_at"),
        }


def _about_the_person(
    found: Mapping[str, Any], fields: Fields, settings: TypeformSettings, *, is_finished: bool
) -> Row:
    hidden = found.get("hidden") or {}
    row: Row = {"email": None, "phone": None}
    row |= {hidden_column(name): _known(hidden.get(name)) for name in settings.identifiers}
    row |= {trait_column(name): None for name in settings.traits.values()}
    row |= {consent_column(question): None for question in settings.consents}
    others = {column_name(name) for name in settings.others}
    for answer in found.get("answers") or ():
        names = _names(answer.get("field") or {}, fields)
        if names & others:
            continue
        said = {"email": answer.get("email"), "phone": answer.get("phone_number")}
        said |= {
            trait_column(name): _text(answer) for asked, name in settings.traits.items() if column_name(asked) in names
        }
        if is_finished and isinstance(answer.get("boolean"), bool):
            said |= {consent_column(asked): _text(answer) for asked in settings.consents if column_name(asked) in names}
        row |= {column: value for column, value in said.items() if value and row[column] is None}
    return row


def _names(asked: Mapping[str, Any], fields: Fields) -> set[str]:
    """What the settings may call a question: its ref, its id, or its key in a contact-info question."""
    key = fields.get(str(asked.get("id")), {}).get("key")
    return {column_name(str(name)) for name in (asked.get("ref"), asked.get("id"), key) if name}


def _nps_score(found: Mapping[str, Any], fields: Fields) -> int | None:
    """The score given to the first answered question that asks for one from 0 to 10."""
    for answer in found.get("answers") or ():
        asked, number = answer.get("field") or {}, answer.get("number")
        field = fields.get(str(asked.get("id")), {})
        if isinstance(number, int | float) and (field.get("is_nps") or is_nps(str(asked.get("type")), {})):
            return int(number)
    return None


def _comment(found: Mapping[str, Any], fields: Fields, settings: TypeformSettings) -> str | None:
    """Answers to questions for a long text. Short ones are left out: they ask for names and the like."""
    others = {column_name(name) for name in settings.others}
    texts = []
    for answer in found.get("answers") or ():
        asked = answer.get("field") or {}
        if asked.get("type") == "long_text" and not _names(asked, fields) & others:
            texts.append(str(answer.get("text") or "").strip())
    return "\n".join(filter(None, texts)) or None


def _known(value: Any) -> str | None:
    text = str(value).strip() if value is not None else ""
    return text if text and text != PLACEHOLDER else None


def _chosen(answer: Mapping[str, Any]) -> list[tuple[str | None, str | None]]:
    """Ids and labels of the choices; one's own words have no id."""
    if one := answer.get("choice"):
        return [(one.get("id"), one.get("label") or one.get("other"))]
    several = answer.get("choices") or {}
    labels: list[str | None] = list(several.get("labels") or ())
    ids: list[str | None] = list(several.get("ids") or [None] * len(labels))
    own = [(None, several["other"])] if several.get("other") else []
    return [*zip(ids, labels, strict=False), *own]


def _text(answer: Mapping[str, Any]) -> str | None:
    """An answer as a reader would write it; of a payment only the amount."""
    kind = str(answer.get("type"))
    value = answer.get(kind)
    if kind in ("choice", "choices"):
        return ", ".join(label for _, label in _chosen(answer) if label) or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind == "payment" and isinstance(value, Mapping):
        return str(value.get("amount"))
    if isinstance(value, Mapping | list):
        return orjson.dumps(value).decode()
    return None if value is None else str(value)


def _without_values(address: Any) -> str | None:
    if not address:
        return None
    parts = urlsplit(str(address))
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
