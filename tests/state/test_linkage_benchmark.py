"""``python -m benchmarks.linkage`` on files of any shape."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.linkage import main, measure, read_columns
from millstream.state.identity.linkage.kinds import Kind, detect_kinds

pytestmark = pytest.mark.slow

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
        "name,kunde\nAnn,a\n",
        "first,last,dob,kunde\n,,,a\n,,,a\n,,,b\n",
        "id,amount,kunde\n1,3.5,a\n2,4.5,a\n",
        "sex,kunde\nm,a\nf,b\nm,c\n",
    ],
)
def test_files_that_say_little_are_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert run(tmp_path, capsys, text)["found_pairs"] == 0


@pytest.mark.parametrize(
    "content",
    [
        PEOPLE.encode("utf-8-sig"),
        PEOPLE.encode("utf-16"),
        PEOPLE.encode("cp1252"),
        PEOPLE.replace(",", ";").replace("\n", "\r\n").encode(),
        PEOPLE.replace(",", "\t").replace("6\t\t\t\t\t", "6").encode(),
    ],
)
def test_a_file_may_be_written_in_other_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    main(["--data", str(tmp_path / "people.csv"), "--truth", "kunde", "--json"])
    assert json.loads(capsys.readouterr().out)["f1"] == 1


def test_parquet_may_hold_dates_and_numbers_with_gaps(tmp_path: Path) -> None:
    born = pa.array([date(1980, 1, 2), None])
    pq.write_table(pa.table({"born": born, "zip": [12345.0, None], "id": [1, 2]}), tmp_path / "people.parquet")
    assert read_columns(tmp_path / "people.parquet") == {
        "born": ["1980-01-02", None],
        "zip": ["12345", None],
        "id": ["1", "2"],
    }


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("people.csv", b"", [], "empty"),
        ("people.csv", b"a,kunde\n1,2,3\n", [], "3 fields"),
        ("people.csv", b"a,b\n1,2\n", [], "no column 'kunde'"),
        ("people.csv", b"name,kunde\n", [], "no rows"),
        ("people.parquet", b"no", [], "people.parquet"),
        ("people.csv", b"a,kunde\n1,2\n", ["--mapping", "absent.yaml"], "^absent.yaml: No such file"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes, options: list[str], message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        main(["--data", str(tmp_path / name), "--truth", "kunde", *options])


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
        "c7": ["ann@box.example", "bo@box.example"],
        "Telefonnummer": ["030 1234567", None],
        "loyalty_points": ["17", "3"],
        "Geb.-Datum": ["1.1.80", None],
    }
    assert detect_kinds(columns) == {
        "rec_id": "ignore",
        "GIVEN NAME": "first_name",
        "surname": "last_name",
        "date_of_birth": "birth_date",
        "c7": "email",
        "Telefonnummer": "phone",
        "loyalty_points": "ignore",
        "Geb.-Datum": "birth_date",
    }


def test_whose_a_column_is_and_how_it_is_written_do_not_hide_its_kind() -> None:
    said: dict[str, tuple[str, Kind]] = {
        "customer_last_name": ("Zlatkova", "last_name"),
        "cust_dob": ("1980-01-01", "birth_date"),
        "address_city": ("Leeds", "city"),
        "addrZip": ("12345", "postcode"),
        "mail_addr1": ("5 Elm Rd", "address"),
        "email_addr": ("ann@box.example", "email"),
        "home_tel": ("55501234", "phone"),
        "name_sufx_cd": ("Jr", "suffix"),
        "birth_place": ("Rome", "other"),
    }
    columns = {name: [value, value, f"{value}1"] for name, (value, _) in said.items()}
    assert detect_kinds(columns) == {name: kind for name, (_, kind) in said.items()}


def test_what_says_the_same_again_is_ignored() -> None:
    columns: dict[str, list[str | None]] = {
        "first_name": ["Ann", "Bo"],
        "first_name_clean": ["ann", "bo"],
        "dob": ["1980-01-01", "1970-02-02"],
        "age": ["40", "50"],
    }
    assert list(detect_kinds(columns).values()) == ["first_name", "ignore", "birth_date", "ignore"]
    assert detect_kinds({"age": ["40", "50"]}) == {"age": "birth_year"}


def test_a_column_of_whole_names_is_known_by_whom_it_names_unless_it_numbers_them() -> None:
    assert detect_kinds({"patient": ["Ann Lee", "Bo Ray"]}) == {"patient": "full_name"}
    assert detect_kinds({"patient": ["P-1001", "P-1002"]}) == {"patient": "ignore"}
