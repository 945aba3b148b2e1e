"""Places where files lie: credentials under the names of their file systems, and errors as ours."""

from __future__ import annotations

import errno
from typing import Any

import orjson
import pytest
from gcsfs.retry import HttpError
from pydantic import SecretStr

from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    FatalError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    UnreachableError,
)
from millstream.state.vendors.files import PlaceAccess, error_of, open_place


def facts(url: str, **more: Any) -> dict[str, Any]:
    return PlaceAccess(url=url, username="u", password=SecretStr("p"), **more).facts()


def test_credentials_reach_the_file_system_under_its_names() -> None:
    assert (facts("s3://b")["key"], facts("s3://b")["secret"]) == ("u", "p")
    assert facts("az://b")["account_name"] == "u"
    assert facts("sftp://h/x") == {"username": "u", "password": "p"}
    key = SecretStr(orjson.dumps({"type": "service_account"}).decode())
    assert facts("gs://b", service_account=key)["token"] == {"type": "service_account"}


def test_other_places_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no files at ftp://"):
        open_place(PlaceAccess(url="ftp://x/y"))


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (FileNotFoundError("The specified bucket does not exist"), NotFoundError),
        (PermissionError("The AWS Access Key Id you provided does not exist in our records."), AuthenticationError),
        (PermissionError("The provided token has expired."), AuthenticationError),
        (PermissionError("The difference between the request time and ... RequestTimeTooSkewed"), AuthenticationError),
        (PermissionError("Access Denied"), PermissionDeniedError),
        (OSError(errno.ENOSPC, "No space left on device"), FatalError),
        (OSError("Failure"), UnavailableError),
        (HttpError({"code": 503, "message": "Backend Error"}), UnavailableError),
        (EOFError(), UnreachableError),
        (TimeoutError(), UnreachableError),
    ],
)
def test_errors_of_file_systems_become_ours(raised: Exception, ours: type[Exception]) -> None:
    made = error_of(raised, "vips.csv", done="written")
    assert type(made) is ours
    assert made.remedy


def test_errors_that_are_no_affair_of_places_stay_as_they_are() -> None:
    assert error_of(ValueError("a mistake of ours"), "vips.csv", done="written") is None
