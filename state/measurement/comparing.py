"""What the groups of a comparison come to: the difference, how sure it is, and a sentence that claims no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from millstream.state.measurement.statistics import (
    SMALLEST_SAMPLE_RATIO_P,
    Interval,
    Sample,
    bonferroni_confidence,
    holm,
    mean_difference,
    sample_ratio_p,
    share_difference,
)

_SIGNIFICANT = 0.05

Kind = Literal["holdout", "experiment"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The people of one group, and what they did in their time.

    Attributes:
        name: ``held out``, ``addressed``, or a variant.
        planned: The share of people that were to be in it, or its weight.
        people: How many are.
        converted: How many of them reached the goal.
        value: The value of their goal events, a person.
    """

    name: str
    planned: float
    people: int
    converted: int
    value: Sample


@dataclass(frozen=True, kw_only=True)
class Lift:
    """One group against the control group; fields are the columns of ``customers.lifts``, in their order.

    Attributes:
        name: The sync, ``audience <name>``, or the experiment.
        kind: What is compared.
        variant: ``addressed``, or the variant.
        goal: The event that counts as success.
        window_days: How long after the start it counts.
        treated: People of the group whose time is over.
        treated_converted: Those of them who reached the goal.
        control: The same of the control group: held out, or of the first variant.
        control_converted: Those of them who reached the goal.
        difference: Of the shares who did; None with too few people.
        low: Lower end of its interval.
        high: Upper end.
        p_value: How often chance alone shows as much.
        sample_ratio_p: How often chance alone makes groups so far from what was planned.
        sample_ratio_ok: Whether that is not too seldom to be believed.
        planned_share: The control group's among both.
        treated_value: Mean value a person.
        control_value: Mean value a person of the control group.
        value_difference: Of the mean values.
        value_low: Lower end of its interval.
        value_high: Upper end.
        value_p_value: How often chance alone shows as much.
        sentence: What it comes to.
    """

    name: str
    kind: Kind
    variant: str
    goal: str
    window_days: float
    treated: int
    treated_converted: int
    control: int
    control_converted: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    sample_ratio_p: float | None
    sample_ratio_ok: bool
    planned_share: float
    treated_value: float | None
    control_value: float | None
    value_difference: float | None
    value_low: float | None
    value_high: float | None
    value_p_value: float | None
    sentence: str

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def compare(
    groups: Sequence[Group], *, name: str, kind: Kind, goal: str, window_days: float, at_least_people: int
) -> list[Lift]:
    """Each group against the first, the control group.

    Where there are several, intervals and p-values are widened so that all of them together err no more often than
    one would.

    Args:
        groups: At least two.
        name: Of the comparison.
        kind: What is compared.
        goal: The event that counts.
        window_days: How long it counts.
        at_least_people: Of each group, for a difference to be shown.
    """
    control, others = groups[0], groups[1:]
    ratio = sample_ratio_p([group.people for group in groups], [group.planned for group in groups])
    fair = ratio is None or ratio >= SMALLEST_SAMPLE_RATIO_P
    enough = all(group.people >= at_least_people for group in groups)
    confidence = bonferroni_confidence(len(others))
    shares = [_share(group, control, confidence) for group in others] if enough else []
    values = [mean_difference(group.value, control.value, confidence=confidence) for group in others] if enough else []
    adjusted = holm([found.p_value for found in shares])
    known = [found.p_value for found in values if found]
    adjusted_values = iter(holm(known))
    lifts = []
    for number, group in enumerate(others):
        share = shares[number] if enough else None
        value = values[number] if enough else None
        p_value = adjusted[number] if share else None
        lifts.append(
            Lift(
                name=name,
                kind=kind,
                variant=group.name,
                goal=goal,
                window_days=window_days,
                treated=group.people,
                treated_converted=group.converted,
                control=control.people,
                control_converted=control.converted,
                difference=share.difference if share else None,
                low=share.low if share else None,
                high=share.high if share else None,
                p_value=p_value,
                sample_ratio_p=ratio,
                sample_ratio_ok=fair,
                planned_share=control.planned / (control.planned + group.planned),
                treated_value=group.value.mean if enough else None,
                control_value=control.value.mean if enough else None,
                value_difference=value.difference if value else None,
                value_low=value.low if value else None,
                value_high=value.high if value else None,
                value_p_value=next(adjusted_values) if value else None,
                sentence=_sentence(group, control, share, p_value, at_least_people) if fair else _unfair(ratio or 0.0),
            )
        )
    return lifts


def _share(group: Group, control: Group, confidence: float) -> Interval:
    return share_difference((group.converted, group.people), (control.converted, control.people), confidence=confidence)


def _unfair(ratio: float) -> str:
    return (
        f"The groups are not as large as planned (p = {ratio:.1g}): something other than chance decides who is in "
        "which, so they cannot be compared. Find out what before believing any difference."
    )


def _sentence(group: Group, control: Group, found: Interval | None, p_value: float | None, at_least_people: int) -> str:
    if found is None or p_value is None:
        small = min((group, control), key=lambda one: one.people)
        return (
            f"Too few people for a comparison: {small.people:,} of those {_called(small)} have had their time, "
            f"{at_least_people:,} are needed."
        )
    interval = f"95 % interval {_points(found.low)} to {_points(found.high)} points"
    shares = f"{_percent(group)} of those {_called(group)} against {_percent(control)} of those {_called(control)}"
    # The interval and the test are made in different ways and may disagree at the edge: both must say so.
    if p_value >= _SIGNIFICANT or found.low <= 0 <= found.high:
        return f"No difference could be shown: {shares} reached the goal ({interval})."
    return f"{'More' if found.difference > 0 else 'Fewer'} reached the goal: {shares} ({interval})."


def _called(group: Group) -> str:
    return group.name if group.name in ("addressed", "held out") else f"with {group.name}"


def _percent(group: Group) -> str:
    return f"{100 * group.converted / group.people:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"
