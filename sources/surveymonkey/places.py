"""Which surveys a pull reads, from where, and what of the day's budget it may spend on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from millstream.state.errors import QuotaExhaustedError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.surveymonkey.settings import SurveyMonkeySettings

RESPONSES_A_REQUEST = 100
OVERLAP = timedelta(minutes=1)
"""The vendor does not say whether a start is inclusive, and rows may appear a little late."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Due:
    """A survey to read.

    Attributes:
        survey: The survey as the vendor lists it.
        start: Only responses changed after this; None reads all.
        calls: Requests this will need, as far as the numbers of responses say.
    """

    survey: Mapping[str, Any]
    start: datetime | None
    calls: int

    @property
    def id(self) -> str:
        """The survey's id."""
        return str(self.survey["id"])


class Places:
    """How far a stream has read each survey; lives in the stream's notes.

    A place is ``{"at": last change read, "count": responses then, "modified": survey's change, "checked": when}``;
    ``count`` and ``checked`` are missing while a survey is only partly read.
    """

    def __init__(self, pull: Pull, settings: SurveyMonkeySettings) -> None:
        self._pull = pull
        self._settings = settings
        self.kept: MutableMapping[str, dict[str, Any]] = pull.state.setdefault("places", {})

    def due(self, surveys: Iterable[Mapping[str, Any]]) -> list[Due]:
        """The surveys to read, the one that changed last first."""
        surveys = list(surveys)
        self._pull.noted_of("places", {str(survey["id"]) for survey in surveys})
        due = [self._due(survey) for survey in surveys if self._may_have_changed(survey)]
        return sorted(due, key=lambda one: str(one.survey.get("date_modified") or ""), reverse=True)

    def start(self, survey_id: str) -> datetime | None:
        """From where the survey is to be read."""
        if self._pull.since is not None:
            return self._pull.since
        place = self.kept.get(survey_id)
        if place is not None:
            return datetime.fromisoformat(place["at"]) - OVERLAP
        first = self._settings.start_date
        return datetime.combine(first, time.min, UTC) if first else None

    def reached(self, survey_id: str, changed: datetime) -> None:
        """Note that a survey was read up to a change."""
        self.kept[survey_id] = {"at": changed.isoformat()}

    def finished(self, due: Due) -> None:
        """Note that a survey was read to its end."""
        place = self.kept.setdefault(due.id, {"at": (due.start or EPOCH).isoformat()})
        place |= {
            "count": due.survey.get("response_count"),
            "modified": due.survey.get("date_modified"),
            "checked": self._pull.pulled_at.isoformat(),
        }

    def _may_have_changed(self, survey: Mapping[str, Any]) -> bool:
        place = self.kept.get(str(survey["id"]))
        count = survey.get("response_count")
        if place is None or self._pull.since is not None:
            return count != 0
        if "checked" not in place or count is None or place["count"] != count:
            return True
        age = self._pull.pulled_at - datetime.fromisoformat(place["checked"])
        return place["modified"] != survey.get("date_modified") or age >= self._recheck

    @property
    def _recheck(self) -> timedelta:
        return timedelta(hours=self._settings.recheck_hours)

    def _due(self, survey: Mapping[str, Any]) -> Due:
        survey_id = str(survey["id"])
        known = self.kept.get(survey_id, {}).get("count") or 0
        new = max(0, int(survey.get("response_count") or 0) - known)
        return Due(survey, self.start(survey_id), max(1, -(-new // RESPONSES_A_REQUEST)))


class Budget:
    """The requests left today: the vendor's own count, and the settings' cap over all pulls of the day (UTC)."""

    def __init__(self, pull: Pull, cap: int | None) -> None:
        self._pull = pull
        self._cap = cap
        self._today = pull.pulled_at.date().isoformat()
        noted = pull.state.get("spent", {})
        self._before: int = noted["calls"] if noted.get("day") == self._today else 0

    @property
    def left(self) -> int | None:
        """Requests left, or None when nobody has said how many there are."""
        own = None if self._cap is None else self._cap - self._before - self._pull.calls
        counts = [count for count in (own, self._pull.calls_left_today) if count is not None]
        return max(0, min(counts)) if counts else None

    def spend(self, still_needed: int) -> None:
        """Ask for one more request.

        Raises:
            QuotaExhaustedError: There is none left today.
        """
        if self.left == 0:
            self.note()
            raise QuotaExhaustedError(
                f"Today's requests are used up; about {still_needed} more are needed.",
                resets_in=_until_midnight(),
                remedy="run again after midnight UTC: the next pull goes on where this one ended.",
            )

    def note(self) -> None:
        """Keep what this pull has spent, for the day's next ones."""
        self._pull.state["spent"] = {"day": self._today, "calls": self._before + self._pull.calls}


def _until_midnight() -> float:
    now = datetime.now(UTC)
    tomorrow = datetime.combine(now.date() + timedelta(days=1), time.min, UTC)
    return (tomorrow - now).total_seconds()
