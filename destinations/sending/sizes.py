"""Batches that keep a vendor's limit in bytes, beside the one in rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from millstream.destinations.contract import DeliveryRow, Destination, DestinationSettings, Outcome, rejected

Rows = tuple[list[DeliveryRow], dict[int, Outcome]]
"""Rows to send, and those that do not fit, by number, with their outcomes."""


def of_fitting_size(
    slices: Iterable[Rows], destination: Destination[DestinationSettings], size: int, *, as_job: bool = False
) -> Iterator[Rows]:
    """Cut slices anew, so that each batch is as full as rows and bytes allow.

    Args:
        slices: Rows in order, at most ``size`` at a time.
        destination: Its ``largest_request`` and ``largest_row``; one of them at least is there.
        size: Most rows in one batch.
        as_job: Whether a batch goes as a job, which may be larger than a request.
    """
    most, largest = destination.largest_request, destination.largest_row
    if as_job:
        most = destination.largest_job or most
    batch: list[DeliveryRow] = []
    taken = 0
    for rows, misfits in slices:
        for row in rows:
            weight = destination.row_bytes(row)
            if largest is not None and weight > largest:
                misfits[row.number] = rejected(
                    "too_large", f"The row has about {weight:,} bytes; at most {largest:,} are taken."
                )
                continue
            if len(batch) == size or (most is not None and batch and taken + weight > most):
                yield batch, {}
                batch, taken = [], 0
            batch.append(row)
            taken += weight
        if misfits:
            yield [], misfits
    if batch:
        yield batch, {}
