"""The command line with every logger at its most talkative. A program of its own, as ``millstream`` is.

python -X dev noisy.py activate --debug
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress

from millstream.flows.cli.application import declare_commands


class _Everything(logging.Handler):
    """Writes each record with all of its arguments and its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{record.name} {record.levelname} {self.format(record)} {record.args!r}\n")


def main(commands: Sequence[str]) -> None:
    """Run them all, whatever becomes of each."""
    logging.basicConfig(level=1, handlers=[_Everything()], force=True)
    logging.captureWarnings(True)
    application = declare_commands()
    for command in commands:
        sys.stdout.write(f"$ {command}\n")
        with suppress(SystemExit):
            application(command.split())


if __name__ == "__main__":
    main(sys.argv[1:])
