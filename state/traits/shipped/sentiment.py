"""The set ``sentiment``: how people sound in what they write to surveys, by the lexicon VADER (Hutto & Gilbert, 2014).

VADER reads English only. German's "die" and "war" look grim to it, so what is plainly in another language is left out:
a comment with more of the small words of another language than of English.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from millstream.state.traits.contract import Context, Result, Trait, TraitSet

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

POSITIVE, NEGATIVE = 0.05, -0.05
"""From where on a comment counts as positive or negative, as VADER's authors advise."""

_ENGLISH_WORDS = """
a all am an and are as at be been but can did do for from had has have i in is it me my no not of on or so that the
there they this to too very was we were will with would you your
"""
# Not those that are English words, too. German, Dutch; French; Spanish, Italian, Portuguese.
_OTHER_WORDS = """
aber auch auf bei das dem der die ein eine es für ich ist kein keine leider mir mit nicht noch nur sehr sie und uns war
wir wird wurde zu zum zur een en geen heel het ik maar niet ook voor zeer
avec cette dans des du elle est et il je la le les mais nous pas que qui sur très une vous
el fue las los muy para pero por una che è gli molto sono é foi mas muito não os uma
"""
_ENGLISH, _OTHERS = frozenset(_ENGLISH_WORDS.split()), frozenset(_OTHER_WORDS.split())
_WORD = re.compile(r"[^\W\d_]+")


def compute(context: Context) -> Result:
    """Score each comment, and take each person's mean."""
    import pyarrow as pa

    said = context.connection.execute(
        "SELECT profile_id, comment FROM survey_answers WHERE comment IS NOT NULL ORDER BY profile_id"
    ).fetchall()
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for profile_id, comment in said:
        if is_english(comment):
            scores[profile_id].append(score(comment))
    means = {profile_id: sum(found) / len(found) for profile_id, found in scores.items()}
    rows = pa.table(
        {
            "profile_id": pa.array(means.keys(), pa.string()),
            "survey_sentiment": pa.array(means.values(), pa.float64()),
            "survey_sentiment_group": pa.array([group(mean) for mean in means.values()], pa.string()),
        }
    )
    return Result(rows=rows)


def is_english(comment: str) -> bool:
    """Whether a comment is to be read: it has words or signs, and is not plainly in another language."""
    words = [word.lower() for word in _WORD.findall(comment)]
    if not words:
        return bool(comment.strip())  # emoticons, which VADER knows
    if not any(word.isascii() for word in words):
        return False
    return sum(word in _OTHERS for word in words) <= sum(word in _ENGLISH for word in words)


@lru_cache(maxsize=10_000)
def score(comment: str) -> float:
    """How an English comment sounds, from -1 to 1."""
    return float(_analyser().polarity_scores(comment)["compound"])


def group(mean: float) -> str:
    """A score in words."""
    if mean >= POSITIVE:
        return "positive"
    return "negative" if mean <= NEGATIVE else "neutral"


@lru_cache(maxsize=1)
def _analyser() -> SentimentIntensityAnalyzer:
    """Reads its lexicon of 7,500 words once."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


TRAITS = TraitSet(
    name="sentiment",
    description="How people sound in what they write to surveys and with ratings of service. English only: comments "
    "that are plainly in another language are left out.",
    inputs=("survey_answers",),
    needs=("vaderSentiment", "predictions"),
    compute=compute,
    traits={
        "survey_sentiment": Trait(
            type="number",
            unit="points",
            at_least=-1.0,
            at_most=1.0,
            description="How somebody sounds in their comments on average, from -1 (very negative) to 1 (very "
            "positive); English comments only, judged by their words.",
        ),
        "survey_sentiment_group": Trait(
            type="text",
            allowed=("positive", "neutral", "negative"),
            description="How somebody sounds in their comments: positive (0.05 or more), negative (-0.05 or less), or "
            "neutral. English comments only.",
        ),
    },
)
