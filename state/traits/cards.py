"""Cards of models in the store: kept as JSON after each run, read back as what they were."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.state.store import column_types
from millstream.state.traits.contract import Calibration, ModelCard

if TYPE_CHECKING:
    from millstream.state.store import Connection


def card_json(card: ModelCard) -> dict[str, Any]:
    """A card for programs; times are text, and the horizon is ``horizon_days``."""
    told = asdict(card) | {"parameters": dict(card.parameters)}
    told["window"] = [moment.isoformat() for moment in card.window]
    told["horizon_days"] = told.pop("horizon").total_seconds() / 86_400
    return told


def latest_cards(connection: Connection) -> dict[str, ModelCard]:
    """The card of each trait whose values a model gave; none where traits were never computed."""
    if not column_types(connection, "customers", "model_cards"):
        return {}
    rows = connection.execute(
        """
        SELECT card.trait, card.card FROM customers.model_cards AS card
        JOIN customers.computed_traits AS computed ON computed.trait = card.trait
        JOIN customers.trait_sets AS made ON made.name = computed.trait_set AND made.computed_at = card.as_of
        """
    ).fetchall()
    return {str(trait): _card(json.loads(card)) for trait, card in rows}


def _card(told: dict[str, Any]) -> ModelCard:
    begin, end = (datetime.fromisoformat(moment) for moment in told.pop("window"))
    return ModelCard(
        window=(begin, end),
        horizon=timedelta(days=told.pop("horizon_days")),
        calibration=tuple(Calibration(**one) for one in told.pop("calibration")),
        **told,
    )
