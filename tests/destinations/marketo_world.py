"""What the tests of Marketo share: the stand-in, connectors for it, and answers of a vendor that is alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
import responses
from pydantic import SecretStr

from millstream.destinations.contract import DeliveryRow, FieldValue
from millstream.destinations.marketo import Marketo, MarketoSettings
from millstream.sandbox import Sandbox

ROOT = "https://123-abc-456.marketo.test"
SIGN_IN = f"{ROOT}/identity/oauth/token"
LEADS = f"{ROOT}/rest/v1/leads.json"
LIST = f"{ROOT}/rest/v1/lists/7/leads.json"
TOKEN = {"access_token": "one", "token_type": "bearer", "expires_in": 3600}
FIELDS = {
    "success": True,
    "result": [
        {"id": 1, "displayName": name, "dataType": kind, "rest": {"name": name, "readOnly": name == "id"}}
        for name, kind in (("id", "integer"), ("email", "email"), ("firstName", "string"), ("visits", "integer"))
    ],
}


def settings(**changes: Any) -> MarketoSettings:
    """Settings of an instance that nobody else uses."""
    facts: dict[str, Any] = {
        "base_url": ROOT,
        "client_id": "sandbox-marketo",
        "client_secret": SecretStr("sandbox-marketo-secret"),
        "folder_id": 13,
        "external_id_field": "customerId",
        "requests_per_20_seconds": 100,
        "wait_after_lost_answer": 0.0,
    }
    return MarketoSettings(**{**facts, **changes})


def connect(sandbox: Sandbox, **changes: Any) -> Marketo:
    """A connector for the sandbox."""
    return Marketo(settings(base_url=f"{sandbox.url}/marketo", **changes))


def row(match_value: str, number: int = 1, *, external_id: str | None = None, **fields: FieldValue) -> DeliveryRow:
    """Somebody on the way to Marketo."""
    return DeliveryRow(number=number, match_value=match_value, fields=fields, external_id=external_id)


def refusal(code: str, message: str = "no") -> dict[str, object]:
    """An error under status 200."""
    return {"requestId": "1", "success": False, "errors": [{"code": code, "message": message}]}


def results(*entries: Mapping[str, object]) -> dict[str, object]:
    """A good answer."""
    return {"requestId": "1", "success": True, "result": list(entries)}


def skipped(code: str, message: str = "no", **facts: object) -> dict[str, object]:
    """The result of a row that was not taken."""
    return {**facts, "status": "skipped", "reasons": [{"code": code, "message": message}]}


def signed_in(vendor: responses.RequestsMock) -> None:
    """Let the vendor give a token and name its fields."""
    vendor.post(SIGN_IN, json=TOKEN)
    vendor.get(f"{ROOT}/rest/v1/leads/describe.json", json=FIELDS)


def people(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Everybody in the stand-in, as it is now."""
    found: list[dict[str, Any]] = requests.get(f"{sandbox.url}/_sandbox/state/marketo", timeout=10).json()["people"]
    return found


def person(sandbox: Sandbox, email: str) -> dict[str, Any]:
    """The only lead with an address."""
    (found,) = (one for one in people(sandbox) if one["match"]["email"] == email)
    return found


def standings(sandbox: Sandbox) -> dict[int, tuple[str, bool]]:
    """How every lead stands, by id."""
    return {one["id"]: (one["standing"], one["resubscribed"]) for one in people(sandbox)}
