"""`/partners/{partner}/cohorts`: membership handed over by partners of the vendor, who have a key of their own."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from millstream.sandbox.braze.errors import bad, fatal
from millstream.sandbox.braze.profiles import Profile, Profiles
from millstream.sandbox.braze.queue import Queue
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

PARTNER_KEY, IMPORT_KEY = "sandbox-braze-partner", "sandbox-braze-data-import"
MOST_CHANGES = 1000
NAMED_BY = ("user_ids", "device_ids", "aliases")


class Cohorts:
    """Handlers for cohorts.

    Attributes:
        names: Name of each cohort by id.
    """

    def __init__(self, profiles: Profiles, queue: Queue) -> None:
        self._profiles = profiles
        self._queue = queue
        self.reset()

    def reset(self) -> None:
        """Forget all cohorts."""
        self.names: dict[str, str] = {}

    def routes(self) -> list[Route]:
        """The endpoints about cohorts; the keys stand in the body."""
        return [
            route("POST", "/partners/{partner}/cohorts", self.create, "public"),
            route("POST", "/partners/{partner}/cohorts/users", self.change, "public"),
        ]

    def create(self, call: Call) -> Answer:
        """Make a cohort known, or give it another name."""
        body = _admitted(call)
        for name in ("cohort_id", "name"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise bad(f"'{name}' must be a valid string")
        try:
            datetime.fromisoformat(str(body.get("created_at")))
        except ValueError as error:
            raise bad("'created_at' must be a valid time as an ISO-8601 string") from error
        self.names[str(body["cohort_id"])] = str(body["name"])
        return Answer({"message": "success"}, 201)

    def change(self, call: Call) -> Answer:
        """Add users to a cohort or remove them; whoever has no profile is passed over."""
        body = _admitted(call)
        cohort, changes = str(body.get("cohort_id")), body.get("cohort_changes")
        if cohort not in self.names:
            raise bad("'cohort_id' is not a cohort of this partner")
        if not isinstance(changes, list) or not changes or not all(isinstance(one, dict) for one in changes):
            raise bad("'cohort_changes' must be an array of objects")
        if sum(len(one.get(name) or ()) for one in changes for name in NAMED_BY) > MOST_CHANGES:
            raise bad(f"Max input length exceeded: at most {MOST_CHANGES} users may be given")
        for one in changes:
            self._queue.add(partial(self._apply, cohort, one))
        return Answer({"message": "success"}, 201)

    def _apply(self, cohort: str, change: JsonObject) -> None:
        ids, aliases = change.get("user_ids"), change.get("aliases")
        found: list[Profile | None] = []
        if isinstance(ids, list):
            found += [self._profiles.by_external_id(str(value)) for value in ids]
        for alias in aliases if isinstance(aliases, list) else []:
            if isinstance(alias, dict):
                found.append(self._profiles.by_alias(str(alias.get("alias_label")), str(alias.get("alias_name"))))
        for profile in found:
            if profile is None:
                continue
            if change.get("should_remove") is True:
                profile.cohorts.discard(cohort)
            else:
                profile.cohorts.add(cohort)
            self._profiles.keep(profile)


def _admitted(call: Call) -> JsonObject:
    body = call.json()
    if not isinstance(body, dict):
        raise bad("The body must be an object")
    if body.get("partner_api_key") != PARTNER_KEY:
        raise fatal(401, "Invalid partner_api_key")
    if body.get("client_secret") != IMPORT_KEY:
        raise fatal(401, "Invalid client_secret")
    return {str(key): value for key, value in body.items()}
