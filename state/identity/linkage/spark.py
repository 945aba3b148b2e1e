"""Spark for Splink: a session that knows the functions names are compared with, and conditions in Spark's words."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from millstream.state.errors import ConfigurationError, UnreachableError
from millstream.state.identity.linkage.comparisons import Comparison

if TYPE_CHECKING:
    from pyspark.sql import SparkSession  # type: ignore[import-not-found,unused-ignore]
    from splink.backends.spark import SparkAPI

_PORTS = {"spark": 7077, "sc": 15002}
_PATIENCE = 10.0
"""Seconds to wait for a master that does not answer."""
_QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "OFF"}
"""What Spark shows and logs of a statement that fails may name values of people."""


def open_session(url: str | None) -> SparkAPI:
    """Splink's way to Spark.

    Args:
        url: The master: ``local[*]`` (when left out), ``spark://…``, ``yarn``, or ``sc://…`` for Spark Connect, whose
            server has to have Splink's archive of functions.

    Raises:
        ConfigurationError: Spark does not start.
        UnreachableError: Nobody answers where the master should be.
    """
    from py4j.protocol import Py4JError  # type: ignore[import-not-found,unused-ignore]
    from pyspark.errors import PySparkException  # type: ignore[import-not-found,unused-ignore]
    from pyspark.sql import SparkSession
    from splink.backends.spark import SparkAPI, similarity_jar_location

    builder: Any = SparkSession.builder.appName("millstream")
    master = url or "local[*]"
    _reach(master)
    if master.startswith("sc://"):
        builder = builder.remote(master)
    else:
        local = _here() if master.startswith("local") else {}
        builder = builder.master(master).config(map={"spark.jars": similarity_jar_location(), **_QUIET, **local})
    try:
        # Files of its own, as is Splink's way, would have to be where all of a cluster can write to.
        session = builder.getOrCreate()
        return SparkAPI(spark_session=session, break_lineage_method="persist")  # type: ignore[no-untyped-call]
    except (PySparkException, Py4JError) as error:
        raise ConfigurationError(
            f"Spark does not start: {_reason(error)}",
            where="identity.linkage.url",
            remedy="install Java 17 or newer, and see whether the master can be reached.",
        ) from error


def _reach(master: str) -> None:
    """See whether somebody answers there; Spark itself would try for minutes, and then say little."""
    scheme, parted, rest = master.partition("://")
    if not parted or scheme not in _PORTS:
        return
    refused = ""
    for address in re.split("[/;]", rest, maxsplit=1)[0].split(","):
        host, _, port = address.rpartition("@")[2].partition(":")
        try:
            socket.create_connection((host, int(port or _PORTS[scheme])), timeout=_PATIENCE).close()
        except (OSError, ValueError) as error:
            refused = f"{address}: {error}"
        else:
            return
    raise UnreachableError(
        f"Spark's master does not answer at {refused}.",
        where="identity.linkage.url",
        remedy="check host and port, and that it runs.",
    )


def _here() -> dict[str, str]:
    """What is set where Spark runs on this machine alone: it talks to nobody else, and cuts work for its cores."""
    own = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    return {**own, "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1))}


def _reason(error: Exception) -> str:
    """What Spark says, without the stack of Java below."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(": ")), lines[0] if lines else type(error).__name__)
    return told.removeprefix(": ").removeprefix("org.apache.spark.SparkException: ")


def spelled(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Comparisons in Spark's words, for which what stands in double quotes is a text, and no column."""
    return [
        replace(
            each,
            missing=_spelled(each.missing),
            levels=tuple(replace(level, sql=_spelled(level.sql)) for level in each.levels),
        )
        for each in comparisons
    ]


def _spelled(sql: str) -> str:
    return sql.replace('"', "`")


def clear(session: SparkSession) -> None:
    """Remove what Splink has copied, and what it has kept of its steps."""
    for table in session.catalog.listTables():
        if table.isTemporary and table.name.startswith("__splink__"):
            session.catalog.uncacheTable(table.name)
            session.catalog.dropTempView(table.name)
