"""Faults that can be ordered through `/_sandbox/faults`, and the decision which request they hit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from millstream.sandbox.draws import cut, mix, share

FaultKind = Literal[
    "rate_limited",
    "server_error",
    "reset",
    "slow",
    "refuse_rows",
    "short_page",
    "truncated",
    "expire_token",
    "rename_field",
    "drop_field",
    "empty",
    "html",
]


class FaultOrder(BaseModel):
    """One fault, as ordered: what, where, and how often."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    system: str = Field(description="Name of the system, as in its mount path")
    kind: FaultKind = Field(description="What goes wrong")
    path: str | None = Field(None, description="Only paths below the mount that match this regex")
    method: str | None = Field(None, description="Only requests with this HTTP method")
    share: float = Field(1.0, ge=0, le=1, description="Share of the matching requests (or rows) that are hit")
    every: int | None = Field(None, ge=1, description="Hit every n-th matching request instead of a share")
    times: int | None = Field(None, ge=1, description="Stop after this many hits")
    after: int = Field(0, ge=0, description="Let this many matching requests through first")
    seed: int = Field(1, description="Another seed hits other requests and rows")
    seconds: float = Field(1.0, ge=0, description="rate_limited: what Retry-After says; slow: how long it takes")
    policy: str | None = Field(None, description="rate_limited: the exhausted limit, in the vendor's words")
    status: int = Field(503, ge=500, le=599, description="server_error: the status")
    when: Literal["before", "after"] = Field(
        "before", description="reset, server_error, slow: before or after the work is done"
    )
    whole_batch: bool = Field(False, description="refuse_rows: one bad row refuses its whole batch")
    from_name: str | None = Field(None, alias="from", description="rename_field: the field's true name")
    to_name: str | None = Field(None, alias="to", description="rename_field: the name it gets")
    field: str | None = Field(None, description="drop_field: the field that disappears")

    @model_validator(mode="after")
    def _complete(self) -> FaultOrder:
        if self.kind == "rename_field" and not (self.from_name and self.to_name):
            raise ValueError("rename_field needs `from` and `to`")
        if self.kind == "drop_field" and not self.field:
            raise ValueError("drop_field needs `field`")
        try:
            re.compile(self.path or "")
        except re.error as error:
            raise ValueError(f"path is not a regular expression: {error}") from error
        return self


@dataclass(slots=True)
class ArmedFault:
    """An order with its counters."""

    order: FaultOrder
    seen: int = 0
    hits: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request is hit; counts it."""
        if not self.covers(method, path):
            return False
        self.seen += 1
        if self.seen <= self.order.after or (self.order.times is not None and self.hits >= self.order.times):
            return False
        number = self.seen - self.order.after
        if self.order.every is not None:
            hit = number % self.order.every == 0
        else:
            hit = share(mix(self.order.seed * 1_000_003 + number), 0) < cut(self.order.share)
        self.hits += hit
        return hit

    def covers(self, method: str, path: str) -> bool:
        """Whether the order speaks about such requests at all."""
        order = self.order
        if order.method is not None and order.method.upper() != method:
            return False
        return order.path is None or re.search(order.path, path) is not None


def row_is_refused(order: FaultOrder, key: str) -> bool:
    """Whether a row is among the refused ones: always the same rows for one seed and share."""
    bits = order.seed
    for byte in key.encode():
        bits = mix(bits ^ byte)
    return share(bits, 0) < cut(order.share)


@dataclass(slots=True)
class Strike:
    """The faults that hit one request, at most one of each kind."""

    orders: dict[FaultKind, FaultOrder] = field(default_factory=dict)

    def get(self, kind: FaultKind) -> FaultOrder | None:
        """The order of this kind that hit the request, if one did."""
        return self.orders.get(kind)


NO_STRIKE = Strike()


class Faults:
    """All faults that are armed now."""

    def __init__(self) -> None:
        self.armed: list[ArmedFault] = []

    def add(self, order: FaultOrder) -> None:
        """Arm a fault."""
        self.armed.append(ArmedFault(order))

    def clear(self, system: str | None = None) -> None:
        """Disarm the faults of one system, or all."""
        self.armed = [fault for fault in self.armed if system is not None and fault.order.system != system]

    def strike(self, system: str, method: str, path: str) -> Strike:
        """Decide which faults hit a request that has just arrived."""
        if not self.armed:
            return NO_STRIKE
        orders: dict[FaultKind, FaultOrder] = {}
        for fault in self.armed:
            if fault.order.system != system or fault.order.kind in orders:
                continue
            # A share of refused rows is decided row by row, so the request itself is always hit.
            row_wise = fault.order.kind == "refuse_rows" and fault.order.every is None
            if row_wise and (fault.order.times is None or fault.hits < fault.order.times):
                if fault.covers(method, path):
                    fault.hits += 1
                    orders[fault.order.kind] = fault.order
            elif fault.strikes(method, path):
                orders[fault.order.kind] = fault.order
        return Strike(orders)


def rename_everywhere(value: object, old: str, new: str | None) -> object:
    """A copy of a JSON value in which a key is renamed, or left out where `new` is None."""
    if isinstance(value, dict):
        return {
            (new if key == old else key): rename_everywhere(inner, old, new)
            for key, inner in value.items()
            if key != old or new is not None
        }
    if isinstance(value, list):
        return [rename_everywhere(inner, old, new) for inner in value]
    return value
