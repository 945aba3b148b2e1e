"""Files as a destination: what is in them, what they are called, and that no half of one is ever taken for a whole."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from pydantic import ValidationError

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome, PlanFacts
from millstream.destinations.files import Files, FilesSettings
from millstream.destinations.files.naming import safe_name
from millstream.destinations.files.reading import csv_records
from millstream.destinations.http import Recorded
from millstream.destinations.modes import SyncMode
from millstream.destinations.reconciling import reconcile
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    FatalError,
    NotFoundError,
    PermissionDeniedError,
    SchemaError,
)
from tests.destinations.bench import Bench, MakeBench
from tests.destinations.memory import Killed
from tests.gcs_server import BUCKET, gcs_server, service_account
from tests.sftp_server import PASSWORD, USER, SftpServer, sftp_server

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def row(number: int, email: str, **fields: FieldValue) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=email, fields=fields)


def people(*names: str) -> list[DeliveryRow]:
    return [row(number, f"{name}@box.example", name=name.title()) for number, name in enumerate(names)]


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def plan(name: str = "plan_1", *fields: str, made_at: datetime = NOON) -> PlanFacts:
    return PlanFacts(sync="vips_out", plan=name, made_at=made_at, fields=fields)


@dataclass
class Folder:
    """A folder, and a destination that writes to it."""

    path: Path

    def destination(self, **changes: Any) -> Files:
        return Files(FilesSettings.model_validate({"url": str(self.path), **changes}))

    def add(self, *rows: DeliveryRow, audience: str = "vips", **changes: Any) -> list[Outcome]:
        return self.destination(**changes).add_members(audience, rows, match_key="email")

    def replace(self, *batches: list[DeliveryRow], label: str = "plan_1", **changes: Any) -> list[Outcome]:
        files = self.destination(**changes)
        return files.replace_members("vips", iter(batches), match_key="email", label=label)

    def files(self) -> dict[str, Path]:
        """All that lies there by path, manifests apart."""
        found = {str(path.relative_to(self.path)): path for path in sorted(self.path.rglob("*")) if path.is_file()}
        return {name: path for name, path in found.items() if not name.endswith(".manifest.json")}

    def only(self) -> Path:
        [path] = self.files().values()
        return path

    def manifests(self) -> list[dict[str, Any]]:
        found = [json.loads(path.read_bytes()) for path in self.path.rglob("*.manifest.json")]
        return sorted(found, key=lambda manifest: str(manifest["written_at"]))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "out")


# What is in a file


def test_a_file_of_changes_says_what_each_row_is_for(folder: Folder) -> None:
    files = folder.destination()
    files.plan = plan("plan_1", "name", "city")
    files.add_members("vips", [row(1, "ana@box.example", name="Ana"), row(2, "b@box.example")], match_key="email")
    files.remove_members("vips", [row(3, "cy@box.example")], match_key="email")
    added, removed = folder.files().values()
    if "remove" in added.name:
        added, removed = removed, added
    assert added.read_text() == "_operation,email,name,city\nupsert,ana@box.example,Ana,\nupsert,b@box.example,,\n"
    assert removed.read_text() == "_operation,email,name,city\nremove,cy@box.example,,\n"


def test_a_manifest_says_all_that_is_to_be_known_of_a_file(folder: Folder) -> None:
    files = folder.destination(hashed={"email": "email"}, compression="gzip")
    files.plan = plan("plan_1", "name")
    files.add_members("VIPs of 2026", people("ana", "ben"), match_key="email")
    [manifest], path = folder.manifests(), folder.only()
    assert Path(f"{path}.manifest.json").is_file()
    content = path.read_bytes()
    assert manifest["files"] == [
        {"name": path.name, "rows": 2, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    ]
    assert (manifest["kind"], manifest["operation"], manifest["rows"]) == ("changes", "upsert", 2)
    assert (manifest["audience"], manifest["sync"], manifest["plan"]) == ("VIPs of 2026", "vips_out", "plan_1")
    assert (manifest["match_key"], manifest["columns"]) == ("email", ["_operation", "email", "name"])
    assert (manifest["hashed"], manifest["compression"]) == (["email"], "gzip")
    assert datetime.fromisoformat(manifest["written_at"]).utcoffset() is not None


def test_nothing_is_told_apart_from_an_empty_text(folder: Folder) -> None:
    folder.add(row(1, "a@box.example", name=None, city=""), row(2, "b@box.example", name="x", city="NULL"), null="NULL")
    text = folder.only().read_text().splitlines()
    assert text[1:] == ['upsert,a@box.example,NULL,""', 'upsert,b@box.example,x,"NULL"']
    table = pacsv.read_csv(
        folder.only(),
        convert_options=pacsv.ConvertOptions(
            null_values=["NULL"], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    assert table["name"].to_pylist() == [None, "x"]
    assert table["city"].to_pylist() == ["", "NULL"]


@pytest.mark.parametrize("end", ["lf", "crlf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_text_is_read_as_it_was_written(folder: Folder, delimiter: str, end: str) -> None:
    odd = ['a"b', f"a{delimiter}b", "a\nb", "a\r\nb", " a ", '"', '""', "'", "\\", "Zoë 🌊", "\u2028", "-1", "\ufeffx"]
    people = [row(number, f"p{number}@box.example", **{"no te": text}) for number, text in enumerate(odd)]
    assert set(statuses(folder.add(*people, delimiter=delimiter, line_end=end))) == {("accepted", None)}
    with folder.only().open(newline="", encoding="utf-8") as opened:
        rows = list(csv.reader(opened, delimiter=delimiter))
    assert [cells[2] for cells in rows[1:]] == odd
    assert rows[0] == ["_operation", "email", "no te"]
    assert folder.only().read_bytes().endswith(b"\r\n" if end == "crlf" else b"\n")


@given(st.lists(st.lists(st.text(alphabet=st.sampled_from('a",;\r\n \t\u2028é')), min_size=2, max_size=3), max_size=5))
def test_records_are_found_again_in_what_python_writes(table: list[list[str]]) -> None:
    import io

    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(table)
    found = list(csv_records(out.getvalue(), ","))
    assert [cells for _, cells in found] == table
    assert "".join(record for record, _ in found) == out.getvalue()


def test_formulas_are_guarded_when_asked(folder: Folder) -> None:
    texts = ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "-5", "+49301234567", "plain", "a=1"]
    rows = [row(number, f"p{number}@box.example", note=text) for number, text in enumerate(texts)]
    folder.add(*rows, guard_formulas=True)
    with folder.only().open(newline="") as opened:
        notes = [cells[2] for cells in csv.reader(opened)][1:]
    assert notes == ["'=1+1", "'+cmd|x", "'-2+3", "'@SUM(A1)", "'\t=1", "-5", "+49301234567", "plain", "a=1"]


def test_formulas_stay_as_they_are_else(folder: Folder) -> None:
    folder.add(row(1, "a@box.example", note="=1+1"))
    assert folder.only().read_text().splitlines()[1] == "upsert,a@box.example,=1+1"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig", "cp437"])
def test_files_are_written_in_the_encoding_that_is_asked_for(folder: Folder, encoding: str) -> None:
    rows = [row(1, "a@box.example", name="Zoë"), row(2, "b@box.example", name="Ö;ß")]
    assert set(statuses(folder.add(*rows, encoding=encoding))) == {("accepted", None)}
    text = folder.only().read_bytes().decode(encoding)
    assert text.splitlines()[1:] == ["upsert,a@box.example,Zoë", "upsert,b@box.example,Ö;ß"]
    if encoding == "utf-8-sig":
        assert folder.only().read_bytes()[:3] == b"\xef\xbb\xbf"


def test_a_row_that_the_encoding_cannot_hold_is_rejected_alone(folder: Folder) -> None:
    rows = [
        row(1, "a@box.example", name="A"),
        row(2, "b@box.example", name="🌊 of b@box.example"),
        row(3, "c@box.example"),
    ]
    outcomes = folder.add(*rows, encoding="latin-1")
    assert statuses(outcomes) == [("accepted", None), ("rejected", "not_in_encoding"), ("accepted", None)]
    assert outcomes[1].reason == "Column name has characters that iso8859-1 does not have."
    assert folder.only().read_text().splitlines()[1:] == ["upsert,a@box.example,A", "upsert,c@box.example,"]


def test_a_column_whose_name_the_encoding_cannot_hold_stops_the_sync(folder: Folder) -> None:
    with pytest.raises(ConfigurationError, match="Column 客 has a name"):
        folder.add(row(1, "a@box.example", 客="A"), encoding="latin-1")


TYPED = {"points": "number", "vip": "boolean", "born": "date", "seen": "timestamp"}
VALUES: dict[str, FieldValue] = {"points": 0.0, "vip": True, "born": "1990-02-28", "seen": "2026-11-01 10:00:00+02"}


def test_types_hold_in_json_lines(folder: Folder) -> None:
    folder.add(row(1, "a@box.example", **VALUES, gone=None, note="7"), types=TYPED, format="jsonl")
    assert json.loads(folder.only().read_bytes()) == {
        "_operation": "upsert",
        "email": "a@box.example",
        "points": 0.0,
        "vip": True,
        "born": "1990-02-28",
        "seen": "2026-11-01T08:00:00Z",
        "gone": None,
        "note": "7",
    }


def test_types_hold_in_parquet(folder: Folder) -> None:
    folder.add(row(1, "a@box.example", **VALUES, note="7"), row(2, "b@box.example"), types=TYPED, format="parquet")
    table = pq.read_table(folder.only())
    assert [str(kind) for kind in table.schema.types] == [
        *["string"] * 2,
        "double",
        "bool",
        "date32[day]",
        "timestamp[us, tz=UTC]",
        "string",
    ]
    first, second = table.to_pylist()
    assert (first["points"], first["vip"], first["born"]) == (0.0, True, date(1990, 2, 28))
    assert first["seen"] == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert set(second.values()) == {"upsert", "b@box.example", None}


def test_types_hold_in_csv(folder: Folder) -> None:
    folder.add(row(1, "a@box.example", **VALUES), types=TYPED)
    assert folder.only().read_text().splitlines()[1] == "upsert,a@box.example,0,true,1990-02-28,2026-11-01T08:00:00Z"


@pytest.mark.parametrize(("column", "value"), [("points", "many"), ("vip", "perhaps"), ("born", "soon"), ("seen", 7)])
@pytest.mark.parametrize("written", ["csv", "jsonl", "parquet"])
def test_a_value_of_another_type_is_rejected_alone(
    folder: Folder, written: str, column: str, value: FieldValue
) -> None:
    rows = [row(1, "a@box.example", **{column: value}), row(2, "b@box.example", **{column: VALUES[column]})]
    outcomes = folder.add(*rows, types=TYPED, format=written)
    assert statuses(outcomes) == [("rejected", "not_of_its_type"), ("accepted", None)]
    assert folder.manifests()[0]["rows"] == 1


@pytest.mark.parametrize("written", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_what_is_written_is_read_back(folder: Folder, written: str, compression: str) -> None:
    how = {"format": written, "compression": compression}
    assert statuses(folder.replace(people("ana", "ben"), people("cy"), **how)) == [("accepted", None)] * 3
    emails = ["ana@box.example", "ben@box.example", "cy@box.example"]
    assert list(folder.destination(**how).read_back("vips")) == emails
    name = folder.only().name
    endings = {"none": "", "gzip": ".gz", "zstd": ".zst"}
    assert name.endswith(f".{written}" if written == "parquet" else f".{written}{endings[compression]}")
    again = folder.only().read_bytes()
    folder.replace(people("ana", "ben"), people("cy"), **how)
    assert folder.only().read_bytes() == again
    if (written, compression) == ("csv", "gzip"):
        assert gzip.decompress(again).startswith(b"email,name\nana@box.example,Ana\n")


def test_hashed_columns_are_normalised_first(folder: Folder) -> None:
    hashed = {"email": "email", "phone": "phone", "name": "text"}
    files = folder.destination(hashed=hashed)
    rules = {field.name: field.hashed for field in files.fields}
    assert {name for name, rule in rules.items() if rule} == set(hashed)
    phone = rules["phone"]
    assert phone is not None
    assert phone("+49 (30) 123-4567") == hashlib.sha256(b"+49301234567").hexdigest()
    assert phone("030 1234567") is None
    files.add_members("vips", [row(1, " Ana@Box.example "), row(2, "no address")], match_key="email")
    assert folder.only().read_text().splitlines()[1:] == [f"upsert,{hashlib.sha256(b'ana@box.example').hexdigest()}"]
    assert not files.can_read_back
    assert folder.destination().can_read_back


def test_a_hashed_match_value_that_is_none_is_rejected(folder: Folder) -> None:
    outcomes = folder.add(row(1, "no address"), row(2, "b@box.example"), hashed={"email": "email"})
    assert statuses(outcomes) == [("rejected", "not_of_its_kind"), ("accepted", None)]


# What files are called


def test_the_same_rows_of_a_plan_take_their_own_place(folder: Folder) -> None:
    for made_at in (NOON, NOON):
        files = folder.destination()
        files.plan = plan("plan_1", "name", made_at=made_at)
        for _ in range(2):
            files.add_members("vips", people("ana", "ben"), match_key="email")
    assert len(folder.files()) == len(folder.manifests()) == 1
    files.plan = plan("plan_2", "name")
    files.add_members("vips", people("ana", "ben"), match_key="email")
    assert len(folder.files()) == 2


def test_the_day_of_the_plan_counts_also_after_midnight(folder: Folder) -> None:
    files = folder.destination(path="{audience}/{year}/{month}/{day}/{sync}-{operation}-{id}")
    files.plan = plan("plan_1", "name", made_at=datetime(2025, 12, 31, 23, 59, tzinfo=UTC))
    files.add_members("vips", people("ana"), match_key="email")
    [name] = folder.files()
    assert name.startswith("vips/2025/12/31/vips_out-upsert-")


def test_a_full_file_may_have_a_name_of_its_own(folder: Folder) -> None:
    for label, names in (("plan_1", ("ana", "ben")), ("plan_2", ("ben",))):
        folder.replace(people(*names), label=label, full_path="{audience}/latest")
    assert list(folder.files()) == ["vips/latest.csv"]
    assert list(folder.destination(full_path="{audience}/latest").read_back("vips")) == ["ben@box.example"]
    assert [manifest["rows"] for manifest in folder.manifests()] == [1]


NAMES = ["VIPs", "vips", "Vips", "vi ps", "vi-ps", "vi_ps", "", ".", "..", "/", "con", "a/b", "a\\b", "Ärger?", "arger"]


def test_no_two_audiences_have_the_same_files(folder: Folder) -> None:
    for audience in [*NAMES, safe_name("VIPs"), safe_name(safe_name("VIPs")), "x" * 300, "顧客", "客顧", "\u0000"]:
        folder.add(row(1, "ana@box.example"), audience=audience)
    folders = {name.split("/")[0].lower() for name in folder.files()}
    assert len(folders) == len(NAMES) + 6
    assert max(map(len, folders)) <= 60
    assert {"vips", "vi-ps", "vi_ps", "arger"} <= folders


@given(st.text(), st.text())
def test_safe_names_are_safe_and_different(one: str, other: str) -> None:
    for name in (one, other):
        safe = safe_name(name)
        assert safe == safe.lower()
        assert set(safe) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
        assert 0 < len(safe) <= 60
    assert (safe_name(one) == safe_name(other)) == (one == other)


# Whole or not at all


def test_a_file_is_seen_only_once_it_is_whole(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    rename = Path.replace

    def watch(self: Path, target: Path) -> Path:
        seen.append([name for name in folder.files() if not name.endswith(".part")])
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    folder.add(*people("ana"))
    before_file, before_manifest = seen
    assert before_file == []
    assert before_manifest == list(folder.files())
    assert not [name for name in folder.files() if name.endswith(".part")]


def test_the_old_manifest_goes_before_the_new_file_comes(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"full_path": "{audience}/latest"}
    folder.replace(people("ana"), label="plan_1", **how)
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(Killed))
    with suppress(Killed):
        folder.replace(people("ben", "cy"), label="plan_2", **how)
    assert folder.manifests() == []
    monkeypatch.undo()
    with pytest.raises(FatalError, match="is not there"):
        list(folder.destination(**how).read_back("vips"))
    folder.replace(people("ben", "cy"), label="plan_2", **how)
    assert list(folder.destination(**how).read_back("vips")) == ["ben@box.example", "cy@box.example"]


_ENDLESS = """
import sys
from millstream.destinations.contract import DeliveryRow
from millstream.destinations.files import Files, FilesSettings

ends = len(sys.argv) > 2
files = Files(FilesSettings(url=sys.argv[1]))

def batches():
    for start in range(5 if ends else 10_000):
        values = [f"p{start}-{number}@box.example" for number in range(500)]
        yield [DeliveryRow(number=1, match_value=value, fields={"x": "y" * 200}) for value in values]
        if not ends and start == 2:
            print("writing", flush=True)

for number in range(10_000):
    files.replace_members("vips", batches(), match_key="email", label=f"plan_{number}")
    print("written", flush=True)
"""


@pytest.mark.parametrize("ends", [False, True], ids=["while it is made", "between files"])
def test_a_killed_process_leaves_nothing_that_looks_whole(folder: Folder, ends: bool) -> None:
    folder.replace(people("ana"))
    for pause in (0.0, 0.017) if ends else (0.05,):
        command = [sys.executable, "-c", _ENDLESS, str(folder.path), *(["ends"] if ends else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        for manifest in folder.manifests():
            [file] = manifest["files"]
            [content] = [path.read_bytes() for path in folder.path.rglob(file["name"])]
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    if not ends:
        assert len(folder.files()) == len(folder.manifests()) == 1
    assert len(list(folder.destination().read_back("vips"))) == (2_500 if ends else 1)


def test_rows_of_a_refused_batch_leave_no_file(folder: Folder) -> None:
    assert statuses(folder.add(row(1, ""))) == [("rejected", "not_of_its_kind")]
    assert not folder.path.exists() or folder.files() == {}


def test_a_rehearsal_writes_nothing(folder: Folder) -> None:
    files = folder.destination()
    files.rehearse()
    with pytest.raises(Recorded) as raised:
        files.add_members("vips", people("ana"), match_key="email")
    assert raised.value.url.endswith("-{id}.csv")
    assert raised.value.body["rows"] == [{"email": "ana@box.example", "name": "Ana"}]  # type: ignore[index]
    assert not folder.path.exists()


# Reading back and erasing


def test_only_everybody_can_be_read_back(folder: Folder) -> None:
    files = folder.destination()
    with pytest.raises(FatalError, match="is not there"):
        list(files.read_back("vips"))
    folder.replace(people("ana", "ben"))
    folder.replace(people("cy"), label="plan_2")
    folder.add(*people("di"), audience="vips-of-others")
    assert list(files.read_back("vips")) == ["cy@box.example"]
    folder.add(*people("di"))
    with pytest.raises(FatalError, match="changes only"):
        list(files.read_back("vips"))


def test_syncs_that_share_a_folder_are_told_apart(folder: Folder) -> None:
    files = folder.destination()
    files.plan = plan("plan_1", "name")
    files.replace_members("vips", iter([people("ana")]), match_key="email", label="plan_1")
    files.plan = PlanFacts(sync="another", plan="plan_2", made_at=NOON, fields=("name",))
    files.replace_members("vips", iter([people("ben")]), match_key="email", label="plan_2")
    for sync, names in (("vips_out", ["ana@box.example"]), ("another", ["ben@box.example"])):
        files.plan = PlanFacts(sync=sync, plan="", made_at=NOON, fields=())
        assert list(files.read_back("vips")) == names


@pytest.mark.parametrize("written", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_an_erased_person_is_in_no_file_any_more(folder: Folder, written: str, compression: str) -> None:
    how = {"format": written, "compression": compression}
    odd = row(9, "odd@box.example", name='a"b\n,\u2028', city=" x ")
    folder.add(*people("ana", "ben"), odd, **how)
    folder.replace([*people("ana", "ben"), odd], **how)
    folder.replace(people("cy"), label="plan_2", **how)
    untouched = {name: path.read_bytes() for name, path in folder.files().items()}
    files = folder.destination(**how)
    assert statuses(files.erase(people("ana"), match_key="email")) == [("accepted", None)]
    for manifest in folder.manifests():
        [path] = [folder.path / name for name in folder.files() if name.endswith(manifest["files"][0]["name"])]
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == manifest["files"][0]["sha256"]
        if manifest["operation"] == "delete":
            assert manifest["audience"] is None
            continue
        assert b"ana@box.example" not in content
        left = manifest["rows"]
        assert left == (1 if manifest["plan"] is None and content in untouched.values() else 2)
    folder.destination(**how).replace_members("vips", iter([[odd]]), match_key="email", label="plan_3")
    assert list(files.read_back("vips")) == ["odd@box.example"]


def test_an_erased_person_is_found_under_hashes(folder: Folder) -> None:
    folder.replace(people("ana", "ben"), hashed={"email": "email"})
    with pytest.raises(FatalError, match="holds hashes"):
        list(folder.destination().read_back("vips"))
    folder.destination().erase(people("ana"), match_key="email")
    assert {manifest["operation"]: manifest["rows"] for manifest in folder.manifests()} == {"full": 1, "delete": 1}


@pytest.mark.parametrize("written", [0, 1], ids=["before the file", "before its manifest"])
def test_an_erasure_that_died_is_taken_up_again(folder: Folder, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    folder.add(*people("ana", "ben"))
    rename, left = Path.replace, [None] * written

    def die(self: Path, target: Path) -> Path:
        if not left:
            raise Killed
        left.pop()
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", die)
    with suppress(Killed):
        folder.destination().erase(people("ana"), match_key="email")
    monkeypatch.undo()
    folder.destination().erase(people("ana"), match_key="email")
    [manifest] = [one for one in folder.manifests() if one["operation"] == "upsert"]
    [content] = [path.read_bytes() for path in folder.path.rglob(manifest["files"][0]["name"])]
    assert b"ana@box.example" not in content
    assert b"ben@box.example" in content
    assert (manifest["rows"], manifest["files"][0]["sha256"]) == (1, hashlib.sha256(content).hexdigest())


def test_what_is_no_manifest_of_ours_stops_an_erasure(folder: Folder) -> None:
    folder.add(*people("ana"))
    (folder.path / "x.manifest.json").write_text("{}")
    with pytest.raises(SchemaError, match=r"x\.manifest\.json"):
        folder.destination().erase(people("ana"), match_key="email")


# Settings


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"path": "{audience}/{date}"}, "lacks {id}"),
        ({"path": "{id}"}, "lacks {audience}"),
        ({"full_path": "all/{operation}"}, "lacks {audience}"),
        ({"path": "{audience}/../{id}"}, "no path from the folder on"),
        ({"path": "/{audience}/{id}"}, "no path from the folder on"),
        ({"path": "{audience}/{run}-{id}"}, "there is no {run}"),
        ({"path": "{audience}/{id!r}"}, "more than a name"),
        ({"path": "{audience}/{id"}, "a brace without its other"),
        ({"encoding": "utf-99"}, "no encoding"),
        ({"encoding": "base64"}, "no encoding of text"),
        ({"encoding": "latin-1", "format": "jsonl"}, "UTF-8 always"),
        ({"delimiter": '"'}, "cannot be the delimiter"),
        ({"null": "a,b"}, "would not be read"),
        ({"url": "ftp://host/x"}, "cannot be written there"),
        ({"types": {"email": "number"}, "hashed": {"email": "email"}}, "leave it out of types"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        FilesSettings.model_validate({"url": "out", **wrong})


def test_relative_folders_start_at_the_project_file(tmp_path: Path) -> None:
    made = FilesSettings.model_validate({"url": "out"}, context={"root": tmp_path})
    assert made.root == f"file://{tmp_path}/out"


# Whole deliveries


class Dying(Files):
    """Its process dies after so many files."""

    files_to_live: int | None = None

    def _write(self, *given: Any) -> list[Outcome]:
        outcomes = super()._write(*given)
        if Dying.files_to_live is not None:
            Dying.files_to_live -= 1
            if Dying.files_to_live == 0:
                raise Killed
        return outcomes


@pytest.fixture
def make_bench(a_bench: MakeBench, folder: Folder) -> Iterator[Callable[..., Bench]]:
    from contextlib import ExitStack

    with ExitStack() as benches:

        def made(**changes: Any) -> Bench:
            facts = {"destination": "files", "into": "vips", "fields": {"name": "name"}}
            bench = benches.enter_context(a_bench(**{**facts, **changes}))
            settings = FilesSettings.model_validate({"url": str(folder.path), "rows_per_file": 3})
            connect: Any = lambda: Dying(settings)  # noqa: E731 - typed loosely, as entry points are
            bench.delivery.destination = connect
            Dying.files_to_live = None
            return bench

        yield made


def everybody(*numbers: int) -> dict[str, str]:
    return {f"p{number}@box.example": f"P{number}" for number in numbers}


def test_a_mirror_is_a_trail_of_changes(folder: Folder, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.want(everybody(*range(7)))
    assert bench.run().accepted == 7
    bench.want(everybody(*range(1, 7)) | {"p1@box.example": "New"})
    bench.run()
    assert bench.run().requests == 0
    assert reconcile(bench.delivery, "look").status == "unsupported"
    told = [(manifest["operation"], manifest["rows"]) for manifest in folder.manifests()]
    assert sorted(told) == [("remove", 1), ("upsert", 1), ("upsert", 1), ("upsert", 3), ("upsert", 3)]
    assert {manifest["sync"] for manifest in folder.manifests()} == {"sync"}


def test_a_replacement_is_everybody_each_time(folder: Folder, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(mode=SyncMode.REPLACE)
    bench.want(everybody(*range(7)))
    bench.run()
    bench.want(everybody(*range(1, 7)))
    bench.run()
    assert bench.run().requests == 0
    assert [(manifest["kind"], manifest["rows"]) for manifest in folder.manifests()] == [("full", 7), ("full", 6)]
    assert set(folder.destination().read_back("vips")) == set(everybody(*range(1, 7)))
    assert reconcile(bench.delivery, "look").status == "in_step"
    [path] = [
        path for path in folder.files().values() if path.name.endswith(folder.manifests()[-1]["files"][0]["name"])
    ]
    path.write_text(path.read_text().replace("p3@box.example", "p33@box.example"))
    report = reconcile(bench.delivery, "look")
    assert (report.status, report.missing) == ("drifted", 1)


def test_a_batch_whose_run_died_takes_its_own_place(folder: Folder, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.want(everybody(*range(7)))
    Dying.files_to_live = 2
    with suppress(Killed):
        bench.run()
    Dying.files_to_live, before = None, set(folder.files())
    assert bench.run().accepted >= 1
    assert before <= set(folder.files())
    assert sorted(manifest["rows"] for manifest in folder.manifests()) == [1, 3, 3]
    assert len(folder.files()) == 3


def test_a_batch_whose_run_died_keeps_its_day(
    folder: Folder, make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench()
    bench.want(everybody(1))
    Dying.files_to_live = 1
    with suppress(Killed):
        bench.run()
    Dying.files_to_live, before = None, set(folder.files())
    monkeypatch.setattr("millstream.destinations.delivery.now", lambda: datetime.now(UTC) + timedelta(days=1))
    assert bench.run().accepted == 1
    assert set(folder.files()) == before
    bench.want({})
    bench.run()
    assert len({name.split("/")[1] for name in folder.files()}) == 2


def test_a_replacement_whose_run_died_takes_its_own_place(folder: Folder, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(mode=SyncMode.REPLACE)
    bench.want(everybody(*range(7)))
    Dying.files_to_live = 1
    with suppress(Killed):
        bench.run()
    Dying.files_to_live = None
    assert len(folder.files()) == 1
    bench.want(everybody(*range(8)))
    assert bench.run().accepted == 8
    assert [manifest["rows"] for manifest in folder.manifests()] == [8]


def test_who_comes_again_is_a_new_file(folder: Folder, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    for wanted in (everybody(1), {}, everybody(1)):
        bench.want(wanted)
        bench.run()
    assert [manifest["operation"] for manifest in folder.manifests()] == ["upsert", "remove", "upsert"]


# SFTP


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    (tmp_path / "server").mkdir()
    with sftp_server(tmp_path / "server") as server:
        yield server


def on(server: SftpServer, **options: Any) -> Files:
    given = {"port": server.port, "host_key": server.fingerprint, **options}
    return Files(
        FilesSettings.model_validate(
            {
                "url": server.url,
                "username": USER,
                "password": PASSWORD,
                "options": {k: v for k, v in given.items() if v},
            }
        )
    )


def test_a_server_with_another_key_gets_nothing(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for key in ("SHA256:of+another", None):
        files = on(server, host_key=key)
        with pytest.raises(AuthenticationError, match="not the server that is expected") as raised:
            files.add_members("vips", people("ana"), match_key="email")
        assert server.fingerprint in raised.value.what
    assert server.logins == 0
    for key in (server.fingerprint, server.host_key):
        on(server, host_key=key).probe()


def test_a_server_that_the_user_knows_needs_no_setting(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    on(server, host_key=None).probe()


def test_a_cut_connection_leaves_no_file_and_is_made_again(server: SftpServer) -> None:
    files = on(server)
    files._place._first_wait = 0.01
    files.add_members("vips", people("ana"), match_key="email")
    server.cuts_uploads_after = 40_000
    rows = [row(number, f"p{number}@box.example", note=os.urandom(400).hex()) for number in range(200)]
    with pytest.raises(Exception, match="cannot be"):
        files.add_members("vips", rows, match_key="email")
    whole = Folder(server.folder)
    assert len(whole.manifests()) == 1
    assert [Path(name).name[0] for name in whole.files()].count(".") == 1
    server.behave()
    assert set(statuses(files.add_members("vips", rows, match_key="email"))) == {("accepted", None)}
    assert len(whole.manifests()) == len(whole.files()) == 2


def test_a_server_that_cannot_rename_over_a_file_is_helped(server: SftpServer) -> None:
    server.renames_over = False
    files = on(server)
    for _ in range(2):
        files.add_members("vips", people("ana"), match_key="email")
    whole = Folder(server.folder)
    assert len(whole.manifests()) == len(whole.files()) == 1
    files.replace_members("vips", iter([people("ana")]), match_key="email", label="x")
    assert list(files.read_back("vips")) == ["ana@box.example"]


# S3


@dataclass
class Bucket:
    """A bucket of a stand-in that checks signatures, and a user who may write to it."""

    url: str
    key_id: str
    secret: str
    client: Any

    def destination(self, **changes: Any) -> Files:
        facts = {"url": "s3://exports/tills", "username": self.key_id, "password": self.secret}
        return Files(FilesSettings.model_validate({**facts, "options": {"endpoint_url": self.url}, **changes}))

    def names(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket="exports").get("Contents", ())]


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    owner = {"endpoint_url": url, "region_name": "us-east-1", "aws_access_key_id": "o", "aws_secret_access_key": "o"}
    users = boto3.client("iam", **owner)
    made = {}
    for user, actions in (("writer", "s3:*"), ("reader", "s3:Get*")):
        users.create_user(UserName=user)
        allows = {"Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}], "Version": "2012-10-17"}
        users.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps(allows))
        made[user] = users.create_access_key(UserName=user)["AccessKey"]
    boto3.client("s3", **owner).create_bucket(Bucket="exports")
    requests.post(f"{url}/moto-api/reset-auth", data="0", timeout=10)
    key = made["writer"]
    owner |= {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    bucket = Bucket(url, key["AccessKeyId"], key["SecretAccessKey"], boto3.client("s3", **owner))
    bucket.reader = made["reader"]  # type: ignore[attr-defined]
    yield bucket
    requests.post(f"{url}/moto-api/reset-auth", data="1000000", timeout=10)
    server.stop()


def test_a_bucket_holds_files_and_manifests(s3: Bucket) -> None:
    files = s3.destination()
    files.probe()
    assert s3.names() == []
    assert files.ensure_audience("vips") == "vips"
    files.plan = plan("plan_1", "name")
    for _ in range(2):
        files.add_members("vips", people("ana"), match_key="email")
    assert [name.startswith("tills/vips/dt=2026-11-23/upsert-") for name in s3.names()] == [True, True]
    files.replace_members("vips", iter([people("ana", "ben")]), match_key="email", label="plan_1")
    assert list(files.read_back("vips")) == ["ana@box.example", "ben@box.example"]
    files.erase(people("ana"), match_key="email")
    bodies = [s3.client.get_object(Bucket="exports", Key=name)["Body"].read() for name in s3.names()]
    assert sum(b"ana@box.example" in body for body in bodies) == 1  # who is to be deleted


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"password": "of-somebody-else"}, AuthenticationError),
        ({"username": "AKIAOFNOBODY"}, AuthenticationError),
        ({"url": "s3://not-there/x"}, NotFoundError),
    ],
    ids=["secret", "key", "bucket"],
)
def test_what_is_wrong_with_a_bucket_stops_the_sync(
    s3: Bucket, changes: dict[str, str], error: type[Exception]
) -> None:
    files = s3.destination(**changes)
    for work in (files.probe, lambda: files.ensure_audience("vips")):
        with pytest.raises(error):
            work()
    assert files.calls == 1


def test_who_may_only_read_is_told_so(s3: Bucket) -> None:
    reader = s3.reader  # type: ignore[attr-defined]
    files = s3.destination(username=reader["AccessKeyId"], password=reader["SecretAccessKey"])
    with pytest.raises(PermissionDeniedError):
        files.add_members("vips", people("ana"), match_key="email")


# Google Cloud Storage


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # gcsfs, to the loop of its own thread
def test_google_holds_files_and_manifests() -> None:
    with gcs_server() as google:
        facts = {"url": f"gs://{BUCKET}/tills", "options": {"endpoint_url": google.url}}
        files = Files(FilesSettings.model_validate({**facts, "service_account": google.key_file}))
        files.probe()
        assert google.objects == {}
        files.ensure_audience("vips")
        for _ in range(2):
            files.add_members("vips", people("ana"), match_key="email")
        assert len(google.objects) == 2
        google.failures = 1
        files.replace_members("vips", iter([people("ana", "ben")]), match_key="email", label="plan_1")
        assert list(files.read_back("vips")) == ["ana@box.example", "ben@box.example"]
        files.erase(people("ana"), match_key="email")
        assert sum(b"ana@box.example" in content for content in google.objects.values()) == 1
        large = [row(number, f"p{number}@box.example", x="y" * 10_000) for number in range(1_000)]
        files.replace_members("large", iter([large]), match_key="email", label="plan_1")
        assert max(map(len, google.objects.values())) > 10_000_000

        stranger = service_account(google.url, rsa.generate_private_key(public_exponent=65537, key_size=2048))
        with pytest.raises(AuthenticationError):
            Files(FilesSettings.model_validate({**facts, "service_account": stranger})).probe()
        elsewhere = {**facts, "url": "gs://not-there/x", "service_account": google.key_file}
        with pytest.raises(NotFoundError):
            Files(FilesSettings.model_validate(elsewhere)).ensure_audience("vips")


def test_a_place_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adlfs", None)
    files = Files(FilesSettings.model_validate({"url": "az://exports/x"}))
    with pytest.raises(ConfigurationError, match=r"another package") as raised:
        files.probe()
    assert "millstream[azure]" in str(raised.value)
