"""``millstream check`` and runs tell which names in the identity rules no source knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from millstream.flows.project import Project, load_project
from millstream.flows.steps import Workspace
from millstream.flows.steps.unheard import Unheard, unheard_names
from millstream.state.errors import MillstreamError
from tests.flows.calling import call, call_json

PROJECT = """
name: cards
connections:
  disk: {{system: files, url: in, settle_seconds: 0}}
  crm: {{system: hubspot, access_token: {{env: NOT_SET}}}}
sources:
  contacts: {{connection: crm}}
  club:
    connection: disk
    streams:
      members:
        files: club.csv
        primary_key: [no]
        people:
          identifiers: {{card: {card}, mail: {mail}}}
          traits: {{town: city}}
identity:
{identity}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "club.csv").write_text("no,card,mail,town\n1,C-1,ana@box.example,Bonn\n")


def write(identity: str, *, card: str = "club_card", mail: str = "email") -> None:
    Path("millstream.yaml").write_text(PROJECT.format(identity=f"  {identity}", card=card, mail=mail))


def told() -> list[Unheard]:
    project = load_project()
    with Workspace.open(project).store.open() as connection:
        return unheard_names(project, connection)


@pytest.mark.parametrize(
    ("identity", "name", "remedy"),
    [
        ("kinds: {emial: {max_records: 3}}", "identity.kinds.emial", "did you mean 'email'?"),
        ("kinds: {clubcard: {max_values: 1}}", "identity.kinds.clubcard", "did you mean 'club_card'?"),
        ("kinds: {phone: {agree_on: ctiy}}", "identity.kinds.phone.agree_on", "did you mean 'city'?"),
        ("other: {agree_on: ctiy}", "identity.other.agree_on", "did you mean 'city'?"),
        (
            "linkage: {enabled: true, columns: {ctiy: city}}",
            "identity.linkage.columns.ctiy",
            "did you mean 'city'?",
        ),
    ],
)
def test_a_misspelled_name_is_told_with_the_nearest(identity: str, name: str, remedy: str) -> None:
    write(identity)
    (one,) = told()
    assert (one.key, one.certain, one.remedy) == (name, True, remedy)
    line = Path("millstream.yaml").read_text().splitlines().index(f"  {identity}") + 1
    assert one.line == line
    assert one.what.startswith("no source brings")


@pytest.mark.parametrize(
    "identity",
    [
        "kinds: {email: {max_records: 3}, club_card: {max_values: 1}}",
        "kinds: {device_id: {merges: false}}",  # shipped, and waits for a source that brings one
        "kinds: {hubspot_contact_id: {max_records: 3}}",  # of a source that was never pulled, whose secret is not set
        "kinds: {phone: {agree_on: first_name}}",
        "linkage: {enabled: false, columns: {ctiy: city}}",
        "linkage: {enabled: true, columns: {surname: last_name}}",  # as usual
    ],
)
def test_of_names_that_are_right_nothing_is_told(identity: str) -> None:
    write(identity)
    assert told() == []


def test_what_the_store_has_of_a_source_that_left_is_known() -> None:
    write("kinds: {}", card="loyalty")
    assert call("ingest", "club").exit_code == 0
    assert call("resolve").exit_code == 0
    write("kinds: {loyalty: {max_values: 1}, club_card: {}}")
    assert told() == []


def test_check_tells_it() -> None:
    write("kinds: {emial: {max_records: 3}}", mail="e_mail")
    text = Path("millstream.yaml").read_text()
    Path("millstream.yaml").write_text(text.replace("  contacts: {connection: crm}\n", ""))
    checks = call_json("check", ok=False)["checks"]
    assert [(one["name"], one["ok"], one["remedy"]) for one in checks if one["kind"] == "identity"] == [
        ("identity.kinds.emial", False, "did you mean 'email'?"),
        (
            "sources.club.streams.members.people.identifiers.mail",
            True,
            "did you mean 'email'? If it is a kind of its own, name it under identity.kinds.",
        ),
    ]


def test_a_run_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    write("kinds: {emial: {max_records: 3}}")
    assert call("resolve").exit_code == 0
    (said,) = [record.getMessage() for record in caplog.records if "emial" in record.getMessage()]
    assert said.startswith("millstream.yaml:")
    assert said.endswith("What to do: did you mean 'email'?")


def test_a_kind_that_a_source_is_told_to_bring_may_be_misspelled() -> None:
    write("kinds: {}", mail="emial")
    (one,) = told()
    assert (one.key, one.certain) == ("sources.club.streams.members.people.identifiers.mail", False)
    assert one.remedy.startswith("did you mean 'email'?")
    write("kinds: {emial: {}}", mail="emial")
    assert told() == [], "the project says that it is a kind of its own"


def test_where_a_source_cannot_be_made_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    write("kinds: {emial: {max_records: 3}}")

    def refuses(*_: object, **__: object) -> None:
        raise MillstreamError("no")

    monkeypatch.setattr(Project, "source", refuses)
    assert told() == []
