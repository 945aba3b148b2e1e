"""What is masked in texts: what looks like somebody's, and what is known to be."""

from __future__ import annotations

from millstream.state.privacy import redact_values


def test_known_values_are_masked_however_they_are_written() -> None:
    values = {"bad@@x", "Zebulonia", "c-4711/a"}
    said = redact_values("ZEBULONIA (bad@@x) at /people/c-4711%2Fa: bad%40%40x", values)
    assert "zebulonia" not in said.lower()
    assert "bad" not in said
    assert "4711" not in said
    assert said.count("b***@*** [") == 2, "the same address can be matched, and not read"


def test_words_around_a_value_stay() -> None:
    assert redact_values("Field name is too long", {"am", "is", "name"}) == "Field n*** is too long"
    assert redact_values("renamed", {"name"}) == "renamed"
    assert redact_values("100 % of 7 rows", {"7", ""}) == "100 % of 7 rows"


def test_what_looks_like_somebodys_is_masked_too() -> None:
    assert "@example" not in redact_values("ana@box.example", set())
