"""Fifty audiences of all kinds of conditions, as a project file has them; ``audiences_floor.py`` says them by hand."""

from __future__ import annotations

from millstream.state.audiences import Audience


def _trait(name: str, **comparison: object) -> dict[str, object]:
    return {"trait": name, **comparison}


def _event(name: str, within: str | None = None, **more: object) -> dict[str, object]:
    return {"event": name, **({"within": within} if within else {}), **more}


_MAILABLE = {"all": [{"consent": "email"}, {"identifier": "email"}]}

RULES: dict[str, object] = {
    # Traits.
    "from_country_0": _trait("country", equals="country 0"),
    "from_the_north": _trait("country", **{"in": ["country 1", "country 2", "country 3"]}),
    "paying": _trait("plan", **{"in": ["basic", "plus"]}),
    "without_plan": _trait("plan", is_set=False),
    "vips": _trait("vip", equals=True),
    "born_before_1980": _trait("birth_date", less_than="1980-01-01"),
    "buyers": _trait("orders", at_least=1),
    "frequent_buyers": _trait("orders", at_least=5),
    "spent_500": _trait("revenue", at_least=500),
    "champions": _trait("rfm_group", equals="champions"),
    "promoters": _trait("nps", at_least=9),
    "first_thousands": _trait("email", contains="person-10"),
    "new_people": _trait("first_seen", at_least="2026-01-01"),
    "lapsed": {"all": [_trait("orders", at_least=1), _trait("days_since_order", more_than=365)]},
    "at_risk_and_rich": {"all": [_trait("rfm_group", equals="at_risk"), _trait("revenue", at_least=300)]},
    # Events: whether, how often, how much, when.
    "ordered_ever": _event("Order Completed"),
    "ordered_30d": _event("Order Completed", "30d"),
    "ordered_thrice_90d": _event("Order Completed", "90d", count={"at_least": 3}),
    "spent_200_90d": _event("Order Completed", "90d", value={"at_least": 200}),
    "never_ordered": _event("Order Completed", did=False),
    "looked_but_left": {
        "all": [_event("Product Viewed", "7d"), _event("Order Completed", "7d", did=False)],
    },
    "opened_30d": _event("Email Opened", "30d"),
    "clicked_30d": _event("Email Clicked", "30d"),
    "mail_in_vain": {
        "all": [_event("Email Sent", "90d", count={"at_least": 2}), _event("Email Opened", "90d", did=False)],
    },
    "with_tickets_180d": _event("Ticket Opened", "180d", count={"at_least": 2}),
    "heavy_browsers": _event("Page Viewed", "30d", count={"at_least": 5}),
    "app_viewers": _event("Product Viewed", "30d", channel="app"),
    "of_campaign_5": _event("Page Viewed", "90d", campaign="campaign 5"),
    "gift_buyers": _event("Order Completed", where={"gift": True}),
    "into_category_3": _event("Product Viewed", "60d", where={"category": "category 3"}),
    "of_size_42": _event("Product Added", "90d", where={"size": [42, 43]}),
    "gone_quiet": _event("Page Viewed", "60d", did=False),
    "signed_up_this_week": _event("Signed Up", "7d"),
    "surveyed_this_year": _event("Survey Responded", "365d"),
    "light_buyers": _event("Order Completed", "365d", count={"at_least": 1, "at_most": 2}),
    "buyers_of_old": {
        "all": [_event("Order Completed", before="180d"), _event("Order Completed", "180d", did=False)],
    },
    # Sequences.
    "cart_then_order": {
        "sequence": [_event("Product Added"), _event("Order Completed", "2d")], "within": "30d",
    },
    "looked_took_bought": {
        "sequence": [_event("Product Viewed"), _event("Product Added"), _event("Order Completed")], "within": "30d",
    },
    "cart_left": {
        "sequence": [_event("Product Added"), _event("Order Completed", "3d", did=False)], "within": "14d",
    },
    # Consents and identifiers.
    "mailable": _MAILABLE,
    "textable": {"all": [{"consent": "sms"}, {"identifier": "phone"}]},
    "known_by_device": {"identifier": "device_id"},
    "unreachable": {"none": [{"consent": "email"}, {"consent": "sms"}]},
    # Shares of all.
    "top_10_by_revenue": _trait("revenue", top_percent=10),
    "bottom_20_by_actions": _trait("actions_30", bottom_percent=20),
    "power_users": _trait("actions_30", top_percent=10),
    # Other audiences.
    "reachable_vips": {"all": [{"audience": "vips"}, {"audience": "mailable"}]},
    "buyers_to_ask": {"all": [{"audience": "buyers"}, {"not_audience": "mailable"}]},
    "win_back": {
        "all": [
            {"audience": "lapsed"},
            {"audience": "mailable"},
            {"not_audience": "unreachable"},
            _event("Email Clicked", "90d", did=False),
        ],
    },
    "best_customers": {
        "any": [
            {"audience": "top_10_by_revenue"},
            {"all": [{"audience": "champions"}, {"audience": "spent_200_90d"}]},
        ],
    },
}  # fmt: skip


def audiences() -> dict[str, Audience]:
    """The audiences as the project file would give them."""
    return {name: Audience.model_validate({"rule": rule}) for name, rule in RULES.items()}
