"""``millstream deploy``: the file, its check, and what the server knows afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from millstream.flows.demo.local_prefect import LocalPrefect
from millstream.flows.deploying.deployments import WORK_POOL, deployments_of
from millstream.flows.deploying.prefect_yaml import checkout, deployments_folder, render
from millstream.flows.deploying.registering import deploy_project
from millstream.flows.project import Project, load_project
from millstream.state.errors import ConfigurationError
from tests.flows.conftest import end, start, write_project

SYNCS = ["promoters_to_mailchimp", "cart_abandoners_to_mailchimp", "customers_to_hubspot"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return load_project(write_project(tmp_path))


def edited(project: Project, old: str, new: str) -> Project:
    text = project.path.read_text(encoding="utf-8")
    assert old in text
    project.path.write_text(text.replace(old, new), encoding="utf-8")
    return load_project(project.path)


def test_every_source_and_sync_has_a_deployment(project: Project) -> None:
    names = [deployment.full_name for deployment in deployments_of(project)]
    assert names == [
        "pipeline/shop",
        *(f"ingest/shop-{source}" for source in ("hubspot", "ga4", "surveymonkey")),
        "resolve/shop",
        "describe/shop",
        "select/shop",
        *(f"activate/shop-{sync}" for sync in SYNCS),
        "measure/shop",
        "audit/shop",
        "backfill/shop",
        "reconcile/shop",
        "watch/shop",
        "report/shop",
    ]


def test_a_schedule_stands_at_the_deployment_of_its_source(project: Project) -> None:
    scheduled = {one.full_name: one.schedules for one in deployments_of(project) if one.schedules}
    assert scheduled == {
        "pipeline/shop": ({"slug": "hourly", "cron": "0 0 1 1 *", "timezone": "UTC"},),
        "ingest/shop-surveymonkey": (
            {
                "slug": "surveys_at_night",
                "cron": "30 3 1 1 *",
                "timezone": "UTC",
                "parameters": {"full": True},
            },
        ),
    }


def test_a_schedule_that_does_not_say_which_source_is_refused(project: Project) -> None:
    with pytest.raises(ConfigurationError, match="source"):
        deployments_of(edited(project, "source: surveymonkey, ", ""))


def test_a_project_elsewhere_uses_the_installed_flows(project: Project) -> None:
    folder = deployments_folder(project)
    text = render(project, folder)
    assert folder == project.root.resolve()
    assert str(folder) not in text, "no path of this machine"
    entry = yaml.safe_load(text)["deployments"][0]
    assert entry["entrypoint"] == "millstream.flows.run_pipeline.pipeline"
    assert entry["work_pool"]["job_variables"]["env"] == {"MILLSTREAM_PROJECT": "millstream.yaml"}


def test_two_runs_of_one_sync_never_overlap(project: Project) -> None:
    for entry in yaml.safe_load(render(project, project.root))["deployments"]:
        assert entry["concurrency_limit"]["limit"] == 1


def test_check_says_whether_the_file_is_current_and_writes_nothing(project: Project) -> None:
    assert not deploy_project(project, check=True).ok
    assert not (project.root / "prefect.yaml").exists()
    (project.root / "prefect.yaml").write_text(render(project, project.root), encoding="utf-8")
    assert deploy_project(project, check=True).ok
    assert not deploy_project(edited(project, "0 0 1 1 *", "0 1 1 1 *"), check=True).ok


def test_the_committed_file_is_that_of_the_demo_project() -> None:
    demo = load_project(ROOT / "examples" / "demo" / "millstream.yaml")
    assert checkout() == ROOT
    assert deployments_folder(demo) == ROOT
    assert deploy_project(demo, check=True).ok, "run `millstream deploy -p examples/demo`"


def test_without_a_server_it_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(ConfigurationError, match=r"prefect server start"),
    ):
        deploy_project(project)


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestOnAServer:
    def test_the_forms_offer_the_projects_own_names(self, prefect_server: LocalPrefect, project: Project) -> None:
        deploy_project(project)
        ingest = form("ingest/shop-hubspot")
        assert ingest["source"]["enum"] == ["hubspot", "ga4", "surveymonkey"]
        assert ingest["source"]["description"] == "The source to pull."
        assert ingest["full"]["type"] == "boolean"
        assert ingest["start"]["anyOf"][0] == {"type": "string", "format": "date"}
        backfill = form("backfill/shop")
        assert (backfill["start"]["type"], backfill["start"]["format"]) == ("string", "date")
        pipeline = form("pipeline/shop")
        assert pipeline["syncs"]["anyOf"][0]["items"]["enum"] == SYNCS
        assert form(f"activate/shop-{SYNCS[0]}")["sync"]["enum"] == SYNCS
        audiences = form("select/shop")["audiences"]["anyOf"][0]["items"]["enum"]
        assert audiences == ["customers", "promoters", "cart_abandoners", "detractors", "high_value_at_risk"]

    def test_a_run_with_a_parameter_that_the_flow_does_not_have_is_refused(
        self, prefect_server: LocalPrefect, project: Project
    ) -> None:
        from prefect.client.orchestration import get_client
        from prefect.exceptions import PrefectHTTPStatusError

        deploy_project(project)
        deploy_project(project)
        with get_client(sync_client=True) as client:
            for flow in ("pipeline/shop", "ingest/shop-hubspot"):
                deployment = client.read_deployment_by_name(flow)
                with pytest.raises(PrefectHTTPStatusError, match="soruces"):
                    client.create_flow_run_from_deployment(deployment.id, parameters={"soruces": ["hubspot"]})

    def test_what_the_project_no_longer_has_is_taken_off(self, prefect_server: LocalPrefect, project: Project) -> None:
        deploy_project(project)
        document = yaml.safe_load(project.path.read_text(encoding="utf-8"))
        del document["syncs"]["customers_to_hubspot"], document["schedules"]["hourly"]
        project.path.write_text(yaml.safe_dump(document), encoding="utf-8")
        report = deploy_project(load_project(project.path))
        assert set(report.removed) == {"activate/shop-customers_to_hubspot", "pipeline/shop: schedule hourly"}
        assert deploy_project(load_project(project.path)).removed == ()

    def test_scheduled_runs_are_waiting_on_the_server(self, prefect_server: LocalPrefect, project: Project) -> None:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId

        deploy_project(edited(project, "0 0 1 1 *", "0 0 * * *"))
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name("pipeline/shop")
            ours = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[found.id]))
            deadline = time.monotonic() + 120
            waiting = False
            while not waiting and time.monotonic() < deadline:
                time.sleep(1)
                waiting = any(run.auto_scheduled for run in client.read_flow_runs(flow_run_filter=ours))
        assert waiting, "a schedule makes runs"

    def test_prefect_deploy_all_typed_by_hand_in_the_repository_works(
        self, prefect_server: LocalPrefect, tmp_path: Path
    ) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "MILLSTREAM_PROJECT"}
        for command in (
            ["work-pool", "create", WORK_POOL, "--type", "process", "--overwrite"],
            ["--no-prompt", "deploy", "--all"],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "prefect", *command],
                cwd=ROOT,
                env={**environment, **prefect_server.settings},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        demo = load_project(ROOT / "examples" / "demo" / "millstream.yaml")
        shown = form(f"pipeline/{demo.name}")
        assert shown["sources"]["anyOf"][0]["items"]["enum"] == list(demo.sources)
        databases = {
            "MILLSTREAM_STORE": f"duckdb:///{tmp_path}/store.duckdb",
            "MILLSTREAM_JOURNAL": f"sqlite:///{tmp_path}/journal.sqlite",
        }
        worker = prefect_server.start_worker(WORK_POOL, folder=tmp_path, environment=databases)
        try:
            run = end(start(f"resolve/{demo.name}"))
        finally:
            prefect_server.stop_worker(worker)
        assert run.state.name == "Completed", run.state.message
        assert (tmp_path / "store.duckdb").exists(), "a flow loaded by its path ran on the project's store"


def form(deployment: str) -> dict[str, dict[str, object]]:
    """The fields of the form in Prefect's UI."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(deployment).parameter_openapi_schema["properties"]
