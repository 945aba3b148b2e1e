"""Alerts: each change of state is told once, by channels that speak real HTTP and SMTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from millstream.state.alerts import Channel, Email, Message, Slack, Webhook, channels, tell
from millstream.state.alerts.telling import Told
from millstream.state.errors import AuthenticationError, MillstreamError, UnavailableError
from millstream.state.http import Retries
from millstream.state.ledger.alerts import Alert, Condition, firing, first_seen, note, untold
from millstream.state.ledger.journal import Journal
from tests.receivers import Hooks, Mails, mail_server, web_server

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal("sqlite:///journal.sqlite", root=tmp_path)
    yield made
    made.close()


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooks]:
    monkeypatch.setattr(channels, "_RETRIES", Retries(attempts=2, first_wait=0.01, longest_wait=0.01))
    with web_server() as server:
        yield server


@pytest.fixture
def mails() -> Iterator[Mails]:
    with mail_server() as server:
        yield server


def failed(*, wrong: bool, sync: str = "welcome", what: str = "The vendor cannot answer now.") -> Condition:
    return Condition(subject=f"sync {sync}", kind="failed", firing=wrong, what=what, owner="data team")


def message(*, state: str = "firing", what: str = "The vendor cannot answer now.") -> Message:
    alert = Alert(
        name="sync welcome failed",
        kind="failed",
        subject="sync welcome",
        owner="data team",
        state=state,
        since=NOON,
        what=what,
    )
    return Message("shop", alert)


def tell_all(journal: Journal, **told_by: Channel) -> Told:
    def maker(channel: Channel) -> Callable[[], Channel]:
        return lambda: channel

    makers = {name: maker(channel) for name, channel in told_by.items()}
    return tell(journal, makers, project="shop", run_id="run", wants=lambda _channel, _alert: True)


class Listener:
    """A channel that keeps what it is told, or fails."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.broken = False

    def tell(self, messages: Sequence[Message]) -> None:
        if self.broken:
            raise UnavailableError("Nobody listens.")
        self.heard += [one.title for one in messages]


class TestStates:
    def test_each_change_of_state_is_told_once_and_so_is_recovery(self, journal: Journal) -> None:
        ear = Listener()
        for wrong in (False, True, True, False, False, True):
            note(journal, [failed(wrong=wrong)], now=NOON)
            tell_all(journal, ear=ear)
            tell_all(journal, ear=ear)
        assert ear.heard == ["sync welcome failed", "sync welcome works again", "sync welcome failed"]
        assert [one.name for one in firing(journal)] == ["sync welcome failed"]

    def test_a_channel_that_fails_is_tried_again_and_the_others_hear_nothing_twice(
        self, journal: Journal, caplog: pytest.LogCaptureFixture
    ) -> None:
        ear, deaf = Listener(), Listener()
        deaf.broken = True
        note(journal, [failed(wrong=True)], now=NOON)
        with caplog.at_level(logging.WARNING, "millstream.alerts"):
            told = tell_all(journal, ear=ear, deaf=deaf)
        assert [(one.channel, one.problem) for one in told.failures] == [("deaf", "Nobody listens.")]
        assert "channel deaf was not told" in caplog.text
        deaf.broken = False
        assert tell_all(journal, ear=ear, deaf=deaf).alerts == 1
        assert (ear.heard, deaf.heard) == (["sync welcome failed"], ["sync welcome failed"])
        assert untold(journal) == []

    def test_what_recovered_before_it_could_be_told_is_told_as_it_is(self, journal: Journal) -> None:
        ear = Listener()
        note(journal, [failed(wrong=True)], now=NOON)
        note(journal, [failed(wrong=False)], now=LATER)
        tell_all(journal, ear=ear)
        assert ear.heard == ["sync welcome works again"]

    def test_a_channel_is_told_only_what_it_wants(self, journal: Journal) -> None:
        ear = Listener()
        note(journal, [failed(wrong=True)], now=NOON)
        tell(journal, {"ear": lambda: ear}, project="shop", run_id="run", wants=lambda _channel, _alert: False)
        assert (ear.heard, untold(journal)) == ([], [])

    def test_only_one_process_tells_at_a_time(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("millstream.state.alerts.telling.PATIENCE", 0.0)
        ear = Listener()
        note(journal, [failed(wrong=True)], now=NOON)
        with journal.lease("alerts", "another"):
            tell_all(journal, ear=ear)
            assert ear.heard == []
        tell_all(journal, ear=ear)
        assert ear.heard == ["sync welcome failed"]

    def test_something_is_watched_from_when_it_was_first_seen(self, journal: Journal) -> None:
        assert first_seen(journal, failed(wrong=False), now=NOON) == NOON
        assert first_seen(journal, failed(wrong=False), now=LATER) == NOON
        assert (firing(journal), untold(journal)) == ([], [])
        note(journal, [failed(wrong=True)], now=LATER)
        assert [one.since for one in firing(journal)] == [LATER]

    def test_nothing_about_a_person_is_kept_or_told(self, journal: Journal, hooks: Hooks) -> None:
        words = "ana@box.example was refused, call +49 30 1234567, token=pat-na1-1234"
        note(journal, [failed(wrong=True, what=words)], now=NOON)
        tell_all(journal, hook=Webhook(hooks.url))
        text = hooks.posted[0].body.decode() + firing(journal)[0].what
        assert not any(part in text for part in ("ana@", "1234567", "pat-na1"))


class TestWebhook:
    def test_it_posts_each_change_with_a_signature_that_receivers_can_check(self, hooks: Hooks) -> None:
        key = b"0123456789abcdef0123456789abcdef"
        hook = Webhook(f"{hooks.url}/in", SecretStr(f"whsec_{base64.b64encode(key).decode()}"))
        hook.tell([message(), message(state="recovered")])
        first, second = hooks.posted
        signed = f"{first.headers['webhook-id']}.{first.headers['webhook-timestamp']}.".encode() + first.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert first.headers["webhook-signature"] == f"v1,{expected}"
        assert (first.path, first.json()["type"]) == ("/in", "millstream.alert.firing")
        assert first.json()["data"] == {
            "project": "shop",
            "alert": "sync welcome failed",
            "kind": "failed",
            "subject": "sync welcome",
            "state": "firing",
            "since": "2026-03-01T12:00:00+00:00",
            "title": "sync welcome failed",
            "what": "The vendor cannot answer now.",
            "owner": "data team",
        }
        assert second.headers["webhook-id"] != first.headers["webhook-id"]

    def test_it_tries_again_under_the_same_id(self, hooks: Hooks) -> None:
        hooks.answers = [503]
        Webhook(hooks.url, SecretStr("plain")).tell([message()])
        assert len({one.headers["webhook-id"] for one in hooks.posted}) == 1
        assert len(hooks.posted) == 2

    def test_what_goes_wrong_is_said_without_the_url(self, hooks: Hooks) -> None:
        for status in (404, 400, 401, 500):
            hooks.answers = [status, status]
            with pytest.raises(MillstreamError) as caught:
                Webhook(f"{hooks.url}/T000/B000/SECRET").tell([message()])
            assert "SECRET" not in str(caught.value)
            assert "127.0.0.1 did not take the message" in str(caught.value)
        with pytest.raises(MillstreamError, match="URL is none"):
            Webhook("no url at all, SECRET").tell([message()])


def test_slack_gets_one_message_with_its_signs_escaped(hooks: Hooks) -> None:
    Slack(SecretStr(f"{hooks.url}/services/x")).tell([message(what="5 < 6 & <!channel>"), message(state="recovered")])
    (posted,) = hooks.posted
    text = posted.json()["text"]
    assert text.startswith("*[shop] 1 wrong, 1 right again*")
    assert "5 &lt; 6 &amp; &lt;!channel&gt;" in text
    assert "sync welcome works again" in text


class TestEmail:
    def mail(self, port: int, **facts: object) -> Email:
        given = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "cdp@shop.example"}
        return Email(**{**given, "recipients": ("data@shop.example", "ops@shop.example"), **facts})  # type: ignore[arg-type]

    def test_it_sends_one_mail(self, mails: Mails) -> None:
        self.mail(mails.port).tell([message()])
        (mail,) = mails.mails
        assert (mail["Subject"], mail["From"]) == ("[shop] sync welcome failed", "cdp@shop.example")
        assert mail["To"] == "data@shop.example, ops@shop.example"
        text = mail.get_content()
        assert text.splitlines() == [
            "sync welcome failed",
            "The vendor cannot answer now.",
            "since 2026-03-01 12:00 UTC, owner: data team",
        ]

    def test_it_says_who_it_is(self) -> None:
        with mail_server(password="right") as server:
            self.mail(server.port, user="alerts", password=SecretStr("right")).tell([message()])
            with pytest.raises(AuthenticationError) as caught:
                self.mail(server.port, user="alerts", password=SecretStr("wrong-one")).tell([message()])
            assert "wrong-one" not in str(caught.value)
        assert len(server.mails) == 1

    def test_a_server_that_does_not_encrypt_is_sent_nothing(self, mails: Mails) -> None:
        for security in ("starttls", "tls"):
            with pytest.raises(UnavailableError):
                self.mail(mails.port, security=security).tell([message()])
        assert mails.mails == []

    def test_nobody_there_is_an_error_that_may_pass(self) -> None:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9"):
            self.mail(9).tell([message()])
