"""The project file: what it accepts, and that everything wrong is said at once, with its line and a remedy."""

from __future__ import annotations

import json
import re
import textwrap
from datetime import date
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import SecretStr

from millstream.destinations.modes import SyncMode
from millstream.flows.project import ProjectError, find_project_file, load_project
from millstream.flows.project.document import read_document
from millstream.flows.project.schema import project_schema, schema_text
from millstream.flows.project.template import project_text
from millstream.state.errors import ConfigurationError

CONNECTIONS = """
name: shop
connections:
  crm: {system: hubspot, access_token: {env: CRM_TOKEN}}
  mail: {system: mailchimp, api_key: {env: MAIL_KEY}, list_id: abc}
sources:
  people: {connection: crm}
destinations:
  letters: {connection: mail}
audiences:
  vips: {rule: {trait: lifecycle_stage, equals: customer}}
"""


@pytest.fixture(autouse=True)
def _no_project_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CRM_TOKEN", "MAIL_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "millstream.yaml"
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def problems_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        load_project(write(tmp_path, text))
    return [str(problem) for problem in caught.value.problems]


def the_problem_of(tmp_path: Path, text: str) -> str:
    [problem] = problems_of(tmp_path, text)
    return problem


class TestFinding:
    def test_a_project_is_found_in_a_folder_above(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(tmp_path, "name: shop")
        (tmp_path / "a" / "b").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "a" / "b")
        assert find_project_file() == path

    def test_the_environment_names_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "elsewhere").mkdir()
        path = write(tmp_path / "elsewhere", "name: shop")
        monkeypatch.setenv("MILLSTREAM_PROJECT", str(path.parent))
        assert load_project().path == path

    def test_an_argument_wins_over_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MILLSTREAM_PROJECT", str(tmp_path / "nowhere.yaml"))
        assert load_project(write(tmp_path, "name: shop")).name == "shop"

    def test_none_anywhere_is_said_with_what_to_do(self) -> None:
        with pytest.raises(ConfigurationError, match="millstream init"):
            load_project()


class TestContent:
    def test_only_a_name_is_needed(self, tmp_path: Path) -> None:
        project = load_project(write(tmp_path, "name: shop"))
        assert project.store == "duckdb:///.millstream/store.duckdb"
        assert project.journal == "sqlite:///.millstream/journal.sqlite"
        assert not project.sources
        assert project.root == tmp_path

    def test_the_environment_overrides_the_databases_only(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MILLSTREAM_STORE", "duckdb:////data/store.duckdb")
        monkeypatch.setenv("MILLSTREAM_JOURNAL", "sqlite:////data/journal.sqlite")
        monkeypatch.setenv("MILLSTREAM_NAME", "other")
        monkeypatch.setenv("MILLSTREAM_SYNCS", "not json")
        project = load_project(write(tmp_path, "name: shop\nstore: duckdb:///here.duckdb"))
        assert (project.store, project.journal) == ("duckdb:////data/store.duckdb", "sqlite:////data/journal.sqlite")
        assert project.name == "shop"

    @pytest.mark.parametrize(("database", "file"), [("store", "duckdb"), ("journal", "sqlite")])
    def test_a_database_that_is_none_of_ours_is_refused_without_its_password(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, file: str
    ) -> None:
        path = write(tmp_path, f"name: shop\n{database}: mysql://me:hunter2@db/x")
        told = f"{file}:/// or postgresql://"
        with pytest.raises(
            ProjectError, match=f"yaml:2: {database}: the {database}'s URL should begin with {told}"
        ) as raised:
            load_project(path)
        assert "hunter2" not in str(raised.value)
        variable = f"MILLSTREAM_{database.upper()}"
        monkeypatch.setenv(variable, "mysql://me:hunter2@db/x")
        with pytest.raises(ProjectError, match=f"{variable}, which counts instead, should begin with {told}"):
            load_project(path)

    def test_a_connection_serves_both_sides_of_its_system(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CRM_TOKEN", "a-token")
        project = load_project(
            write(
                tmp_path,
                """
                name: shop
                connections:
                  crm: {system: hubspot, access_token: {env: CRM_TOKEN}, properties: [shoe_size]}
                sources:
                  crm: {connection: crm, identifiers: {customer_id: user_id}}
                  crm_mail: {connection: crm, streams: [contacts, email_events], start_date: 2025-01-31}
                destinations:
                  crm: {connection: crm, base_url: "http://127.0.0.1:1/hubspot"}
                """,
            )
        )
        first, second = project.source("crm").settings, project.source("crm_mail").settings
        assert first.model_dump()["identifiers"] == {"customer_id": "user_id"}
        assert first.model_dump()["properties"] == second.model_dump()["properties"] == ("shoe_size",)
        assert (second.streams, second.start_date) == (("contacts", "email_events"), date(2025, 1, 31))
        assert project.destination("crm").settings.base_url == "http://127.0.0.1:1/hubspot"
        assert project.sources["crm_mail"].system == "hubspot"

    def test_syncs_are_read_with_their_modes(self, tmp_path: Path) -> None:
        sync = "syncs:\n  s: {audience: vips, destination: letters, mode: add, consent: {channel: email}}\n"
        assert load_project(write(tmp_path, CONNECTIONS + sync)).sync("s").mode is SyncMode.ADD

    def test_norway_is_a_country(self, tmp_path: Path) -> None:
        project = load_project(write(tmp_path, "name: shop\nidentity: {default_country: NO}"))
        assert project.identity.default_country == "NO"

    def test_an_unknown_name_asked_of_a_project_is_a_configuration_error(self, tmp_path: Path) -> None:
        project = load_project(write(tmp_path, CONNECTIONS))
        with pytest.raises(ConfigurationError, match=r"no source 'peple'.*Allowed: people.*did you mean 'people'"):
            project.source("peple")


class TestSecrets:
    def test_a_project_loads_without_them(self, tmp_path: Path) -> None:
        project = load_project(write(tmp_path, CONNECTIONS))
        assert set(project.sources) == {"people"}

    def test_what_a_source_declares_needs_none(self, tmp_path: Path) -> None:
        project = load_project(write(tmp_path, CONNECTIONS))
        assert project.source("people", secrets=False).selected_streams()

    def test_missing_ones_are_all_said_when_they_are_needed(self, tmp_path: Path) -> None:
        project = load_project(write(tmp_path, CONNECTIONS))
        with pytest.raises(ProjectError) as caught:
            project.require(sources=["people"], destinations=["letters"])
        crm, mail = (str(problem) for problem in caught.value.problems)
        assert crm == (
            "millstream.yaml:3: connections.crm.access_token: the environment variable CRM_TOKEN is not set. "
            "What to do: set it: export CRM_TOKEN=…"
        )
        assert mail.startswith("millstream.yaml:4: connections.mail.api_key:")

    def test_the_environment_and_files_are_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CRM_TOKEN", "from-the-environment")
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / "mail").write_text("from-a-file-us1\n")
        project = load_project(write(tmp_path, CONNECTIONS.replace("{env: MAIL_KEY}", "{file: keys/mail}")))
        assert project.source("people").settings.model_dump()["access_token"] == SecretStr("from-the-environment")
        assert project.destination("letters").settings.model_dump()["api_key"] == SecretStr("from-a-file-us1")

    def test_what_a_shell_adds_to_a_secret_is_no_part_of_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CRM_TOKEN", " pasted\r\n")
        project = load_project(write(tmp_path, CONNECTIONS))
        assert project.source("people").settings.model_dump()["access_token"] == SecretStr("pasted")

    def test_a_missing_file_is_said(self, tmp_path: Path) -> None:
        project = load_project(write(tmp_path, CONNECTIONS.replace("{env: MAIL_KEY}", "{file: keys/mail}")))
        with pytest.raises(ProjectError, match=r"millstream\.yaml:4: .*api_key: the file keys/mail cannot be read"):
            project.destination("letters")

    def test_one_written_out_is_refused_and_not_repeated(self, tmp_path: Path) -> None:
        problem = the_problem_of(tmp_path, CONNECTIONS.replace("{env: CRM_TOKEN}", "pat-na1-very-secret"))
        assert problem.startswith("millstream.yaml:3: connections.crm.access_token: a secret does not stand in")
        assert "{env: NAME}, {file: path}, {prefect: block-name}" in problem
        assert "very-secret" not in problem

    def test_a_wrong_value_is_found_at_loading_where_it_can_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAIL_KEY", "cut-off")
        problem = the_problem_of(tmp_path, CONNECTIONS)
        assert problem.startswith("millstream.yaml:8: destinations.letters: api_key does not end in a data centre")
        assert "cut-off" not in problem

    def test_other_settings_may_be_named_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAIL_KEY", "key-us1")
        monkeypatch.setenv("MAIL_LIST", "the-list")
        project = load_project(write(tmp_path, CONNECTIONS.replace("list_id: abc", "list_id: {env: MAIL_LIST}")))
        assert project.destination("letters").settings.model_dump()["list_id"] == "the-list"


class TestProblems:
    def test_all_are_said_at_once_in_the_order_of_their_lines(self, tmp_path: Path) -> None:
        found = problems_of(
            tmp_path,
            """
            name: shop
            storee: x
            connections:
              crm: {system: hubspott}
              mail:
                system: mailchimp
                api_key: {env: MAIL_KEY}
                list_id: abc
                base_ur: http://x
            sources:
              people: {connection: cmr}
            destinations:
              letters: {connection: mail, new_member_status: subscribd}
            syncs:
              a:
                audience: vipps
                destination: letters
                mode: mirrors
                consent: not_needed
              b: {audience: vips, destination: leters, consent: not_needed}
            audiences:
              vips: {rule: {trait: city, equals: Bonn}}
            schedules:
              c: {flow: pipeline, cron: "0 * * *"}
              d: {flow: ingest, cron: "0 * * * *", parameters: {source: pepole}}
            """,
        )
        assert [re.match(r"millstream\.yaml:(\d+): ([\w.]+):", problem).groups() for problem in found] == [  # type: ignore[union-attr]
            ("2", "storee"),
            ("4", "connections.crm.system"),
            ("9", "connections.mail.base_ur"),
            ("11", "sources.people.connection"),
            ("13", "destinations.letters.new_member_status"),
            ("18", "syncs.a.mode"),
            ("20", "syncs.b.destination"),
            ("24", "schedules.c.cron"),
            ("25", "schedules.d.parameters.source"),
        ]
        assert sum("did you mean" in problem for problem in found) == 8

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("identity:\n  kinds:\n    email: {blockd: []}", r":4: identity.kinds.email.blockd: .*mean 'blocked'"),
            ("sources:\n  Bad Name: {connection: x}", r":3: sources.Bad Name: this name cannot be used"),
            ("schedules: []", r":2: schedules: should be a mapping"),
            ("traits: {purchases: []}", r":2: traits.purchases: should have at least 1 entry\.$"),
            ("audiences:\n  a: {rule: {trait: '', is_set: true}}", r"rule.trait: should have at least 1 character"),
            (
                "audiences:\n  a: {rule: {trait: x, at_least: [9]}}",
                r"at_least: should be true or false, a whole number, a number, or text\.$",
            ),
            (
                "alerts: {channels: {a: {kind: slak}}}",
                r":2: alerts.channels.a.kind: 'slak' is not .*Allowed: webhook, slack, email.*mean 'slack'",
            ),
            ("alerts: {channels: {a: {url: x}}}", r":2: alerts.channels.a.kind: is missing\.$"),
            (
                "syncs:\n  a: {table: x, destination: y, consent: email}",
                r"a.consent: 'email' is not .*Allowed: not_needed, a mapping of keys and values\.$",
            ),
            ("store: mysql://u:secret@x", r":2: store: (?!.*secret).*duckdb:/// or postgresql://"),
            ("schedules:\n  s: {flow: pipelin, cron: '0 * * * *'}", r":3: schedules.s.flow: .*Allowed: pipeline"),
            ("schedules:\n  s: {flow: resolve, cron: '0 0 31 2 *'}", r":3: schedules.s.cron: .*Bad day-of-month"),
            ("schedules:\n  s: {flow: resolve, cron: hourly}", r":3: schedules.s.cron: a cron line has five fields"),
            (
                "schedules:\n  s:\n    flow: resolve\n    cron: '0 * * * *'\n    timezone: Europe/Berln",
                r":6: schedules.s.timezone: .*Europe/Berln",
            ),
            ("schedules:\n  s: {flow: activate, cron: '0 * * * *'}", r"s.parameters: .*needs the parameter 'sync'"),
            ("audiences:\n  a: {rule: {trait: x, equal: 3}}", r":3: audiences.a.rule.equal: .*mean 'equals'"),
            (
                "audiences:\n  a:\n    rule:\n      all:\n        - {event: X, within: 3 months}",
                r":6: audiences.a.rule.all.0.within: '3 months' is no span of time",
            ),
            ("audiences:\n  a: {rule: {audience: b}}", r":3: audiences.a.rule.audience: there is no audience 'b'"),
            (
                "audiences:\n  a:\n    rule:\n      looks_like:\n        audience: b\n        size: 10",
                r":6: audiences.a.rule.looks_like.audience: there is no audience 'b'",
            ),
            (
                "audiences:\n  a:\n    rule:\n      sequence:\n        - {event: Product Added}\n"
                "        - event:\n            - Paid\n            - purchase",
                r":9: audiences.a.rule.sequence.1.event.1: the tracking plan calls the event 'purchase'",
            ),
            (
                "audiences:\n  a:\n    rule:\n      sequence:\n        - {event: A, within: 3d}\n        - {event: B}",
                r":5: audiences.a.rule.sequence: the first step has no `within`",
            ),
            ("audiences:\n  a: {ready_made: promotors}", r":3: audiences.a.ready_made: .*mean 'promoters'"),
            (
                "audiences:\n  a: {description: x}",
                r":3: audiences.a: an audience has either a rule or sql or ready_made",
            ),
            (
                "audiences:\n  a: {sql: SELECT profile_id FROM 'people.csv'}",
                r':3: audiences.a.sql: The SQL reads "people.csv", which',
            ),
            ("audiences:\n  a: {rule: {trait: x, top_percent: 101}}", r":3: audiences.a.rule.top_percent: .*100"),
            ("survivorship: {sources: [crm]}", r":2: survivorship.sources.0: there is no source 'crm'"),
        ],
    )
    def test_each_names_its_line_and_key(self, tmp_path: Path, text: str, expected: str) -> None:
        assert re.search(expected, the_problem_of(tmp_path, f"name: shop\n{text}"))

    def test_a_project_needs_a_name(self, tmp_path: Path) -> None:
        assert the_problem_of(tmp_path, "sources: {}").startswith("millstream.yaml:1: name: is missing: Name of")

    def test_audiences_made_of_themselves_are_refused(self, tmp_path: Path) -> None:
        problem = the_problem_of(
            tmp_path,
            """
            name: shop
            audiences:
              a: {rule: {all: [{trait: city, is_set: true}, {audience: b}]}}
              b: {rule: {not_audience: c}}
              c: {rule: {audience: a}}
            """,
        )
        assert "the audience is made of itself: " in problem

    def test_a_fault_in_one_part_does_not_hide_another(self, tmp_path: Path) -> None:
        found = problems_of(
            tmp_path,
            """
            name: shop
            audiences:
              a: {rule: {trait: x, equal: 1, lik: 2}}
              b: {rule: {audience: a}}
              c: {rule: {audience: nowhere}}
            """,
        )
        assert [problem.split(": ")[1] for problem in found] == [
            "audiences.a.rule.equal",
            "audiences.a.rule.lik",
            "audiences.c.rule.audience",
        ]

    @pytest.mark.parametrize(
        ("sync", "expected"),
        [
            ("{audience: vipps, destination: letters, consent: not_needed}", r"audience: .*'vipps'.*mean 'vips'"),
            ("{audience: vips, destination: leters, consent: not_needed}", r"destination: .*mean 'letters'"),
            ("{audience: vips, destination: letters}", r"consent: is missing"),
            ("{destination: letters, consent: not_needed}", r"exactly one of audience, table and sql"),
            ("{audience: vips, destination: letters, consent: {chanel: email}}", r"consent.chanel: .*mean 'channel'"),
            ("{audience: vips, destination: letters, consent: not_neded}", r"consent: 'not_neded' is not one of"),
            (
                "{audience: vips, destination: letters, consent: not_needed, match: {phone: phone}}",
                r"match.phone: Mailchimp does not find people by 'phone'. Allowed: email",
            ),
            (
                "{audience: vips, destination: letters, consent: not_needed, fields: {FNAME: {colum: x}}}",
                r"fields.FNAME.colum: .*mean 'column'",
            ),
        ],
    )
    def test_a_sync_must_fit_its_destination(self, tmp_path: Path, sync: str, expected: str) -> None:
        found = problems_of(tmp_path, f"{CONNECTIONS}syncs:\n  s: {sync}\n")
        assert any(re.search(expected, problem) for problem in found)
        assert all(problem.startswith("millstream.yaml:12: ") for problem in found)

    def test_a_sync_mode_that_the_destination_lacks_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from millstream.destinations.mailchimp import Mailchimp

        monkeypatch.setattr(Mailchimp, "modes", frozenset({SyncMode.MIRROR}))
        monkeypatch.setattr(Mailchimp, "custom_fields", False)
        sync = "{audience: vips, destination: letters, mode: add, consent: not_needed, fields: {SHOE: city}}"
        mode, field = problems_of(tmp_path, f"{CONNECTIONS}syncs:\n  s: {sync}\n")
        assert "syncs.s.mode: Mailchimp has no mode 'add'. Allowed: mirror." in mode
        assert "syncs.s.fields.SHOE: Mailchimp has no field 'SHOE'. Allowed: FNAME" in field

    def test_an_unknown_stream_is_named_with_the_known_ones(self, tmp_path: Path) -> None:
        problem = the_problem_of(
            tmp_path, CONNECTIONS.replace("{connection: crm}", "{connection: crm, streams: [contact]}")
        )
        assert problem.startswith("millstream.yaml:6: sources.people.streams: ")
        assert "did you mean 'contacts'?" in problem

    def test_a_system_without_a_destination_side_is_told_apart(self, tmp_path: Path) -> None:
        text = CONNECTIONS.replace(
            "sources:\n", "  calls: {system: surveymonkey, access_token: {env: CRM_TOKEN}}\nsources:\n"
        )
        problem = the_problem_of(tmp_path, text.replace("letters: {connection: mail}", "letters: {connection: calls}"))
        assert "destinations.letters.connection: There is no destination 'surveymonkey'" in problem

    def test_a_key_that_only_the_other_side_knows_is_fine_on_a_connection_and_not_on_an_entry(
        self, tmp_path: Path
    ) -> None:
        text = CONNECTIONS + "  more: {connection: crm, properties: [x]}\n"
        text = text.replace("audiences:\n  vips: {rule: {trait: lifecycle_stage, equals: customer}}\n", "")
        assert "destinations.more.properties: this key is not known here" in the_problem_of(tmp_path, text)


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("name: shop\nname: again", r":2: name: this key stands twice; the first is on line 1"),
            (
                "name: shop\nsources:\n  a: {connection: x}\n  a: {connection: y}",
                r":4: sources.a: this key stands twice",
            ),
            ("name: shop\nschedules:\n  s:\n    cron: */5 * * * *", r":4: this is not valid YAML: .*stand in quotes"),
            ("name: shop\n\tstore: x", r":2: this is not valid YAML: .*not with tabs"),
            ("name: shop\nstore: [", r":\d: this is not valid YAML"),
            ("- name", r":1: the file should be a mapping"),
            ("name: shop\n1: x", r":2: 1: a key should be text"),
            ("name: shop\nidentity: &a\n  kinds: *a", r"refers to itself"),
            ("name: a\x01b", r":1: a character that YAML does not allow"),
        ],
    )
    def test_what_is_wrong_with_the_yaml_is_said_with_its_line(self, tmp_path: Path, text: str, expected: str) -> None:
        assert re.search(expected, the_problem_of(tmp_path, text))

    def test_anchors_and_merge_keys_work(self, tmp_path: Path) -> None:
        text = CONNECTIONS.replace(
            "people: {connection: crm}", "people: &p {connection: crm}\n  more: {<<: *p, streams: [deals]}"
        )
        assert load_project(write(tmp_path, text)).sources["more"].values["streams"] == ["deals"]

    def test_a_name_that_cannot_be_used_is_told_with_what_can(self, tmp_path: Path) -> None:
        assert "names start with a small letter" in the_problem_of(tmp_path, "name: My Shop")
        assert "name: should have at most 60 characters" in the_problem_of(tmp_path, f"name: {'a' * 61}")

    def test_null_is_a_key_without_quotes(self, tmp_path: Path) -> None:
        path = tmp_path / "millstream.yaml"
        path.write_text("fields: {LNAME: {column: last_name, null: clear}, 'null': null}")
        assert read_document(path).data == {"fields": {"LNAME": {"column": "last_name", "null": "clear"}, "null": None}}

    def test_an_empty_file_lacks_a_name(self, tmp_path: Path) -> None:
        assert "name: is missing" in the_problem_of(tmp_path, "")


class TestTemplates:
    def test_the_new_project_loads_as_it_is(self, tmp_path: Path) -> None:
        assert load_project(write(tmp_path, project_text(name="corner_shop"))).name == "corner_shop"

    def test_the_new_project_loads_with_every_example_in_use(self, tmp_path: Path) -> None:
        used = re.sub(r"^#(?=\w|  )", "", project_text(), flags=re.MULTILINE)
        project = load_project(write(tmp_path, used))
        assert project.sources
        assert project.syncs
        assert project.schedules
        assert project.audiences

    def test_the_sandbox_project_is_whole(self, tmp_path: Path) -> None:
        project = load_project(write(tmp_path, project_text(sandbox=True)))
        assert list(project.sources) == ["hubspot", "ga4", "surveymonkey"]
        assert list(project.destinations) == ["mailchimp", "hubspot"]
        sent = [name for name, audience in project.audiences.items() if audience.rule is not None]
        assert sent == ["customers", "promoters", "cart_abandoners"]
        assert {sync.audience for sync in project.syncs.values()} == set(sent)
        assert set(project.audiences) - set(sent) == {"detractors", "high_value_at_risk"}
        assert {schedule.flow for schedule in project.schedules.values()} == {"pipeline", "ingest"}

    def test_the_demo_is_the_sandbox_project(self) -> None:
        demo = Path(__file__).parents[2] / "examples" / "demo" / "millstream.yaml"
        assert demo.read_text(encoding="utf-8") == project_text(sandbox=True)


class TestSchema:
    def test_the_committed_schema_is_current(self) -> None:
        path = Path(__file__).parents[2] / "docs" / "millstream.schema.json"
        assert path.read_text(encoding="utf-8") == schema_text(plugins=False), "run `make docs`"

    def test_it_is_a_schema_and_accepts_the_sandbox_project(self) -> None:
        schema = project_schema()
        jsonschema.Draft202012Validator.check_schema(schema)
        document = json.loads(json.dumps(yaml.safe_load(project_text(sandbox=True))))
        jsonschema.validate(document, schema)

    @pytest.mark.parametrize(
        "connection",
        [
            {"system": "nothing"},
            {"system": "hubspot", "access_token": "written-out"},
            {"system": "hubspot", "acess_token": {"env": "X"}},
            {"system": "mailchimp", "api_key": {"environment": "X"}, "list_id": "a"},
        ],
    )
    def test_it_refuses_what_loading_refuses(self, connection: dict[str, object]) -> None:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"name": "shop", "connections": {"a": connection}}, project_schema())
