"""How far each survey has been read, and which stretches of it a pull still has to have exported."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from millstream.state.errors import IncompleteError, SchemaError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.qualtrics.settings import QualtricsSettings

SHORTEST = timedelta(minutes=2)
"""A stretch that is not cut into halves any more."""

FIRST_YEAR = datetime(2005, 1, 1, tzinfo=UTC)
"""Before any response: where a stretch without a start is cut from, if the survey does not say when it was made."""

_EXPORTS_OF_A_STRETCH = 2


class Place:
    """How far the stream has read one survey; lives in the stream's notes.

    ``{"at": read up to this change, "token", "token_at": where the vendor can go on, "newest": newest response,
    "checked", "swept": when last}``, and while an export is in the making ``{"began", "todo": stretches as [since,
    until], "job": the vendor's id of the first one's export, "sweep": every response is to be seen, "partly": some
    stretches were read}``.
    """

    def __init__(self, pull: Pull, settings: QualtricsSettings, survey: Mapping[str, Any]) -> None:
        self._pull = pull
        self._settings = settings
        self.survey = survey
        self.survey_id = str(survey["id"])
        places: MutableMapping[str, Any] = pull.state.setdefault("places", {})
        self.kept: MutableMapping[str, Any] = places.setdefault(self.survey_id, {})
        self.seen: set[str] | None = None
        self.resumes = False
        self._tries = 0

    # What to read

    @property
    def is_due(self) -> bool:
        """Whether to read the survey now: one that is closed changes seldom."""
        if self._pull.is_backfill or "todo" in self.kept or self.survey.get("isActive") is not False:
            return True
        return _age(self._pull, self.kept.get("checked")) >= timedelta(hours=self._settings.inactive_hours)

    def begin(self) -> None:
        """Work out the stretches to read, unless a pull before has left some."""
        self.resumes = "todo" in self.kept
        if not self.resumes:
            self._begin_anew()
        is_whole = self.kept.get("sweep") and not self.kept.get("partly")
        self.seen = set() if is_whole else None

    def _begin_anew(self) -> None:
        began = self._pull.pulled_at.replace(microsecond=0)
        self.kept["began"] = began.isoformat()
        if self._pull.is_backfill:
            self.kept["todo"] = [[_text(self._pull.since), _text(self._pull.until)]]
            return
        self.kept["sweep"] = self._sweep_is_due()
        since = self._first() if self.kept["sweep"] else self._since()
        self.kept["todo"] = [[_text(since), None if self._settings.continuation else _text(began)]]

    def body(self) -> dict[str, Any]:
        """What to ask for next."""
        if self._goes_on_by_token:
            return {"continuationToken": self.kept["token"]}
        since, until = self.kept["todo"][0]
        body: dict[str, Any] = {"sortByLastModifiedDate": True}
        body |= {"startDate": since} if since else {}
        # A token of a stretch with an end would say nothing of what is behind it.
        return body | ({"endDate": until} if until else {"allowContinuation": True})

    @property
    def job(self) -> str | None:
        """The export in the making."""
        return self.kept.get("job")

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to read."""
        return "todo" not in self.kept

    # What became of it

    def started(self, job: str) -> None:
        """Note an export's id."""
        self.kept["job"] = job

    def lost(self, *, token: bool = False) -> None:
        """The vendor does not know the export (or its token) any more: start anew.

        Raises:
            IncompleteError: That has happened before.
        """
        self.kept.pop("job", None)
        if token:
            self.kept.pop("token", None)
            return
        self._again("Qualtrics has lost it.")

    def failed(self, reason: str, *, too_large: bool) -> None:
        """The vendor could not make an export: cut the stretch into halves, or try once more.

        Raises:
            IncompleteError: Neither helps.
        """
        self.kept.pop("job", None)
        if not too_large:
            self._again(reason)
            return
        since, until = self._edges()
        if until - since <= SHORTEST:
            raise IncompleteError(
                f"Survey {self.survey_id} has too many responses within {SHORTEST}: {reason}",
                remedy="lift the vendor's limit on the size of exports, or leave the survey out with `surveys`.",
            )
        middle = (since + (until - since) / 2).replace(microsecond=0)
        self.kept.pop("token", None)
        self.kept["todo"][:1] = [[_text(since), _text(middle)], [_text(middle), _text(until)]]

    def read(self, newest: datetime | None, token: str | None) -> None:
        """Note that the first stretch was read to its end."""
        stretches: list[Any] = self.kept["todo"]
        del stretches[0]
        self.kept.pop("job", None)
        self._tries = 0
        if newest is not None:
            self.kept["newest"] = max(filter(None, (self.kept.get("newest"), newest.isoformat())))
        if token is not None and not self._pull.is_backfill:
            self.kept.update(token=token, token_at=self.kept["began"])
        if stretches:
            self.kept["partly"] = True
            return
        for note in ("todo", "partly"):
            self.kept.pop(note, None)
        if not self._pull.is_backfill:
            self.kept.update(at=self.kept["began"], checked=self._pull.pulled_at.isoformat())
            if self.kept.pop("sweep", False) and self.seen is not None:
                self.kept["swept"] = self._pull.pulled_at.isoformat()

    @property
    def ends_sweep(self) -> bool:
        """Whether every response of the survey will have been seen with this stretch."""
        return self.seen is not None and len(self.kept["todo"]) == 1

    @property
    def swept_from(self) -> datetime | None:
        """The first moment that a sweep looks at."""
        return self._first()

    # Times

    def _again(self, reason: str) -> None:
        self._tries += 1
        if self._tries >= _EXPORTS_OF_A_STRETCH:
            raise IncompleteError(
                f"Qualtrics could not export survey {self.survey_id}: {reason}",
                remedy="run again, nothing is missed; if it stays so, leave the survey out with `surveys`.",
            )

    @property
    def _goes_on_by_token(self) -> bool:
        if not self._settings.continuation or "token" not in self.kept:
            return False
        if self._pull.is_backfill or self.kept.get("sweep") or len(self.kept["todo"]) > 1:
            return False
        return _age(self._pull, self.kept.get("token_at")) < timedelta(days=self._settings.continuation_days)

    def _edges(self) -> tuple[datetime, datetime]:
        since, until = self.kept["todo"][0]
        made = str(self.survey.get("creationDate") or "")
        earliest = datetime.fromisoformat(since or made) if since or made else FIRST_YEAR
        latest = datetime.fromisoformat(until or self.kept["began"])
        return earliest.astimezone(UTC), latest.astimezone(UTC)

    def _since(self) -> datetime | None:
        at = self.kept.get("at")
        if at is None:
            return self._first()
        return datetime.fromisoformat(at) - timedelta(minutes=self._settings.lookback_minutes)

    def _first(self) -> datetime | None:
        first = self._settings.start_date
        return datetime.combine(first, time.min, UTC) if first else None

    def _sweep_is_due(self) -> bool:
        days = self._settings.sweep_days
        if "at" not in self.kept:
            # The first pull reads everything, so that what it did not see was not there.
            self.kept["swept"] = self._pull.pulled_at.isoformat()
            return False
        if days is None or self._pull.stored is None:
            return False
        return _age(self._pull, self.kept.get("swept")) >= timedelta(days=days)


def newest_read(pull: Pull) -> str | None:
    """The newest response read of any survey, for people."""
    return max(filter(None, (place.get("newest") for place in pull.state.get("places", {}).values())), default=None)


def say_since(pull: Pull) -> None:
    """For the report: from where the survey that was read longest ago is read on."""
    places = [place.get("at") for place in pull.state.get("places", {}).values()]
    if not pull.is_backfill and places and all(places):
        pull.since = datetime.fromisoformat(min(places))


def recorded_at(facts: Mapping[str, Any]) -> datetime:
    """When a response was recorded.

    Raises:
        SchemaError: It does not say so.
    """
    try:
        moment = datetime.fromisoformat(str(facts["recordedDate"]))
    except (KeyError, ValueError) as error:
        raise SchemaError(
            "A response has no readable recordedDate.", remedy="the API may have changed: update the connector."
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _age(pull: Pull, noted: str | None) -> timedelta:
    return pull.pulled_at - datetime.fromisoformat(noted) if noted else timedelta.max


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
