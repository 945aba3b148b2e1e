"""What each of the shipped figures means, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FigureMeaning:
    """What a figure is.

    Attributes:
        unit: people, orders, events, currency (the base currency), share (0 to 1), score, or the project's own.
        description: In a sentence.
    """

    unit: str
    description: str


SHIPPED: Mapping[str, FigureMeaning] = {
    name: FigureMeaning(unit=unit, description=description)
    for name, (unit, description) in {
        "people": ("people", "People known by the end of the day, as far as is known today of who is who."),
        "new_people": ("people", "People seen for the first time on the day."),
        "active_people_daily": ("people", "People who did something on the day."),
        "active_people_weekly": ("people", "People who did something in the 7 days up to it."),
        "active_people_monthly": ("people", "People who did something in the 30 days up to it."),
        "buyers": ("people", "People who bought on the day."),
        "orders": ("orders", "Orders of the day, without those cancelled by now."),
        "revenue": ("currency", "What the orders of the day are worth, before refunds."),
        "average_order": ("currency", "Revenue of the day for each order whose value is known."),
        "conversion_rate": ("share", "Of the people active in the 30 days up to the day, those who bought in them."),
        "lifetime_value": ("currency", "What customers have spent from their first order to the day, on average."),
        "engagement_rate": (
            "share",
            "Messages opened, clicked or tapped for each message sent, over the 30 days up to the day.",
        ),
        "churn_rate": (
            "share",
            "Of the customers who had bought within lapsed_days up to the day before, those whose time ran out.",
        ),
        "net_promoter_score": (
            "score",
            "Percent of promoters (9, 10) less percent of detractors (0 to 6) among answers of the last 30 days.",
        ),
        "predicted_lifetime_value": ("currency", "The mean of the trait predicted_value, of those who have it."),
        "consent_share": ("share", "People who granted consent to marketing on at least one channel."),
    }.items()
}
"""The figures that are always there, by name; those by channel come beside them."""

BY_CHANNEL: Mapping[str, FigureMeaning] = {
    "consent_share_": FigureMeaning(unit="share", description="People who granted consent to marketing by {channel}."),
    "reachable_": FigureMeaning(
        unit="people", description="People with consent to marketing by {channel}, and an address or number for it."
    ),
}


def is_shipped(name: str) -> bool:
    """Whether a figure of ours may have this name."""
    return name in SHIPPED or any(name.startswith(prefix) for prefix in BY_CHANNEL)
