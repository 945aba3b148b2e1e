"""Filter expressions, decided for a whole array at once."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.ga4.errors import invalid
from millstream.sandbox.ga4.requests import (
    BetweenFilter,
    Filter,
    FilterExpression,
    InListFilter,
    NumericFilter,
    StringFilter,
)

Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]
NOT_SET = "(not set)"


def fields_of(expression: FilterExpression | None) -> list[str]:
    """Names of all fields a filter speaks about."""
    if expression is None:
        return []
    if expression.filter is not None:
        return [expression.filter.field_name]
    groups = [group for group in (expression.and_group, expression.or_group) if group is not None]
    inner = [one for group in groups for one in group.expressions]
    return [name for one in [*inner, expression.not_expression] for name in fields_of(one)]


def decide(expression: FilterExpression, decide_one: Callable[[Filter], Flags]) -> Flags:
    """Join what `decide_one` says about the single conditions."""
    parts = (expression.and_group, expression.or_group, expression.not_expression, expression.filter)
    if sum(part is not None for part in parts) != 1:
        raise invalid("A FilterExpression needs exactly one of andGroup, orGroup, notExpression and filter.")
    if expression.filter is not None:
        return decide_one(expression.filter)
    if expression.not_expression is not None:
        return ~decide(expression.not_expression, decide_one)
    group = expression.and_group or expression.or_group
    if group is None or not group.expressions:
        raise invalid("A group of filter expressions must not be empty.")
    decided = [decide(one, decide_one) for one in group.expressions]
    joined = np.logical_and.reduce(decided) if expression.and_group is not None else np.logical_or.reduce(decided)
    return np.asarray(joined, dtype=np.bool_)


def matches_text(condition: Filter, values: tuple[str, ...]) -> Flags:
    """Which values of a dimension a condition lets through."""
    if condition.string_filter is not None:
        test = _string_test(condition.string_filter)
    elif condition.in_list_filter is not None:
        test = _list_test(condition.in_list_filter)
    elif condition.empty_filter is not None:
        test = _is_empty
    elif condition.numeric_filter is not None or condition.between_filter is not None:
        numbers = np.asarray([float(value) if value.isdigit() else np.nan for value in values])
        return matches_number(condition, numbers)
    else:
        raise invalid(f"The filter on {condition.field_name} has no condition.")
    return np.asarray([test(value) for value in values], dtype=np.bool_)


def matches_number(condition: Filter, numbers: Numbers) -> Flags:
    """Which values of a metric a condition lets through."""
    if condition.numeric_filter is not None:
        return _compared(condition.numeric_filter, numbers)
    if condition.between_filter is not None:
        return _between(condition.between_filter, numbers)
    raise invalid(f"The filter on {condition.field_name} must be numericFilter or betweenFilter.")


def _is_empty(value: str) -> bool:
    return value in {"", NOT_SET}


def _list_test(wanted: InListFilter) -> Callable[[str], bool]:
    if wanted.case_sensitive:
        return set(wanted.values).__contains__
    folded = {value.lower() for value in wanted.values}
    return lambda value: value.lower() in folded


def _string_test(wanted: StringFilter) -> Callable[[str], bool]:
    text = wanted.value if wanted.case_sensitive else wanted.value.lower()

    def folded(value: str) -> str:
        return value if wanted.case_sensitive else value.lower()

    if wanted.match_type.endswith("REGEXP"):
        try:
            pattern = re.compile(wanted.value, 0 if wanted.case_sensitive else re.IGNORECASE)
        except re.error as error:
            raise invalid(f"Invalid regular expression {wanted.value!r}: {error}.") from error
        find = pattern.fullmatch if wanted.match_type == "FULL_REGEXP" else pattern.search
        return lambda value: find(value) is not None
    tests: dict[str, Callable[[str], bool]] = {
        "EXACT": lambda value: folded(value) == text,
        "BEGINS_WITH": lambda value: folded(value).startswith(text),
        "ENDS_WITH": lambda value: folded(value).endswith(text),
        "CONTAINS": lambda value: text in folded(value),
    }
    return tests[wanted.match_type]


def _compared(wanted: NumericFilter, numbers: Numbers) -> Flags:
    value = wanted.value.number()
    compared = {
        "EQUAL": numbers == value,
        "LESS_THAN": numbers < value,
        "LESS_THAN_OR_EQUAL": numbers <= value,
        "GREATER_THAN": numbers > value,
        "GREATER_THAN_OR_EQUAL": numbers >= value,
    }
    return np.asarray(compared[wanted.operation], dtype=np.bool_)


def _between(wanted: BetweenFilter, numbers: Numbers) -> Flags:
    low, high = wanted.from_value.number(), wanted.to_value.number()
    return np.asarray((numbers >= low) & (numbers <= high), dtype=np.bool_)
