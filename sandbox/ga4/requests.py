"""Bodies of the Data API's requests. As all of Google's JSON, they take camelCase and the original snake_case."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from millstream.sandbox.ga4.errors import invalid

LARGEST_LIMIT = 250_000
DEFAULT_LIMIT = 10_000


def _int64(value: object) -> object:
    # 64-bit integers travel as strings in protobuf's JSON, but numbers are taken too.
    if isinstance(value, str) and value.removeprefix("-").isdigit():
        return int(value)
    return value


Int64 = Annotated[int, BeforeValidator(_int64)]


class Message(BaseModel):
    """A protobuf message in JSON."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Named(Message):
    """A dimension by name."""

    name: str


class MetricNamed(Message):
    """A metric by name."""

    name: str
    invisible: bool = False


class DateRange(Message):
    """Days, both ends included: YYYY-MM-DD, today, yesterday or NdaysAgo."""

    start_date: str
    end_date: str
    name: str | None = None


class StringFilter(Message):
    match_type: Literal["EXACT", "BEGINS_WITH", "ENDS_WITH", "CONTAINS", "FULL_REGEXP", "PARTIAL_REGEXP"] = "EXACT"
    value: str
    case_sensitive: bool = False


class InListFilter(Message):
    values: Annotated[list[str], Field(min_length=1)]
    case_sensitive: bool = False


class NumericValue(Message):
    int64_value: Annotated[Int64 | None, Field(alias="int64Value")] = None
    double_value: float | None = None

    def number(self) -> float:
        """The value, whichever way it was given."""
        return float(self.int64_value if self.int64_value is not None else self.double_value or 0)


class NumericFilter(Message):
    operation: Literal["EQUAL", "LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL"]
    value: NumericValue


class BetweenFilter(Message):
    from_value: NumericValue
    to_value: NumericValue


class EmptyFilter(Message):
    """Matches what is not set."""


class Filter(Message):
    """One condition on one field."""

    field_name: str
    string_filter: StringFilter | None = None
    in_list_filter: InListFilter | None = None
    numeric_filter: NumericFilter | None = None
    between_filter: BetweenFilter | None = None
    empty_filter: EmptyFilter | None = None


class ExpressionList(Message):
    expressions: list[FilterExpression]


class FilterExpression(Message):
    """Conditions joined by and, or, not; exactly one of the four."""

    and_group: ExpressionList | None = None
    or_group: ExpressionList | None = None
    not_expression: FilterExpression | None = None
    filter: Filter | None = None


class MetricOrder(Message):
    metric_name: str


class DimensionOrder(Message):
    dimension_name: str
    order_type: Literal["ALPHANUMERIC", "CASE_INSENSITIVE_ALPHANUMERIC", "NUMERIC"] = "ALPHANUMERIC"


class OrderBy(Message):
    """One sort key."""

    metric: MetricOrder | None = None
    dimension: DimensionOrder | None = None
    desc: bool = False


class ReportRequest(Message):
    """Body of `runReport`. `property` is only looked at in a batch."""

    property: str | None = None
    dimensions: Annotated[list[Named], Field(default_factory=list, max_length=9)]
    metrics: Annotated[list[MetricNamed], Field(default_factory=list, max_length=10)]
    date_ranges: Annotated[list[DateRange], Field(default_factory=list, max_length=4)]
    dimension_filter: FilterExpression | None = None
    metric_filter: FilterExpression | None = None
    offset: Int64 = 0
    limit: Int64 = 0
    metric_aggregations: list[Literal["TOTAL", "MINIMUM", "MAXIMUM", "COUNT"]] = Field(default_factory=list)
    order_bys: list[OrderBy] = Field(default_factory=list)
    currency_code: str = ""
    keep_empty_rows: bool = False
    return_property_quota: bool = False


class BatchRequest(Message):
    """Body of `batchRunReports`."""

    requests: Annotated[list[ReportRequest], Field(min_length=1, max_length=5)]


class CompatibilityRequest(Message):
    """Body of `checkCompatibility`."""

    dimensions: list[Named] = Field(default_factory=list)
    metrics: list[MetricNamed] = Field(default_factory=list)
    dimension_filter: FilterExpression | None = None
    metric_filter: FilterExpression | None = None
    compatibility_filter: Literal["COMPATIBILITY_UNSPECIFIED", "COMPATIBLE", "INCOMPATIBLE"] = (
        "COMPATIBILITY_UNSPECIFIED"
    )


class AudienceDimension(Message):
    dimension_name: str


class NewAudienceExport(Message):
    """Body of `audienceExports.create`."""

    audience: str
    dimensions: Annotated[list[AudienceDimension], Field(min_length=1)]


class AudienceQuery(Message):
    """Body of `audienceExports.query`."""

    offset: Int64 = 0
    limit: Int64 = 0


def rows_of_page(offset: int, limit: int) -> tuple[int, int]:
    """First row and number of rows; 0 stands for "not given", and nobody gets more than 250,000."""
    if offset < 0 or limit < 0:
        raise invalid("offset and limit must not be negative.")
    return offset, min(limit or DEFAULT_LIMIT, LARGEST_LIMIT)
