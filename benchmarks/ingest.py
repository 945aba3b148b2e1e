"""Ingest: a vendor's stream into a fresh store, beside a bare floor and beside dlt's own REST source.

``python -m benchmarks.ingest`` reads HubSpot, Zendesk and Mixpanel from recorded answers of the sandbox. ``ingest`` of
``python -m benchmarks`` reads HubSpot from the sandbox itself.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import duckdb
import orjson
import requests
from pydantic import SecretStr
from rich.console import Console

from benchmarks import ingest_dlt
from benchmarks.ingest_floor import FLOORS, load
from benchmarks.measuring import Comparison, Meter, Side, compare, medians
from benchmarks.playback import HUBSPOT_TOKEN, MIXPANEL_DAYS, MIXPANEL_USER, ZENDESK_USER
from benchmarks.report import Options, header, show
from benchmarks.vendor import Vendor
from millstream.sources.dlt_source import SourcePull
from millstream.sources.hubspot import HubSpot, HubSpotSettings
from millstream.sources.ingest import ingest
from millstream.sources.mixpanel import Mixpanel, MixpanelSettings
from millstream.sources.pull import AnySource
from millstream.sources.zendesk import Zendesk, ZendeskSettings
from millstream.state.store import DuckDBStore

VENDORS = ("hubspot", "zendesk", "mixpanel")
AT_ONCE = 8
"""Requests in flight at once, of ours and of the floor, where a vendor allows several."""

_UNPACED = 1_000_000
"""So many requests that pacing never decides."""

_STREAMS = {"hubspot": "contacts", "zendesk": "users", "mixpanel": "events"}
_COMPARED = {
    "contacts": "id, email, phone, first_name, city, email_opted_out, modified_at, deleted",
    "users": "id, email, own_phone, other_emails, other_phones, name, external_id, updated_at, is_no_customer",
    "events": "event_id, name, time, distinct_id, user_id, city, value",
}


def run(vendor: Vendor, *, repeat: int) -> list[Comparison]:
    """HubSpot from the sandbox itself: contacts beside the floor, and all streams alone."""
    contacts = _ours("hubspot", partial(vendor.source, "contacts"))
    return [
        *compare("ingest", contacts, _floor("hubspot", vendor.url), repeat=repeat),
        *compare("ingest", _ours("hubspot", vendor.source), None, repeat=repeat),
    ]


def source_of(name: str, url: str) -> AnySource:
    """Our source of a vendor with one stream, which keeps no pace."""
    if name == "hubspot":
        return HubSpot(
            HubSpotSettings(
                base_url=url,
                access_token=SecretStr(HUBSPOT_TOKEN),
                streams=("contacts",),
                requests_per_second=_UNPACED,
                searches_per_second=_UNPACED,
                requests_at_once=AT_ONCE,
            )
        )
    if name == "zendesk":
        (user, token), unpaced = ZENDESK_USER, {"exports_per_minute": _UNPACED, "requests_per_minute": _UNPACED}
        email = user.removesuffix("/token")
        return Zendesk(
            ZendeskSettings(base_url=url, email=email, api_token=SecretStr(token), streams=("users",), **unpaced)
        )
    user, secret = MIXPANEL_USER
    return Mixpanel(
        MixpanelSettings(
            base_url=url,
            project_id=2195193,
            username=user,
            secret=SecretStr(secret),
            streams=("events",),
            initial_days=MIXPANEL_DAYS,
            requests_per_second=_UNPACED,
            exports_per_hour=_UNPACED,
            exports_at_once=AT_ONCE,
        )
    )


def _ours(name: str, source: Callable[[], AnySource]) -> Side:
    def side(folder: Path, meter: Meter) -> None:
        store = DuckDBStore(folder / "store.duckdb")
        pull = SourcePull(source())
        streams = [stream.name for stream in pull.source.selected_streams()]
        with meter.phase(streams[0] if len(streams) == 1 else "all streams") as phase:
            report = ingest(pull, store, name=name, pipelines=folder / "dlt")
        if not report.ok:
            raise report.errors[0]
        phase.rows = report.rows
        phase.result = _stored(store.path, f"raw_{name}.{_STREAMS[name]}")

    return side


def _floor(name: str, url: str) -> Side:
    pages, times = FLOORS[name]
    stream = next(one for one in source_of(name, url).selected_streams())

    def side(folder: Path, meter: Meter) -> None:
        path = folder / "floor.duckdb"
        with meter.phase(stream.name) as phase:
            phase.rows = load(path, stream.name, stream.columns, pages(url, at_once=AT_ONCE), times)
        phase.result = _stored(path, stream.name)

    return side


def _dlt(name: str, url: str, rows: int) -> Side:
    def side(folder: Path, meter: Meter) -> None:
        path = folder / "dlt.duckdb"
        with meter.phase(_STREAMS[name]) as phase:
            ingest_dlt.load(folder, name, url, path=path)
        with duckdb.connect(str(path)) as connection:
            found = connection.execute(f"SELECT count(*) FROM raw_{name}.{_STREAMS[name]}").fetchone()
        assert found is not None
        # What comes twice is stored once.
        phase.rows = rows if 0.97 * rows <= found[0] <= rows else found[0]

    return side


def _stored(path: Path, table: str) -> object:
    """A fingerprint of the rows in a store; what a vendor gave twice counts once."""
    columns = _COMPARED[table.rpartition(".")[2]]
    with duckdb.connect(str(path)) as connection:
        rows = f"SELECT DISTINCT {columns} FROM {table}"
        return connection.execute(f"SELECT count(*), bit_xor(hash({columns})) FROM ({rows})").fetchone()


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        vendors: Whose streams.
        rows: Numbers of rows.
        latencies: Milliseconds that every answer is held back.
        repeat: Repetitions.
        dlt_up_to: With no more rows than this, dlt's own source is measured, too.
    """

    vendors: Sequence[str] = VENDORS
    rows: Sequence[int] = (100_000, 1_000_000)
    latencies: Sequence[float] = (0, 50)
    repeat: int = 3
    dlt_up_to: int = 100_000


def measure(plan: Plan) -> Iterator[Comparison]:
    """Every vendor with every number of rows and every latency."""
    for rows in plan.rows:
        for name in plan.vendors:
            with played(name, rows) as url:
                for latency in plan.latencies:
                    _hold_back(url, latency)
                    sides = {"ours": _ours(name, partial(source_of, name, f"{url}/{name}"))}
                    sides["floor"] = _floor(name, f"{url}/{name}")
                    if rows <= plan.dlt_up_to:
                        sides["dlt rest_api"] = _dlt(name, f"{url}/{name}", rows)
                    ours, floor, *others = (_with_vendor(side, url) for side in sides.values())
                    title = f"{name}, {latency:g} ms"
                    beside = dict(zip(list(sides)[2:], others, strict=True))
                    yield from compare(title, ours, floor, repeat=plan.repeat, others=beside)


def _with_vendor(side: Side, url: str) -> Side:
    """The side, with the vendor's processor time: it must be far below the wall time, or the vendor is waited for."""

    def busy() -> float:
        return float(requests.get(f"{url}/_cpu", timeout=60).json())

    def measured(folder: Path, meter: Meter) -> None:
        before = busy()
        side(folder, meter)
        for phase in meter.phases.values():
            phase.vendor_cpu = busy() - before

    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure and print."""
    given = _parser().parse_args(arguments)
    plan = Plan(given.vendors or VENDORS, given.rows, given.latency_ms, given.repeat, given.dlt_up_to)
    facts = header(Options(people=0, identifiers=0, latency_ms=0, repeat=plan.repeat))
    facts["options"] = vars(plan)
    console = Console(stderr=True, highlight=False)
    with console.status("measuring"):
        # Once with little, so that imports and first uses are not counted.
        list(measure(replace(plan, rows=(2_000,), latencies=(0,), repeat=1)))
        comparisons = []
        for comparison in measure(plan):
            comparisons.append(comparison)
            console.print(_in_a_line(comparison), soft_wrap=True)
    if given.json:
        results = [comparison.as_json() for comparison in comparisons]
        print(orjson.dumps({**facts, "results": results}, option=orjson.OPT_INDENT_2).decode())
    else:
        show(facts, comparisons)


def _in_a_line(comparison: Comparison) -> str:
    """What is known already, while the rest is measured."""
    sides = {"ours": comparison.ours, "floor": comparison.floor, **comparison.others}
    costs = {name: medians(phases) for name, phases in sides.items()}
    told = (
        f"{name} {one['wall']:.2f} s, CPU {one['cpu']:.2f} s, {one['peak_mb']:.0f} MB" for name, one in costs.items()
    )
    return f"{comparison.benchmark}, {comparison.ours[0].rows:,} rows: {'; '.join(told)}"


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ingest",
        description="Measure ingest of HubSpot, Zendesk and Mixpanel beside a bare floor and beside dlt's rest_api.",
    )
    parser.add_argument("vendors", nargs="*", choices=[*VENDORS, []], metavar="vendor", help=", ".join(VENDORS))
    parser.add_argument("--rows", type=int, nargs="+", default=plan.rows, help="numbers of rows")
    parser.add_argument("--latency-ms", type=float, nargs="+", default=plan.latencies, help="milliseconds an answer")
    parser.add_argument("--repeat", type=int, default=plan.repeat, help="repetitions (%(default)s)")
    parser.add_argument(
        "--dlt-up-to", type=int, default=plan.dlt_up_to, help="most rows with which dlt is measured (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    return parser


@contextmanager
def played(name: str, rows: int) -> Iterator[str]:
    """A vendor's recorded answers, served by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.playback", name, "--rows", str(rows)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        found = next((match for line in lines if (match := re.match(r"http://\S+", line))), None)
        if found is None:
            raise RuntimeError(f"the playback of {name} did not start")
        yield found[0]
    finally:
        process.terminate()
        process.wait(timeout=30)


def _hold_back(url: str, milliseconds: float) -> None:
    requests.put(f"{url}/_latency/{milliseconds:g}", timeout=60).raise_for_status()


if __name__ == "__main__":
    main()
