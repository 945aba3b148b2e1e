"""What ``urllib3`` logs of each request: no path and no query, since vendors are asked for people by address and id."""

from __future__ import annotations

import logging

_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


class _WithoutPaths(logging.Filter):
    """Shortens paths and addresses, and names errors by their kind, which repeat them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        if isinstance(record.args, tuple):
            record.args = tuple(_shortened(fact) for fact in record.args)
        return True


def _shortened(fact: object) -> object:
    if isinstance(fact, str):
        return "/…" if fact.startswith("/") else fact
    return fact if isinstance(fact, (int, float)) or fact is None else type(fact).__name__


def log_no_paths() -> None:
    """Have debug logs say which host was asked and how it answered, and not what for."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _WithoutPaths) for one in logger.filters):
            logger.addFilter(_WithoutPaths())
