"""Lists of records: by page number for the first 2,000, by page token beyond; the deleted; one; the count."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Protocol

import orjson

from millstream.sandbox.company import Company
from millstream.sandbox.system import Answer, Call, JsonObject
from millstream.sandbox.zoho_crm.errors import invalid, missing, refusal
from millstream.sandbox.zoho_crm.people import MODULES, Record
from millstream.sandbox.zoho_crm.rows import full_row, projected, stamp, system_keys, user

LARGEST_PAGE, MOST_FIELDS, MOST_IDS = 200, 50, 100
FIRST_RECORDS, MOST_RECORDS = 2_000, 100_000
TOKEN_SECONDS = 86_400
SORTS: dict[str, Callable[[Record], int]] = {
    "id": lambda record: record.number,
    "Created_Time": lambda record: record.created,
    "Modified_Time": lambda record: record.modified,
}


class Records(Protocol):
    """Where the handlers find what there is."""

    @property
    def company(self) -> Company:
        """Whose records."""

    def of(self, module: str) -> Sequence[Record]:
        """The records of a module, the deleted too."""


def module_of(call: Call) -> str:
    """The module that the path names."""
    module = call.params["module"]
    if module not in MODULES:
        raise refusal(400, "INVALID_MODULE", "the module name given seems to be invalid", {"resource_path_index": 0})
    return module


def modified_since(call: Call) -> int | None:
    """What `If-Modified-Since` says, in seconds since 1970."""
    text = call.headers.get("if-modified-since")
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid("If-Modified-Since", "datetime") from error
    if at.tzinfo is None:
        raise invalid("If-Modified-Since", "datetime")
    return int(at.timestamp())


def whole_number(call: Call, name: str, default: int, largest: int | None = None) -> int:
    """A parameter that counts from 1."""
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or int(text) < 1 or (largest is not None and int(text) > largest):
        raise invalid(name, "integer")
    return int(text)


def check_query(call: Call, *known: str) -> None:
    """Refuse parameters that the address does not know, so that a slip of the pen is seen."""
    for name in call.query:
        if name not in known:
            raise invalid(name)


def list_records(records: Records, call: Call) -> Answer:
    """`GET /crm/v8/{module}`; what is modified at the very second of `If-Modified-Since` is not given."""
    module = module_of(call)
    check_query(
        call, "fields", "page", "per_page", "page_token", "sort_by", "sort_order", "ids", "converted", "approved"
    )
    fields = _fields(call)
    found = _sorted(call, _filtered(records, module, call))
    if not found:
        return Answer(status=204 if modified_since(call) is None else 304)
    page, per_page = whole_number(call, "page", 1), whole_number(call, "per_page", LARGEST_PAGE, LARGEST_PAGE)
    token = call.query.get("page_token")
    if token is None:
        if page * per_page > FIRST_RECORDS:
            message = f"You can only get the first {FIRST_RECORDS} records without using page_token param."
            raise refusal(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", message, {"limit": FIRST_RECORDS})
        start, end = (page - 1) * per_page, page * per_page
    else:
        if "page" in call.query:
            message = "You cannot use both page and page_token."
            raise refusal(400, "AMBIGUITY_DURING_PROCESSING", message, {"param_names": ["page", "page_token"]})
        start, page = _place(call, token, found)
        # Only here may a page be short: whoever goes on by page number would miss the rest of it.
        end = start + call.page_limit(per_page)
    shown = found[start:end]
    if not shown:
        return Answer(status=204)
    more = end < len(found)
    info: JsonObject = {
        "call": False,
        "per_page": per_page,
        "count": len(shown),
        "page": page,
        "sort_by": call.query.get("sort_by", "id"),
        "sort_order": call.query.get("sort_order", "desc"),
        "more_records": more,
        "next_page_token": _token(call, shown[-1], page + 1, end) if more else None,
        "previous_page_token": None,
        "page_token_expiry": stamp(records.company.today_ms // 1000 + TOKEN_SECONDS) if more else None,
    }
    rows = [projected(full_row(records.company, module, record), fields) for record in shown]
    return Answer({"data": rows, "info": info})


def _fields(call: Call) -> list[str]:
    text = call.query.get("fields", "")
    if not text:
        raise missing("fields")
    fields = [name.strip() for name in text.split(",")]
    if len(fields) > MOST_FIELDS:
        raise refusal(400, "LIMIT_EXCEEDED", "Max field limit exceeded", {"param_name": "fields", "limit": MOST_FIELDS})
    return fields


def _filtered(records: Records, module: str, call: Call) -> list[Record]:
    converted, approved = call.query.get("converted", "false"), call.query.get("approved", "both")
    for name, value in (("converted", converted), ("approved", approved)):
        if value not in ("true", "false", "both"):
            raise invalid(name)
    since, ids = modified_since(call), call.query.get("ids")
    wanted = None if ids is None else set(ids.split(","))
    if wanted is not None and len(wanted) > MOST_IDS:
        raise refusal(400, "LIMIT_EXCEEDED", "Record count exceeded", {"param_name": "ids", "limit": MOST_IDS})
    if approved == "false":
        return []
    return [
        record
        for record in records.of(module)
        if record.deleted is None
        and (module != "Leads" or converted == "both" or (record.converted is not None) == (converted == "true"))
        and (since is None or record.modified > since)
        and (wanted is None or str(record.number) in wanted)
    ]


def _sorted(call: Call, found: list[Record]) -> list[Record]:
    sort_by, order = call.query.get("sort_by", "id"), call.query.get("sort_order", "desc")
    if sort_by not in SORTS:
        raise invalid("sort_by")
    if order not in ("asc", "desc"):
        raise invalid("sort_order")
    key = SORTS[sort_by]
    return sorted(found, key=lambda record: (key(record), record.number), reverse=order == "desc")


def _asked(call: Call) -> str:
    """What a page token is bound to."""
    names = ("fields", "sort_by", "sort_order", "converted", "approved", "ids")
    asked = repr([call.path, *(call.query.get(name) for name in names), call.headers.get("if-modified-since")])
    return blake2b(asked.encode(), digest_size=8).hexdigest()


def _token(call: Call, last: Record, page: int, passed: int) -> str:
    """A place after a record, so that what changes meanwhile moves nobody else."""
    key = SORTS[call.query.get("sort_by", "id")](last)
    return base64.urlsafe_b64encode(orjson.dumps([_asked(call), key, last.number, page, passed])).decode().rstrip("=")


def _place(call: Call, token: str, found: list[Record]) -> tuple[int, int]:
    try:
        asked, key, number, page, passed = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise _token_mismatch() from error
    if asked != _asked(call):
        raise _token_mismatch()
    if passed >= MOST_RECORDS:
        message = f"You can only get up to first {MOST_RECORDS} records using page_token param."
        raise refusal(400, "PAGINATION_LIMIT_EXCEEDED", message, {"limit": MOST_RECORDS})
    sort_key, last = SORTS[call.query.get("sort_by", "id")], (int(key), int(number))
    descending = call.query.get("sort_order", "desc") == "desc"
    for place, record in enumerate(found):
        own = (sort_key(record), record.number)
        if (own < last) if descending else (own > last):
            return place, int(page)
    return len(found), int(page)


def _token_mismatch() -> Exception:
    message = "The page_token given seems to be invalid or input param is added, altered, or deleted"
    return refusal(400, "TOKEN_BOUND_DATA_MISMATCH", message, {"param_name": "page_token"})


def list_deleted(records: Records, call: Call) -> Answer:
    """`GET /crm/v8/{module}/deleted`, the latest first."""
    module = module_of(call)
    check_query(call, "type", "page", "per_page")
    kind = call.query.get("type", "all")
    if kind not in ("all", "recycle", "permanent"):
        raise invalid("type")
    since = modified_since(call)
    gone = [
        (record.deleted, record)
        for record in records.of(module)
        if record.deleted is not None
        and (since is None or record.deleted > since)
        and (kind == "all" or record.permanent == (kind == "permanent"))
    ]
    gone.sort(key=lambda pair: (-pair[0], pair[1].number))
    page, per_page = whole_number(call, "page", 1), whole_number(call, "per_page", LARGEST_PAGE, LARGEST_PAGE)
    shown = gone[(page - 1) * per_page : page * per_page]
    if not shown:
        return Answer(status=304 if since is not None and not gone else 204)
    rows = [
        {
            "id": str(record.number),
            "display_name": None if record.permanent else _display_name(records.company, module, record),
            "type": "permanent" if record.permanent else "recycle",
            "deleted_by": user(0),
            "created_by": user(record.index),
            "deleted_time": stamp(deleted),
        }
        for deleted, record in shown
    ]
    info = {"per_page": per_page, "count": len(rows), "page": page, "more_records": page * per_page < len(gone)}
    return Answer({"data": rows, "info": info})


def _display_name(company: Company, module: str, record: Record) -> object:
    row = full_row(company, module, record)
    return row.get("Full_Name") or row.get("Deal_Name") or row.get("Account_Name")


def one_record(records: Records, call: Call) -> Answer:
    """`GET /crm/v8/{module}/{id}`: all fields, and keys of the system's own."""
    module = module_of(call)
    check_query(call, "fields")
    if not call.params["record_id"].isdigit():
        raise refusal(400, "INVALID_DATA", "the id given seems to be invalid", {"resource_path_index": 1})
    for record in records.of(module):
        if str(record.number) == call.params["record_id"] and record.deleted is None:
            return Answer({"data": [{**full_row(records.company, module, record), **system_keys(record)}]})
    return Answer(status=204)


def count_records(records: Records, call: Call) -> Answer:
    """`GET /crm/v8/{module}/actions/count`: those in the list, without conditions."""
    module = module_of(call)
    check_query(call)
    here = (record for record in records.of(module) if record.deleted is None and record.converted is None)
    return Answer({"count": sum(1 for _ in here)})
