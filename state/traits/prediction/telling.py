"""Model cards of learned predictions, and the sentences that tell a marketer how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from millstream.state.traits.contract import Calibration, ModelCard

if TYPE_CHECKING:
    from millstream.state.traits.prediction.learning import Learned

VERSION = 1
"""Goes up with each change of the code that changes predictions."""

_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Words:
    """How a prediction is talked of.

    Attributes:
        number: What it is called: ``risk``, ``probability``.
        happens: What it is of, as ``will not buy``.
        happened: The same, of the past: ``did not buy``.
        baseline: What it is compared with.
    """

    number: str
    happens: str
    happened: str
    baseline: str


def card(learned: Learned, words: Words) -> ModelCard:
    """The card of what was learned."""
    trial = learned.trial
    return ModelCard(
        model=learned.kind,
        version=f"{VERSION}-{learned.fingerprint}",
        window=learned.moments.window,
        horizon=learned.question.horizon,
        people=learned.people,
        metric="Brier score (mean square of probability minus outcome)",
        score=round(trial.score, 5),
        baseline=words.baseline,
        baseline_score=round(trial.baseline_score, 5),
        lower_is_better=True,
        used="model" if trial.better else "baseline",
        parameters=learned.reasons,
        calibration=trial.calibration,
        sentence=sentence(learned, words),
    )


def sentence(learned: Learned, words: Words) -> str:
    """What the prediction means, what came of it when it was tried, and what it goes by."""
    trial, times = learned.trial, learned.moments
    days = learned.question.horizon.days
    parts = [
        f"Of 100 people with a {words.number} of 0.8 about 80 {words.happens} in the next {days} days, if things go "
        "on as they did.",
        f"Tried on {trial.people:,} people and the time from {_day(times.tried)} to "
        f"{_day(times.tried + times.horizon)}: {_kept(trial.calibration, words)}.",
        f"Of two people, one who {words.happened} and one who did otherwise, the first had the higher {words.number} "
        f"in {_of_100(trial.ranking)} of 100 cases.",
    ]
    scores = f"(Brier score {trial.score:.4f} against {trial.baseline_score:.4f}; lower is better)"
    if trial.better:
        parts.append(f"It foretells better than {words.baseline} {scores}.")
    else:
        parts.append(
            f"The model was not clearly better than {words.baseline} {scores}, so that is what the {words.number} is."
        )
    if named := _named(learned):
        parts.append(f"It goes most by: {named}.")
    return " ".join(parts)


def _kept(groups: tuple[Calibration, ...], words: Words) -> str:
    """What came of the lowest and of the highest predictions."""
    told = [
        f"of 100 with a {words.number} of about {group.predicted:.2f}, {_of_100(group.observed)} {words.happened}"
        for group in ([groups[-1], groups[0]] if len(groups) > 1 else groups)
    ]
    return "; ".join(told)


def _named(learned: Learned) -> str:
    words = {feature.name: feature.words for feature in learned.question.features}
    return ", ".join(words[name] for name in list(learned.reasons)[:_MOST_NAMED])


def _of_100(share: float) -> int:
    return int(np.floor(share * 100 + 0.5))


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"
