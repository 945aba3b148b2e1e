"""What comes with an upload: a schema, rows of cells, and which of them are no use."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from millstream.sandbox.hashed_audience import Key
from millstream.sandbox.meta_custom_audiences.errors import graph_error, invalid
from millstream.sandbox.meta_custom_audiences.parameters import an_object, structured, truth
from millstream.sandbox.system import Call, JsonObject

LARGEST_UPLOAD = 10_000
MOST_SAMPLES = 5
# Order in which a row's keys are asked for a member; the other keys single nobody out.
STRONGEST = ("EXTERN_ID", "EMAIL", "MADID", "PHONE")
HASHED = ("EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "CT", "ST", "ZIP", "COUNTRY")
CLEAR = ("MADID", "EXTERN_ID", "LOOKALIKE_VALUE")
OPTIONS = "DATA_PROCESSING_OPTIONS"
PLACES_OF_OPTIONS = (f"{OPTIONS}_COUNTRY", f"{OPTIONS}_STATE")
KEYS = (*HASHED, *CLEAR, OPTIONS, *PLACES_OF_OPTIONS)
SINGLE = {
    "EMAIL_SHA256": "EMAIL", "PHONE_SHA256": "PHONE", "MOBILE_ADVERTISER_ID": "MADID",
    "EMAIL": "EMAIL", "PHONE": "PHONE", "MADID": "MADID",
}  # fmt: skip
PAYLOAD = ("schema", "data", "is_raw", "data_source", "app_ids", "page_ids", "ig_account_ids")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEVICE = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class _Unusable(ValueError):
    """What is wrong with one row."""


@dataclass(slots=True)
class Upload:
    """Rows of one call.

    Attributes:
        source: How the vendor calls this way of uploading: several keys a row, or one.
        rows: Keys of each usable row.
        schema: Keys by column.
    """

    source: str
    schema: Sequence[str]
    received: int
    rows: list[tuple[Key, ...]] = field(default_factory=list)
    invalid: int = 0
    samples: dict[str, str] = field(default_factory=dict)

    def answer(self, audience_id: str, session_id: str) -> JsonObject:
        """What the vendor says about an upload: counts, and samples of what it could not use."""
        return {
            "audience_id": audience_id,
            "session_id": session_id,
            "num_received": self.received,
            "num_invalid_entries": self.invalid,
            "invalid_entry_samples": self.samples,
        }


def read_upload(call: Call, values: Mapping[str, object]) -> Upload:
    """Check the payload of a call. What is wrong with all of it is refused, what is wrong with a row is counted."""
    if "payload" not in values:
        raise invalid("The parameter payload is required")
    if "customer_consent" in values:
        truth(values["customer_consent"], "customer_consent")
    payload = an_object(structured(values, "payload"), "payload", PAYLOAD)
    if "data_source" in payload:
        an_object(payload["data_source"], "payload[data_source]", ("type", "sub_type"))
    schema, single = _schema(payload.get("schema"))
    data = payload.get("data")
    if not isinstance(data, list) or not data:
        raise invalid("Param payload[data] must be a non-empty array.")
    if len(data) > LARGEST_UPLOAD:
        raise graph_error(105, f"(#105) The number of entries exceeded the maximum of {LARGEST_UPLOAD}.")
    is_raw = truth(payload.get("is_raw", False), "payload[is_raw]")
    upload = Upload("HASHES_OR_USER_IDS" if single else "MULTI_HASHES", schema, len(data))
    for number, entry in enumerate(data):
        _take(call, upload, _cells(entry, number, schema, single=single), is_raw=is_raw)
    return upload


def _schema(value: object) -> tuple[list[str], bool]:
    """The keys by column, and whether the schema was a single word."""
    if isinstance(value, str) and value.startswith("["):
        value = structured({"payload[schema]": value}, "payload[schema]")
    if isinstance(value, str):
        if value not in SINGLE:
            raise invalid(f"Param payload[schema] must be one of {', '.join(SINGLE)}, got {value}.")
        return [SINGLE[value]], True
    if not isinstance(value, list) or not value:
        raise invalid("The parameter payload[schema] is required")
    for key in value:
        if key not in KEYS:
            raise invalid(f"Param payload[schema] must hold only {', '.join(KEYS)}, got {key}.")
    if not set(value) & {*HASHED, *CLEAR}:
        raise invalid("Param payload[schema] must hold a key to match people by.")
    return value, False


def _cells(entry: object, number: int, schema: Sequence[str], *, single: bool) -> list[object]:
    if single and not isinstance(entry, list):
        return [entry]
    if not isinstance(entry, list) or len(entry) != len(schema):
        raise invalid(f"Param payload[data][{number}] must be an array of {len(schema)} values, as the schema says.")
    return entry


def _take(call: Call, upload: Upload, cells: list[object], *, is_raw: bool) -> None:
    try:
        keys = _keys(upload.schema, cells, is_raw=is_raw)
        if call.refuses(keys[0][1]):
            raise _Unusable("This entry cannot be used.")
        upload.rows.append(keys)
    except _Unusable as reason:
        upload.invalid += 1
        if len(upload.samples) < MOST_SAMPLES:
            upload.samples[orjson.dumps(cells).decode()] = str(reason)


def _keys(schema: Sequence[str], cells: list[object], *, is_raw: bool) -> tuple[Key, ...]:
    keys: list[Key] = []
    for name, cell in zip(schema, cells, strict=True):
        if name == OPTIONS:
            _check_options(cell)
        elif name in PLACES_OF_OPTIONS:
            if not isinstance(cell, int):
                raise invalid(f"{name} must be a number.")
        elif name == "LOOKALIKE_VALUE":
            if isinstance(cell, bool) or not isinstance(cell, int | float) or cell < 0:
                raise _Unusable(f"{name} must be a number of 0 or more.")
        elif cell != "":
            keys.append((name, _value(name, cell, is_raw=is_raw)))
    if not keys:
        raise _Unusable("There is nothing to match by.")
    return tuple(keys)


def _check_options(cell: object) -> None:
    if cell not in ([], ["LDU"]):
        raise invalid(f"{OPTIONS} must be an array that is empty or holds LDU.")


def _value(name: str, cell: object, *, is_raw: bool) -> str:
    if name == "EXTERN_ID" and isinstance(cell, int | str) and not isinstance(cell, bool):
        return str(cell)
    if not isinstance(cell, str):
        raise _Unusable(f"{name} must be text.")
    if name == "MADID":
        if not _DEVICE.fullmatch(cell):
            raise _Unusable("MADID must be a device's advertising id, in lower case and not hashed.")
        return cell
    if _SHA256.fullmatch(cell):
        return cell
    if not is_raw:
        raise _Unusable(f"{name} must be a SHA-256 hash, as 64 hexadecimal digits in lower case.")
    return hashlib.sha256(NORMALISED.get(name, _plain)(cell).encode()).hexdigest()


def _plain(text: str) -> str:
    return text.strip().lower()


def _letters(text: str) -> str:
    return "".join(letter for letter in _plain(text) if unicodedata.category(letter)[0] not in "PZ")


def _phone(text: str) -> str:
    return "".join(digit for digit in text if digit.isascii() and digit.isdigit()).lstrip("0")


# What the vendor does itself to values that come in clear.
NORMALISED: dict[str, Callable[[str], str]] = {
    "PHONE": _phone, "FN": _letters, "LN": _letters, "CT": _letters, "ST": _letters, "ZIP": _letters,
}  # fmt: skip
