"""Exports of responses: a job that is started, looked at until it is done, and whose file is then downloaded."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from millstream.sources.qualtrics.errors import CHANGED
from millstream.sources.qualtrics.paging import result_of
from millstream.state.errors import MalformedAnswerError, SchemaError
from millstream.state.http import Answer, Pacer, RateLimit

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.qualtrics.settings import QualtricsSettings

PIECE = 1 << 20
_STATUSES = ("inProgress", "complete", "failed")


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        status: ``inProgress``, ``complete`` or ``failed``.
        file_id: What to download once it is complete.
        token: Where a later export may go on.
        reason: Why it failed.
    """

    status: str
    file_id: str | None
    token: str | None
    reason: str


class Exports:
    """Starts exports at the pace that the vendor allows for them, looks at them and downloads their files."""

    def __init__(self, settings: QualtricsSettings) -> None:
        self._pace = Pacer(RateLimit(requests=settings.exports_per_minute, seconds=60.0))

    def start(self, pull: Pull, survey_id: str, body: Mapping[str, Any]) -> str:
        """Have the vendor make an export; a second one by mistake does no harm, so it may be asked for again.

        Returns:
            The job's id.
        """
        path = f"surveys/{survey_id}/export-responses"
        with self._pace:
            result = result_of(pull.post(path, {"format": "ndjson", "compress": True, **body}), path)
        job = result.get("progressId")
        if not job:
            raise SchemaError("An export was started and has no progressId.", remedy=CHANGED)
        return str(job)

    def look(self, pull: Pull, survey_id: str, job: str) -> Progress:
        """How far a job is."""
        path = f"surveys/{survey_id}/export-responses/{job}"
        result = result_of(pull.get(path), path)
        status, file_id = str(result.get("status")), result.get("fileId")
        if status not in _STATUSES:
            raise MalformedAnswerError(f"An export of survey {survey_id} is in the state {status!r}.", remedy=CHANGED)
        if status == "complete" and not file_id:
            raise SchemaError(f"An export of survey {survey_id} is complete and has no fileId.", remedy=CHANGED)
        error = result.get("error")
        said = error.values() if isinstance(error, dict) else [error] if error else []
        reason = ": ".join(str(part) for part in said if part) or "no reason given"
        token = result.get("continuationToken")
        return Progress(status, str(file_id) if file_id else None, str(token) if token else None, reason)

    @contextmanager
    def responses(self, pull: Pull, survey_id: str, file_id: str) -> Iterator[Iterator[Mapping[str, Any]]]:
        """The responses in a file, which stays on disk for as long as they are read."""
        with tempfile.TemporaryDirectory(prefix="millstream-") as folder:
            file = Path(folder, "export")
            _download(pull, f"surveys/{survey_id}/export-responses/{file_id}/file", file)
            with _opened(file, survey_id) as lines:
                yield _parsed(lines, survey_id)


def _download(pull: Pull, path: str, file: Path) -> None:
    def write(answer: Answer) -> None:
        with file.open("wb") as handle:
            for piece in answer.raw.stream(PIECE, decode_content=True):
                handle.write(piece)
        if not zipfile.is_zipfile(file):
            _check_lines(file, path)

    pull.read_large(f"{pull.client.base_url.rstrip('/')}/{path}", write, headers={"Accept": "*/*"})


def _check_lines(file: Path, path: str) -> None:
    """Refuse what is neither an archive nor lines of JSON: a web page, or an archive that is cut short."""
    with file.open("rb") as handle:
        first = handle.read(1)
    if first not in (b"", b"{"):
        raise MalformedAnswerError(
            f"GET {path} gave neither an archive nor JSON.",
            remedy="run again; if it stays, the API or a proxy before it answers with something else.",
        )


@contextmanager
def _opened(file: Path, survey_id: str) -> Iterator[IO[bytes]]:
    """The file's lines: of the only member of an archive, or as it is."""
    if not zipfile.is_zipfile(file):
        with file.open("rb") as plain:
            yield plain
        return
    with zipfile.ZipFile(file) as archive:
        members = archive.namelist()
        if len(members) != 1:
            raise SchemaError(f"The export of survey {survey_id} holds {len(members)} files.", remedy=CHANGED)
        with archive.open(members[0]) as packed:
            yield packed


def _parsed(lines: IO[bytes], survey_id: str) -> Iterator[Mapping[str, Any]]:
    """One response a line, or a whole document with a list of them.

    Raises:
        MalformedAnswerError: A line is not JSON.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise MalformedAnswerError(
                f"Line {number} of the export of survey {survey_id} is not valid JSON: {error.msg}.",
                remedy="run again; if it stays, the API or a proxy before it answers with something else.",
            ) from error
        if isinstance(found, dict) and isinstance(found.get("responses"), list):
            yield from found["responses"]
        elif isinstance(found, dict):
            yield found
