"""Refresh tokens that a vendor replaces at each use."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from millstream.state.errors import ConfigurationError
from millstream.state.http.refresh_tokens import KeptRefreshToken

FIRST = SecretStr("first-token")


def test_the_newest_token_outlives_the_run(tmp_path: Path) -> None:
    file = tmp_path / "tokens" / "vendor.json"
    KeptRefreshToken(FIRST, file).replace({"access_token": "x", "refresh_token": "second-token"})
    assert KeptRefreshToken(FIRST, file).value() == "second-token"
    assert file.stat().st_mode & 0o077 == 0
    assert "first-token" not in file.read_text()


def test_another_first_token_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "vendor.json"
    KeptRefreshToken(FIRST, file).replace({"refresh_token": "second-token"})
    assert KeptRefreshToken(SecretStr("granted-again"), file).value() == "granted-again"


def test_another_run_that_replaced_it_is_noticed(tmp_path: Path) -> None:
    mine, other = (KeptRefreshToken(FIRST, tmp_path / "vendor.json") for _ in range(2))
    assert mine.value() == "first-token"
    other.replace({"refresh_token": "second-token"})
    assert mine.value() == "second-token"


def test_a_token_that_stays_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "vendor.json"
    kept = KeptRefreshToken(FIRST, file)
    for answer in ({"access_token": "x"}, {"refresh_token": "first-token"}, {"refresh_token": None}):
        kept.replace(answer)
    assert not file.exists()


def test_without_a_file_the_run_goes_on_and_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    kept = KeptRefreshToken(FIRST)
    with caplog.at_level(logging.WARNING):
        kept.replace({"refresh_token": "second-token"})
        kept.replace({"refresh_token": "third-token"})
    assert kept.value() == "third-token"
    assert [record.getMessage().count("refresh_token_file") for record in caplog.records] == [1]
    assert "token-" not in caplog.text


@pytest.mark.parametrize("content", ["", "[]", '{"refresh_token": 1}', "not JSON: first-token"])
def test_a_broken_file_is_named_and_not_quoted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "vendor.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"vendor\.json") as caught:
        KeptRefreshToken(FIRST, file).value()
    assert "first-token" not in str(caught.value)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        KeptRefreshToken(FIRST, tmp_path / "taken" / "vendor.json").replace({"refresh_token": "second-token"})
