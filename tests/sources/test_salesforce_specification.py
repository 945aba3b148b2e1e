"""What the connector asks and the sandbox answers, against the requests that Salesforce publishes as a collection.

The collection (forcedotcom/postman-salesforce-apis on GitHub, CC0) is a file a request in the folder of
specifications: `salesforce/postman/<name>.json`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter

from millstream.sandbox import Sandbox
from millstream.sources.salesforce import Salesforce, SalesforceSettings
from millstream.sources.testing import Pulled
from tests.sources.specification import FOLDER, needs_specifications

SESSION = "00D5g0000000001!sandbox-salesforce"
_PLACE = re.compile(r"\{\{\w+\}\}|<\w+>")
UNLISTED = re.compile(r"/services/(oauth2/token|data/v[\d.]+/(limits|query/[\w-]+))")
"""What the collection has elsewhere or leaves to a link in an answer."""

pytestmark = needs_specifications


@dataclass(frozen=True)
class Published:
    """A published request.

    Attributes:
        name: Of its file.
        method: HTTP method.
        path: Its path, with `{{name}}` or `<NAME>` where something is to be put in.
        params: Query parameters, those switched off too.
        body: The body, if it has one.
    """

    name: str
    method: str
    path: str
    params: Mapping[str, str]
    body: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> Published:
        """The request of a file."""
        said = orjson.loads(file.read_bytes())
        path = str(said["url"]).removeprefix("{{_endpoint}}").partition("?")[0]
        params = {one["key"]: one["value"] for one in said["queryParams"]}
        return cls(file.stem, said["method"], path, params, orjson.loads(said.get("rawModeData") or "{}"))

    def is_asked_by(self, method: str, path: str) -> bool:
        """Whether a request is this one."""
        parts = (re.escape(part) for part in _PLACE.split(self.path.rstrip("/")))
        return method == self.method and re.fullmatch("[^/]+".join(parts) + "/?", path) is not None

    def filled(self, **values: str) -> str:
        """The path with values put in."""
        return _PLACE.sub(lambda found: values[found[0].strip("{<>}")], self.path)


def published() -> list[Published]:
    files = (FOLDER / "salesforce" / "postman").glob("*.json") if FOLDER else ()
    return [Published.read(file) for file in sorted(files)]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=60, limits=False) as running:
        yield running


@pytest.fixture
def asked(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[requests.PreparedRequest]:
    """The requests of a first pull by jobs and a second one by queries."""
    sent: list[requests.PreparedRequest] = []
    send = HTTPAdapter.send

    def note(adapter: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if sandbox.system_url("salesforce") in str(request.url):
            sent.append(request)
        return send(adapter, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", note)
    pulled = Pulled(tmp_path)
    for bulk_from_rows in (0, 2_000):
        settings = SalesforceSettings(
            base_url=sandbox.system_url("salesforce"),
            access_token=SecretStr(SESSION),
            streams=("contacts", "opportunity_contact_roles", "opportunities"),
            bulk_from_rows=bulk_from_rows,
            rows_a_result=25,
        )
        assert pulled.pull(Salesforce(settings)).errors == []
    return sent


def test_every_request_is_a_published_one(asked: list[requests.PreparedRequest], sandbox: Sandbox) -> None:
    known, met = published(), set[str]()
    root = urlsplit(sandbox.system_url("salesforce")).path
    for request in asked:
        parts = urlsplit(str(request.url))
        path = parts.path.removeprefix(root)
        if UNLISTED.fullmatch(path):
            continue
        found = [one for one in known if one.is_asked_by(str(request.method), path)]
        assert found, f"{request.method} {path}"
        assert parse_qs(parts.query).keys() <= found[0].params.keys(), path
        body = orjson.loads(request.body or b"{}")
        assert body.keys() <= found[0].body.keys(), path
        for name, choices in found[0].body.items():
            if "|" in choices:
                assert body[name] in [choice.strip() for choice in choices.split("|")]
        met.add(found[0].name)
    assert met >= {
        "query_create_job_query", "query_get_job_info_query", "query_get_job_query_result",
        "rest_queryall", "rest_sobject_describe",
    }  # fmt: skip


@pytest.mark.parametrize("request_", published(), ids=lambda one: one.name)
def test_the_sandbox_answers_each_published_request(request_: Published, sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {SESSION}", "Accept": "text/csv"}
    jobs = f"{sandbox.system_url('salesforce')}/services/data/v66.0/jobs/query"
    order = {"operation": "query", "query": "SELECT Id FROM Contact"}
    job = requests.post(jobs, json=order, headers=headers, timeout=10).json()["id"]
    if request_.name in ("query_get_job_query_result", "query_delete_job_query"):
        while requests.get(f"{jobs}/{job}", headers=headers, timeout=10).json()["state"] != "JobComplete":
            time.sleep(0.05)
    path = request_.filled(version="66.0", _jobId=job, SOBJECT_API_NAME="Contact")
    params = {"q": "SELECT Name FROM Account"} if "q" in request_.params else {}
    if "start" in request_.params:
        params = {"start": "2026-11-10T00:00:00+00:00", "end": "2026-11-12T00:00:00+00:00"}
    body = {**request_.body, **order} if request_.method == "POST" else request_.body
    body = {name: value for name, value in body.items() if "|" not in value}
    url = f"{sandbox.system_url('salesforce')}{path}"
    answer = requests.request(request_.method, url, params=params, json=body or None, headers=headers, timeout=10)
    assert answer.ok, answer.text
    if request_.method == "POST":
        # The collection itself takes the id from the answer and puts it into the other requests.
        assert answer.json()["id"]
