"""An export's body in a temporary file, as it came over the wire: no row of it counts before it has come whole."""

from __future__ import annotations

import gzip
import weakref
import zlib
from collections.abc import Iterator, Mapping
from io import BufferedReader
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

import orjson

from millstream.state.errors import MalformedAnswerError, UnavailableError

if TYPE_CHECKING:
    from millstream.state.http import Answer

_IN_MEMORY = 8_000_000
_BLOCK = 256 * 1024
_AGAIN = "run again; if it stays, read fewer days in one export (`days_a_request`)."


class WholeFile:
    """Lines of JSON that came whole; the file has no name and is gone when it is closed.

    Args:
        answer: What to read the body of.

    Raises:
        UnavailableError: The body broke off, or Mixpanel says that it ended the export early.
        MalformedAnswerError: It is no JSON by lines.
    """

    def __init__(self, answer: Answer) -> None:
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by `_close`
        # Files that were fetched ahead are dropped unread where an earlier one fails.
        self._close = weakref.finalize(self, self._file.close)
        self._is_packed = answer.headers.get("Content-Encoding") == "gzip"
        try:
            for block in answer.raw.stream(_BLOCK, decode_content=False):
                self._file.write(block)
            self._check()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def events(self) -> Iterator[list[Mapping[str, Any]]]:
        """The events, one a line, some hundred at a time."""
        rest = b""
        with self._opened() as body:
            while block := body.read(_BLOCK):
                *lines, rest = (rest + block).split(b"\n")
                yield [_event(line) for line in lines if line.strip()]
        if rest.strip():
            yield [_event(rest)]

    def _opened(self) -> IO[bytes]:
        self._file.seek(0)
        packed = cast("IO[bytes]", self._file)
        # Neither closes the file below it.
        if not self._is_packed:
            return cast("IO[bytes]", _Kept(packed))
        # Lines of the gzip file itself are cut in Python.
        return cast("IO[bytes]", BufferedReader(gzip.GzipFile(fileobj=packed, mode="rb"), _BLOCK))

    def _check(self) -> None:
        """See that the last line is an event."""
        last = b""
        try:
            with self._opened() as body:
                while block := body.read(_BLOCK):
                    last += block
                    last = last[last.rstrip().rfind(b"\n") + 1 :]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UnavailableError("Mixpanel's export broke off before its end.", remedy=_AGAIN) from error
        if last.strip():
            _event(last)


class _Kept:
    """A file that is not closed by whom it was lent to."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *_: object) -> None:
        return


def _event(line: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if b"terminated early" in line[:200]:
            raise UnavailableError("Mixpanel ended its export early.", remedy=_AGAIN) from error
        raise MalformedAnswerError(
            "A line of Mixpanel's export is not valid JSON: it broke off, or something else answered.", remedy=_AGAIN
        ) from error
    if isinstance(found, dict) and isinstance(found.get("properties"), dict):
        return found
    raise MalformedAnswerError("A line of Mixpanel's export is no event.", remedy=_AGAIN)
