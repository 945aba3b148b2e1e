"""What a model goes by: how much worse it foretells when people's values of one feature are mixed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from millstream.state.traits.prediction.classifier import Classifier

Numbers = NDArray[np.float64]

SEED = 11
MOST_PEOPLE = 5_000
MOST_REASONS = 5


def weights(model: Classifier, features: Numbers, outcome: Numbers, names: Sequence[str]) -> dict[str, float]:
    """The features that matter most, with what the Brier score loses without them; the weightiest first."""
    chance = np.random.default_rng(SEED)
    chosen = np.sort(chance.permutation(len(outcome))[:MOST_PEOPLE])
    features, outcome = features[chosen], outcome[chosen]
    whole = float(np.mean((model.predict(features) - outcome) ** 2))
    lost: dict[str, float] = {}
    for column, name in enumerate(names):
        mixed = features.copy()
        mixed[:, column] = chance.permutation(mixed[:, column])
        lost[name] = round(float(np.mean((model.predict(mixed) - outcome) ** 2)) - whole, 5)
    heaviest = sorted(lost, key=lambda name: (-lost[name], name))[:MOST_REASONS]
    return {name: lost[name] for name in heaviest if lost[name] > 0}
