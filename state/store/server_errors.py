"""A PostgreSQL server's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millstream.state.errors import QueryError, UnreachableError

if TYPE_CHECKING:
    import psycopg2


@contextmanager
def typed_errors(name: str) -> Iterator[None]:
    """Turn the driver's errors into ours.

    Args:
        name: What messages call the database.

    Raises:
        QueryError: The server refuses a statement, or stopped it.
        UnreachableError: It is gone.
    """
    import psycopg2

    try:
        yield
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        if isinstance(error, psycopg2.errors.QueryCanceled):
            raise QueryError(said(error), where="store") from error
        raise UnreachableError(
            f"PostgreSQL at {name} went away: {said(error)}", where="store", remedy="run again."
        ) from error
    except psycopg2.errors.DependentObjectsStillExist as error:
        raise QueryError(
            f"{said(error)}: {error.diag.message_detail}.",
            where="store",
            remedy="drop or change what is named here, run again, and make it anew.",
        ) from error
    except psycopg2.errors.InsufficientPrivilege as error:
        raise QueryError(
            f"PostgreSQL at {name}: {said(error)}.",
            where="store",
            remedy="grant it to the user of the store's URL, who makes schemas: best as the owner of the database.",
        ) from error
    except psycopg2.Error as error:
        raise QueryError(said(error), where="store") from error


def said(error: psycopg2.Error) -> str:
    """The server's words without DETAIL, which repeats rows."""
    return error.diag.message_primary or (str(error).strip().splitlines() or [type(error).__name__])[0]
