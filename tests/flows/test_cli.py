"""The command line, against the sandbox: what it does, what it prints, and the exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from typer.testing import Result
from urllib3.util import Retry

from millstream.flows.demo.local_prefect import LocalPrefect
from millstream.flows.demo.project import CREDENTIALS, SANDBOX_URL
from millstream.flows.project import load_project
from millstream.flows.project.template import project_text
from millstream.flows.reference import __main__ as reference
from millstream.flows.steps import Workspace
from millstream.sandbox import Sandbox
from millstream.state.errors import ConfigurationError
from millstream.state.ledger.journal import now
from tests.flows import calling
from tests.flows.calling import documented_keys

AUDIENCES = {"customers", "promoters", "cart_abandoners", "detractors", "high_value_at_risk"}
COMMANDS = (
    "init", "check", "connectors", "sandbox", "deploy",
    "ingest", "resolve", "describe", "select", "plan", "activate", "measure", "audit", "run",
    "receive",
    "merge", "unmerge", "decisions", "review",
    "rejected", "suppress", "reconcile",
    "watch",
    "report",
    "status", "explain", "plan-events", "traits",
)  # fmt: skip
SOURCES = (
    "adobe_analytics",
    "files",
    "ga4",
    "hubspot",
    "intercom",
    "mailchimp",
    "mixpanel",
    "qualtrics",
    "salesforce",
    "segment",
    "shift4shop",
    "sql",
    "surveymonkey",
    "typeform",
    "zendesk",
    "zoho_crm",
)
HEAVY = ("prefect", "dlt", "duckdb", "sqlalchemy", "pyarrow", "requests", "numpy", "pydantic")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=300, limits=False) as running:
        yield running


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def write_project(folder: Path, sandbox: Sandbox) -> Path:
    path = folder / "millstream.yaml"
    path.write_text(project_text(sandbox=True).replace(SANDBOX_URL, sandbox.url), encoding="utf-8")
    return path


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox) -> Path:
    """A project on the sandbox in the current folder, which has not run yet."""
    return write_project(tmp_path, sandbox)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Path:
    """A project that ran once."""
    path = write_project(tmp_path_factory.mktemp("ran"), sandbox)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        result = call("run", "-p", str(path))
    assert result.exit_code == 0, result.output
    return path


def call(*arguments: str) -> Result:
    result = calling.call(*arguments)
    for secret in CREDENTIALS.values():
        assert secret not in result.output
    return result


def call_json(*arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(call(*arguments, "--json").stdout)
    return document


class TestHelp:
    def test_it_names_every_command(self) -> None:
        shown = call("--help").stdout
        assert all(re.search(rf"│ {name} ", shown) for name in COMMANDS)

    def test_it_imports_nothing_heavy(self) -> None:
        code = (
            "import sys; from millstream.flows.cli import main; sys.argv = ['millstream', '--help']\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            f"sys.exit(', '.join(name for name in {HEAVY} if name in sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stderr.strip() == ""
        assert "Usage: millstream" in done.stdout

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_explains_itself(self, name: str) -> None:
        result = call(name, "--help")
        assert result.exit_code == 0
        assert "--debug" in result.stdout

    def test_a_paragraph_of_help_is_broken_only_where_the_terminal_ends(self) -> None:
        assert "then read from the start, if it is still in the project;" in call("delete", "--help").stdout

    def test_the_generated_docs_are_current(self) -> None:
        assert reference.main(["--check"]) == 0, "run `make docs`"

    def test_the_version_is_shown(self) -> None:
        assert re.fullmatch(r"millstream \d+\.\d+\.\d+\n", call("--version").stdout)


class TestWrongUse:
    @pytest.mark.parametrize("arguments", [["nothing"], ["ingest", "--nope"], ["explain"], ["ingest", "--from", "x"]])
    def test_a_wrong_command_line_ends_with_two(self, arguments: list[str]) -> None:
        result = call(*arguments)
        assert result.exit_code == 2
        assert "Traceback" not in result.output

    def test_no_project_is_one_message(self) -> None:
        result = call("run")
        assert result.exit_code == 2
        assert result.stdout == ""
        assert re.fullmatch(r"error: There is no millstream\.yaml in .*millstream init.*\n", result.stderr)

    def test_every_problem_of_the_project_is_a_line(self, tmp_path: Path) -> None:
        (tmp_path / "millstream.yaml").write_text("nam: shop\nsyncs: []\n")
        result = call("plan")
        assert result.exit_code == 2
        lines = result.stderr.splitlines()
        assert [line.split(": ")[:3] for line in lines] == [
            ["error", "millstream.yaml:1", "nam"],
            ["error", "millstream.yaml:1", "name"],
            ["error", "millstream.yaml:2", "syncs"],
        ]

    def test_programs_are_told_as_well(self) -> None:
        document = call_json("status")
        assert document["ok"] is False
        assert document["error"]["kind"] == "ConfigurationError"
        assert "millstream init" in document["error"]["remedy"]

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["ingest", "hubspott"], "no source 'hubspott' in the project. Allowed: hubspot, ga4, surveymonkey."),
            (["select", "promotors"], "did you mean 'promoters'?"),
            (["activate", "nothing"], "no sync 'nothing'"),
            (["plan", "nothing"], "no sync 'nothing'"),
            (["run", "--source", "x"], "no source 'x'"),
            (["run", "--sync", "x"], "no sync 'x'"),
            (["check", "x"], "'x'"),
            (["rejected", "x"], "no sync 'x'"),
            (["ingest", "--to", "2025-01-01"], "--to needs --from"),
            (["ingest", "--from", "2025-01-02", "--to", "2025-01-01"], "before the first day"),
            (["connectors", "hubspott"], "did you mean 'hubspot'?"),
        ],
    )
    def test_names_that_are_not_there_are_refused_before_anything_starts(
        self, project: Path, arguments: list[str], expected: str
    ) -> None:
        result = call(*arguments)
        assert result.exit_code == 2
        assert expected in result.stderr
        assert not (project.parent / ".millstream" / "store.duckdb").exists()

    def test_missing_secrets_are_all_said_before_anything_starts(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
        monkeypatch.delenv("MAILCHIMP_API_KEY")
        result = call("run")
        assert result.exit_code == 2
        missing = ["HUBSPOT_ACCESS_TOKEN", "MAILCHIMP_API_KEY"]
        assert re.findall(r"variable (\w+) is not set", result.stderr) == missing

    def test_check_says_what_is_missing_and_what_else_is_wrong_at_once(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
        monkeypatch.setenv("SURVEYMONKEY_ACCESS_TOKEN", "wrong")
        traits = project.parent / "traits"
        traits.mkdir()
        for name in ("a", "b"):
            (traits / f"{name}.sql").write_text("SELECT 1")
        channels = "\nalerts: {channels: {ops: {kind: slack, url: {env: SLACK_URL}}}}\n"
        project.write_text(project.read_text() + channels)
        result = call("check", "--json")
        assert result.exit_code == 2
        wrong = [one for one in json.loads(result.stdout)["checks"] if not one["ok"]]
        assert [(one["kind"], one["name"]) for one in wrong] == [
            ("settings", "connections.hubspot.access_token"),
            ("settings", "alerts.channels.ops.url"),
            ("source", "surveymonkey"),
            ("traits", "traits/a.sql:1"),
            ("traits", "traits/b.sql:1"),
        ]
        assert wrong[0]["remedy"] == "set it: export HUBSPOT_ACCESS_TOKEN=…"
        project.write_text(project.read_text() + "owner: nobody\n")
        said = call("check").stderr
        assert "owner: this key is not known here" in said
        assert re.findall(r"variable (\w+) is not set", said) == ["HUBSPOT_ACCESS_TOKEN", "SLACK_URL"]

    def test_a_command_asks_only_for_the_secrets_it_needs(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in CREDENTIALS:
            if not name.startswith("SURVEYMONKEY"):
                monkeypatch.delenv(name)
        assert call("ingest", "surveymonkey").exit_code == 0
        assert call("resolve").exit_code == 0


class TestUnexpected:
    @pytest.fixture(autouse=True)
    def _broken(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def breaks(*_: object) -> None:
            raise ValueError("cannot use ana@box.example")

        monkeypatch.setattr("millstream.flows.steps.check", breaks)

    def test_an_unexpected_error_is_a_message_without_a_traceback(self) -> None:
        result = call("check")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: Unexpected ValueError: cannot use a***@***")
        assert "--debug" in result.stderr
        assert "Traceback" not in result.stderr

    def test_debug_shows_the_traceback_without_personal_data(self) -> None:
        result = call("check", "--debug")
        assert "Traceback" in result.stderr
        assert "ana@box.example" not in result.stderr


class TestInit:
    def test_it_writes_a_project_and_says_what_is_next(self, tmp_path: Path) -> None:
        result = call("init", "my-shop")
        assert result.exit_code == 0
        assert "name: my_shop" in (tmp_path / "my-shop" / "millstream.yaml").read_text()
        assert (tmp_path / "my-shop" / ".gitignore").read_text() == ".millstream/\n"
        assert "cd my-shop" in result.stdout
        assert call("plan", "-p", "my-shop").exit_code == 0

    def test_it_never_overwrites(self, tmp_path: Path) -> None:
        (tmp_path / "millstream.yaml").write_text("name: mine\n")
        result = call("init", "--sandbox")
        assert result.exit_code == 2
        assert "never overwritten" in result.stderr
        assert (tmp_path / "millstream.yaml").read_text() == "name: mine\n"

    def test_it_adds_to_a_gitignore_once(self, tmp_path: Path) -> None:
        (tmp_path / ".gitignore").write_text("*.log")
        call("init")
        (tmp_path / "millstream.yaml").unlink()
        call("init")
        assert (tmp_path / ".gitignore").read_text() == "*.log\n.millstream/\n"

    def test_it_writes_the_schema_alone(self, tmp_path: Path) -> None:
        assert call("init", "--schema", "out/schema.json").exit_code == 0
        assert "connections" in json.loads((tmp_path / "out" / "schema.json").read_text())["properties"]
        assert not (tmp_path / "millstream.yaml").exists()


class TestWork:
    def test_check_finds_everything_good(self, project: Path) -> None:
        document = call_json("check")
        assert document["ok"] is True
        assert set(document) == documented_keys("check")
        assert {check["kind"] for check in document["checks"]} == {"store", "journal", "source", "destination"}

    def test_check_tells_a_wrong_credential(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-wrong-token")
        result = call("check", "hubspot", "surveymonkey")
        assert result.exit_code == 1
        assert "credentials" in result.stdout
        assert "pat-wrong-token" not in result.output

    def test_run_does_everything_and_a_second_one_sends_nothing(self, ran: Path) -> None:
        document = call_json("run", "-p", str(ran))
        assert set(document) == documented_keys("run")
        assert document["ok"] is True
        assert document["resolved"]["profiles"] > 200
        assert {audience["name"] for audience in document["selected"]} == AUDIENCES
        assert all(sync["status"] == "completed" and sync["accepted"] == 0 for sync in document["activated"])

    def test_the_steps_one_by_one_come_to_the_same(self, project: Path, ran: Path) -> None:
        ingested = call_json("ingest")
        assert set(ingested) == documented_keys("ingest")
        assert sum(source["rows"] for source in ingested["ingested"]) > 1000
        resolved = call_json("resolve")
        assert set(resolved) == documented_keys("resolve")
        described = call_json("describe")
        assert set(described) == documented_keys("describe")
        selected = call_json("select")
        assert set(selected) == documented_keys("select")
        planned = call_json("plan")
        assert set(planned) == documented_keys("plan")
        status = call_json("status", "-p", str(ran))
        assert resolved["resolved"]["profiles"] == status["profiles"]
        sizes = {one["name"]: one["size"] for one in selected["selected"]}
        assert sizes == {one["audience"]: one["size"] for one in status["audiences"]}
        assert {one["sync"]: one["wanted"] for one in planned["plans"]} == {
            "promoters_to_mailchimp": sizes["promoters"],
            "cart_abandoners_to_mailchimp": sizes["cart_abandoners"],
            "customers_to_hubspot": sizes["customers"],
        }
        activated = call_json("activate", "customers_to_hubspot")
        assert set(activated) == documented_keys("activate")
        [sync] = activated["activated"]
        assert sync["accepted"] == sizes["customers"]

    def test_days_are_read_again(self, ran: Path) -> None:
        document = call_json("ingest", "ga4", "--from", "2020-01-01", "--to", "2020-01-02", "-p", str(ran))
        streams = {stream["stream"]: stream for stream in document["ingested"][0]["streams"]}
        assert streams["pages"]["since"] == "2020-01-01T00:00:00+00:00"
        assert streams["pages"]["rows"] == 0

    def test_a_guard_stops_a_sync_until_it_is_overridden(self, ran: Path, tmp_path: Path) -> None:
        shutil.copytree(ran.parent, tmp_path, dirs_exist_ok=True)
        path = tmp_path / "millstream.yaml"
        text = path.read_text().replace("lifecycle_stage, equals: customer", "lifecycle_stage, equals: nobody")
        path.write_text(text)
        assert call("select", "customers").exit_code == 0
        planned = call("plan", "customers_to_hubspot")
        assert planned.exit_code == 1
        assert "a guard would stop it: The source is empty" in planned.stderr
        stopped = call("activate", "customers_to_hubspot")
        assert stopped.exit_code == 1
        assert "--override-guards" in stopped.stderr
        overridden = call_json("activate", "customers_to_hubspot", "--override-guards")
        assert overridden["ok"] is True

    def test_a_source_that_fails_does_not_stop_the_others(
        self, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(ran.parent, tmp_path, dirs_exist_ok=True)
        monkeypatch.setenv("SURVEYMONKEY_ACCESS_TOKEN", "wrong")
        result = call("run", "--json")
        document = json.loads(result.stdout)
        assert result.exit_code == 1
        assert document["ok"] is False
        assert {source["source"]: source["ok"] for source in document["ingested"]} == {
            "hubspot": True,
            "ga4": True,
            "surveymonkey": False,
        }
        assert any("surveymonkey" in problem for problem in document["problems"])
        assert "error: surveymonkey" in result.stderr


class TestLooking:
    def test_status_says_how_things_are(self, ran: Path) -> None:
        document = call_json("status", "-p", str(ran))
        assert set(document) == documented_keys("status")
        assert document["runs"][-1]["status"] == "completed"
        assert all(run["started_at"].endswith("+00:00") for run in document["runs"])
        shown = call("status", "-p", str(ran)).stdout
        assert "hubspot" in shown
        assert "cart_abandoners" in shown

    def test_explain_tells_a_persons_whole_story(self, ran: Path) -> None:
        import duckdb

        with duckdb.connect(str(ran.parent / ".millstream" / "store.duckdb")) as connection:
            row = connection.execute(
                """
                SELECT profile.email, member.profile_id FROM customers.memberships AS member
                JOIN customers.profiles AS profile USING (profile_id)
                JOIN delivery.acknowledged AS held USING (profile_id)
                WHERE member.audience = 'customers' AND held.sync = 'customers_to_hubspot'
                """
            ).fetchone()
        assert row
        document = call_json("explain", row[0], "-p", str(ran))
        assert set(document) == documented_keys("explain")
        assert row[1] in [person["identity"]["profile_id"] for person in document["people"]]
        shown = call("explain", row[1], "-p", str(ran)).stdout
        assert "customers: in, since" in shown
        assert "trait: lifecycle_stage, equals: customer" in shown
        assert "customers_to_hubspot: at the destination" in shown

    def test_explain_tells_who_has_to_act_where_a_row_waits(self, ran: Path) -> None:
        import duckdb

        with duckdb.connect(str(ran.parent / ".millstream" / "store.duckdb")) as connection:
            held = "SELECT profile_id FROM delivery.acknowledged WHERE sync = 'customers_to_hubspot' LIMIT 1"
            ((profile_id,),) = connection.execute(held).fetchall()
        journal = Workspace.open(load_project(ran)).journal
        told = {"code": "no_answer", "reason": "Because.", "fault": "vendor", "clear_text": None}
        told |= {"status": "unknown", "attempts": 1, "next_try_at": None, "aged_out": "sent without an answer"}
        told |= {"sync": "customers_to_hubspot", "match_hash": "m", "operation": "update", "payload_hash": "h"}
        journal.replace_rejected(
            "customers_to_hubspot", [], [{**told, "profile_id": profile_id, "first_at": now(), "last_at": now()}]
        )
        try:
            shown = " ".join(call("explain", profile_id, "-p", str(ran)).stdout.split())
            waiting = {one["sync"]: one["rejected"] for one in call_json("status", "-p", str(ran))["syncs"]}
        finally:
            journal.replace_rejected("customers_to_hubspot", [("m", "update")], [])
            journal.close()
        assert waiting["customers_to_hubspot"] == 1
        assert "update: waits, tried 1 time, who has to act: vendor" in shown
        assert "when the row changes, or by `millstream rejected --retry --unknown`: sent without an answer" in shown

    def test_nobody_found_is_a_failure(self, ran: Path) -> None:
        result = call("explain", "nobody@box.example", "-p", str(ran))
        assert result.exit_code == 1
        assert "nobody@box.example" not in result.output

    def test_rejected_rows_are_listed_without_personal_data(self, ran: Path) -> None:
        document = call_json("rejected", "-p", str(ran))
        assert set(document) == documented_keys("rejected")
        assert "@" not in json.dumps(document)
        assert call("rejected", "-p", str(ran)).exit_code == 0


class TestConnectors:
    def test_they_are_listed_with_their_settings(self) -> None:
        document = call_json("connectors")
        assert set(document) == documented_keys("connectors")
        assert not document["failed"]
        assert [source["name"] for source in document["sources"]] == list(SOURCES)
        declared_by_users = {"files", "sql"}
        assert {source["name"] for source in document["sources"] if not source["streams"]} == declared_by_users
        [mailchimp] = [one for one in document["destinations"] if one["name"] == "mailchimp"]
        assert mailchimp["modes"] == ["add", "mirror", "remove", "update", "upsert"]
        [key] = [setting for setting in mailchimp["settings"] if setting["name"] == "api_key"]
        assert (key["required"], key["secret"], key["type"]) == (True, True, "secret")

    def test_they_say_where_streams_go_on_from_and_what_signs_in(self) -> None:
        sources = {source["name"]: source for source in call_json("connectors")["sources"]}
        hubspot, zendesk = sources["hubspot"], sources["zendesk"]
        assert (hubspot["category"], hubspot["auth"]) == ("crm", ["access token", "OAuth"])
        cursors = {stream["name"]: stream["cursor"] for stream in (*hubspot["streams"], *zendesk["streams"])}
        assert (cursors["contacts"], cursors["owners"], cursors["users"]) == ("modified_at", None, "place")

    def test_every_setting_is_described(self) -> None:
        document = call_json("connectors")
        for connector in (*document["sources"], *document["destinations"]):
            for setting in connector["settings"]:
                assert setting["description"], f"{connector['name']}.{setting['name']}"

    def test_one_is_shown_in_detail(self) -> None:
        shown = call("connectors", "hubspot").stdout
        assert "list_memberships" in shown
        assert "access_token" in shown


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugins")
    package = shutil.copytree(Path(__file__).parents[1] / "plugin_example", folder / "package")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder / "site")]
    subprocess.run([*pip, *options, str(package)], check=True)
    return folder / "site"


class TestPlugins:
    def python(self, installed: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH"))))
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )

    def millstream(self, installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python(installed, "from millstream.flows.cli import main; main()", *arguments)

    def test_they_are_found_and_a_broken_one_does_not_stop_the_others(self, installed: Path) -> None:
        done = self.millstream(installed, "connectors", "--json")
        document = json.loads(done.stdout)
        packages = {source["name"]: source["package"] for source in document["sources"]}
        assert packages == {"example": "millstream-example", **dict.fromkeys(SOURCES, "millstream")}
        assert "example" in [destination["name"] for destination in document["destinations"]]
        broken, doubled = document["failed"]
        assert "'example_broken' of package millstream-example cannot be imported" in broken
        assert "'hubspot' of package millstream-example is not used" in doubled
        assert done.returncode == 0

    def test_the_one_to_copy_signs_its_requests(self, installed: Path) -> None:
        code = (
            "import requests\n"
            "from millstream_example import destination as to, source as of\n"
            "request = requests.Request('GET', 'http://127.0.0.1').prepare()\n"
            "for one in (of.Example(of.ExampleSettings(token='sesame')),\n"
            "            to.Example(to.ExampleSettings(token='sesame', list_id='a'))):\n"
            "    print(one.auth()(request).headers['Authorization'])\n"
        )
        done = self.python(installed, code)
        assert done.stdout.splitlines() == ["Bearer sesame", "Bearer sesame"], done.stderr

    def test_a_project_uses_them_and_is_checked_against_them(self, installed: Path, tmp_path: Path) -> None:
        (tmp_path / "millstream.yaml").write_text(
            """name: shop
connections:
  example: {system: example, token: {env: EXAMPLE_TOKEN}, list_id: a, page_size: 900}
  broken: {system: example_broken}
sources:
  people: {connection: example}
  other: {connection: broken}
destinations:
  letters: {connection: example}
audiences:
  all_of_them: {rule: {identifier: email}}
syncs:
  a: {audience: all_of_them, destination: letters, mode: upsert, consent: not_needed, fields: {town: city}}
"""
        )
        done = self.millstream(installed, "plan")
        assert done.returncode == 2
        size, broken, mode, field = done.stderr.splitlines()
        assert "millstream.yaml:3: connections.example.page_size: " in size
        assert "millstream.yaml:7: sources.other.connection: The source 'example_broken'" in broken
        assert "syncs.a.mode: Example has no mode 'upsert'. Allowed: add, mirror." in mode
        assert "syncs.a.fields.town: Example has no field 'town'. Allowed: city." in field


class TestSandboxCommand:
    def test_it_serves_until_it_is_interrupted(self) -> None:
        command = [sys.executable, "-u", "-c", "from millstream.flows.cli import main; main()"]
        process = subprocess.Popen(
            [*command, "sandbox", "--people", "50", "--port", "0"], stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr
            url = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
            assert url
            with requests.Session() as session:
                session.mount("http://", HTTPAdapter(max_retries=Retry(10, backoff_factor=0.1)))
                assert session.get(f"{url[0]}/_sandbox/health", timeout=30).json()["people"] == 50
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
            process.communicate()

    def test_a_port_that_is_taken_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            place = f"127.0.0.1:{taken.getsockname()[1]}"
            result = call("sandbox", "--people", "1", "--port", str(taken.getsockname()[1]))
        assert result.exit_code == 2
        assert f"Cannot listen on {place}: Address already in use. What to do: name another --port" in result.stderr


class TestDeploy:
    def test_check_says_whether_the_deployments_are_current(self, project: Path) -> None:
        result = call("deploy", "--check")
        assert result.exit_code == 1
        assert "run `millstream deploy`" in result.stderr
        assert set(call_json("deploy", "--check")) == documented_keys("deploy")


@pytest.mark.slow
class TestThroughPrefect:
    """With PREFECT_API_URL the same commands run as flows; each in a process of its own, as people call them."""

    @pytest.fixture
    def environment(self, prefect_server: LocalPrefect, ran: Path) -> dict[str, str]:
        return {**os.environ, **prefect_server.settings, "MILLSTREAM_PROJECT": str(ran)}

    def millstream(self, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from millstream.flows.cli import main; main()", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def test_a_run_is_a_flow_run_and_gives_the_same_document(self, environment: dict[str, str]) -> None:
        done = self.millstream(
            environment, "run", "--source", "surveymonkey", "--sync", "customers_to_hubspot", "--json"
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert set(document) == documented_keys("run")
        assert [source["source"] for source in document["ingested"]] == ["surveymonkey"]
        assert [sync["sync"] for sync in document["activated"]] == ["customers_to_hubspot"]
        assert "pipeline" in done.stderr

    def test_a_run_that_fails_gives_its_report_and_ends_with_one(self, environment: dict[str, str]) -> None:
        wrong = {**environment, "SURVEYMONKEY_ACCESS_TOKEN": "wrong"}
        done = self.millstream(wrong, "ingest", "surveymonkey", "--json")
        assert done.returncode == 1
        document = json.loads(done.stdout)
        assert document["ok"] is False
        assert document["ingested"][0]["source"] == "surveymonkey"
        assert any("surveymonkey" in problem for problem in document["problems"])

    def test_a_server_that_does_not_answer_is_one_message(self, environment: dict[str, str]) -> None:
        nowhere = {**environment, "PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
        done = self.millstream(nowhere, "resolve")
        assert done.returncode == 2
        assert "error: The Prefect server at http://127.0.0.1:9/api does not answer." in done.stderr

    def test_a_secret_may_stand_in_a_block_of_prefect(
        self, prefect_server: LocalPrefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from prefect.blocks.system import Secret

        Secret(value="from-a-block").save("crm-token", overwrite=True)
        path = tmp_path / "millstream.yaml"
        path.write_text(
            "name: shop\n"
            "connections: {crm: {system: hubspot, access_token: {prefect: crm-token}}}\n"
            "sources: {crm: {connection: crm}}\n"
        )
        project = load_project(path)
        assert project.source("crm").settings.model_dump()["access_token"].get_secret_value() == "from-a-block"
        path.write_text(path.read_text().replace("crm-token", "not-there"))
        with pytest.raises(ConfigurationError, match=r"access_token: Prefect has no Secret block 'not-there'"):
            load_project(path).source("crm")
