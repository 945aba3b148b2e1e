"""Who is in an audience: adding, removing, replacing, in one call or in a session of several."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

from millstream.sandbox.meta_custom_audiences.audiences import (
    ACCOUNT_WITHOUT_TERMS,
    Audience,
    Audiences,
    Replacement,
    Session,
)
from millstream.sandbox.meta_custom_audiences.errors import (
    flagged,
    invalid,
    no_such_object,
    not_updated,
    terms_for_uploading,
)
from millstream.sandbox.meta_custom_audiences.parameters import (
    an_object,
    paged,
    parameters,
    structured,
    truth,
    whole_number,
)
from millstream.sandbox.meta_custom_audiences.uploads import Upload, read_upload
from millstream.sandbox.system import Answer, Call, JsonObject

SESSION = ("session_id", "batch_seq", "last_batch_flag", "estimated_num_total")
REPLACING, REPLACING_TOOK_TOO_LONG = 1870145, 1870158


class Memberships:
    """Handlers of the edges below an audience."""

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences

    def add(self, call: Call) -> Answer:
        """Put people in. `method=delete` in a POST is a removal, as everywhere in the Graph API."""
        values = parameters(call)
        if str(values.get("method", "")).lower() == "delete":
            return self.remove(call)
        audience = self._writable(call)
        session = _session(values)
        upload = self._upload(call, audience, values)
        for row in upload.rows:
            audience.members.add(row)
        return self._answer(audience, session, upload)

    def remove(self, call: Call) -> Answer:
        """Take people out; who is not in is no error, nor is it told."""
        values = parameters(call)
        audience = self._writable(call)
        session = _session(values)
        upload = self._upload(call, audience, values)
        for row in upload.rows:
            audience.members.remove(row)
        return self._answer(audience, session, upload)

    def remove_everywhere(self, call: Call) -> Answer:
        """Take people out of all audiences of the ad account."""
        upload = read_upload(call, parameters(call))
        for audience in self._audiences.of_account(call.params["account_id"]):
            if audience.subtype == "CUSTOM" and not audience.is_flagged:
                for row in upload.rows:
                    audience.members.remove(row)
                self._audiences.has_changed(audience)
        body = upload.answer(call.params["account_id"], _new_session_id())
        del body["audience_id"]
        return Answer(body)

    def replace(self, call: Call) -> Answer:
        """One batch of a session that takes the place of all members."""
        values = parameters(call)
        audience = self._writable(call, replacing=True)
        session = _session(values)
        if not {"session_id", "batch_seq", "last_batch_flag"} <= session.keys():
            raise invalid("The parameters session_id, batch_seq and last_batch_flag are required in session")
        replacement = self._replacement(audience, str(session["session_id"]), session["batch_seq"])
        upload = self._upload(call, audience, values)
        audience.replacement = replacement
        replacement.rows += upload.rows
        if session["last_batch_flag"]:
            audience.members.replace(replacement.rows)
            audience.replacement = None
        return self._answer(audience, session, upload)

    def list_sessions(self, call: Call) -> Answer:
        """Sessions of an audience."""
        audience = self._audiences.get(call.params["audience_id"])
        if audience is None:
            raise no_such_object(call.method, call.params["audience_id"])
        rows = [{**session.body(), "id": session.session_id} for session in audience.sessions.values()]
        return paged(call, "CustomAudienceSession", rows)

    def _writable(self, call: Call, *, replacing: bool = False) -> Audience:
        audience = self._audiences.to_change(call.params["audience_id"])
        if audience is None:
            raise no_such_object(call.method, call.params["audience_id"])
        if audience.account_id == ACCOUNT_WITHOUT_TERMS:
            raise terms_for_uploading()
        if audience.is_flagged:
            raise flagged()
        under_way = audience.replacement
        if under_way is not None and time.monotonic() - under_way.started > self._audiences.replacing_seconds:
            audience.replacement = None
            if replacing:
                raise not_updated("The session took too long. Start a new one.", REPLACING_TOOK_TOO_LONG)
        if audience.replacement is not None and not replacing:
            raise not_updated("Its members are being replaced.", REPLACING)
        return audience

    @staticmethod
    def _replacement(audience: Audience, session_id: str, batch_seq: object) -> Replacement:
        under_way = audience.replacement
        if under_way is None:
            if batch_seq != 1:
                raise not_updated("There is no such session; it begins with batch_seq 1.", REPLACING_TOOK_TOO_LONG)
            return Replacement(session_id, time.monotonic())
        if under_way.session_id != session_id:
            raise not_updated("Its members are being replaced by another session.", REPLACING)
        return under_way

    @staticmethod
    def _upload(call: Call, audience: Audience, values: Mapping[str, object]) -> Upload:
        upload = read_upload(call, values)
        if "LOOKALIKE_VALUE" in upload.schema and not audience.is_value_based:
            raise invalid("LOOKALIKE_VALUE is only for audiences that are based on values.")
        audience.take_source(upload.source)
        return upload

    def _answer(self, audience: Audience, given: JsonObject, upload: Upload) -> Answer:
        session_id = str(given.get("session_id", _new_session_id()))
        session = audience.sessions.setdefault(session_id, Session(session_id, time.time()))
        session.received += upload.received
        session.invalid += upload.invalid
        if given.get("last_batch_flag", "session_id" not in given):
            session.ended = time.time()
        self._audiences.has_changed(audience)
        return Answer(upload.answer(audience.audience_id, session_id))


def _session(values: Mapping[str, object]) -> JsonObject:
    """The session as it was given, checked; empty where there is none."""
    given = structured(values, "session")
    if given is None:
        return {}
    session = an_object(given, "session", SESSION)
    for name, least in (("session_id", 1), ("batch_seq", 1), ("estimated_num_total", 0)):
        if name in session:
            session[name] = whole_number(session[name], f"session[{name}]", least)
    if "session_id" not in session or "batch_seq" not in session:
        raise invalid("The parameters session_id and batch_seq are required in session")
    if "last_batch_flag" in session:
        session["last_batch_flag"] = truth(session["last_batch_flag"], "session[last_batch_flag]")
    return session


def _new_session_id() -> str:
    return str(secrets.randbelow(9 * 10**15) + 10**15)
