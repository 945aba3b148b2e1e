"""The application: how commands are declared, how errors become messages and exit codes."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from millstream.state.errors import ConfigurationError, MillstreamError
from millstream.state.privacy import redact

P = ParamSpec("P")

OK, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

SET_UP = "Set up"
RUN = "Run"
STEER = "Say who is who"
DELIVER = "Look after delivery"
LOOK = "Look"

app = typer.Typer(
    name="millstream",
    help="Customer data put to work: pull it, work out who is who, compute audiences, keep marketing tools in step.",
    epilog="Exit codes: 0 all is well, 1 something failed, 2 the project file or the command is wrong.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-p",
        envvar="MILLSTREAM_PROJECT",
        help="The project file or its folder; else millstream.yaml in this folder or one above.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
PrefectOption = Annotated[
    bool, typer.Option("--prefect", help="Run through Prefect; so it is too where PREFECT_API_URL is set.")
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show where in the code an error happened.")]

_DEBUG = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DebugOption)


def command(name: str, *, panel: str) -> Callable[[Callable[P, bool]], Callable[P, bool]]:
    """Declare a command: a function that gives back whether all went well.

    Adds ``--debug``, and turns errors into one message on standard error and an exit code.
    """

    def declare(function: Callable[P, bool]) -> Callable[P, bool]:
        signature = inspect.signature(function, eval_str=True)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            debug = bool(kwargs.pop("debug"))
            with_json = bool(kwargs.get("as_json"))
            raise typer.Exit(_exit_code(lambda: function(*args, **kwargs), debug=debug, as_json=with_json))

        parameters = [*signature.parameters.values(), _DEBUG]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        app.command(name, rich_help_panel=panel, help=_unwrapped(function.__doc__ or ""))(run)
        return function

    return declare


def _unwrapped(text: str) -> str:
    """A docstring whose paragraphs are one line each, to be broken where the terminal ends."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _exit_code(work: Callable[[], bool], *, debug: bool, as_json: bool) -> int:
    try:
        return OK if work() else FAILED
    except MillstreamError as error:
        _report(error, debug=debug, as_json=as_json)
        return WRONG_USE if isinstance(error, ConfigurationError) else FAILED
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201 - the command line's own output
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`millstream status | head`); Python would complain on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 - the outermost place: a person gets a message, not a traceback
        said = _of_the_machine(error) or MillstreamError(
            f"Unexpected {type(error).__name__}: {error}",
            remedy="run it again with --debug, and report it with what that shows.",
        )
        said.__traceback__ = error.__traceback__
        _report(said, debug=debug, as_json=as_json)
        return FAILED


_BROKEN_FILES = frozenset({8, 10, 13, 14})
"""What SQLite says of a file: may not be written to, cannot be read, disk full, cannot be opened."""


def _of_the_machine(error: Exception) -> MillstreamError | None:
    """What a disk or a database's server could not do, which is no mistake of ours; None for anything else."""
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    elif isinstance(error, _errors_of_databases()):
        said = getattr(error, "orig", error)
        if getattr(said, "sqlite_errorcode", 10) & 0xFF not in _BROKEN_FILES:
            return None
        what = f"A database cannot go on: {str(said).strip().splitlines()[0]}."
    else:
        return None
    remedy = "look whether the disk is full, the folder may be written to, and the server runs; then run it again."
    return MillstreamError(what, remedy=remedy)


def _errors_of_databases() -> tuple[type[Exception], ...]:
    """Those of the drivers that were imported by now."""
    known = [getattr(sys.modules.get("sqlalchemy.exc"), "OperationalError", None)]
    known.append(getattr(sys.modules.get("duckdb"), "IOException", None))
    return tuple(one for one in known if one is not None)


def _report(error: MillstreamError, *, debug: bool, as_json: bool) -> None:
    from millstream.flows.cli.output import print_error, print_json

    if debug:
        print(redact("".join(traceback.format_exception(error))), file=sys.stderr)  # noqa: T201
    print_error(str(error))
    if as_json:
        print_json(
            {
                "ok": False,
                "error": {
                    "kind": type(error).__name__,
                    "message": error.what,
                    "where": error.where,
                    "allowed": list(error.allowed),
                    "remedy": error.remedy,
                },
            }
        )


def _print_version(asked: bool) -> None:
    if asked:
        import millstream

        typer.echo(f"millstream {millstream.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version  # its callback did the work


def declare_commands() -> typer.Typer:
    """The application with all of its commands; importing their modules declares them, in the order of the help."""
    for module in (
        "setting_up",
        "running",
        "measuring",
        "auditing",
        "receiving",
        "steering",
        "deleting",
        "rejected",
        "suppressing",
        "reconciling",
        "watching",
        "reporting",
        "looking",
        "audiences",
        "tracking",
        "traits",
    ):
        importlib.import_module(f"millstream.flows.cli.commands.{module}")
    return app


def main() -> None:
    """Run the command line; the process ends with its exit code."""
    declare_commands()()
