"""Cohorts: audiences that partners of Braze hand over, by a key of the partner's and one of the workspace's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from millstream.destinations.braze.settings import BrazeSettings
from millstream.destinations.contract import DeliveryRow
from millstream.destinations.http import Http
from millstream.state.errors import ConfigurationError

MOST_MEMBERS = 1_000


def id_of(name: str) -> str:
    """The id of the cohort with this name; it is ours to give."""
    return str(uuid5(NAMESPACE_URL, f"cohort:{name}"))


class Cohorts:
    """A partner's cohorts in one workspace.

    Args:
        http: The engine's HTTP.
        settings: Hold the keys.
    """

    def __init__(self, http: Http, settings: BrazeSettings) -> None:
        self._http = http
        self._settings = settings

    def ensure(self, name: str) -> str:
        """The id of the cohort with this name; made, or named again, each time."""
        cohort = id_of(name)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._http.post(self._path(), {**self._keys(), "cohort_id": cohort, "name": name, "created_at": made_at})
        return cohort

    def change(self, cohort: str, rows: Sequence[DeliveryRow], match_key: str, *, leave: bool) -> None:
        """Put people in or take them out; who is not there is passed over.

        Raises:
            ConfigurationError: People are found by their address, by which no cohort takes them.
        """
        if match_key == "email":
            raise ConfigurationError(
                "Cohorts of Braze take people by external_id or user_alias.",
                where="braze",
                remedy="match by one of them, or take another audience_kind.",
            )
        names = [row.match_value for row in rows]
        label = self._settings.alias_label
        by_alias = {"aliases": [{"alias_name": name, "alias_label": label} for name in names]}
        who: dict[str, object] = {"user_ids": names} if match_key == "external_id" else dict(by_alias)
        change = {**who, "should_remove": True} if leave else who
        body = {**self._keys(), "cohort_id": cohort, "cohort_changes": [change]}
        self._http.post(f"{self._path()}/users", body)

    def _path(self) -> str:
        return f"/partners/{self._settings.partner}/cohorts"

    def _keys(self) -> dict[str, str]:
        keys = {"partner_api_key": self._settings.partner_api_key, "client_secret": self._settings.data_import_key}
        return {name: key.get_secret_value() for name, key in keys.items() if key is not None}
