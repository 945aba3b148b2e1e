"""Starting, stopping and extending the sandbox."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import orjson
import pytest
import requests

from millstream.sandbox import Sandbox, server
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.tokens import Tokens


class Acme(System):
    """The smallest possible system."""

    name = "acme"
    title = "Acme"

    def reset(self) -> None:
        self.visits = 0

    def routes(self) -> list[Route]:
        return [route("GET", "/things/{id}:count", self.count)]

    def count(self, call: Call) -> Answer:
        self.visits += 1
        return Answer({"id": call.params["id"], "visits": self.visits, "at": call.base_url, "now": self.in_flight})

    def authenticate(self, call: Call) -> str:
        return ""

    def not_found(self, method: str, path: str) -> ApiError:
        return ApiError(404, {"path": path})

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        return ApiError(429, {})

    def server_error(self, status: int) -> ApiError:
        return ApiError(status, {})

    def malformed_json(self, detail: str) -> ApiError:
        return ApiError(400, {"detail": detail})

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return ApiError(422, {"problems": problems})

    def state(self) -> JsonObject:
        return {"visits": self.visits}


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("acme_sandbox")
    vars(module)["SYSTEM"] = Acme
    monkeypatch.setitem(sys.modules, "acme_sandbox", module)
    monkeypatch.setattr(server, "BUILT_IN", {"acme": "acme_sandbox:SYSTEM"})


@pytest.mark.usefixtures("acme")
def test_a_system_of_a_plugin_is_served_and_reset() -> None:
    with Sandbox(people=10) as sandbox:
        url = f"{sandbox.system_url('acme')}/things/a%40b:count"
        assert requests.get(url, timeout=5).json() == {
            "id": "a@b",
            "visits": 1,
            "at": sandbox.system_url("acme"),
            "now": 1,
        }
        assert requests.get(f"{sandbox.system_url('acme')}/other", timeout=5).status_code == 404
        state = f"{sandbox.url}/_sandbox/state/acme"
        assert requests.get(state, timeout=5).json() == {"visits": 1}
        requests.post(f"{sandbox.url}/_sandbox/reset", timeout=5)
        assert requests.get(state, timeout=5).json() == {"visits": 0}
        assert requests.get(f"{sandbox.url}/_sandbox/state/none", timeout=5).status_code == 404


@pytest.mark.usefixtures("acme")
def test_latency_holds_answers_back_side_by_side() -> None:
    with Sandbox(people=10, latency_ms=150) as sandbox, ThreadPoolExecutor(4) as pool:
        url = f"{sandbox.system_url('acme')}/things/1:count"
        started = time.monotonic()
        answers = list(pool.map(lambda _: requests.get(url, timeout=5).json(), range(4)))
        assert time.monotonic() - started >= 0.15
        assert max(answer["now"] for answer in answers) > 1


def test_a_system_that_cannot_be_imported_is_reported_and_left_out(
    acme: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(server.BUILT_IN, "broken", "no_such_module:SYSTEM")
    with caplog.at_level(logging.WARNING, "millstream.sandbox"):
        found = server.find_systems()
    assert "acme" in found
    assert "broken" not in found
    assert "no_such_module" in caplog.text


def test_all_built_in_systems_can_be_imported() -> None:
    assert {"ga4", "hubspot", "mailchimp", "surveymonkey"} <= server.find_systems().keys()


@pytest.mark.usefixtures("acme")
def test_the_truth_is_written_and_the_port_released(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    with Sandbox(people=20, truth=file) as sandbox:
        lines = file.read_bytes().splitlines()
        assert [orjson.loads(line)["index"] for line in lines] == list(range(20))
        assert orjson.loads(lines[3]) == sandbox.truth(3)
        url = sandbox.url
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/_sandbox/health", timeout=5)


def test_a_window_lets_through_what_is_allowed() -> None:
    window = Window(2, 0.5)
    assert [window.take() for _ in range(3)] == [True, True, False]
    assert 0 < window.wait <= 0.5
    time.sleep(0.51)
    assert window.remaining == 2
    assert window.take()


def test_issued_tokens_expire_and_fixed_ones_do_not() -> None:
    tokens = Tokens("fixed", expires_in=0.5)
    issued = tokens.issue("token")
    assert [tokens.state(token) for token in ("fixed", issued, "other")] == ["valid", "valid", "unknown"]
    time.sleep(0.51)
    assert [tokens.state(token) for token in ("fixed", issued)] == ["valid", "expired"]
