"""A store filled with people who never were, as every step would leave it: for the report's tests and its benchmark.

Nothing is random: what somebody is follows from their number, so that every count is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from millstream.state.ledger.acknowledged import create_tables as create_delivery_tables
from millstream.state.measurement.tables import create_measurement_tables
from millstream.state.quality.tables import create_quality_tables
from millstream.state.store import Connection, write_arrow
from millstream.state.traits.cards import card_json
from millstream.state.traits.contract import ModelCard
from millstream.state.traits.tables import create_trait_tables

AS_OF = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"
AUDIENCES = {
    "customers": ("number % 3 = 0", "People who have bought."),
    "promoters": ("number % 4 = 0", f"They would recommend us. {SCRIPT}"),
    "cart_left": ("number % 7 = 0", "A full cart & no purchase since: <b>ours</b>."),
    "at_risk": ("number % 11 = 0", "Bought often, and not of late."),
    "newsletter": ("number % 2 = 0", "]]> --> </style></script> `x` | y"),
    "handful": ("number <= 3", "Very few."),
    "nobody": ("number < 0", "No one."),
    "dormant": ("number % 19 = 0", ""),
}
"""Who is in which audience by their number, and what the project says of it."""

PROJECT = """
name: shop
connections:
  account: {{system: files, url: out}}
destinations:
  files: {{connection: account}}
audiences:
{audiences}
syncs:
  newsletter_to_files:
    audience: newsletter
    destination: files
    mode: mirror
    match: {{email: email}}
    consent: {{channel: email}}
"""


def write_project(folder: Path, *, store: str = "duckdb:///store.duckdb") -> Path:
    """A project with these audiences, and a store of its own."""
    audiences = "".join(
        f"  {name}:\n    description: {_quoted(words)}\n    rule: {{trait: email, is_set: true}}\n"
        if words
        else f"  {name}: {{ready_made: {name}_users}}\n"
        for name, (_, words) in AUDIENCES.items()
    )
    path = folder / "millstream.yaml"
    path.write_text(f"{PROJECT.format(audiences=audiences)}store: {store}\n", encoding="utf-8")
    return path


def insert(connection: Connection, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
    """Add rows at once; one by one takes seconds."""
    names = columns.split()
    write_arrow(connection, "given", pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]))
    listed = ", ".join(names)
    connection.execute(f"INSERT INTO {table} ({listed}) SELECT {listed} FROM given")
    connection.execute("DROP TABLE given")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def fill(connection: Connection, people: int, *, as_of: datetime = AS_OF) -> None:
    """Fill every table that the report reads.

    Args:
        connection: An open store without any.
        people: How many.
        as_of: Until when things happened.
    """
    create_measurement_tables(connection)
    create_delivery_tables(connection)
    create_trait_tables(connection)
    fill_people(connection, people, as_of)
    fill_audiences(connection, people, as_of)
    fill_traits(connection, people, as_of)
    fill_results(connection, as_of)
    fill_quality(connection, as_of)
    fill_deliveries(connection, people, as_of)


def fill_people(connection: Connection, people: int, as_of: datetime) -> None:
    """Everybody has a record of the shop, every second also one of the web site, every fifth one of the survey."""
    numbers = f"generate_series(1, {people}) AS series(number)"
    for source, every in (("shop", 1), ("site", 2), ("survey", 5)):
        connection.execute(
            f"""
            INSERT INTO customers.records
            SELECT '{source}.people:' || number, '{source}', 'people', CAST(number AS TEXT),
                   CAST(? AS TIMESTAMPTZ) - number % 600 * INTERVAL '1' DAY, FALSE, CAST(? AS TIMESTAMPTZ)
            FROM {numbers} WHERE number % {every} = 0
            """,
            [as_of, as_of],
        )
        connection.execute(
            f"""
            INSERT INTO customers.members SELECT '{source}.people:' || number, 'p' || number
            FROM {numbers} WHERE number % {every} = 0
            """
        )
        connection.execute(
            f"""
            INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact)
            SELECT '{source}.people:' || number, 'email', 'person' || number || '@box.example',
                   'person' || number || '@box.example', TRUE, 'person' || number || '@box.example'
            FROM {numbers} WHERE number % {every} = 0 AND number % 10 <> 9
            """
        )
    connection.execute(
        f"""
        INSERT INTO customers.profiles (profile_id, first_seen, last_seen, records, sources, email, phone)
        SELECT 'p' || number, CAST(? AS TIMESTAMPTZ) - number % 900 * INTERVAL '1' DAY, CAST(? AS TIMESTAMPTZ),
               1 + CASE WHEN number % 2 = 0 THEN 1 ELSE 0 END + CASE WHEN number % 5 = 0 THEN 1 ELSE 0 END, NULL,
               CASE WHEN number % 10 <> 9 THEN 'person' || number || '@box.example' END,
               CASE WHEN number % 3 = 0 THEN '+4930' || (1000000 + number) END
        FROM {numbers}
        """,
        [as_of, as_of],
    )
    for channel, granted in (("email", "number % 10 < 7"), ("sms", "number % 4 = 0"), ("push", "number <= 2")):
        connection.execute(
            f"""
            INSERT INTO customers.profile_consents
            SELECT 'p' || number, '{channel}', 'marketing', CASE WHEN {granted} THEN 'granted' ELSE 'denied' END
            FROM {numbers} WHERE number % 10 < 8
            """
        )


def fill_audiences(connection: Connection, people: int, as_of: datetime) -> None:
    """Members since a hundred days, some of this week, and ninety days of sizes."""
    days = [as_of - timedelta(days=back) for back in range(90, -1, -1)]
    for name, (condition, _) in AUDIENCES.items():
        connection.execute(
            f"""
            INSERT INTO customers.memberships
            SELECT '{name}', 'p' || number,
                   CAST(? AS TIMESTAMPTZ) - CASE WHEN number % 13 = 0 THEN 2 ELSE 100 END * INTERVAL '1' DAY, 'run',
                   CASE WHEN number % 17 = 0 THEN CAST(? AS TIMESTAMPTZ) - INTERVAL '1' DAY END, NULL, 'rule', 'rule'
            FROM generate_series(1, {people}) AS series(number) WHERE {condition}
            """,
            [as_of, as_of],
        )
        found = connection.execute(
            "SELECT count(*) FROM customers.memberships WHERE audience = ? AND left_at IS NULL", [name]
        ).fetchone()
        size = found[0] if found else 0
        rows = [
            (when, f"r{place}", name, round(size * (0.7 + 0.3 * place / len(days))), 0, 0)
            for place, when in enumerate(days, start=1)
        ]
        insert(connection, "customers.audience_sizes", "as_of run_id audience size entered left_count", rows)
        connection.execute(
            "INSERT INTO customers.audience_rules VALUES (?, 'rule', NULL, 'r1', CAST(? AS TIMESTAMPTZ))",
            [name, days[0]],
        )


TRAITS = {
    "lifecycle": ("lifecycle", "text", "", "Where somebody stands as a customer."),
    "rfm_group": ("rfm", "text", "", "Group by recency, frequency and value of purchases."),
    "nps_group": ("surveys", "text", "", "Promoter, passive or detractor."),
    "orders": ("purchases", "number", "orders", "How many orders somebody has completed."),
    "churn_risk": ("churn", "number", "share", "How likely no purchase is in the next 90 days."),
}


def fill_traits(connection: Connection, people: int, as_of: datetime) -> None:
    """Groups, coverage, a model that is used, one that is not, and a set that failed."""
    connection.execute("DROP TABLE customers.computed")
    connection.execute(
        f"""
        CREATE TABLE customers.computed AS
        SELECT 'p' || number AS profile_id,
               CASE WHEN number % 5 = 0 THEN 'new_customer' WHEN number % 2 = 0 THEN 'active_customer'
                    ELSE 'prospect' END AS lifecycle,
               CASE WHEN number = 1 THEN 'cannot_lose' WHEN number % 3 = 0 THEN 'champions'
                    WHEN number % 3 = 1 THEN 'at_risk' END AS rfm_group,
               CASE WHEN number % 6 = 0 THEN 'promoter' WHEN number % 6 = 1 THEN 'detractor' END AS nps_group,
               CAST(number % 9 AS DOUBLE) AS orders, CAST(number % 100 AS DOUBLE) / 100 AS churn_risk
        FROM generate_series(1, {people}) AS series(number)
        """
    )
    for name, (trait_set, kind, unit, words) in TRAITS.items():
        connection.execute(
            "INSERT INTO customers.computed_traits VALUES (?, ?, ?, ?, ?)", [name, trait_set, kind, unit, words]
        )
        share = 0.5 if name == "nps_group" else 1.0
        connection.execute(
            "INSERT INTO customers.trait_coverage VALUES (CAST(? AS TIMESTAMPTZ), 'run', ?, ?, ?)",
            [as_of, name, round(people * share), share],
        )
    connection.executemany(
        "INSERT INTO customers.trait_sets VALUES (?, 'f', CAST(? AS TIMESTAMPTZ), 0.1, ?, ?, ?)",
        [
            ("rfm", as_of, people, "computed", ""),
            ("churn", as_of, people, "computed", ""),
            ("value", as_of, people, "computed", ""),
            ("next_product", as_of, 0, "nothing to learn", "Fewer than 50 orders with two products."),
        ],
    )
    for trait, used in (("churn_risk", "model"), ("predicted_value", "baseline")):
        connection.execute(
            "INSERT INTO customers.computed_traits VALUES (?, 'value', 'number', 'currency', 'A prediction.') ", [trait]
        ) if trait not in TRAITS else None
        connection.execute(
            "INSERT INTO customers.model_cards VALUES (CAST(? AS TIMESTAMPTZ), 'run', ?, CAST(? AS JSON))",
            [as_of, trait, _card(used, as_of)],
        )


def _card(used: str, as_of: datetime) -> str:
    import json

    card = ModelCard(
        model="BG/NBD", version="1", window=(as_of - timedelta(days=700), as_of - timedelta(days=90)),
        horizon=timedelta(days=90), people=1234, metric="mean absolute error in orders", score=0.61,
        baseline="the mean of the past", baseline_score=0.74 if used == "model" else 0.55, lower_is_better=True,
        used="model" if used == "model" else "baseline", sentence="Of ten people with a risk of 0.8, eight stay away.",
    )  # fmt: skip
    return json.dumps(card_json(card))


FIGURES = {
    "revenue": ("currency", "What was sold.", False),
    "active_people_weekly": ("people", "People who did something in the seven days up to the day.", True),
    "conversion_rate": ("share", "Buyers among active people.", False),
    "net_promoter_score": ("score", "Promoters less detractors.", False),
    "new_people": ("people", "People who were first seen on the day.", False),
    "refunds": ("currency", "What was given back.", False),
    "handful_rate": ("share", "Of fewer people than may be told.", False),
}


def fill_results(connection: Connection, as_of: datetime) -> None:
    """A year of figures and of cohorts, a funnel, journeys, a lift, an experiment with too small a group."""
    today = as_of.date()
    rows: list[tuple[date, str, float | None, float, float | None, datetime]] = []
    for back in range(365, 0, -1):
        when, wave = today - timedelta(days=back), (365 - back) / 365 + 0.1 * ((back * 7) % 11) / 11
        rows += [
            (when, "revenue", 1000 + 4000 * wave, 1000 + 4000 * wave, None, as_of),
            (when, "active_people_weekly", round(12000 * (0.5 + wave)), round(12000 * (0.5 + wave)), None, as_of),
            (when, "conversion_rate", 0.02 + 0.02 * wave, 20 + 20 * wave, 1000.0, as_of),
            (when, "net_promoter_score", -10 + 40 * wave, -10 + 40 * wave, 100.0, as_of),
            (when, "new_people", float(back % 9), float(back % 9), None, as_of),
            (when, "refunds", 0.0, 0.0, None, as_of),
            (when, "handful_rate", 0.5, 2.0, 4.0, as_of),
        ]
    insert(connection, "customers.figures", "day figure value numerator denominator as_of", rows)
    connection.executemany(
        "INSERT INTO customers.figure_definitions VALUES (?, ?, ?, ?, 'f')",
        [(name, unit, words, star) for name, (unit, words, star) in FIGURES.items()],
    )
    fill_retention(connection, as_of)
    steps = [("Product Viewed", 9200), ("Product Added", 2410), ("Checkout Started", 1200), ("Order Completed", 731)]
    connection.executemany(
        "INSERT INTO customers.funnels VALUES (?, 'shop', ?, ?, ?)",
        [(as_of, number, event, people) for number, (event, people) in enumerate(steps, start=1)],
    )
    connection.executemany(
        "INSERT INTO customers.journeys VALUES (?, 'purchase', ?, ?)",
        [
            (as_of, "Email Opened > Product Viewed > Order Completed", 412),
            (as_of, "Product Viewed > Order Completed", 390),
            (as_of, "Survey Responded > Order Completed", 2),
        ],
    )
    fill_lifts(connection, as_of)


def fill_retention(connection: Connection, as_of: datetime) -> None:
    """A year of monthly cohorts; the oldest is of four people."""
    months = [date(2025 + (place // 12), place % 12 + 1, 1) for place in range(10, 22)]
    rows = []
    for place, cohort in enumerate(months):
        people = 4 if place == 0 else 500 + 20 * place
        for period in range(len(months) - place):
            active = people if period == 0 else round(people * 0.42 * 0.88**period)
            rows.append(("activity", as_of, cohort, period, people, active, period < len(months) - place - 1))
    insert(connection, "customers.retention", "retention as_of cohort period people active complete", rows)


def fill_lifts(connection: Connection, as_of: datetime) -> None:
    """A sync that works, and an experiment whose groups went wrong and whose second variant hardly anybody saw."""
    marks = ", ".join("?" for _ in range(24))
    sync = (as_of, "newsletter_to_files", "holdout", "addressed", "Order Completed", 14.0, 9000, 540, 1000, 41)
    value = (4.1, 3.6, 0.5, -0.2, 1.2, 0.17)
    rows = [
        (*sync, 0.019, 0.006, 0.032, 0.01, 0.7, True, 0.1, *value, "More people bought than would have."),
        (as_of, "subject_line", "experiment", "short", "Order Completed", 14.0, 812, 61, 700, 40,
         0.018, -0.006, 0.042, 0.15, 0.00001, False, 0.5, *value, "Nobody can tell."),
        (as_of, "subject_line", "experiment", "rude", "Order Completed", 14.0, 400, 3, 700, 40,
         -0.05, -0.07, -0.03, 0.001, 0.5, True, 0.5, *value, "3 of 400 bought."),
    ]  # fmt: skip
    connection.executemany(f"INSERT INTO customers.lifts VALUES ({marks})", rows)


DIMENSIONS = ("completeness", "validity", "uniqueness", "freshness", "consistency", "conformance", "integrity")


def fill_quality(connection: Connection, as_of: datetime) -> None:
    """Sixty days of scores and counts; on one of them the site sent nearly nothing."""
    create_quality_tables(connection)
    scores, counts = [], []
    for back in range(60, -1, -1):
        when = as_of - timedelta(days=back)
        for place, dimension in enumerate(DIMENSIONS):
            for number, source in enumerate(("shop", "site", "survey")):
                failed = 3 + 40 * place + 25 * number + back
                subject = "people.email" if place % 2 else "people.phone"
                scores.append((when, "r", dimension, source, subject, 5000, failed, 1 - failed / 5000))
        for source, usual in (("shop", 900), ("site", 4200)):
            odd = source == "site" and back == 20
            rows = 60 if odd else usual + 90 * (back % 7)
            counts.append((when.date(), "events", source, "events", "Page Viewed", rows, float(usual), 9.0, odd, as_of))
    columns = "as_of run_id dimension source subject checked failed score"
    insert(connection, "customers.quality", columns, scores)
    columns = "day kind source stream name rows expected score anomaly as_of"
    insert(connection, "customers.daily_counts", columns, counts)


def fill_deliveries(connection: Connection, people: int, as_of: datetime) -> None:
    """One sync, which ran twice and holds half of the newsletter's readers, one of them under an id merged away."""
    connection.execute(
        f"""
        INSERT INTO delivery.acknowledged
            (sync, match_value, profile_id, payload_hash, present, acknowledged_at, plan_id)
        SELECT 'newsletter_to_files', 'h' || number, CASE WHEN number = 4 THEN 'old4' ELSE 'p' || number END, 'h', TRUE,
               CAST(? AS TIMESTAMPTZ), 'plan'
        FROM generate_series(1, {people}) AS series(number) WHERE number % 4 = 0
        """,
        [as_of],
    )
    connection.execute(
        "INSERT INTO customers.profile_aliases VALUES ('old4', 'p4', 'run', CAST(? AS TIMESTAMPTZ))", [as_of]
    )
    for back, rejected in ((2, 9), (1, 17)):
        at = as_of - timedelta(hours=back)
        connection.execute(
            """
            INSERT INTO delivery.runs
            SELECT ?, 'newsletter_to_files', 'files', 'mirror', NULL, CAST(? AS TIMESTAMPTZ), CAST(? AS TIMESTAMPTZ),
                   'partial', 0, 0, 0, 0, 1483, ?, 23, 0, 0, 4, NULL
            """,
            [f"run{back}", at, at, rejected],
        )
