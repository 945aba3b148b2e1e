"""The report's numbers: what it reads from both engines, what it tells of it, and what it keeps to itself."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import millstream.flows.report
from millstream.flows.cli.application import declare_commands
from millstream.flows.deploying.deployments import deployments_of
from millstream.flows.project import load_project
from millstream.flows.project.models import Schedule
from millstream.flows.report import ReportRun, report_run, write_report
from millstream.flows.report.blocks import Chart, Missing, Section
from millstream.flows.report.facts.quality import Checked, Subject
from millstream.flows.report.gather import ReportData, gather
from millstream.flows.report.numbers import change, figure_value, people_count, people_share, percent, rough, signed
from millstream.flows.report.page import embedded, page_html
from millstream.flows.report.publishing import markdown, plain, standing_tables
from millstream.flows.report.sections import sections_of
from millstream.flows.report.sections.quality import quality_section
from millstream.flows.steps import Workspace, run_all
from millstream.state.errors import ConfigurationError
from millstream.state.ledger.journal import Journal
from millstream.state.model.tables import create_tables
from millstream.state.store import Store
from tests.engines import Engine
from tests.flows.calling import call
from tests.report_world import AS_OF, AUDIENCES, SCRIPT, fill, write_project

PEOPLE = 400
EVERYBODY = range(1, PEOPLE + 1)


def is_member(name: str, number: int) -> bool:
    """The conditions of the world's audiences, said once more; and who left one is not in it."""
    holds = {
        "customers": number % 3 == 0,
        "promoters": number % 4 == 0,
        "cart_left": number % 7 == 0,
        "at_risk": number % 11 == 0,
        "newsletter": number % 2 == 0,
        "handful": number <= 3,
        "nobody": False,
        "dormant": number % 19 == 0,
    }[name]
    return holds and number % 17 != 0


def members(name: str) -> set[int]:
    return {number for number in EVERYBODY if is_member(name, number)}


@dataclass(frozen=True)
class Told:
    """A report: what was read, and what is said of it."""

    data: ReportData
    sections: tuple[Section, ...]

    def section(self, name: str) -> Section:
        (found,) = (one for one in self.sections if one.id == name)
        return found

    def rows(self, name: str, caption: str) -> list[tuple[str, ...]]:
        (table,) = (one for one in self.section(name).tables() if one.caption.startswith(caption))
        return list(table.rows)


@pytest.fixture(scope="module")
def told(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("report")
    project = load_project(write_project(folder))
    with engine.store(folder) as store:
        with store.transaction() as connection:
            fill(connection, PEOPLE)
        workspace = Workspace(project, store, Journal(project.journal, root=folder))
        keep_runs(workspace.journal)
        data = gather(workspace, as_of=AS_OF)
        workspace.journal.close()
    return Told(data, sections_of(data))


@pytest.fixture(scope="module")
def shapes(told: Told) -> dict[str, str]:
    """What leaves this process: the page without the library that draws, Markdown and JSON."""
    run = ReportRun("r", Path("report.html"), as_of=AS_OF, sections=told.sections)
    page = page_html("shop", AS_OF, told.sections)
    content, script = page.split('<script type="module">')
    assert len(script) > 500_000
    return {
        "page": content,
        "markdown": markdown("shop", run),
        "json": json.dumps([section.as_json() for section in told.sections]),
    }


def keep_runs(journal: Journal) -> None:
    journal.start_run("r1", "pipeline")
    journal.finish_run("r1", ok=True, summary={})
    journal.start_run("r2", "activate", about=["newsletter_to_files"])
    refused = [
        {
            "sync": "newsletter_to_files", "match_hash": f"{number}", "profile_id": f"p{number}", "operation": "add",
            "payload_hash": "h", "status": "rejected", "code": code, "reason": "ann@box.example is no address",
            "attempts": 1, "first_at": AS_OF, "last_at": AS_OF,
        }
        for number, code in enumerate(["invalid email", "invalid email", "blocked"])
    ]  # fmt: skip
    journal.replace_rejected("newsletter_to_files", [], refused)


class TestPeople:
    def test_records_people_and_sources_are_counted(self, told: Told) -> None:
        people = told.data.people
        assert people is not None
        assert (people.people, people.records) == (PEOPLE, 400 + 200 + 80)
        assert {one.source: (one.records, one.people, one.alone) for one in people.sources} == {
            "shop": (400, 400, sum(number % 2 != 0 and number % 5 != 0 for number in EVERYBODY)),
            "site": (200, 200, 0),
            "survey": (80, 80, 0),
        }
        assert dict(people.spread) == {1: 160, 2: 200, 3: 40}
        assert people.merged == 240
        assert sum(new for _, new in people.known_by) == PEOPLE

    def test_reach_needs_consent_and_an_address(self, told: Told) -> None:
        assert told.data.people is not None
        reach = {one.channel: (one.granted, one.reachable, one.denied) for one in told.data.people.reach}
        sms = [number for number in EVERYBODY if number % 4 == 0 and number % 10 < 8]
        with_phone = [number for number in sms if number % 3 == 0]
        assert reach["email"] == (280, 280, 40)
        assert reach["sms"] == (len(sms), len(with_phone), 320 - len(sms))
        assert reach["push"] == (2, 2, 318)

    def test_the_funnel_narrows_to_who_is_held_by_a_destination(self, told: Told) -> None:
        assert told.data.people is not None
        reachable = [number for number in EVERYBODY if number % 10 < 7]
        selected = [number for number in reachable if any(is_member(name, number) for name in AUDIENCES)]
        assert [step.count for step in told.data.people.funnel] == [
            680, 680 - 40, PEOPLE, 360, 280, len(selected), sum(number % 4 == 0 for number in selected),
        ]  # fmt: skip


class TestAudiences:
    def test_sizes_and_changes_are_those_of_the_memberships(self, told: Told) -> None:
        assert told.data.audiences is not None
        found = {one.name: one for one in told.data.audiences.audiences}
        assert {name: one.size for name, one in found.items()} == {name: len(members(name)) for name in AUDIENCES}
        ever = [number for number in EVERYBODY if number % 3 == 0]
        customers = found["customers"]
        assert customers.entered == sum(number % 13 == 0 for number in ever)
        assert customers.left == sum(number % 17 == 0 for number in ever)
        assert customers.before == sum(number % 13 != 0 for number in ever)
        assert found["nobody"].before is None
        assert told.data.audiences.anybody == len(set().union(*map(members, AUDIENCES)))

    def test_a_ready_made_audience_is_told_in_its_own_words(self, told: Told) -> None:
        (row,) = (row for row in told.rows("audiences", "Audiences") if row[0] == "dormant")
        assert row[1] == str(len(members("dormant")))
        assert "no sign of life" in row[-1]

    def test_overlaps_are_those_of_the_memberships(self, told: Told) -> None:
        assert told.data.audiences is not None
        matrix = told.data.audiences.overlap
        assert set(matrix.audiences) == {name for name in AUDIENCES if len(members(name)) >= 5}
        for one in matrix.audiences:
            for other in matrix.audiences:
                assert matrix.pair(one, other).both == len(members(one) & members(other))

    def test_sizes_over_time_are_the_last_of_each_day(self, told: Told) -> None:
        assert told.data.audiences is not None
        sizes = [size for name, _, size in told.data.audiences.sizes if name == "newsletter"]
        assert len(sizes) == 91
        assert sizes[-1] == len(members("newsletter"))


class TestResults:
    def test_the_north_star_comes_first_and_with_its_change(self, told: Told) -> None:
        tile = told.section("headline").tiles()[0]
        assert tile.label == "Active people weekly"
        assert re.fullmatch(r"\+\d\.\d % in 30 days, on 21 Nov 2026", tile.note)
        assert len(tile.trend) == 90

    def test_figures_of_few_people_are_left_out(self, told: Told) -> None:
        titles = [block.title for block in told.section("figures").blocks if isinstance(block, Chart)]
        assert titles == [
            "Active people weekly (people)", "New people (people)", "Revenue", "Conversion rate", "Net promoter score",
        ]  # fmt: skip
        assert told.section("figures").as_json()["notes"] == ["Nothing but zero so far: refunds."]

    def test_days_of_few_people_are_told_as_such(self, told: Told) -> None:
        days = [value for _, value in told.rows("figures", "New people")]
        assert set(days) == {"fewer than 5", "0", "5", "6", "7", "8"}
        (chart,) = (one for one in told.section("figures").blocks if isinstance(one, Chart) and "New" in one.title)
        (rows,) = chart.specification["datasets"].values()
        assert {row["value"] for row in rows} == {0, 5, 6, 7, 8}

    def test_cohorts_are_the_latest_ones_and_of_enough_people(self, told: Told) -> None:
        rows = told.rows("returning", "Coming back")
        assert rows[0][:3] == ("Dec 2025", "520", percent(192 / 520))
        assert len(rows) == 11

    def test_a_funnel_tells_shares_of_the_first_step_and_of_the_one_before(self, told: Told) -> None:
        rows = told.rows("returning", "Funnel")
        assert rows[1] == ("2. Product Added", "2,410", "26.2 %", "26.2 %")
        assert rows[2] == ("3. Checkout Started", "1,200", "13.0 %", "49.8 %")

    def test_a_comparison_whose_groups_went_wrong_says_so(self, told: Told) -> None:
        notes = told.section("campaigns").as_json()["notes"]
        assert notes[0] == "newsletter to files: More people bought than would have."
        assert any("subject line: short: the groups are not as large as planned" in note for note in notes)
        row = told.rows("campaigns", "Comparisons")[0]
        assert row[2:6] == ("540 of 9,000", "41 of 1,000", "+1.90", "+0.60 to +3.20")


class TestTraitsAndQuality:
    def test_groups_are_those_of_the_computed_traits(self, told: Told) -> None:
        groups = {trait: dict(found) for trait, found in told.data.traits.groups.items()}
        assert groups["lifecycle"] == {"new_customer": 80, "active_customer": 160, "prospect": 160}
        assert groups["rfm_group"]["cannot_lose"] == 1
        assert ("cannot lose", "fewer than 5", "\u2013") in told.rows("traits", "RFM group")

    def test_a_prediction_is_told_with_its_models_words_and_scores(self, told: Told) -> None:
        notes = told.section("traits").as_json()["notes"]
        assert "Churn risk: Of ten people with a risk of 0.8, eight stay away." in notes
        assert "Set next product: nothing to learn. Fewer than 50 orders with two products." in notes
        rows = {row[0]: row[5:] for row in told.rows("traits", "Models behind")}
        assert rows == {
            "churn risk": ("mean absolute error in orders: 0.61 against 0.74", "model"),
            "predicted value": ("mean absolute error in orders: 0.61 against 0.55", "baseline"),
        }

    def test_quality_is_that_of_the_last_audit(self, told: Told) -> None:
        quality = told.data.quality
        assert quality is not None
        found = {(one.dimension, one.source): (one.checked, one.failed) for one in quality.checked}
        assert found["validity", "site"] == (5000, 3 + 40 + 25)
        assert len(quality.history) == 61 * 7
        assert [(one.source, one.rows) for one in quality.anomalies] == [("site", 60)]
        assert told.rows("quality", "Where most is amiss")[0][1:3] == ("survey", "integrity")

    def test_what_two_sources_say_of_people_is_told_by_source_and_not_of_a_few(self, told: Told) -> None:
        assert told.data.quality is not None
        pairs = tuple(Checked("consistency", f"a / {other}", 40, 10, 0.75) for other in ("b", "c"))
        few = tuple(
            Subject(dimension, source, "city", 40, failed, 1 - failed / 40)
            for dimension, source, failed in (
                ("consistency", "a / b", 3), ("completeness", "", 38), ("completeness", "a", 38), ("freshness", "", 20),
            )
        )  # fmt: skip
        quality = replace(told.data.quality, checked=pairs, worst=few)
        section = quality_section(replace(told.data, quality=quality))
        by_source, *_ = (block for block in section.blocks if isinstance(block, Chart))
        assert by_source.table.heads == ("kind of check", "a", "b", "c")
        (worst,) = (table for table in section.tables() if table.caption.startswith("Where most"))
        assert [row[3:] for row in worst.rows] == [
            ("fewer than 5", "40", "\u2013"), ("\u2013", "40", "\u2013"), ("38", "40", "5.0 %"), ("20", "40", "50.0 %"),
        ]  # fmt: skip


class TestDeliveries:
    def test_the_last_run_of_each_sync_counts(self, told: Told) -> None:
        (row,) = told.rows("deliveries", "The last run of each sync")
        assert row == ("newsletter to files", "files", "partial", "22 Nov 2026, 08:30", "1,483", "17", "23", "100")

    def test_reasons_are_told_by_code_and_runs_by_how_they_ended(self, told: Told) -> None:
        assert [row[1:] for row in told.rows("deliveries", "Rows that are not accepted")] == [
            ("rejected", "invalid email", "2"),
            ("rejected", "blocked", "1"),
        ]
        runs = told.rows("deliveries", "The last runs")
        assert [(row[0], row[1], row[4]) for row in runs] == [
            ("activate", "newsletter to files", "running"),
            ("pipeline", "all", "completed"),
        ]


class TestWhatIsNotTold:
    """What leaves this process, in each of its shapes."""

    def test_nobody_is_named(self, shapes: dict[str, str]) -> None:
        for shape, text in shapes.items():
            assert "box.example" not in text, shape
            assert "+4930" not in text, shape
            assert not re.search(r"\bp\d{1,3}\b", text), shape
            assert "old4" not in text, shape

    def test_small_groups_are_not_told_apart(self, told: Told) -> None:
        """The handful of three, the two who allow push, the one who must not be lost, the three who bought."""
        told_of = {
            ("audiences", "Audiences"): ("handful", 1),
            ("people", "Consent"): ("push", 2),
            ("traits", "RFM group"): ("cannot lose", 1),
        }
        for (section, caption), (who, column) in told_of.items():
            (row,) = (row for row in told.rows(section, caption) if row[0] == who)
            assert row[column] == "fewer than 5"
        rude = next(row for row in told.rows("campaigns", "Comparisons") if row[0] == "subject line: rude")
        assert rude[2:6] == ("fewer than 5 of 400", "40 of 700", "\u2013", "\u2013")
        assert not any("3 of 400" in note for note in told.section("campaigns").as_json()["notes"])
        assert [row[1] for row in told.rows("returning", "Most frequent ways")] == ["412", "390"]

    def test_charts_hold_no_small_groups_either(self, told: Told) -> None:
        for section in told.sections:
            for block in section.blocks:
                if isinstance(block, Chart) and section.id in ("people", "audiences", "traits"):
                    drawn = json.dumps(block.specification)
                    values = [float(found) for found in re.findall(r'"value": (\d+(?:\.\d+)?)', drawn)]
                    assert not [value for value in values if 0 < value < 5], block.title

    def test_the_projects_text_is_text(self, shapes: dict[str, str]) -> None:
        page = shapes["page"]
        assert SCRIPT not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<b>ours" not in page
        assert "<script>" not in shapes["markdown"]
        assert page.count("</style>") == 1

    def test_data_cannot_end_their_script_element(self) -> None:
        text = embedded({"a": "</script><!-- <script> ]]> &amp; \u2028"})
        assert not set("<>&\u2028") & set(text)
        assert json.loads(text) == {"a": "</script><!-- <script> ]]> &amp; \u2028"}

    def test_page_and_artifacts_tell_the_same_numbers(self, told: Told, shapes: dict[str, str]) -> None:
        cells = {
            cell for section in told.sections for table in section.tables() for row in table.rows[:40] for cell in row
        }
        assert len(cells) > 200
        for cell in cells - {""}:
            assert plain(cell) in shapes["markdown"]
            assert cell.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in shapes["page"]
        captions = [table.caption for section in told.sections for table in standing_tables(section)]
        assert len(captions) == len(set(captions)) >= 10


class TestNumbers:
    def test_small_groups_have_no_number(self) -> None:
        assert [people_count(people) for people in (0, 1, 4, 5, 12345)] == [
            "0", "fewer than 5", "fewer than 5", "5", "12,345",
        ]  # fmt: skip

    def test_no_share_tells_a_small_group(self) -> None:
        assert people_share(3, 100) == people_share(98, 100) == people_share(1, 3) == people_share(0, 0) == "\u2013"
        assert (people_share(0, 100), people_share(25, 100), people_share(100, 100)) == ("0.0 %", "25.0 %", "100.0 %")

    def test_changes_of_a_few_people_are_little(self) -> None:
        assert [change(now, 100) for now in (100, 104, 97, 105, 90)] == ["0", "little", "little", "+5", "\u221210"]
        assert change(3, None) == "\u2013"

    def test_figures_are_written_by_their_unit(self) -> None:
        assert figure_value(0.1234, "share", None) == "12.3 %"
        assert figure_value(0.0012, "share", None) == "0.12 %"
        assert figure_value(1234.5, "currency", "EUR") == "1,234 EUR"
        assert figure_value(1.5, "orders", None) == "1.50"
        assert figure_value(-12, "score", None) == "\u221212"
        assert (rough(0.001), rough(0.126), signed(1200)) == ("< 1 %", "13 %", "+1,200")


class TestWithoutData:
    @pytest.fixture
    def store(self, engine: Engine, tmp_path: Path) -> Iterator[Store]:
        with engine.store(tmp_path) as made:
            yield made

    def workspace(self, store: Store, folder: Path) -> Workspace:
        project = load_project(write_project(folder))
        return Workspace(project, store, Journal(project.journal, root=folder))

    def test_a_fresh_project_is_told_what_fills_each_part(self, store: Store, tmp_path: Path) -> None:
        data = gather(self.workspace(store, tmp_path), as_of=AS_OF)
        sections = sections_of(data)
        commands = {one.command for section in sections for one in section.blocks if isinstance(one, Missing)}
        assert all(any(isinstance(block, Missing) for block in section.blocks) for section in sections)
        assert {
            f"millstream {name}" for name in ("run", "select", "measure", "describe", "audit", "activate")
        } <= commands
        known = {command.name for command in declare_commands().registered_commands} | {"audit"}
        assert {command.split()[1] for command in commands} <= known
        assert "vegaEmbed" not in page_html("shop", AS_OF, sections)

    def test_a_store_in_which_steps_never_ran_is_read_as_far_as_it_goes(self, store: Store, tmp_path: Path) -> None:
        with store.transaction() as connection:
            create_tables(connection)
        assert gather(self.workspace(store, tmp_path), as_of=AS_OF).people is None

    def test_empty_tables_are_as_good_as_none(self, store: Store, tmp_path: Path) -> None:
        with store.transaction() as connection:
            fill(connection, 0)
            for table in ("figures", "quality", "daily_counts", "computed_traits", "model_cards", "audience_sizes"):
                connection.execute(f"DELETE FROM customers.{table}")
        data = gather(self.workspace(store, tmp_path), as_of=AS_OF)
        assert (data.people, data.quality) == (None, None)
        assert sections_of(data)


class TestWriting:
    @pytest.fixture
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("MILLSTREAM_PROJECT", str(tmp_path))
        return write_project(tmp_path)

    def test_the_command_writes_one_file_and_keeps_the_run(self, project: Path) -> None:
        result = call("report", "--out", str(project.parent / "r.html"), "--json")
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        page = Path(told["file"]).read_text()
        assert told["bytes"] == len(page.encode())
        assert [section["id"] for section in told["sections"]][:2] == ["headline", "people"]
        assert list(project.parent.glob(".r.html*")) == []
        (run,) = Workspace.open(load_project(project)).journal.last_runs()
        assert (run["kind"], run["status"], run["summary"]["bytes"]) == ("report", "completed", told["bytes"])

    def test_left_to_itself_it_goes_to_the_work_folder(self, project: Path) -> None:
        run = report_run(Workspace.open(load_project(project)))
        assert run.path == project.parent / ".millstream" / "report.html"
        assert run.ok
        assert "http://" not in run.path.read_text().replace("http://www.w3.org/", "")

    def test_the_project_says_where_it_goes_and_that_runs_write_it(self, project: Path) -> None:
        with project.open("a") as file:
            file.write("report: {after_pipeline: true, output: pages/today.html}\n")
        report = run_all(Workspace.open(load_project(project)), syncs=[])
        assert (project.parent / "pages" / "today.html").read_text().startswith("<!doctype html>")
        assert report.raised == []

    def test_a_run_whose_report_fails_says_so_and_goes_on(self, project: Path) -> None:
        with project.open("a") as file:
            file.write("report: {after_pipeline: true, output: millstream.yaml/r.html}\n")
        report = run_all(Workspace.open(load_project(project)), syncs=[])
        assert len(report.selected) == len(AUDIENCES)
        assert any("report" in problem and "cannot be written" in problem for problem in report.raised)

    def test_a_place_that_cannot_be_written_to_is_said(self, project: Path) -> None:
        result = call("report", "-o", str(project / "r.html"))
        assert result.exit_code == 2
        assert "cannot be written" in result.stderr

    def test_a_missing_extra_is_said(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in [name for name in sys.modules if name.startswith("millstream.flows.report.")]:
            monkeypatch.delitem(sys.modules, module)
        for name in ("charts", "sections", "page"):
            monkeypatch.delattr(millstream.flows.report, name, raising=False)
        monkeypatch.setitem(sys.modules, "altair", None)
        workspace = Workspace.open(load_project(project))
        with pytest.raises(ConfigurationError, match=r"altair.*millstream\[report\]"):
            write_report(workspace, ReportRun("r"))

    def test_it_is_deployed_and_can_be_scheduled(self, project: Path) -> None:
        assert Schedule(flow="report", cron="0 7 * * 1").flow == "report"
        with project.open("a") as file:
            file.write("schedules: {mondays: {flow: report, cron: '0 7 * * 1', parameters: {output: out.html}}}\n")
        (found,) = (one for one in deployments_of(load_project(project)) if one.flow == "report")
        assert found.schedules[0]["parameters"] == {"output": "out.html"}
