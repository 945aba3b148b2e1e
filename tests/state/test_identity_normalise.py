"""One spelling for each identifier."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.state.identity import normalise, region


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        (" Ana.Lopez+News@Example.COM ", "ana.lopez+news@example.com"),
        ("mailto:ana@example.com", "ana@example.com"),
        ("ana@m\u00fcnchen.example", "ana@xn--mnchen-3ya.example"),
        ("ana\u200b@example.com", "ana@example.com"),
        ("o'brien@example.ie", "o'brien@example.ie"),
        ("ana@example", None),
        ("ana@@example.com", None),
        ("ana..b@example.com", None),
        ("ana b@example.com", None),
        ("ana@example.123", None),
        ("ana@-example.com", None),
        ("ana@.com", None),
        ("@example.com", None),
        ("   ", None),
        ("a" * 65 + "@example.com", None),
    ],
)
def test_addresses(original: str, expected: str | None) -> None:
    assert normalise("email", original) == expected


@pytest.mark.parametrize(
    ("original", "country", "default", "expected"),
    [
        ("0151 2345678", "DE", None, "+491512345678"),
        ("0151/234-5678", "Germany", None, "+491512345678"),
        ("(202) 555-0123", "USA", None, "+12025550123"),
        ("(202) 555-0123", "United States", "DE", "+12025550123"),
        ("(202) 555-0123 ext. 7", "us", None, "+12025550123"),
        ("+44 7700 900123", None, None, "+447700900123"),
        ("07700 900123", "Atlantis", "United Kingdom", "+447700900123"),
        ("07700 900123", None, None, None),
        ("12", "DE", None, None),
        ("call me", "DE", None, None),
    ],
)
def test_phone_numbers(original: str, country: str | None, default: str | None, expected: str | None) -> None:
    assert normalise("phone", original, country, default) == expected


@pytest.mark.parametrize(
    ("name", "code"),
    [("Côte d'Ivoire", "CI"), ("Czechia", "CZ"), ("south korea", "KR"), ("NL", "NL"), ("", None), ("Narnia", None)],
)
def test_countries(name: str, code: str | None) -> None:
    assert region(name) == code


def test_other_kinds_lose_only_the_space_around_them() -> None:
    assert normalise("user_id", " C-001 ") == "C-001"
    assert normalise("user_id", "\t") is None


@given(kind=st.sampled_from(["email", "phone", "user_id"]), text=st.text(max_size=40))
def test_normalising_twice_changes_nothing(kind: str, text: str) -> None:
    once = normalise(kind, text, "DE")
    assert once is None or normalise(kind, once, "DE") == once
