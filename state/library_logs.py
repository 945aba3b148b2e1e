"""What libraries log while debugging: what they send and get, signatures and names of files among it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from millstream.state.http.logs import log_no_paths


def log_no_contents(*libraries: str) -> None:
    """Keep what libraries send and get out of the logs, also where the program's own are on the level of debugging.

    Args:
        libraries: Names of their loggers; those below them are meant, too.
    """
    log_no_paths()
    for library in libraries:
        for logger in _loggers(library):
            if logger.level < logging.INFO:
                # What is shown now stays so, but nothing more, whatever the level above is set to later.
                logger.setLevel(max(logging.INFO, logger.getEffectiveLevel()))


def _loggers(library: str) -> Iterator[logging.Logger]:
    """The library's logger, and those below it that have a level of their own."""
    yield logging.getLogger(library)
    for name, known in tuple(logging.Logger.manager.loggerDict.items()):
        if name.startswith(f"{library}.") and isinstance(known, logging.Logger) and known.level != logging.NOTSET:
            yield known
