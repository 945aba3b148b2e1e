"""The command that is sent data: receive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import RUN, ProjectOption, command

if TYPE_CHECKING:
    from millstream.flows.project import Project


@command("receive", panel=RUN)
def receive(
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="The source to receive for; may be left out if only one can.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8780,
    project: ProjectOption = None,
) -> bool:
    """Receive what is sent to us (events, webhooks), and keep it for the next pull, until interrupted.

    What is answered with 200 is on the disk. Put a proxy with TLS in front of it. GET /health tells how it is.
    """
    import logging

    from millstream.flows.cli.output import print_line
    from millstream.flows.project import load_project
    from millstream.sources.receiving import Receives
    from millstream.sources.receiving.serving import serve

    loaded = load_project(project)
    chosen = _chosen(loaded, name)
    loaded.require(sources=[chosen])
    source = loaded.source(chosen)
    assert isinstance(source, Receives)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    spool = source.reception.spool_folder
    serve(source, host=host, port=port, ready=lambda url: print_line(f"Receiving for {chosen} at {url}, into {spool}."))
    return True


def _chosen(project: Project, name: str | None) -> str:
    """The source to receive for.

    Raises:
        ConfigurationError: It cannot, there is none, or there are several to choose from.
    """
    from millstream.sources.receiving import Receives
    from millstream.state.errors import ConfigurationError
    from millstream.state.suggestions import did_you_mean

    able = [one for one, configured in project.sources.items() if issubclass(configured.connector, Receives)]
    if name is None and len(able) == 1:
        return able[0]
    if name in able:
        return name
    if name is None:
        what = "Several sources can receive." if able else "No source of the project can receive."
        remedy = "name one." if able else "add one that can, as segment."
        raise ConfigurationError(what, allowed=able, remedy=remedy)
    what = f"The source {name!r} cannot receive." if name in project.sources else f"There is no source {name!r}."
    raise ConfigurationError(what, allowed=able, remedy=did_you_mean(name, able) or "name one that can, as segment.")
