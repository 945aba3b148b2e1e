"""The commands around a project: init, check, connectors, sandbox, deploy."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from millstream.flows.cli.application import SET_UP, WRONG_USE, JsonOption, ProjectOption, command


@command("init", panel=SET_UP)
def init(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder; made when missing.")] = Path(),
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="A whole project on the sandbox, to try things without an account.")
    ] = False,
    schema: Annotated[
        Path | None,
        typer.Option("--schema", metavar="FILE", help="Only write the project file's JSON Schema, for editors."),
    ] = None,
) -> bool:
    """Start a project: a commented millstream.yaml, which is never overwritten, and a .gitignore."""
    from millstream.flows.cli.output import print_line
    from millstream.flows.project.schema import write_schema
    from millstream.flows.project.template import next_steps, write_project

    if schema is not None:
        write_schema(schema)
        print_line(f"Wrote {schema}.")
        return True
    for path in write_project(folder, sandbox=sandbox):
        print_line(f"Wrote {path}.")
    for line in next_steps(folder, sandbox=sandbox):
        print_line(line)
    return True


@command("check", panel=SET_UP)
def check(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Sources and destinations; all when none.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Check the project file, the databases, and every credential and permission, without moving data."""
    from millstream.flows import steps
    from millstream.flows.cli.views.outcomes import show_checks
    from millstream.flows.project import load_project
    from millstream.flows.steps.checking import SETTINGS

    results = steps.check(steps.Workspace.open(load_project(project, secrets=True)), names or None)
    ok = show_checks(results, as_json=as_json)
    if any(result.kind == SETTINGS for result in results):
        raise typer.Exit(WRONG_USE)
    return ok


@command("connectors", panel=SET_UP)
def connectors(
    *,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Connectors; all when none.")] = None,
    as_json: JsonOption = False,
) -> bool:
    """List the installed sources and destinations: versions, streams, modes, settings; and plugins that failed."""
    from millstream.flows.cli.views.connectors import show_connectors
    from millstream.flows.looking.connectors import describe_connectors

    return show_connectors(describe_connectors(names or None), in_detail=bool(names), as_json=as_json)


@command("sandbox", panel=SET_UP)
def sandbox(
    *,
    people: Annotated[int, typer.Option(help="Size of the made-up company.", min=1)] = 5000,
    seed: Annotated[int, typer.Option(help="Another seed is another company.")] = 7,
    port: Annotated[
        int, typer.Option(help="Port on the loopback interface; 0 takes a free one.", min=0, max=65535)
    ] = 8790,
    today: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The company's present; today when left out."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write who is who in the company to this file.")
    ] = None,
    limits: Annotated[bool, typer.Option("--limits/--no-limits", help="Enforce the vendors' rate limits.")] = True,
    latency_ms: Annotated[float, typer.Option(help="Hold every answer back for so many milliseconds.", min=0)] = 0,
) -> bool:
    """Serve stand-ins for the vendors' APIs over one made-up company, until interrupted."""
    import contextlib
    import logging

    from millstream.sandbox import PortError, SandboxOptions, serve
    from millstream.state.errors import ConfigurationError

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = SandboxOptions(
        people=people,
        seed=seed,
        today=today and today.date(),
        port=port,
        limits=limits,
        latency_ms=latency_ms,
        truth=truth,
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):  # how a server is stopped by hand
            serve(options)
    except PortError as error:
        raise ConfigurationError(
            f"Cannot listen on {error.filename}: {error.strerror}.",
            remedy="name another --port, and write it into the base_urls of millstream.yaml.",
        ) from error
    return True


@command("deploy", panel=SET_UP)
def deploy(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether prefect.yaml is current; exit code 1 when it is not.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Write prefect.yaml from the project file, and register its deployments and schedules with Prefect."""
    from millstream.flows.cli.output import print_error, print_json, print_line
    from millstream.flows.deploying.registering import deploy_project
    from millstream.flows.project import load_project

    report = deploy_project(load_project(project), check=check)
    if as_json:
        print_json(report.as_json())
    elif not report.current:
        print_error(f"{report.path} is not current. What to do: run `millstream deploy`.")
    else:
        print_line(f"{report.path} is current.")
        for name in report.deployments if report.registered else ():
            print_line(f"  deployed {name}")
        for name in report.removed:
            print_line(f"  took off {name}")
    return report.ok
