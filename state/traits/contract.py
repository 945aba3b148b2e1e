"""What a computed trait declares, and what the ones written in Python are given and give back.

Traits are declared in sets, since one query often gives several of them: a file is a set. ``files.py`` reads the SQL
ones; a Python one holds a ``TRAITS = TraitSet(...)`` whose ``compute`` is a function of this module's ``Context``, or a
function ``TRAITS(rules)`` that gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from millstream.state.model.declarations import TraitType

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules


@dataclass(frozen=True, kw_only=True)
class Trait:
    """One computed trait: a column of ``customers.people``.

    Attributes:
        description: What it means, in a sentence for a marketer.
        type: How its values are read.
        unit: What a number counts: ``days``, ``orders``, ``currency``, ``share`` (0 to 1), ... Empty for others.
        at_least: Values below are a fault of the computation.
        at_most: Values above are a fault of the computation.
        allowed: Other values are a fault of the computation; empty for any.
        required: Whether every person must have a value.
    """

    description: str
    type: TraitType
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    allowed: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True)
class Calibration:
    """People with like predictions: what was foretold of them, and what they did.

    Attributes:
        predicted: Mean prediction.
        observed: Mean of what happened on the held-out time.
        people: How many they are.
    """

    predicted: float
    observed: float
    people: int


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What has to be known of a model before anyone acts on what it says.

    Attributes:
        model: Its name, as ``BG/NBD``.
        version: Changes with the model's code and with what it learned.
        window: Begin and end of the time it learned from, aware.
        horizon: How far it looks ahead.
        people: How many people it learned from.
        metric: What it was judged by on time it had not seen, as ``mean absolute error``; in words with the unit.
        score: The model's.
        baseline: What it is compared with, in words.
        baseline_score: The baseline's.
        lower_is_better: Of the metric.
        used: Whose predictions the traits hold. The baseline's, where the model was not better than it.
        parameters: What it learned, where that is a handful of numbers.
        calibration: Predicted beside observed on the held-out time, from the lowest predictions to the highest.
        sentence: What the prediction means and how far it can be trusted, for a marketer.
    """

    model: str
    version: str
    window: tuple[datetime, datetime]
    horizon: timedelta
    people: int
    metric: str
    score: float
    baseline: str
    baseline_score: float
    lower_is_better: bool
    used: Literal["model", "baseline"]
    sentence: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    calibration: tuple[Calibration, ...] = ()

    def lines(self) -> list[str]:
        """What it says in plain words, a line each; the sentence aside."""
        begin, end = self.window
        better = "lower" if self.lower_is_better else "higher"
        held = f"{self.score:.4g}, against {self.baseline_score:.4g} of the baseline ({self.baseline})"
        used = "the model's" if self.used == "model" else "the baseline's, since the model was not better"
        found = [
            f"{self.model}, version {self.version}",
            f"learned from {self.people:,} people, {begin:%Y-%m-%d} to {end:%Y-%m-%d}",
            f"looks {self.horizon.days} days ahead",
            f"{self.metric} on time it had not seen: {held}; {better} is better",
            f"the values are {used}",
        ]
        if self.parameters:
            told = ", ".join(f"{name} {value:.4g}" for name, value in self.parameters.items())
            found.append(f"parameters: {told}")
        return found


@dataclass(frozen=True)
class Result:
    """What a Python trait set gives back.

    Attributes:
        rows: ``profile_id`` and a column for each trait it has values of; people who are left out have none.
        cards: The models behind it, by the trait they stand behind.
        tables: Further tables of schema ``customers`` by name, which are replaced with the run. Those of a project's
            own set begin with its name and an underscore: ``loyalty_levels``.
        nothing_to_learn: Why there are no values, or none of some traits, in a sentence: too little to learn from.
    """

    rows: pa.Table
    cards: Mapping[str, ModelCard] = field(default_factory=dict)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    nothing_to_learn: str = ""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a Python trait set computes from.

    Attributes:
        connection: The open store. The relations of the set's ``inputs`` are there, by their names, up to ``as_of``.
        as_of: The time of the run, aware: nothing later is known.
        rules: The section ``traits`` of the project file.
    """

    connection: Connection
    as_of: datetime
    rules: TraitRules


@dataclass(frozen=True, kw_only=True)
class TraitSet:
    """Traits that are computed together.

    Attributes:
        name: The file's stem.
        description: What the set is about, in a sentence.
        traits: The traits by name.
        inputs: Names of the relations it reads (``relations.py``): events, purchases, ...; ``<set>_traits`` are the
            traits of another set, which is computed before.
        profile_traits: Traits of the records that it reads from ``profiles``, with the type they are read as; they
            are there as empty columns even where no source brings them.
        every: Computed anew at most so often; each run when left out.
        sql: One SELECT of ``profile_id`` and the traits, with ``$as_of`` for the time of the run.
        compute: The function, for a set in Python.
        needs: Module that a Python set imports and Millstream does not require, with the extra that brings it.
        file: Where it was read from, for messages.
        code: What stands there; when it changes, the set is computed anew.
        broken: Why its file cannot be used: then it stands for what the set had, and nothing is computed.
    """

    name: str
    description: str
    traits: Mapping[str, Trait]
    inputs: tuple[str, ...]
    profile_traits: Mapping[str, TraitType] = field(default_factory=dict)
    every: timedelta | None = None
    sql: str | None = None
    compute: Callable[[Context], Result] | None = None
    needs: tuple[str, str] | None = None
    file: str = ""
    code: str = ""
    broken: str = ""
