"""``python -m benchmarks.linkage`` on files of any shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.linkage import main, measure
from millstream.state.identity.linkage.kinds import detect_kinds

PEOPLE = """id,Vorname,Nachname,Geburtsdatum,PLZ,kunde
1,Änne,Müller,13.02.1980,10115,a
2,Anne,Muller,13.02.1980,10115,a
3,Boris,Krüger,01.12.1971,80331,b
4,Krüger,Boris,12.01.1971,80331,b
5,Carla,Weiß,30.06.1990,50667,c
6,,,,,
"""


def run(folder: Path, capsys: pytest.CaptureFixture[str], text: str, *options: str) -> dict[str, object]:
    (folder / "people.csv").write_text(text, encoding="utf-8")
    main(["--data", str(folder / "people.csv"), "--truth", "kunde", "--json", *options])
    told: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return told


def test_the_same_people_are_found_in_a_file_never_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(tmp_path, capsys, PEOPLE)
    assert (told["precision"], told["recall"], told["f1"]) == (1, 1, 1)
    assert {"seconds", "peak_mb"} <= set(told)


@pytest.mark.parametrize(
    "text",
    [
        "kunde\na\na\nb\n",
        "name,kunde\n",
        "name,kunde\nAnn,a\n",
        "first,last,dob,kunde\n,,,a\n,,,a\n,,,b\n",
        "id,amount,kunde\n1,3.5,a\n2,4.5,a\n",
        "sex,kunde\nm,a\nf,b\nm,c\n",
    ],
)
def test_files_that_say_little_are_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert run(tmp_path, capsys, text)["found_pairs"] == 0


def test_a_mapping_says_what_a_column_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mapping.yaml").write_text("v1: full_name\nv2: birth_date\n", encoding="utf-8")
    text = "v1,v2,kunde\nAnn Lee,1980-01-02,a\nAnn Lee,1980-01-02,a\nBob Ray,1970-05-06,b\n"
    told = run(tmp_path, capsys, text, "--mapping", str(tmp_path / "mapping.yaml"))
    assert told["kinds"] == {"v1": "full_name", "v2": "birth_date"}
    assert told["f1"] == 1


def test_pairs_are_counted_after_grouping() -> None:
    quality = measure(["a", "a", "a", "b", None], [0, 0, 2, 2, 2])
    assert (quality.true_pairs, quality.found_pairs, quality.both) == (3, 2, 1)
    assert quality.f1 == pytest.approx(0.4)


def test_columns_are_known_by_name_or_content_and_keys_are_no_evidence() -> None:
    columns: dict[str, list[str | None]] = {
        "rec_id": ["1", "2"],
        "GIVEN NAME": ["Ann", "Bo"],
        "surname": ["Lee", "Ray"],
        "date_of_birth": ["1980-01-01", "1970-02-02"],
        "c7": ["ann@example.com", "bo@example.com"],
        "Telefonnummer": ["030 1234567", None],
        "loyalty_points": ["17", "3"],
    }
    assert detect_kinds(columns) == {
        "rec_id": "ignore",
        "GIVEN NAME": "first_name",
        "surname": "last_name",
        "date_of_birth": "birth_date",
        "c7": "email",
        "Telefonnummer": "phone",
        "loyalty_points": "ignore",
    }
