"""Tables on terminals that are too narrow for them, and what stands in them."""

from __future__ import annotations

import pytest

from millstream.flows.cli import output
from millstream.flows.cli.columns import fitted
from millstream.flows.cli.views.dry_runs import cause_text
from millstream.state.identity.changes import Cause

IDS = ["link", "l_1fc079d9cae75516"]
WORDS = ["how they compare", "first name: same; last name: same; phone: differs; area: same city"]


def test_long_texts_break_between_words_before_ids_do() -> None:
    widths, gap = fitted([IDS, WORDS, ["tries", "1"]], 60) or ([], 0)
    assert (widths[0], widths[2], gap) == (18, 5, 2)
    assert sum(widths) + 2 * gap == 60


def test_gaps_give_way_before_words_do() -> None:
    assert fitted([IDS, ["problem", "credentials"]], 30) == ([18, 11], 1)


def test_wide_letters_take_two_columns() -> None:
    assert fitted([["name"], ["city", "東京"]], 80) == ([4, 4], 2)
    assert fitted([["name"], ["city", "東京都港区"]], 80) == ([4, 10], 2)


def test_where_words_would_break_there_is_no_table() -> None:
    assert fitted([IDS, ["profile", "p_838f669d2143b929"]], 36) is None


def test_rows_too_wide_for_a_table_are_lines_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "PIPED_WIDTH", 36)
    rows = [{"link": "l_1fc079d9cae75516", "person": f"p_838f669d2143b92{number}", "why": ""} for number in (1, 2)]
    output.print_table("Probably one person", rows)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "",
        "Probably one person",
        "link    l_1fc079d9cae75516",
        "person  p_838f669d2143b921",
        "",
        "link    l_1fc079d9cae75516",
        "person  p_838f669d2143b922",
    ]


def test_what_joins_is_told_once() -> None:
    assert cause_text(Cause("linkage", "l_1", "linkage")) == "linkage l_1"
    assert cause_text(Cause("email", "ana@box.example", "rules changed")) == "email ana@box.example: rules changed"
