"""One project against the sandbox with so many sources that every shipped trait and audience has people."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from millstream.flows import steps
from millstream.flows.project import load_project
from millstream.sandbox import Sandbox
from millstream.state.audiences.rules import READY_MADE
from millstream.state.store import read_arrow
from millstream.state.traits.cards import latest_cards
from millstream.state.traits.contract import ModelCard
from tests.truth.club import Club, make_club

PEOPLE, SEED = 450, 11
TIMEZONE = "Europe/Vienna"
ACTIVE_DAYS, LAPSED_DAYS, HORIZON_DAYS = 60, 300, 60
PURCHASES = ("Order Completed", "Deal Won")
SECRETS = {
    "HUBSPOT": "pat-sandbox-hubspot",
    "SURVEYMONKEY": "sandbox-surveymonkey",
    "SHOP_KEY": "sandbox-shift4shop-key",
    "SHOP_TOKEN": "sandbox-shift4shop-token",
    "ZENDESK": "sandbox-zendesk-oauth",
    "MIXPANEL": "sandbox-mixpanel",
}
ACT_COLUMNS = (
    "order_id", "products", "device_type", "os", "browser", "referrer", "url", "utm_source", "utm_medium",
    "utm_campaign", "ticket_id", "survey_id", "nps_score", "comment", "country", "region", "city", "plan",
)  # fmt: skip
"""What the club's file says of an act besides who, what and when."""

OWN_AUDIENCES: dict[str, dict[str, Any]] = {
    "spenders": {"rule": {"all": [{"trait": "revenue", "top_percent": 12.5}, {"trait": "orders", "at_least": 2}]}},
    "little_active": {"rule": {"trait": "days_since_active", "bottom_percent": 80, "more_than": 3}},
    "of_some_cities": {"rule": {"trait": "place_city", "in": ["Linz", "Berlin", "Boston"]}},
    "not_champions": {"rule": {"trait": "rfm_group", "not_in": ["champions", "dormant"]}},
    "in_business": {"rule": {"trait": "lifecycle", "not_equals": "prospect"}},
    "no_browser": {"rule": {"all": [{"trait": "browser", "is_set": False}, {"trait": "os", "is_set": True}]}},
    "phone_like": {"rule": {"trait": "device", "contains": "hon"}},
    "lately_engaged": {"rule": {"trait": "last_engaged_at", "at_least": "$DAY60"}},
    "ordered_often": {"rule": {"event": "Order Completed", "count": {"at_least": 3}, "within": "365d"}},
    "paid_much": {"rule": {"event": ["Order Completed", "Deal Won"], "value": {"more_than": 150}, "after": "$DAY200"}},
    "in_between": {"rule": {"event": "Page Viewed", "after": "90d", "before": "20d"}},
    "long_ago": {"rule": {"event": "Order Completed", "before": "$DAY200"}},
    "no_page": {"rule": {"event": "Page Viewed", "did": False, "within": "60d"}},
    "pro_pages": {"rule": {"event": "Page Viewed", "where": {"plan": "pro", "browser": ["Firefox", "Safari"]}}},
    "spring_campaign": {"rule": {"event": "Order Completed", "campaign": "spring"}},
    "by_web": {"rule": {"event": "Order Completed", "channel": "web"}},
    "viewed_then_bought": {
        "rule": {
            "sequence": [{"event": "Page Viewed"}, {"event": "Page Viewed", "within": "20d"},
                         {"event": list(PURCHASES), "within": "15d"}],
            "within": "300d",
            "in_total": "25d",
        }
    },
    "cart_not_paid": {
        "rule": {
            "sequence": [{"event": "Product Added", "where": {"plan": "pro"}},
                         {"event": "Order Completed", "within": "36h", "did": False}],
            "within": "7d",
        }
    },
    "never_paid_cart": {
        "rule": {"sequence": [{"event": "Product Added"}, {"event": "Order Completed"}], "before": "1d", "did": False}
    },
    "may_be_mailed": {"rule": {"consent": "email"}},
    "may_be_texted": {"rule": {"all": [{"consent": "sms"}, {"identifier": "phone"}]}},
    "with_number": {"rule": {"identifier": "user_id"}},
    "built_on_others": {
        "rule": {"all": [{"any": [{"audience": "spenders"}, {"audience": "ordered_often"}]},
                         {"not_audience": "may_be_mailed"}, {"none": [{"audience": "power_users"}]}]}
    },
    "like_spenders": {
        "rule": {"looks_like": {"audience": "spenders", "size": 25, "by": ["orders", "average_order", "rfm_group"]}}
    },
    "like_promoters": {
        "rule": {"all": [{"looks_like": {"audience": "promoters", "size": 60, "by": ["nps", "actions_90", "device"]}},
                         {"trait": "orders", "at_least": 1}]}
    },
    "by_sql": {"sql": "SELECT profile_id FROM customers.people WHERE orders >= 2 AND survey_sentiment IS NOT NULL"},
    "of_now": {"rule": {"trait": "predicted_value", "top_percent": 10}},
}  # fmt: skip
"""Every kind of condition at least once; $DAY60 is the day 60 days before the sandbox's."""


@dataclass(frozen=True)
class Ran:
    """What the run left, and what the sandbox knows.

    Attributes:
        sandbox: The vendors and the company.
        club: The club's files.
        described_at: The moment the traits are of.
        selected_at: The moment the audiences are of.
        people: ``customers.people``, by profile id.
        profile_of_record: Profile of each record, by ``source.stream:key``.
        identifiers: The identifiers of each profile: profile_id, kind, value.
        members: Profiles in each audience.
        cards: What stands behind each prediction.
        sets: Status and message of each trait set.
        trait_sets: The set of each computed trait.
        together: ``customers.products_together``.
    """

    sandbox: Sandbox
    club: Club
    described_at: datetime
    selected_at: datetime
    people: pd.DataFrame
    profile_of_record: dict[str, str]
    identifiers: pd.DataFrame
    members: dict[str, set[str]]
    cards: dict[str, ModelCard]
    sets: dict[str, tuple[str, str]]
    trait_sets: dict[str, str]
    together: pd.DataFrame


@contextmanager
def ran_once(folder: Path) -> Iterator[Ran]:
    """Pull, resolve, describe and select once."""
    today = datetime.now(UTC).date()
    with pytest.MonkeyPatch.context() as patch, Sandbox(people=PEOPLE, seed=SEED, today=today, limits=False) as sandbox:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        for name in [name for name in os.environ if name.startswith("MILLSTREAM_") or name == "PREFECT_API_URL"]:
            patch.delenv(name)
        club = make_club(sandbox.company)
        club.write(folder / "club")
        (folder / "rates.csv").write_text(_rates_file(today), encoding="utf-8")
        (folder / "millstream.yaml").write_text(yaml.safe_dump(_project(sandbox, today), sort_keys=False))
        workspace = steps.Workspace.open(load_project(folder))
        try:
            yield _run(workspace, sandbox, club)
        finally:
            workspace.journal.close()


def dollar_rate(day: date, today: date) -> float:
    """Euros for a dollar: one rate a week, each good for the week after it."""
    weeks = (today - day).days // 7 + ((today - day).days % 7 > 0)
    return round(0.85 + (weeks % 13) / 100, 2)


def audience_rule(text: object, today: date) -> object:
    """A rule with its days put in."""
    if isinstance(text, dict):
        return {name: audience_rule(part, today) for name, part in text.items()}
    if isinstance(text, list):
        return [audience_rule(part, today) for part in text]
    if isinstance(text, str) and text.startswith("$DAY"):
        return today - timedelta(days=int(text.removeprefix("$DAY")))
    return text


def _rates_file(today: date) -> str:
    days = [today - timedelta(days=7 * week) for week in range(-10, 170)]
    return "date,currency,rate\n" + "".join(f"{day},USD,{dollar_rate(day, today)}\n" for day in days)


def _run(workspace: steps.Workspace, sandbox: Sandbox, club: Club) -> Ran:
    run_id = steps.new_run_id()
    pulled = [steps.ingest(workspace, source) for source in workspace.project.sources]
    assert all(report.ok for report in pulled), [str(error) for report in pulled for error in report.errors]
    steps.resolve(workspace, run_id=run_id)
    described = steps.describe(workspace, run_id=run_id)
    steps.select(workspace, run_id=run_id)
    assert described.ok, described.as_json()
    with workspace.store.open() as connection:

        def ask(query: str) -> pd.DataFrame:
            found: pd.DataFrame = read_arrow(connection, query).to_pandas()
            return found

        living = ask(
            """
            SELECT record.source || '.' || record.stream || ':' || record.source_key AS place, member.profile_id
            FROM customers.records AS record JOIN customers.members AS member USING (record_id)
            """
        )
        identifiers = ask("SELECT DISTINCT profile_id, kind, value FROM customers.profile_identifiers")
        members = ask("SELECT audience, profile_id FROM customers.memberships WHERE left_at IS NULL")
        sets = ask("SELECT name, status, message, computed_at FROM customers.trait_sets")
        traits = ask("SELECT trait, trait_set FROM customers.computed_traits")
        return Ran(
            sandbox=sandbox,
            club=club,
            described_at=_at(sets.computed_at.max()),
            selected_at=_at(ask("SELECT max(as_of) AS as_of FROM customers.audience_sizes").as_of[0]),
            people=ask("SELECT * FROM customers.people").set_index("profile_id"),
            profile_of_record=dict(zip(living.place, living.profile_id, strict=True)),
            identifiers=identifiers,
            members={name: set(found) for name, found in members.groupby("audience").profile_id},
            cards=latest_cards(connection),
            sets={one.name: (one.status, one.message) for one in sets.itertuples(index=False)},
            trait_sets=dict(zip(traits.trait, traits.trait_set, strict=True)),
            together=ask("SELECT * FROM customers.products_together"),
        )


def _at(moment: pd.Timestamp) -> datetime:
    found: datetime = moment.to_pydatetime()
    return found.astimezone(UTC)


def _project(sandbox: Sandbox, today: date) -> dict[str, Any]:
    shop = sandbox.system_url("shift4shop") + "/3dCartWebAPI/v1"
    return {
        "name": "truth",
        "connections": {
            "hubspot": {
                "system": "hubspot", "base_url": sandbox.system_url("hubspot"), "access_token": {"env": "HUBSPOT"},
            },
            "surveymonkey": {
                "system": "surveymonkey", "base_url": sandbox.system_url("surveymonkey") + "/v3",
                "access_token": {"env": "SURVEYMONKEY"},
            },
            "shift4shop": {
                "system": "shift4shop", "base_url": shop, "secure_url": "https://sandbox.3dcartstores.com",
                "private_key": {"env": "SHOP_KEY"}, "token": {"env": "SHOP_TOKEN"},
            },
            "zendesk": {
                "system": "zendesk", "base_url": sandbox.system_url("zendesk"), "access_token": {"env": "ZENDESK"},
            },
            "mixpanel": {
                "system": "mixpanel", "base_url": sandbox.system_url("mixpanel"), "project_id": 2195193,
                "username": "millstream.sandbox.mp-service-account", "secret": {"env": "MIXPANEL"},
            },
            "club": {"system": "files", "url": "club"},
        },
        "sources": {
            "hubspot": {
                "connection": "hubspot", "identifiers": {"customer_id": "user_id"},
                "requests_per_second": 200, "searches_per_second": 100,
                "streams": ["contacts", "deals", "email_events", "subscription_statuses"],
            },
            "surveymonkey": {"connection": "surveymonkey", "identifiers": {"crm_id": "hubspot_contact_id"}},
            "shift4shop": {
                "connection": "shift4shop", "currency": "USD", "identifiers": {"AdditionalField1": "user_id"},
                "requests_per_second": 100,
            },
            "zendesk": {"connection": "zendesk", "external_id": "user_id", "texts": True, "exports_per_minute": 1000},
            "mixpanel": {
                "connection": "mixpanel", "start_date": today - timedelta(days=95), "days_a_request": 31,
                "requests_per_second": 100,
            },
            "club": {"connection": "club", "settle_seconds": 0, "streams": {"members": _MEMBERS, "acts": _ACTS}},
        },
        "currency": {"base": "EUR", "rates": "rates.csv"},
        "traits": {
            "timezone": TIMEZONE, "active_days": ACTIVE_DAYS, "lapsed_days": LAPSED_DAYS, "horizon_days": HORIZON_DAYS,
            "purchases": list(PURCHASES),
            "propensities": {"page": {"event": "Page Viewed", "within_days": 30}},
        },
        "audiences": {
            **{name: {"ready_made": name} for name in READY_MADE},
            **{name: audience_rule(said, today) for name, said in OWN_AUDIENCES.items()},
        },
    }  # fmt: skip


_MEMBERS = {
    "files": "members.jsonl",
    "primary_key": ["member"],
    "people": {
        "identifiers": {"email": "email", "customer_id": "user_id"},
        "traits": {"birth_date": {"name": "birth_date", "type": "date"}, "tier": "tier"},
        "consents": {"sms": {"channel": "sms", "statuses": {"yes": "granted", "no": "denied"}}},
    },
}
_ACTS = {
    "files": "acts.jsonl",
    "primary_key": ["id"],
    "columns": {"products": "json", "nps_score": "double"},
    "people": {
        "record": "subject",
        "identifiers": {"email": "email"},
        "events": [
            {
                "at": "at", "name_column": "event", "value": "value", "currency": "currency", "campaign": "campaign",
                "properties": list(ACT_COLUMNS),
            }
        ],
    },
}  # fmt: skip
