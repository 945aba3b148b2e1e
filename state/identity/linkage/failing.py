"""A failure of Splink, or of where it compares, in the middle of a run."""

from __future__ import annotations

from collections.abc import Sequence

from millstream.state.errors import FatalError
from millstream.state.identity.linkage.comparisons import Comparison
from millstream.state.identity.linkage.conditions import Dialect


def failures(backend: Dialect) -> tuple[type[Exception], ...]:
    """What Splink and the backend raise when they fail."""
    from splink.internals.exceptions import SplinkException

    if backend == "postgres":
        import psycopg2
        from sqlalchemy.exc import SQLAlchemyError

        return (SplinkException, psycopg2.Error, SQLAlchemyError)
    if backend == "spark":
        from py4j.protocol import Py4JError  # type: ignore[import-not-found,unused-ignore]
        from pyspark.errors import PySparkException  # type: ignore[import-not-found,unused-ignore]

        return (SplinkException, Py4JError, PySparkException)
    import duckdb

    return (SplinkException, duckdb.Error)


def failed(error: Exception, backend: Dialect, comparisons: Sequence[Comparison], pairs: int) -> FatalError:
    """The failure in words of ours: Splink's hold whole statements, and those of databases values of people.

    Args:
        error: What was raised.
        backend: Where Splink compared.
        comparisons: What it compared.
        pairs: How many pairs it was given.
    """
    compared = ", ".join(comparison.name for comparison in comparisons)
    return FatalError(
        f"Splink failed on {backend} ({type(error.__cause__ or error).__name__}) while it compared people by "
        f"{compared} (pairs: {pairs:,}).",
        where="identity.linkage",
        remedy="nothing was changed; run again. Where it lacks memory, name another backend (docs/identity.md). Until "
        "it works, identity.linkage.enabled: false joins people by their identifiers alone.",
    )
