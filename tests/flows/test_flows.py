"""The flows: what they are made of, and a real worker running them on a real server against the sandbox."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from millstream.flows.artifacts.writing import artifact_key
from millstream.flows.backfill_source import parts_of
from millstream.flows.demo.local_prefect import LocalPrefect
from millstream.flows.demo.project import CREDENTIALS
from millstream.flows.deploying.choices import choice_of, project_of_deployments
from millstream.flows.deploying.deployments import WORK_POOL
from millstream.flows.deploying.registering import deploy_project
from millstream.flows.project import Project, load_project
from millstream.flows.showing.markdown import markdown_table
from millstream.flows.steps import Workspace, window_of
from millstream.flows.steps.failure import RunFailedError, pull_problems, sync_problems
from millstream.sandbox import Sandbox
from millstream.state.errors import ConfigurationError
from tests.flows.conftest import end, start, write_project

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact, FlowRun

SYNCS = ("promoters_to_mailchimp", "cart_abandoners_to_mailchimp", "customers_to_hubspot")


class TestParts:
    def test_a_backfill_is_cut_into_parts_without_gap_or_overlap(self) -> None:
        assert list(parts_of(date(2026, 1, 1), date(2026, 1, 5), 2)) == [
            (date(2026, 1, 1), date(2026, 1, 2)),
            (date(2026, 1, 3), date(2026, 1, 4)),
            (date(2026, 1, 5), date(2026, 1, 5)),
        ]

    def test_a_backfill_is_one_part_when_not_told_otherwise(self) -> None:
        days = (date(2026, 1, 1), date(2026, 3, 31))
        assert list(parts_of(*days, None)) == [days]

    def test_days_that_make_no_sense_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="first day"):
            window_of(None, date(2026, 1, 1))
        with pytest.raises(ConfigurationError, match="before"):
            window_of(date(2026, 1, 2), date(2026, 1, 1))

    def test_without_days_a_pull_goes_on_from_where_the_last_ended(self) -> None:
        assert window_of(None, None) is None

    def test_names_are_plain_text_when_there_is_nothing_to_choose_from(self) -> None:
        assert choice_of([]) is str

    def test_deployments_name_their_project_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert project_of_deployments(tmp_path) is None
        env = "work_pool: {job_variables: {env: {MILLSTREAM_PROJECT: shop/millstream.yaml}}}"
        (tmp_path / "prefect.yaml").write_text(f"deployments: [{{name: a, {env}}}]", encoding="utf-8")
        assert project_of_deployments(tmp_path) == tmp_path / "shop" / "millstream.yaml"
        monkeypatch.setenv("MILLSTREAM_PROJECT", "elsewhere.yaml")
        assert project_of_deployments(tmp_path) is None

    def test_artifact_keys_are_what_prefect_takes(self) -> None:
        assert artifact_key("my_shop", "activate", "A__b ") == "my-shop-activate-a-b"

    def test_a_cell_cannot_break_a_table(self) -> None:
        table = markdown_table([{"name": "a|b\nc", "rows": 1234}])
        assert table.splitlines() == ["| name | rows |", "| --- | --- |", "| a\\|b c | 1,234 |"]

    def test_a_failed_run_says_all_that_went_wrong(self) -> None:
        error = RunFailedError(["hubspot: no.", "mailchimp: neither"], report=None)
        assert str(error) == "2 problems: hubspot: no; mailchimp: neither."

    def test_rejected_rows_are_a_problem_with_their_counts(self) -> None:
        from millstream.destinations.sync_report import SyncReport
        from millstream.sources.ingest import IngestReport

        report = SyncReport("promoters", status="partial", accepted=10, rejected=2)
        (problem,) = sync_problems(report)
        assert problem.startswith("sync promoters ended partial: 2 rejected.")
        assert sync_problems(SyncReport("promoters")) == []
        assert pull_problems(IngestReport("hubspot")) == []


@pytest.fixture(scope="module")
def project(
    prefect_server: LocalPrefect, company: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A deployed project with a process worker that waits for its runs."""
    folder = tmp_path_factory.mktemp("shop")
    project = load_project(write_project(folder, url=company.url))
    deploy_project(project)
    others = {name: value for name, value in os.environ.items() if name != "MILLSTREAM_PROJECT"}
    worker = prefect_server.start_worker(WORK_POOL, folder=folder, environment={**others, **CREDENTIALS})
    yield project
    prefect_server.stop_worker(worker)


def artifacts_of(runs: Sequence[FlowRun]) -> dict[str, Artifact]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    ours = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[one.id for one in runs]))
    with get_client(sync_client=True) as client:
        return {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=ours)}


def count(project: Project, table: str) -> int:
    with duckdb.connect(str(project.root / ".millstream" / "store.duckdb"), read_only=True) as store:
        return store.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture(scope="module")
def first_runs(project: Project) -> list[FlowRun]:
    """Two deployments at the same time, in two processes, on one store."""
    runs = [start("pipeline/shop", sources=["hubspot", "surveymonkey"]), start("ingest/shop-ga4")]
    return [end(run) for run in runs]


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestInAWorker:
    def test_two_runs_on_one_store_complete(self, first_runs: list[FlowRun]) -> None:
        assert [(one.state.name, one.state.message) for one in first_runs] == [("Completed", None)] * 2
        overlap = min(one.end_time for one in first_runs) - max(one.start_time for one in first_runs)
        assert overlap.total_seconds() > 0, "they ran at the same time"

    def test_the_store_is_whole_afterwards(self, first_runs: list[FlowRun], project: Project, company: Sandbox) -> None:
        contacts = int(company.company.columns.contact_count.sum())
        assert count(project, "raw_hubspot.contacts") == contacts
        assert count(project, "raw_ga4.traffic_by_channel") > 0
        members = "SELECT record_id FROM customers.members GROUP BY record_id HAVING count(*) > 1"
        assert count(project, f"({members})") == 0
        assert 0 < count(project, "customers.profiles") <= count(project, "customers.members")

    def test_what_was_done_can_be_read_in_the_ui(self, first_runs: list[FlowRun]) -> None:
        found = artifacts_of(first_runs)
        expected = {"shop-ingest-hubspot", "shop-ingest-surveymonkey", "shop-ingest-ga4", "shop-people"}
        expected |= {"shop-audiences", "shop-pipeline", "shop-latest-run"}
        expected |= {artifact_key("shop", "activate", sync) for sync in SYNCS}
        assert expected <= set(found)
        assert found["shop-pipeline"].type == "markdown"
        assert "promoters_to_mailchimp" in found["shop-pipeline"].data
        assert str(first_runs[0].id) in found["shop-latest-run"].data

    def test_artifacts_hold_no_personal_data(self, first_runs: list[FlowRun], company: Sandbox) -> None:
        text = " ".join(str(artifact.data) for artifact in artifacts_of(first_runs).values())
        assert "@" not in text
        assert not any(company.company.person(index).last_name in text for index in range(50))

    def test_a_source_that_fails_does_not_stop_the_others(self, first_runs: list[FlowRun]) -> None:
        failed = end(start("pipeline/shop", env={"SURVEYMONKEY_ACCESS_TOKEN": "wrong"}))
        assert failed.state.name == "Failed"
        assert "surveymonkey" in failed.state.message
        assert "hubspot" not in failed.state.message
        found = artifacts_of([failed])
        assert {"shop-ingest-hubspot", "shop-ingest-ga4", "shop-people", "shop-audiences"} <= set(found)
        assert {artifact_key("shop", "activate", sync) for sync in SYNCS} <= set(found)
        assert "surveymonkey" in found["shop-pipeline"].data

    def test_a_backfill_reads_its_days_in_parts(self, first_runs: list[FlowRun], company: Sandbox) -> None:
        today = company.company.today.isoformat()
        done = end(start("backfill/shop", source="ga4", start=today, end=today, days_at_once=1))
        assert done.state.name == "Completed", done.state.message
        assert {"shop-ingest-ga4", "shop-people"} <= set(artifacts_of([done]))

    def test_a_backfill_never_passes_over_its_days_in_silence(
        self, first_runs: list[FlowRun], project: Project
    ) -> None:
        with Workspace.open(project).journal.lease("source ga4", "another run"):
            failed = end(start("backfill/shop", source="ga4", start="2026-01-01", end="2026-01-02"))
        assert failed.state.name == "Failed"
        assert "2026-01-01 to 2026-01-02: another run is reading ga4" in failed.state.message

    def test_a_name_that_the_project_does_not_have_is_refused(self, project: Project) -> None:
        from prefect.exceptions import PrefectHTTPStatusError

        with pytest.raises(PrefectHTTPStatusError, match="nope"):
            start("ingest/shop-hubspot", source="nope")
